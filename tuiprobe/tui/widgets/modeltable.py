"""The table of models: groups under headings that the cursor passes over, and whole names."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.strip import Strip

from tuiprobe.tui import modellist
from tuiprobe.tui.modellist import GroupHeading, ModelRow
from tuiprobe.tui.text import fitted
from tuiprobe.tui.widgets.rows import RowTable

TERMS = {
    "demonstration": "demonstration",
    "zero-shot": "training",
    "finetuned": "training",
    "supervised": "training",
    "": "training",
}
"""Terms of the glossary by group."""


class ModelTable(RowTable[ModelRow | GroupHeading]):
    """The list of models by group; the cursor passes over headings, and no name is cut."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "set up run", tooltip="Set up a run of the marked models"),
    ]

    @property
    def model(self) -> ModelRow | None:
        """The model under the cursor; None where there is none."""
        current = self.current
        return current if isinstance(current, ModelRow) else None

    @property
    def models(self) -> list[ModelRow]:
        """The models that are shown, in order."""
        return [row for row in self.rows if isinstance(row, ModelRow)]

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the glossary for the model under the cursor."""
        row = self.model
        if row is None:
            return super().explained()
        untrained = ("untrained",) if row.cached == "none" else ()
        more = ("extrapolated",) if row.extrapolated else ()
        terms = (TERMS[row.group], *untrained, *super().explained(), *more, "weights")
        return tuple(dict.fromkeys(terms))

    def row_line(self, row: ModelRow | GroupHeading, width: int) -> str:
        """Returns the text of a row; a long name takes the place of columns beside it."""
        if isinstance(row, GroupHeading):
            return fitted(row.title, width)
        return modellist.line(self.columns, self._cells(row), width)

    def render_line(self, y: int) -> Strip:
        """Returns one line; headings have a style of their own."""
        place = self.scroll_offset.y + y - 1
        row = self.rows[place] if y > 0 and place < len(self.rows) else None
        if not isinstance(row, GroupHeading):
            return super().render_line(y)
        width = self.scrollable_content_region.width
        style = self.get_component_rich_style("rows--heading")
        return Strip([Segment(self.row_line(row, width), style)], width)

    def _go(self, row: int) -> None:
        places = [i for i, row in enumerate(self.rows) if isinstance(row, ModelRow)]
        if places:
            down = row >= self.cursor
            at = bisect_left(places, row) if down else bisect_right(places, row) - 1
            row = places[max(0, min(at, len(places) - 1))]
        super()._go(row)
        if places and row == places[0]:
            self.scroll_to(y=0, animate=False)  # the heading above it
