"""Text on the screen: makes outside strings safe, cuts to width; braille dots."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from tuiprobe.plaintext import plain

DIM = "$foreground 60%"
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def inert(text: str, style: str = "") -> Content:
    r"""Returns outside text as content that is shown as it is and never obeyed.

    Args:
        text: Anything: file names, class names, messages.
        style: Style of the whole text; never from outside.

    >>> inert("[red]a\x1b[31m").plain
    '[red]a\\x1b[31m'
    """
    return Content.styled(plain(text), style) if style else Content(plain(text))


def inert_lines(lines: Iterable[str]) -> Content:
    r"""Returns outside lines as content of as many lines: line ends within them stay inert.

    >>> inert_lines(["a\nb", "c"]).plain.splitlines()
    ['a\\nb', 'c']
    """
    return Content("\n".join(plain(line) for line in lines))


def fitted(text: str, width: int) -> str:
    """Returns `text` cut or padded to `width` cells; what is cut ends in an ellipsis.

    >>> fitted("channel", 5), fitted("ab", 4)
    ('chan…', 'ab  ')
    """
    if cell_len(text) > width:
        text = set_cell_size(text, max(width - 1, 0)).rstrip() + "…" if width > 0 else ""
    return set_cell_size(text, width)


def dot_bit(x: int, y: int) -> int:
    """Returns the bit of a braille character that is the dot at half column x, quarter row y."""
    return _DOTS[y % 4][x % 2]


def braille(bits: int) -> str:
    """Returns the character with these dots.

    >>> braille(dot_bit(0, 3) | dot_bit(1, 0))
    '⡈'
    """
    return chr(_BRAILLE + bits)
