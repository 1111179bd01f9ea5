"""The bar of parts: one line that scrolls by whole names and says which part is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tuiprobe.plaintext import plain

NUMBERED = 9
"""Parts that a number key shows."""


@dataclass(frozen=True)
class PartName:
    """One part.

    Attributes:
        id: Name for programs.
        title: Name for people.
        empty: Whether it only says why there is no result.
    """

    id: str
    title: str
    empty: bool = False


class PartBar(Widget):
    """The names of the parts, the shown one in brackets; a click shows another.

    Args:
        names: The parts, in order.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"parts--active", "parts--empty", "parts--where"}
    DEFAULT_CSS = """
    PartBar { height: 1; color: $foreground 80%; background: $surface; }
    PartBar > .parts--active { color: $foreground; background: $primary 35%; text-style: bold; }
    PartBar > .parts--empty { color: $foreground 50%; }
    PartBar > .parts--where { color: $secondary; }
    """

    class Changed(Message):
        """Another part is to be shown.

        Args:
            id: Of the part.
        """

        def __init__(self, id: str) -> None:
            super().__init__()
            self.id = id

    def __init__(self, names: Sequence[PartName]) -> None:
        super().__init__()
        self.names = tuple(names)
        self._active = 0

    @property
    def active(self) -> str:
        """Id of the part that is shown."""
        return self.names[self._active].id

    @active.setter
    def active(self, id: str) -> None:
        self.go([one.id for one in self.names].index(id))

    def go(self, index: int) -> None:
        """Shows the part with this index, counted on past both ends."""
        index %= len(self.names)
        if index != self._active:
            self._active = index
            self.refresh()
            self.post_message(self.Changed(self.active))

    def step(self, by: int) -> None:
        """Shows the part so many places on."""
        self.go(self._active + by)

    def on_click(self, event: events.Click) -> None:
        """Shows the part that was clicked; at an end with more parts, the nearest of them."""
        at = 0
        for text, _, index in self._pieces():
            at += cell_len(text)
            if event.x < at:
                if index is not None:
                    self.go(index)
                return

    def _label(self, index: int) -> str:
        name = plain(self.names[index].title)
        name = f"{index + 1} {name}" if index < NUMBERED else name
        return f"[{name}]" if index == self._active else f" {name} "

    def _window(self, room: int) -> range:
        """Returns the parts that fit into `room` cells: from the first one, or around the shown."""
        widths = [cell_len(self._label(i)) for i in range(len(self.names))]
        first, last = self._active, self._active + 1
        used = widths[self._active]
        while True:
            if first > 0 and used + widths[first - 1] <= room:
                first -= 1
                used += widths[first]
            elif last < len(widths) and used + widths[last] <= room:
                used += widths[last]
                last += 1
            else:
                return range(first, last)

    def _pieces(self) -> Iterator[tuple[str, str, int | None]]:
        """Yields text, component class and index of what is drawn, from the left."""
        width = self.size.width
        where = f" {self._active + 1} of {len(self.names)} "
        room = width - len(where) - 2
        shown = self._window(room)
        before, after = shown.start > 0, shown.stop < len(self.names)
        yield "◂" if before else " ", "parts--where", shown.start - 1 if before else None
        used = 1
        for index in shown:
            kind = "parts--empty" if self.names[index].empty else ""
            kind = "parts--active" if index == self._active else kind
            text = self._label(index)
            used += cell_len(text)
            yield text, kind, index
        yield "▸" if after else " ", "parts--where", shown.stop if after else None
        yield where.rjust(max(width - used - 1, 0)), "parts--where", None

    def render_line(self, y: int) -> Strip:
        """Returns the bar."""
        segments = [
            Segment(text, self.get_component_rich_style(kind) if kind else self.rich_style)
            for text, kind, _ in self._pieces()
        ]
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style)
