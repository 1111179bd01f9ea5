"""Text on the screen: makes outside strings safe, cuts and wraps to width; braille dots."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.widgets import Static

from tuiprobe.plaintext import plain

DIM = "$foreground 60%"
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_WORD = re.compile(r"[^ ]+ *| +")
"""A word with the blanks behind it; a no-break space is part of a word."""

_INDENT = 2


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


def wrapped(content: Content, width: int) -> Content:
    r"""Returns content with its lines broken at blanks, never at a no-break space.

    Textual breaks at any white space.

    >>> wrapped(Content("kurtosis 8.21 n\xa02,000"), 18).plain
    'kurtosis 8.21\n  n\xa02,000'
    """
    lines: list[Content] = []
    for line in content.split("\n", allow_blank=True):
        pieces = line.divide(list(_breaks(line.plain, width)))
        lines += [
            Content(" " * _INDENT if i else "") + piece.rstrip() for i, piece in enumerate(pieces)
        ]
    return Content("\n").join(lines)


def _breaks(text: str, width: int) -> Iterator[int]:
    used = 0
    for word in _WORD.finditer(text):
        if used and used + cell_len(word.group().rstrip(" ")) > width:
            yield word.start()
            used = _INDENT
        used += cell_len(word.group())


class FigureText(Static):
    """Text with figures: a number stays beside what it counts, however narrow the window.

    Args:
        content: The text.
        id: Id of the widget.
        classes: CSS classes.
    """

    DEFAULT_CSS = "FigureText { height: auto; }"

    def __init__(
        self,
        content: Content | str = "",
        *,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        self.unwrapped = content if isinstance(content, Content) else Content(content)
        super().__init__(self.unwrapped, id=id, classes=classes, markup=False)

    def show(self, content: Content) -> None:
        """Shows other text."""
        self.unwrapped = content
        self._wrap()

    def on_resize(self) -> None:
        """Breaks the lines for the new width."""
        self._wrap()

    def _wrap(self) -> None:
        room = self.scrollable_content_region.width
        lines = wrapped(self.unwrapped, room) if room else self.unwrapped
        if not (isinstance(self.content, Content) and lines.is_same(self.content)):
            self.update(lines)
