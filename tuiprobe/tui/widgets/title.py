"""The line at the top: what a screen says of itself, and at the right what runs meanwhile."""

from __future__ import annotations

import re

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import Static

GAP = 2


def beside(content: Content, badge: str, width: int) -> Content:
    """Returns a line with a badge at its right end; what has to give way are blanks, then words.

    >>> beside(Content("tuiprobe  Compare       UNTRAINED"), "● 1 running", 40).plain
    'tuiprobe  Compare  UNTRAINED ● 1 running'
    >>> beside(Content("tuiprobe  a long name"), "● 1 running", 26).plain
    'tuiprobe  a l… ● 1 running'
    """
    room = max(width - cell_len(badge) - 1, 0)
    excess = cell_len(content.plain) - room
    if excess > 0:
        gap = max(re.finditer(" {2,}|$", content.plain), key=lambda blanks: len(blanks.group()))
        cut = min(excess, max(len(gap.group()) - GAP, 0))
        content = content[: gap.start()] + content[gap.start() + cut :]
        if cut < excess:
            content = content[: max(room - 1, 0)] + Content("…")
    blank = " " * max(room - cell_len(content.plain), 0)
    return Content.assemble(content, blank, " ", (badge, "$success"))


class TitleLine(Static):
    """Text, and a badge at the right of its first line while something runs."""

    ALLOW_SELECT = False

    def __init__(self, text: str, *, id: str) -> None:
        self._text, self._badge = Content(text), ""
        super().__init__(self._text, id=id, markup=False)

    def update(self, content: object = "", *, layout: bool = True) -> None:
        """Shows other text."""
        self._text = content if isinstance(content, Content) else Content(str(content))
        self._draw(layout)

    def show_badge(self, badge: str) -> None:
        """Shows what runs meanwhile; empty for nothing."""
        if badge != self._badge:
            self._badge = badge
            self._draw(layout=False)

    def on_resize(self) -> None:
        """Puts the badge at the new right end."""
        if self._badge:
            self._draw(layout=False)

    def _draw(self, layout: bool) -> None:
        text, width = self._text, self.size.width
        if self._badge and width:
            first, *rest = text.split("\n", allow_blank=True)
            text = Content("\n").join([beside(first, self._badge, width), *rest])
        super().update(text, layout=layout)
