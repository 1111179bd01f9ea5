"""Lines of text from outside, shown inert, following their end until the user scrolls up."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tuiprobe.plaintext import plain
from tuiprobe.tui.text import fitted


class Lines(ScrollView, can_focus=True):
    """A log."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "Lines { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: Sequence[str] = ()

    def show(self, lines: Sequence[str]) -> None:
        """Shows other lines; stays at the end if it was there."""
        if lines == self._lines:
            return
        at_end = self.scroll_offset.y >= len(self._lines) - self.size.height
        self._lines = lines
        self.virtual_size = Size(0, len(lines))
        if at_end:
            self.scroll_to(y=len(lines), animate=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Returns one line."""
        width = self.scrollable_content_region.width
        row = self.scroll_offset.y + y
        text = plain(self._lines[row]) if row < len(self._lines) else ""
        if not self._lines and y == 0:
            text = "No log output yet."
        return Strip([Segment(fitted(text, width), self.rich_style)], width)
