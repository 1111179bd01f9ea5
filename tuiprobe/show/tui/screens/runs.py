"""Runs: all of them, running, finished, stopped and failed; open, resume, compare, delete."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.deletion import delete_run, left_files_line
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.listing import SORTS, list_runs, matches
from tuiprobe.measure.run.view import RunView
from tuiprobe.numbers import MISSING
from tuiprobe.plaintext import plain
from tuiprobe.results import NotRun
from tuiprobe.results.accuracy import Accuracy, with_range
from tuiprobe.results.base import decimals_of
from tuiprobe.show.tui.control import EngineApp
from tuiprobe.show.tui.keys import KEYS
from tuiprobe.show.tui.livewatch import finished_group
from tuiprobe.show.tui.progress import advice, sign
from tuiprobe.show.tui.screens.base import FilteredScreen
from tuiprobe.show.tui.text import inert
from tuiprobe.show.tui.widgets.rows import RowColumn, RowTable
from tuiprobe.show.tui.worker import with_labels

SORTED = ("name", "model", "data", "changed", "state", "target", "accuracy", "shifts", "kurtosis")
"""Sort key of each column that has one."""
TITLES = (
    "run", "model", "set", "time", "state", "your pictures", "top-1", "shifts", "kurtosis",
    "outcome",
)  # fmt: skip
ALWAYS = (0, 3, 4)
"""Columns that stand there even where they are the same for all runs: run, time and state."""
_DOWN = {"changed", "target", "accuracy", "shifts", "kurtosis"}
_SECONDS = 2.0
_REST = 10
"""Rereading hundreds of runs takes a tenth of the time at most."""
_LONGEST, _MIN_NAME = 34, 12
"""Cells of a name at most, unless there is room, and below which it says nothing."""
_ROOMY, _CUT = 76, 20
"""Cells of a table from which on the name of a run has its length, and what it has below."""


def columns_of(rows: Sequence[RunView], width: int) -> tuple[RowColumn, ...]:
    """Returns the columns of these rows; one that is the same in all or empty has no width.

    Where there is little room, the name is cut, and model, set, accuracy and time stay longest.
    """
    texts = [run_cells(row, "") for row in rows]
    by_column = list(zip(*texts, strict=True)) or [()] * len(TITLES)

    def column(index: int, drop: int, least: int = 0, **more: Any) -> RowColumn:
        cells = {*by_column[index]}
        tells = not rows or (bool(cells - {MISSING, "-"}) and (len(cells) > 1 or len(rows) == 1))
        needed = max(min(max(map(len, cells), default=0), _LONGEST), least, len(TITLES[index]))
        return RowColumn(
            TITLES[index], needed if tells or index in ALWAYS else 0, drop=drop, **more
        )

    name = max(max((len(row.short_name) for row in rows), default=0), _MIN_NAME) + 4
    on_yours = any(isinstance(row.summary.target, Accuracy) for row in rows)
    return (
        RowColumn(TITLES[0], min(name, _LONGEST + 4 if width >= _ROOMY else _CUT), term="run"),
        column(1, 2, _MIN_NAME, term="representation"),
        column(2, 3, _MIN_NAME, term="set"),
        column(3, 4, 11),
        column(4, 0, term="resume"),
        column(5, 1 if on_yours else 5, right=True, term="estimate"),
        column(6, 7, 6, right=True, term="top-1"),
        column(7, 6 if on_yours else 1, 6, right=True, term="top-1"),
        column(8, 8, 8, right=True, term="kurtosis"),
        column(9, 9, term="outcome"),
    )


def run_cells(
    row: RunView,
    head: str,
    decimals: Sequence[int | None] = (None, None, None),
) -> list[str]:
    """Returns the cells of one row; state by sign and word, never by colour alone.

    Args:
        row: The run.
        head: What stands before its name: whether it is marked, and its sign.
        decimals: Decimal places of the columns of figures.
    """
    accuracy, shifts, kurtosis = decimals
    changed, this_year = datetime.fromtimestamp(row.changed / 1e9), datetime.now().year
    part = "" if row.state in ("done", "damaged") else f" {row.percent}"
    return [
        f"{head} {row.short_name}",
        row.summary.model or "-",
        row.summary.source or "-",
        f"{changed:%m-%d %H:%M}" if changed.year == this_year else f"{changed:%Y-%m-%d}",
        f"{sign(row)} {row.word}{part}".rstrip(),
        _on_target(row),
        row.summary.accuracy.point(decimals=accuracy),
        row.summary.shifts.point(decimals=shifts),
        row.summary.kurtosis.point(decimals=kurtosis),
        row.summary.outcome or "-",
    ]


def _on_target(row: RunView) -> str:
    """Returns the accuracy on the user's pictures, behind the sign of measured or of estimated."""
    if isinstance(row.summary.target, NotRun):
        return MISSING
    if row.summary.target.evidence == "confidence":
        return MISSING  # it is no accuracy
    measured = row.summary.target.evidence in ("labels", "measured")
    return f"{'◆' if measured else '◇'} {with_range(row.summary.target)}"


