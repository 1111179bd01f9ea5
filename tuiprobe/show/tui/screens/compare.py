"""Compare: which model to take, the paired differences it rests on, and all other figures."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input

from tuiprobe.choose.comparing.decision import Decision
from tuiprobe.choose.comparing.decision_section import beneath
from tuiprobe.choose.comparing.differences import Difference
from tuiprobe.choose.comparing.differences_section import headline_name, kind, overlap_line
from tuiprobe.errors import TuiprobeError
from tuiprobe.numbers import MISSING, interval
from tuiprobe.plaintext import plain
from tuiprobe.request import shown_command
from tuiprobe.results import NotRun, is_known
from tuiprobe.results.accuracy import with_range
from tuiprobe.results.section import Code
from tuiprobe.show.report.strings import line
from tuiprobe.show.tui.compared import Compared, DifferenceRow
from tuiprobe.show.tui.keys import KEYS
from tuiprobe.show.tui.progress import beyond_title
from tuiprobe.show.tui.screens.base import FilteredScreen
from tuiprobe.show.tui.screens.dialogs import ChoiceScreen
from tuiprobe.show.tui.text import DIM, FigureText, inert
from tuiprobe.show.tui.widgets.forest import Forest, ForestRow, RangeEnds
from tuiprobe.show.tui.widgets.rows import RowColumn, RowTable, visible_columns
from tuiprobe.show.tui.widgets.textplot import ChartView
from tuiprobe.show.tui.worker import READER

MAX_NAME = 24
"""Cells of the name of a figure at most, where the figures need the room."""

MAX_TITLE = 10
"""Cells of a heading at most, where its figures are shorter."""


class CompareTable(Forest[DifferenceRow]):
    """A line a set and model: the paired difference, and its interval beside zero."""

    HEADINGS = ("set", "other model", "points", "differ")
    TERMS = ("paired", "difference", "interval", "differs", "shift", "estimate")

    def __init__(self, *, id: str) -> None:
        super().__init__(self._row, self.HEADINGS, self.TERMS, differences=True, id=id)

    def _row(self, row: DifferenceRow) -> ForestRow:
        change, points, ends = row.difference, MISSING, None
        if is_known(change):
            points = interval(change.value, change.low, change.high, change.unit, signed=True,
                              bare=True)  # fmt: skip
            if change.low is not None and change.high is not None:
                ends = RangeEnds(change.low, change.value, change.high)
        differ = MISSING if row.differ is None else f"{row.differ:,}"
        mark = self.app.mark(Path(row.other.run))
        return ForestRow((row.name, row.other.model), points, ends, differ, mark=mark)


class FigureTable(RowTable[tuple[str, Difference]]):
    """A row a figure and model: both figures, their difference and its interval.

    No figure is cut: where there is no room, the images are left out, then the two figures.
    """

    def __init__(self, *, id: str) -> None:
        super().__init__((RowColumn("figure", 22),), self._row_cells, empty="reading…", id=id)

    def name_models(self, compared: Compared) -> None:
        """Names the columns by the models, and makes each as wide as its longest figure."""
        first, *others = (row.model for row in compared.decision.models)
        single = len(others) == 1
        columns = (
            RowColumn("figure", 0),
            *(() if single else (RowColumn("other model", 0),)),
            RowColumn(plain(first), 0, right=True, drop=1),
            RowColumn(plain(others[0]) if single else "the other", 0, right=True, drop=2),
            RowColumn("difference", 0, right=True, term="difference"),
            RowColumn("95 % interval", 0, right=True, term="interval"),
            RowColumn("images", 0, drop=3, term="paired"),
        )
        self.columns = columns
        cells = [self._row_cells(row) for row in compared.figures("")]
        titles = [column.title[:MAX_TITLE] if column.right else column.title for column in columns]
        texts = zip(titles, *cells, strict=True)
        widths = [max(cell_len(plain(text)) for text in column) for column in texts]
        widths[0] = min(widths[0], MAX_NAME)
        self.columns = tuple(
            replace(column, width=width) for column, width in zip(columns, widths, strict=True)
        )

    def _row_cells(self, row: tuple[str, Difference]) -> list[str]:
        model, difference = row
        value = difference.difference.point(signed=True, bare=True)
        place = f"{difference.id} {difference.data} {difference.place}".strip()
        ends = difference.difference.ends(signed=True)
        return [
            headline_name(difference) if difference.headline else place,
            *([model] if len(self.columns) > 6 else []),
            difference.second.point(bare=True),
            difference.first.point(bare=True),
            f"{'*' if difference.differs else ' '}{value}",
            f"({ends})" if ends else MISSING,
            kind(difference),
        ]

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the columns."""
        return (*super().explained(), "differs")


