"""`--ascii`: the one place where what is drawn becomes ASCII, cell by cell."""

# ruff: noqa: RUF001  (the table of look-alikes is made of ambiguous characters)

from __future__ import annotations

import re
from functools import lru_cache

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tuiprobe.tui.text import is_braille

SIGNS = {
    "▲": "^",
    "●": "*",
    "✓": "v",
    "◐": "c",
    "✗": "x",
    "○": "o",
    "+": "+",
    "−": "-",
    "±": "~",
    "⏎": "&",
    "☑": "X",
    "☐": "_",
    "◆": "@",
    "◇": "?",
    "├": "[",
    "┤": "]",
    "┼": "|",
    "■": "#",
    "□": "%",
    "▼": "V",
    "▽": "Y",
}
"""Signs that mean something, and their twins, no two of which are equal."""

ASCII_KEYS = {"⏎": "enter", "↑": "up", "↓": "down", "←": "left", "→": "right", "⌫": "backspace"}
"""Words for the keys that are shown by a sign otherwise."""

_SAME = {
    "━╸╺": "=",
    "─═╴╶╌┄▂▔▬": "-",
    "│┃║▏▎▕▐": "|",
    "┊": ":",
    "┌┐└┘┬┴╭╮╰╯┏┓┗┛╔╗╚╝╋┣┫": "+",
    "█▉▊▓▇▆": "#",
    "▋▌▍▒▅▄▀": "=",
    "░▃": ":",
    "▁": "_",
    "△": "^",
    "↑": "/",
    "↓": "\\",
    "▶›»→▸": ">",
    "◀‹«←◂": "<",
    "•∙·…": ".",
    "◯": "o",
    "≥": ">",
    "≤": "<",
    "✔": "v",
    "✘×": "x",
    "–—‐": "-",
    "↵": "&",
    "κ": "k",
    "σ": "s",
    "“”": '"',
    "‘’": "'",
    "\xa0": " ",
}
_ASCII = {character: ascii for group, ascii in _SAME.items() for character in group} | SIGNS


_CUT = re.compile("…  |[!-~ ][!-~ ]…(?!  )")
"""Three cells for the ellipsis: blanks behind it, or else what is cut more."""


@lru_cache(4096)
def to_ascii(text: str) -> str:
    """Returns `text` in ASCII with the same width in cells; what has no likeness becomes `?`.

    >>> to_ascii("▲ 133 ███ ±.01 獅"), to_ascii("reading…  "), to_ascii("channel 1…")
    ('^ 133 ### ~.01 ??', 'reading...', 'channel...')
    """
    if text.isascii():
        return text
    text = _CUT.sub("...", text)
    return "".join(c if c.isascii() else _ASCII.get(c) or _unknown(c) for c in text)


def _unknown(character: str) -> str:
    if is_braille(character):  # a plotted point
        return "*"
    return "?" * get_character_cell_size(character)


class AsciiFilter(LineFilter):
    """Turns every drawn segment into ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Returns the segments with their text in ASCII."""
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]
