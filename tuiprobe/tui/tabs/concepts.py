"""Concepts: which concepts single directions tell, beside what random directions tell."""

from __future__ import annotations

from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from tuiprobe.probes.concepts.result import OF_CENTRED_HEAD, OF_HEAD, RANDOM, Concepts
from tuiprobe.tui.figures import DIM, Told, told
from tuiprobe.tui.tabs.concept_rows import (
    COLUMNS,
    THRESHOLDS,
    ConceptRow,
    cells,
    concept_rows,
    filtered,
    ordered,
)
from tuiprobe.tui.tabs.evidence_of import EvidenceSubject
from tuiprobe.tui.tabs.tab import SHOWN, ResultTab, ShownRun
from tuiprobe.tui.text import inert
from tuiprobe.tui.widgets.chart import ChartView
from tuiprobe.tui.widgets.pictures import PictureGrid
from tuiprobe.tui.widgets.rows import RowTable


class ConceptTable(RowTable[ConceptRow]):
    """Concepts, best first."""


class ConceptsTab(ResultTab):
    """Which concepts single directions encode, and how many random directions would."""

    ANSWERS = frozenset({"ablate", "filter", "sort", "threshold", "copy", "maximise"})
    SCOPED_CSS = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "clear", "clear", show=False, tooltip="Clear the filter"),
    ]
    DEFAULT_CSS = """
    ConceptsTab #counts { height: auto; max-height: 4; }
    .-low ConceptsTab #counts { max-height: 1; }
    ConceptsTab #exemplars { height: 3fr; }
    ConceptsTab #unique { height: 2fr; }
    .-narrow ConceptsTab #exemplars { display: none; }
    .-low ConceptsTab #exemplars { display: none; }
    """

    def __init__(self, found: ShownRun) -> None:
        super().__init__(found)
        self._all = concept_rows(found.concepts) if found.concepts else []
        self._query, self._least = "", 0
        self._order: tuple[int, bool] | None = None

    def compose(self) -> ComposeResult:
        """Lays out the concepts on the left, exemplars and curve on the right."""
        found = self.found.concepts
        if found is None:
            reason = self.found.why_not("concepts")
            yield Static(inert(reason), classes="none", id="no-concepts")
            return
        with Vertical(classes="main panel"):
            yield Told(counts_text(found), id="counts")
            yield Input(
                placeholder="/ filters: words of concept or category",
                id="concept-filter",
                classes="filter",
            )
            yield ConceptTable(
                COLUMNS,
                cells,
                empty="No concept matches. t changes the threshold, esc clears the filter.",
                id="concepts",
            )
        with Vertical(classes="aside"):
            yield PictureGrid(id="exemplars", classes="panel")
            yield ChartView(id="unique", classes="panel")

    def on_mount(self) -> None:
        """Shows all concepts and the curve."""
        found = self.found.concepts
        if found is not None:
            charts = self.found.charts("concepts")
            self.query_one("#unique", ChartView).show(charts[0] if charts else None)
            self._show()

    def first(self) -> Widget | None:
        """Returns the table of concepts."""
        return self.query_one("#concepts") if self.found.concepts is not None else None

    @property
    def table(self) -> ConceptTable:
        """The table of concepts."""
        return self.query_one("#concepts", ConceptTable)

    def _show(self) -> None:
        rows = filtered(self._all, self._query, THRESHOLDS[self._least])
        if self._order is not None:
            rows = ordered(rows, *self._order)
        self.table.sorted_by = self._order
        self.table.show_rows(rows, 0)
        least = THRESHOLDS[self._least]
        told_least = f" · AP ≥ {least:g}" if least else ""
        self.query_one(".main").border_title = f"{len(rows)} of {len(self._all)}{told_least}"
        self._draw()

    @on(Input.Changed, "#concept-filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self._query = event.value
        self._show()

    @on(Input.Submitted, "#concept-filter")
    def _filter_done(self) -> None:
        self.table.focus()

    @on(RowTable.HeadingPressed, "#concepts")
    def _heading(self, event: RowTable.HeadingPressed) -> None:
        down = event.column == 2
        if self._order is not None and self._order[0] == event.column:
            down = not self._order[1]
        self._order = (event.column, down)
        self._show()

    @on(RowTable.Highlighted, "#concepts")
    def _moved(self) -> None:
        self._draw()

    @work(exclusive=True, group="exemplars")
    async def _draw(self) -> None:
        row, found = self.table.current, self.found.concepts
        grid = self.query_one("#exemplars", PictureGrid)
        if row is None or found is None:
            await grid.show([])
            return
        one = next(one for one in found.top if one.index == row.direction)
        ends = (("strongest", one.largest), ("weakest", one.smallest))
        if row.concept.sign < 0:
            ends = (("strongest", one.smallest), ("weakest", one.largest))
        grid.border_title = inert(f"{row.concept.name} · v{row.direction} {row.sign}")
        await grid.show(
            [
                (name, [self.found.picture(found.data, image) for image in images[:SHOWN]])
                for name, images in ends
                if images
            ]
        )

    def start_filter(self) -> None:
        """Puts the cursor into the filter."""
        self.query_one("#concept-filter", Input).focus()

    def action_clear(self) -> None:
        """Clears the filter; leaves where there is none."""
        field = self.query_one("#concept-filter", Input)
        if field.value or field.has_focus:
            field.value = ""
            self.table.focus()
        else:
            self.screen.action_leave()  # type: ignore[attr-defined]

    def switch_sort(self) -> None:
        """Sorts by the next column; after the last one by precision again."""
        column = 0 if self._order is None else self._order[0] + 1
        self._order = (column, column == 2) if column < len(COLUMNS) else None
        self._show()

    def switch_threshold(self) -> None:
        """Shows concepts from the next higher average precision on; from all after the last."""
        self._least = (self._least + 1) % len(THRESHOLDS)
        self._show()

    def subject(self) -> EvidenceSubject | None:
        """Returns the direction that separates the concept under the cursor."""
        found = self.found.concepts
        row = self.table.current if found is not None else None
        if row is None or found is None or found.top_of not in (OF_HEAD, OF_CENTRED_HEAD):
            return None
        centred = found.top_of == OF_CENTRED_HEAD
        return EvidenceSubject("direction", row.direction, found.data, centred=centred)

    def copied(self) -> str:
        """Returns the concept under the cursor."""
        row = self.table.current if self.found.concepts is not None else None
        if row is None:
            return ""
        pairs = zip((column.title for column in COLUMNS), cells(row), strict=True)
        return ", ".join(f"{name} {cell}" for name, cell in pairs)

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the counts above the table."""
        return ("excess", "unique-concept", "random-directions", "basis-centred", "concept-set")


def counts_text(found: Concepts) -> Content:
    """Returns the unique concepts of W, of random directions, and the excess: the headline."""
    by_family = {one.family: one for one in found.families}
    parts: list[Content | tuple[str, str]] = [
        Content.assemble("excess over random directions  ", told(found.excess)),
        Content.assemble("  centred W  ", told(found.excess_centred)),
    ]
    for family in (OF_HEAD, RANDOM):
        if family in by_family:
            one = by_family[family]
            parts.append(Content.assemble(f"{family} ({one.directions})  ", told(one.unique)))
    note = (
        f"{found.tried} concepts tested on {found.data}, {found.left_out} left out (too few images)"
    )
    parts.append(inert(note, DIM))
    return Content("\n").join(part for part in parts if isinstance(part, Content))