def decision_text(decision: Decision, keys: str) -> Content:
    """Returns the sentence, what weakens it, and what would decide it.

    Args:
        decision: The decision.
        keys: The keys that label, in place of the command.
    """
    lines = [inert(decision.sentence, "bold")]
    for text in beneath(decision):
        shown = text
        if not decision.answers_from:  # else the command reads labels that are there
            shown = tuple(keys if isinstance(piece, Code) else piece for piece in text)
        lines += map(inert, beyond_title([line(shown)]))
    return Content("\n").join(lines)


class CompareScreen(FilteredScreen):
    """Which model to take, and the differences on the same images that this rests on.

    Args:
        runs: Two or more run directories.
    """

    HEADING = "Compare"
    reading = True
    AUTO_FOCUS = "#compared"
    BINDINGS: ClassVar[list[BindingType]] = KEYS["compare"]

    def __init__(self, runs: list[Path]) -> None:
        super().__init__()
        self.runs = list(runs)
        self.compared: Compared | None = None

    def compose_body(self) -> ComposeResult:
        """Lays out the decision above its differences, or all figures."""
        with Vertical(id="body"):
            with VerticalScroll(id="decided", classes="panel", can_focus=False) as decided:
                decided.border_title = "Which one?"
                yield FigureText(id="decision")
            with Vertical(classes="panel", id="differences"):
                yield Input(
                    placeholder="/ filters: words of figure, set, layer or model; * excludes 0",
                    id="compare-filter",
                    classes="filter",
                )
                yield CompareTable(id="compared")
                yield FigureTable(id="figures")
                yield FigureText(id="levels")
                yield FigureText(id="estimates")
                yield FigureText(id="common")

    def on_screen_resume(self) -> None:
        """Reads the reports in a thread, again where labels may have been given meanwhile."""
        self.app.read(self, partial(READER.call, Compared.read, self.runs), self._arrived)

    @property
    def everything(self) -> bool:
        """Whether all figures are shown in place of the decision."""
        return self.has_class("-everything")

    @property
    def table(self) -> CompareTable | FigureTable:
        """The table that is shown."""
        if self.everything:
            return self.query_one(FigureTable)
        return self.query_one(CompareTable)

    def _arrived(self, compared: Compared | TuiprobeError) -> None:
        if isinstance(compared, TuiprobeError):
            self.finish_reading(str(compared))
            return
        self.finish_reading()
        decision = self.query_one("#decision", FigureText)
        self.compared = compared
        decision.show(decision_text(compared.decision, "press b"))
        self.title_line.show(f"tuiprobe  {self.HEADING}", compared.specs)
        self.query_one("#levels", FigureText).show(inert(compared.note, DIM))
        estimates = [
            f"{row.model} {with_range(row.accuracy)} on {row.accuracy.data}"
            for row in compared.decision.models
            if not isinstance(row.accuracy, NotRun) and row.accuracy.evidence == "estimate"
        ]
        text = f"estimated, which orders nothing: {', '.join(estimates)}" if estimates else ""
        self.query_one("#estimates", FigureText).show(inert(text, DIM))
        if compared.curves is not None and not self.query(ChartView):
            self.query_one("#differences").mount(ChartView(compared.curves))
        common = [
            inert(line(text))
            for comparison in compared.comparisons
            for text in (
                *((f"! {doubt.words}",) for doubt in comparison.doubts),
                *((f"! {note}",) for note in comparison.notes),
                *(overlap_line(overlap, *comparison.models) for overlap in comparison.overlaps),
            )
        ]
        self.query_one("#common", FigureText).show(Content("\n").join(dict.fromkeys(common)))
        self.query_one(FigureTable).name_models(compared)
        for table in self.query(RowTable):
            table.empty = "No figure matches. esc clears the filter."
        self.query_one(CompareTable).empty = (
            "different pictures or classes: see above"
            if compared.decision.obstacle
            else "no accuracy of the same labelled images"
        )
        self._show()

    def _show(self) -> None:
        if self.compared is None:
            return
        panel, leader = self.query_one("#differences"), self.compared.decision.models[0].model
        if not self.everything:
            self.query_one(CompareTable).show_rows(self.compared.rows)
            self.call_after_refresh(self._fill)
            panel.border_title = inert(f"{leader} minus the other, on the same images")
            panel.border_subtitle = "⏎ pictures that the two answer differently · f: all figures"
            return
        rows, table = self.compared.figures(self._query), self.query_one(FigureTable)
        visible = visible_columns(table.columns, panel.content_size.width - 1)
        if hides := all(table.columns[i].drop != 2 for i in visible):  # neither of both figures
            rows = [row for row in rows if is_known(row[1].difference)]
        table.show_rows(rows)
        everything = self.compared.figures("")
        excluding = sum(row.differs is True for _, row in everything)
        panel.border_title = f"{len(rows)} of {len(everything)} figures · {excluding} exclude 0 (*)"
        others = " · others need a wider window" if hides else ""
        panel.border_subtitle = f"each interval has 95 %{others} · f: the decision"

    def on_resize(self) -> None:
        """Shows what the new size has room for."""
        self.call_after_refresh(self._show)

    def _fill(self) -> None:
        """Gives the curves by the number of labels the lines that the decision leaves."""
        table, texts = self.query_one(CompareTable), self.query("#levels, #estimates")
        room = self.query_one("#differences").content_size.height
        room -= sum(text.outer_size.height for text in texts if text.display)
        table.styles.max_height = max(room, 3)
        for chart in self.query(ChartView):
            chart.fill(room - len(table.rows) - 1)

    @on(RowTable.Chosen, "#compared")
    def _chosen(self) -> None:
        """Opens the pictures that the two models of a row answer differently."""
        row = self.query_one(CompareTable).current
        if row is None or self.compared is None or not row.data:
            return
        from tuiprobe.show.tui.screens.pictures import PicturesScreen

        both = (self.compared.decision.models[0], row.other)
        paths = [self.runs[model.place] for model in both]
        self.app.push_screen(PicturesScreen(paths, [model.model for model in both], row.data))

    def action_everything(self) -> None:
        """Shows all figures, or the decision again."""
        self.toggle_class("-everything")
        self._show()
        self.table.focus()
        self.refresh_bindings()

    def action_filter(self) -> None:
        """Shows all figures and puts the cursor into the filter."""
        if not self.everything:
            self.action_everything()
        super().action_filter()

    def action_clear(self) -> None:
        """Clears the filter; then goes back to the decision; then leaves."""
        field = self.query_one("#compare-filter", Input)
        if self.everything and not field.value and not field.has_focus:
            self.action_everything()
        else:
            super().action_clear()

    def action_label(self) -> None:
        """Opens the labels of the target set of all runs."""
        from tuiprobe.show.tui.screens.label import LabelScreen

        self.app.push_screen(LabelScreen(self.runs))

    @work
    async def action_results(self) -> None:
        """Opens the results of one of the models, the one to take first."""
        if self.compared is None:
            return
        models = {row.model: row.place for row in self.compared.decision.models}
        dialog = ChoiceScreen([*models], "results of which model", ("run",))
        chosen = await self.app.push_screen_wait(dialog)
        if chosen is not None:
            self.app.open(self.runs[models[chosen]])

    def action_copy(self) -> None:
        """Copies the row under the cursor."""
        row = ", ".join(f"{name} {cell}" for name, cell in self.table.current_cells().items())
        if row:
            self.app.copy(plain(row), "row")

    def action_command(self) -> None:
        """Copies the command that prints this comparison."""
        paths = [str(path.absolute()) for path in self.runs]
        self.app.copy(shown_command(["compare", *paths]), "command")
