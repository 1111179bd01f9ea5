"""Compare: two runs side by side as a forest plot of the headline figures, or figure by figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input

from tuiprobe.comparing.decision import Decision, decide
from tuiprobe.comparing.differences import Comparison, Difference, compare_runs
from tuiprobe.comparing.differences_section import overlap_line
from tuiprobe.comparing.forest import ForestRow, bar_pair, forest_rows
from tuiprobe.comparing.runs import Run, label_evidence, read_run, with_names
from tuiprobe.errors import TuiprobeError
from tuiprobe.numbers import number
from tuiprobe.plaintext import plain
from tuiprobe.report.text import line
from tuiprobe.results import Report
from tuiprobe.results.headlines import BY_ID
from tuiprobe.run.directory import RunDir
from tuiprobe.tui.child import shown_command
from tuiprobe.tui.comparing import (
    compare_cells,
    compare_columns,
    compare_rows,
    filtered,
    plot_cell,
    run_letter,
)
from tuiprobe.tui.control import EngineApp
from tuiprobe.tui.figures import FigureText
from tuiprobe.tui.runmarks import run_mark
from tuiprobe.tui.screens.base import FilteredScreen
from tuiprobe.tui.text import DIM, inert
from tuiprobe.tui.widgets.rows import RowTable
from tuiprobe.tui.widgets.spans import sparkline


class CompareTable(RowTable[Difference]):
    """One row a figure: both runs, the difference, and its interval beside zero.

    Attributes:
        plot: Whether intervals are drawn.
    """

    def __init__(self, *, id: str) -> None:
        self._letters, self._colours, self.plot = ("A", "B"), ("", ""), True
        columns = compare_columns(self._letters, self._colours, 80, plot=True)
        super().__init__(columns, self._of, empty="reading…", id=id)

    def name_runs(self, letters: tuple[str, str], colours: tuple[str, str]) -> None:
        """Calls the runs by other letters."""
        self._letters, self._colours = letters, colours
        self.fit()

    def on_resize(self) -> None:
        """Gives the plot the width that the figures leave."""
        self.fit()
        super().on_resize()

    def fit(self) -> None:
        """Chooses the columns for the width there is."""
        width = self.scrollable_content_region.width
        if width:
            self.columns = compare_columns(self._letters, self._colours, width, self.plot)
            self.refresh()

    def _of(self, row: Difference) -> list[str]:
        cells = compare_cells(row)
        if self.plot:
            cells.insert(4, plot_cell(row, self.columns[4].width))
        return cells

    def about_row(self) -> dict[str, str]:
        """Returns the cells of the row under the cursor by their headings, without the plot."""
        cells = super().about_row()
        if self.plot:
            cells.pop(self.columns[4].title.strip(), None)
        return cells

    def explained(self) -> tuple[str, ...]:
        """Returns the term of the figure at the cursor, then those of the columns."""
        row = self.current
        own = (BY_ID[row.id].term, "paired") if isinstance(row, ForestRow) else ()
        return tuple(dict.fromkeys((*own, *super().explained(), "differs")))


class CompareScreen(FilteredScreen):
    """What separates two runs: the headline figures with the interval of B − A beside zero.

    Args:
        runs: Two or more run directories; each keeps its letter.
    """

    PLACE = "Compare"
    AUTO_FOCUS = "#compared"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "everything", "all figures", tooltip="All figures, or the headline figures"),
        Binding("n", "pair", "next pair", tooltip="Next pair of runs; of two, the other way round"),
        Binding("b", "label", "label", tooltip="Label a few pictures: which run is best there"),
        Binding("slash", "filter", "filter", key_display="/", tooltip="Filter all figures"),
        Binding("d", "differing", "differing", tooltip="Only figures that differ"),
        Binding("y", "copy", "copy", tooltip="Copy the row"),
        Binding("c", "command", "command", show=False, tooltip="Copy the command that prints this"),
        Binding("escape", "clear", "back", tooltip="Clear the filter, or go back"),
    ]
    DEFAULT_CSS = """
    CompareScreen #compare-head { height: auto; max-height: 6; padding: 0 1; }
    CompareScreen #verdict { text-style: bold; margin-bottom: 1; }
    CompareScreen #compared { height: auto; max-height: 9; }
    CompareScreen #beneath { height: auto; margin-top: 1; }
    CompareScreen .panel { height: 1fr; }
    CompareScreen #compare-filter, CompareScreen #common { display: none; }
    CompareScreen #common { height: auto; max-height: 4; color: $foreground 70%; }
    CompareScreen.-everything #compared { height: 1fr; max-height: 100%; }
    CompareScreen.-everything #compare-filter, CompareScreen.-everything #common { display: block; }
    CompareScreen.-everything #verdict, CompareScreen.-everything #beneath { display: none; }
    CompareScreen.-low #verdict { margin-bottom: 0; }
    CompareScreen.-low #beneath { margin-top: 0; }
    CompareScreen.-low #compare-head { max-height: 3; }
    CompareScreen.-low #common { display: none; }
    """

    def __init__(self, runs: list[Path]) -> None:
        super().__init__()
        self.runs = list(runs)
        self._pairs = list(permutations(range(len(self.runs)), 2))
        self._at = 0
        self._read_runs: dict[Path, Run] = {}
        self._rows: list[Difference] = []
        self._headlines: tuple[ForestRow, ...] = ()
        self._only = False

    def compose_body(self) -> ComposeResult:
        """Lays out the runs, and below them what separates them, or all figures."""
        with Vertical(id="body"):
            yield FigureText("reading results…", id="compare-head")
            with Vertical(classes="panel"):
                yield FigureText(id="verdict")
                yield Input(
                    placeholder="/ filters: words of figure, set or layer",
                    id="compare-filter",
                    classes="filter",
                )
                yield CompareTable(id="compared")
                yield FigureText(id="beneath")
                yield FigureText(id="common")

    def on_mount(self) -> None:
        """Reads the reports in a thread."""
        self._start()

    @property
    def _paths(self) -> tuple[Path, Path]:
        """The runs that are compared: what the other one is compared with, and the other one."""
        first, second = self._pairs[self._at]
        return self.runs[first], self.runs[second]

    @property
    def _letters(self) -> tuple[str, str]:
        first, second = self._pairs[self._at]
        return run_letter(first), run_letter(second)

    @property
    def everything(self) -> bool:
        """Whether all figures are shown in place of the plot."""
        return self.has_class("-everything")

    @property
    def table(self) -> CompareTable:
        """The figures."""
        return self.query_one(CompareTable)

    def _start(self) -> None:
        self.app.read(partial(self._compare, self.app, self._at))

    def _run(self, path: Path) -> Run:
        if path not in self._read_runs:
            self._read_runs[path] = read_run(RunDir(path))
        return self._read_runs[path]

    def _readable(self) -> Iterator[Run]:
        """Yields the runs that can be read; a pair with another one says why it cannot."""
        for path in self.runs:
            with suppress(TuiprobeError):
                yield self._run(path)

    def _compare(self, app: EngineApp, at: int) -> None:
        show: Callable[[], None]
        try:
            pair = [self._run(self.runs[place]) for place in self._pairs[at]]
            runs = with_names(list(self._readable()))
            first, second = (
                next(n for n, run in enumerate(runs) if run.directory == of_pair.directory)
                for of_pair in pair
            )
            comparison = compare_runs(runs, first, second, label_evidence(runs))
            show = partial(self._arrived, at, decide(runs), comparison, pair)
        except TuiprobeError as error:
            show = partial(self._refused, at, str(error))
        if self.is_running:
            app.call_later(show)

    def _refused(self, at: int, reason: str) -> None:
        if not self.alive or at != self._at:
            return
        self._rows, self._headlines = [], ()
        self._head([(plain(reason), "$error")])
        self.query_one("#verdict", FigureText).show(Content("nothing to compare: esc goes back"))
        self.query_one("#beneath", FigureText).show(Content())
        self.table.empty = "nothing to compare: esc goes back"
        self._show()

    def _arrived(
        self, at: int, decision: Decision, comparison: Comparison, pair: Sequence[Run]
    ) -> None:
        if not self.alive or at != self._at:
            return
        self._headlines = forest_rows(comparison)
        self._rows = compare_rows(comparison, self._headlines)
        self._head([(f"! {plain(note)}", "$warning") for note in comparison.notes])
        specs = ({**r.report.spec, "weights": r.report.model.weights.kind} for r in pair)
        self.title_line.show(f"tuiprobe  {self.PLACE}", specs)
        self.query_one("#verdict", FigureText).show(inert(decision.sentence))
        beneath = self._beneath(comparison, *(run.report for run in pair))
        self.query_one("#beneath", FigureText).show(beneath)
        common = (
            inert(line(overlap_line(overlap, *self._letters))) for overlap in comparison.overlaps
        )
        self.query_one("#common", FigureText).show(Content("\n").join(common))
        colours = (run_mark(self._paths[0]).colour, run_mark(self._paths[1]).colour)
        self.table.empty = "No figure matches. esc clears the filter, d shows all."
        self.table.name_runs(self._letters, colours)
        self._show()

    def _head(self, notes: list[tuple[str, str]]) -> None:
        """Shows which runs are compared, and what weakens the comparison."""
        parts: list[Content] = []
        for letter, path in zip(self._letters, self._paths, strict=True):
            run, mark = self._read_runs.get(path), run_mark(path)
            model = run.report.model.name if run is not None else path.name
            name = f" ({plain(path.name)})" if path.name != model else ""
            parts.append(
                Content.assemble(
                    (f"{letter}\N{NO-BREAK SPACE}{mark.sign}", f"bold ${mark.colour}"),
                    f"\N{NO-BREAK SPACE}{plain(model)}",
                    (name, DIM),
                )
            )
        if len(self._pairs) > 2:
            count = f"pair {self._at + 1} of {len(self._pairs)}: n shows the next"
            parts.append(Content.styled(count, DIM))
        lines = [Content("   ").join(parts), *(Content.styled(*note) for note in notes)]
        self.query_one("#compare-head", FigureText).show(Content("\n").join(lines))

    def _beneath(self, comparison: Comparison, *reports: Report) -> Content:
        """Returns what has no interval: findings of one word, and the channels of both runs."""
        first, second = self._letters
        lines = [
            inert(f"{fact.name}: {first} {fact.first or '-'}, {second} {fact.second or '-'}")
            for fact in comparison.facts
        ]
        bars = bar_pair(*reports)
        if bars is not None:
            chart, *series = bars
            largest = max((y for bar in series for y in bar.y), default=0.0)
            parts = [
                f"{letter} {sparkline(bar.y, largest, 24)} {number(max(bar.y, default=0.0))}"
                for letter, bar in zip((first, second), series, strict=True)
            ]
            lines.append(inert(f"channels  {'   '.join(parts)} at most"))
            lines.append(inert(f"{chart.title}, largest first, one scale", DIM))
        return Content("\n").join(lines)

    def _show(self) -> None:
        panel = self.query_one(".panel")
        if not self.everything:
            self.table.show_rows(self._headlines)
            panel.border_title = "headline figures · * the interval excludes 0"
            panel.border_subtitle = f"f: all {len(self._rows)} figures"
            return
        rows = filtered(self._rows, self._query, self._only)
        self.table.show_rows(rows)
        differing = sum(row.differs is True for row in self._rows)
        panel.border_title = (
            f"{len(rows)} of {len(self._rows)} figures · {differing} exclude 0 (*)"
            f"{' · differing only' if self._only else ''}"
        )
        panel.border_subtitle = "f: the headline figures"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether a key does something in the view that is shown."""
        return self.everything if action == "differing" else True

    def action_everything(self) -> None:
        """Shows all figures, or the plot again."""
        self.toggle_class("-everything")
        self.table.plot = not self.everything
        self.table.fit()
        self._show()
        self.table.focus()
        self.refresh_bindings()

    def action_filter(self) -> None:
        """Shows all figures and puts the cursor into the filter."""
        if not self.everything:
            self.action_everything()
        super().action_filter()

    def action_clear(self) -> None:
        """Clears the filter; then goes back to the plot; then leaves."""
        field = self.query_one("#compare-filter", Input)
        if self.everything and not field.value and not field.has_focus:
            self.action_everything()
        else:
            super().action_clear()

    def action_differing(self) -> None:
        """Shows only what differs, or everything again."""
        self._only = not self._only
        self._show()

    def action_pair(self) -> None:
        """Compares the next pair of the runs."""
        self._at = (self._at + 1) % len(self._pairs)
        self._start()

    def action_label(self) -> None:
        """Opens the labels of the target set of all runs."""
        from tuiprobe.tui.screens.label import LabelScreen

        self.app.push_screen(LabelScreen(self.runs))

    def action_copy(self) -> None:
        """Copies the row under the cursor."""
        row = ", ".join(f"{name} {cell}" for name, cell in self.table.about_row().items())
        if row:
            self.app.copy(plain(row), "row")

    def action_command(self) -> None:
        """Copies the command that prints this comparison."""
        paths = [str(path.absolute()) for path in self._paths]
        self.app.copy(shown_command(["compare", *paths]), "command")
