"""Text with figures: lines that keep a number beside what it counts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import Static

_WORD = re.compile(r"[^ ]+ *| +")
"""A word with the blanks behind it; a no-break space is part of a word."""

_INDENT = 2


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
        self.update(wrapped(self.unwrapped, room) if room else self.unwrapped)