def about_run(row: RunView) -> str:
    """Returns the line below the list: the complete reason, and what to do."""
    text = row.summary.title
    if row.going:
        words = "starting" if row.state == "waiting" else f"running {row.percent}"
        text = f"{words}{row.waiting}: Enter shows it, x in there stops it"
    elif row.state != "done":
        text = advice(row)
    return f"{sign(row)} {row.name}: {text}"


class RunTable(RowTable[RunView]):
    """All runs."""

    app: EngineApp

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the state of a run, then those of the columns."""
        return tuple(dict.fromkeys(("state", "resume", *super().explained(), "run", "interval")))

    def colours(self, row: RunView | None, width: int) -> list[tuple[int, int, str]]:
        """Returns the colour of the sign of a run."""
        return [] if row is None else [(2, 3, self.app.mark(row.path).colour)]

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "open", tooltip="Open this run: live or its results"),
    ]


class RunsScreen(FilteredScreen):
    """All runs: Enter opens one, space marks two or more to compare.

    Args:
        root: Where run directories are kept.
    """

    HEADING = "Models M · Runs R"
    reading = True
    AUTO_FOCUS = "#runs"
    BINDINGS: ClassVar[list[BindingType]] = KEYS["runs"]

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self._all: list[RunView] = []
        self._read: list[RunView] = []
        self._marked: dict[Path, None] = {}
        self._decimals: tuple[int | None, ...] = (None, None, None)
        self._stop = threading.Event()

    def compose_body(self) -> ComposeResult:
        """Lays out the filter and the list."""
        with Vertical(id="body", classes="panel") as body:
            yield Input(
                placeholder="/ filters: model, data, state, outcome",
                id="runs-filter",
                classes="filter",
            )
            sorts_down = (*(column in _DOWN for column in SORTED), False)
            yield RunTable(
                columns_of((), _ROOMY), self._cells, empty="reading…", sorts_down=sorts_down,
                id="runs",
            )  # fmt: skip
            yield Static("", id="runs-title", markup=False)
            yield Static("", id="runs-count", classes="dim", markup=False)
        body.border_title = inert(f"Open, resume or compare what was measured in {self.root}")

    def on_mount(self) -> None:
        """Starts a thread that rereads the directories, so that a slow disk blocks nothing."""
        threading.Thread(target=self._watch, daemon=True, name="runs").start()

    def on_unmount(self) -> None:
        """Ends the thread."""
        self._stop.set()

    @property
    def table(self) -> RunTable:
        """The list."""
        return self.query_one("#runs", RunTable)

    def _watch(self) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            if not self._all or self.is_current:
                rows = self._listed()
                if self.is_running and not self._stop.is_set():
                    self.app.call_later(self._arrived, rows)
            self._stop.wait(max(_SECONDS, _REST * (time.monotonic() - begun)))

    def _listed(self) -> list[RunView]:
        self._read = list_runs(self.root, before=self._read, alive=self.app.has_running_engine)
        return list(with_labels(self._read))

    def _arrived(self, rows: list[RunView]) -> None:
        """Shows a new listing."""
        if not self.alive:
            return
        listed = {row.path for row in rows}
        self._marked = {path: None for path in self._marked if path in listed}
        if rows != self._all or self.reading:
            self._all = rows
            self._show()
            self.finish_reading()

    def on_resize(self) -> None:
        """Chooses the columns for the new width."""
        if not self.reading:
            self.call_after_refresh(self._show)

    def _cells(self, row: RunView) -> list[str]:
        marked = "☑" if row.path in self._marked else "☐"
        return run_cells(row, f"{marked} {self.app.mark(row.path).sign}", self._decimals)

    def _show(self) -> None:
        if not self.alive:
            return
        current = self.table.current
        rows = [row for row in self._all if matches(row, self._query.split())]
        if self.table.sorted_by is not None:
            column, down = self.table.sorted_by
            rows.sort(key=_sort_key(column), reverse=down)
        columns = zip(
            *((row.summary.accuracy, row.summary.shifts, row.summary.kurtosis) for row in rows),
            strict=True,
        )
        self._decimals = tuple(map(decimals_of, columns)) or (None, None, None)
        self.table.columns = columns_of(rows, self.table.scrollable_content_region.width)
        self.table.empty = (
            "No run matches. esc clears the filter."
            if self._all
            else f"no runs in {self.root} yet: M goes to the models, Enter there starts one"
        )
        paths = [row.path for row in rows]
        at = paths.index(current.path) if current and current.path in paths else 0
        self.table.show_rows(rows, at)
        self._count(rows)

    def _count(self, rows: Sequence[RunView]) -> None:
        marked = f" · {len(self._marked)} marked" if self._marked else ""
        text = f"{len(rows):,} of {len(self._all):,}{marked}"
        self.query_one("#runs-count", Static).update(text)

    @on(RowTable.Highlighted, "#runs")
    def _moved(self) -> None:
        row = self.table.current
        self.query_one("#runs-title", Static).update(inert(about_run(row) if row else ""))
        self.refresh_bindings()

    @on(RowTable.Chosen, "#runs")
    def _chosen(self) -> None:
        """Opens a run; one of several models leads to them all, once they have results to which."""
        row = self.table.current
        if row is None:
            return
        group, running = row.path.parent, self.app.has_running_engine
        alone = "/" not in row.name or (row.results and not finished_group(group, running))
        self.app.open(row.path if alone else group)

    def action_mark(self) -> None:
        """Marks the run under the cursor, or takes the mark away."""
        row = self.table.current
        if row is None:
            return
        if row.path in self._marked:
            del self._marked[row.path]
        else:
            self._marked[row.path] = None
        self.table.refresh()
        self._count(self.table.rows)

    def action_compare(self) -> None:
        """Opens the marked runs side by side, in the order of marking."""
        marked = [row for path in self._marked for row in self._all if row.path == path]
        chosen = [row.path for row in marked if row.results]
        if unfinished := [row.short_name for row in marked if not row.results]:
            text = f"without results, so not compared: {', '.join(unfinished)}"
            self.notify(text, severity="warning", timeout=8, markup=False)
        if len(chosen) < 2:
            self.notify("mark two or more finished runs with space first", markup=False)
            return
        from tuiprobe.show.tui.screens.compare import CompareScreen

        self.app.push_screen(CompareScreen(chosen))

    def action_export(self) -> None:
        """Opens the choice of formats for the run under the cursor."""
        row = self.table.current
        if row is None or not row.results:
            self.notify("this run has no results to export yet", markup=False)
            return
        from tuiprobe.show.tui.screens.export import ExportScreen

        self.app.push_screen(ExportScreen(row.path))

    def action_copy(self) -> None:
        """Copies the path of the run under the cursor."""
        row = self.table.current
        if row is not None:
            self.app.copy(str(row.path.absolute()), "path")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether a key does something for the run under the cursor."""
        if action == "resume" and self.alive:
            row = self.table.current
            return row is not None and row.resumable
        return True

    def action_resume(self) -> None:
        """Starts the engine of the run under the cursor again and shows the run."""
        row = self.table.current
        if row is None:
            return
        from tuiprobe.show.tui.screens.live import LiveScreen

        path = row.path
        self.app.resume(path, lambda engine: self.app.push_screen(LiveScreen(path, engine)))

    def action_delete(self) -> None:
        """Asks for confirmation, then deletes the marked runs, or the one under the cursor."""
        current = self.table.current
        chosen = [row for row in self._all if row.path in self._marked]
        chosen = chosen or ([current] if current is not None else [])
        running = [row.name for row in chosen if row.going]
        if running:
            fix = "open it and cancel it first"
            self.app.fail(f"still running: {', '.join(running)}", fix)
            return
        if not chosen:
            return
        from tuiprobe.show.tui.screens.dialogs import ConfirmScreen

        count = "this run" if len(chosen) == 1 else f"these {len(chosen)} runs"
        lines = [str(row.path) for row in chosen]
        question = f"delete {count}? This cannot be undone"
        self.app.push_screen(
            ConfirmScreen(question, lines, "Delete"),
            lambda yes: self._delete(chosen) if yes else None,
        )

    def _delete(self, rows: list[RunView]) -> None:
        try:
            for row in rows:
                if left := delete_run(RunDir(row.path)):
                    self.app.notify(
                        plain(left_files_line(row.path, left)), markup=False, timeout=15
                    )
        except TuiprobeError as error:
            self.app.fail(str(error))
        self._marked = {}
        self._arrived(self._listed())


def _sort_key(column: int) -> Callable[[RunView], Any]:
    return SORTS[SORTED[column]] if column < len(SORTED) else lambda row: row.summary.outcome
