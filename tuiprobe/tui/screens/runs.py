"""Runs: all of them, running and finished; open, compare, export, delete."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from tuiprobe.errors import TuiprobeError
from tuiprobe.report.numbers import short
from tuiprobe.run.directory import RunDir, delete_run
from tuiprobe.run.listing import SORTS, RunRow, list_runs, matches
from tuiprobe.tui.screens.base import FilteredScreen
from tuiprobe.tui.text import inert
from tuiprobe.tui.widgets.rows import Column, RowTable

COLUMNS = (
    Column("run", 20),
    Column("state", 12),
    Column("images", 7, right=True, drop=4),
    Column("kurtosis", 11, right=True, drop=1),
    Column("P", 10, right=True, drop=3),
    Column("top-1", 10, right=True, drop=5),
    Column("shifts", 10, right=True, drop=6),
    Column("outcome", 19, drop=2),
)
_SORTS = ("name", "state", "images", "kurtosis", "persistence", "accuracy", "shifts")
_SIGNS = {"running": "●", "complete": "✓", "partial": "◐", "unfinished": "○", "damaged": "✗"}
_SECONDS = 2.0
_FIRST = 50


def run_cells(row: RunRow, marked: bool) -> list[str]:
    """Returns the cells of one row; state by sign and word, never by colour alone."""
    return [
        f"{'☑' if marked else '☐'} {row.name}",
        f"{_SIGNS[row.state]} {row.state}",
        f"{row.images:,}" if row.images else "-",
        short(row.kurtosis),
        short(row.persistence),
        short(row.accuracy),
        short(row.shifts),
        row.outcome or "-",
    ]


class RunTable(RowTable[RunRow]):
    """All runs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "open", tooltip="Open this run: live or its results"),
    ]


class RunsScreen(FilteredScreen):
    """All runs: Enter opens one, space marks two or more to compare.

    Args:
        root: Where run directories are kept.
    """

    PLACE = "Models 1 · Runs 2"
    AUTO_FOCUS = "#runs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "mark", tooltip="Mark this run, to compare or to delete"),
        Binding("c", "compare", "compare", tooltip="Marked runs side by side"),
        Binding(
            "slash", "filter", "filter", key_display="/", tooltip="Filter the list as you type"
        ),
        Binding("s", "sort", "sort", tooltip="Sort by the next column; a click on a heading too"),
        Binding("x", "delete", "delete", tooltip="Delete the marked runs, or this one"),
        Binding("e", "export", "export", tooltip="Write reports of this run"),
        Binding("y", "copy", "copy", show=False, tooltip="Copy the path of this run"),
        Binding("r", "refresh_runs", "refresh", show=False, tooltip="Read the disk again"),
        Binding("escape", "clear", "back", show=False, tooltip="Clear the filter, or go back"),
    ]
    DEFAULT_CSS = """
    RunsScreen #runs-count, RunsScreen #runs-title { height: 1; }
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self._all: list[RunRow] = []
        self._beats: dict[Path, int] = {}
        self._marked: dict[Path, None] = {}
        self._order: tuple[int, bool] | None = None
        self._stop = threading.Event()

    def compose_body(self) -> ComposeResult:
        """Lays out the filter and the list."""
        with Vertical(id="body", classes="panel") as body:
            yield Input(
                placeholder="/ filters: name, data, state, outcome",
                id="runs-filter",
                classes="filter",
            )
            yield RunTable(COLUMNS, lambda row: run_cells(row, row.path in self._marked), id="runs")
            yield Static("", id="runs-title", markup=False)
            yield Static("", id="runs-count", classes="dim", markup=False)
        body.border_title = inert(f"runs in {self.root}")

    def on_mount(self) -> None:
        """Starts a thread that rereads the directories, so that a slow disk blocks nothing."""
        self.table.empty = "reading…"
        threading.Thread(target=self._watch, daemon=True, name="runs").start()

    def on_unmount(self) -> None:
        """Ends the thread."""
        self._stop.set()

    @property
    def table(self) -> RunTable:
        """The list."""
        return self.query_one("#runs", RunTable)

    def _watch(self) -> None:
        self._look(_FIRST)  # with hundreds of runs, the rest follows a moment later
        while not self._stop.is_set():
            if not self._all or self.is_current:
                self._look()
            self._stop.wait(_SECONDS)

    def _look(self, most: int | None = None) -> None:
        rows = list_runs(self.root, most=most)
        if self.is_running and not self._stop.is_set():
            self.app.call_later(self._arrived, rows)

    def _arrived(self, rows: list[RunRow]) -> None:
        """Shows a new listing; a changed heartbeat means that the run goes on, on any machine."""
        if not self.alive:
            return
        rows = [self._alive(row) for row in rows]
        self._beats = {row.path: row.beat for row in rows}
        there = {row.path for row in rows}
        self._marked = {path: None for path in self._marked if path in there}
        if rows != self._all or self.table.empty == "reading…":
            self._all = rows
            self._show()

    def _alive(self, row: RunRow) -> RunRow:
        moved = row.path in self._beats and row.beat > self._beats[row.path]
        if moved and row.state in ("unfinished", "partial"):
            return replace(row, state="running")
        return row

    def _show(self) -> None:
        current = self.table.current
        rows = [row for row in self._all if matches(row, self._query.split())]
        if self._order is not None and self._order[0] < len(_SORTS):
            key = SORTS[_SORTS[self._order[0]]]
            rows.sort(key=key, reverse=self._order[1])
        elif self._order is not None:
            rows.sort(key=lambda row: row.outcome, reverse=self._order[1])
        self.table.sorted_by = self._order
        self.table.empty = (
            "No run matches. esc clears the filter."
            if self._all
            else f"no runs in {self.root} yet: 1 goes to the models, Enter there starts one"
        )
        paths = [row.path for row in rows]
        at = paths.index(current.path) if current and current.path in paths else 0
        self.table.show_rows(rows, at)
        self._count(rows)

    def _count(self, rows: Sequence[RunRow]) -> None:
        marked = f" · {len(self._marked)} marked" if self._marked else ""
        text = f"{len(rows):,} of {len(self._all):,}{marked}"
        self.query_one("#runs-count", Static).update(text)

    @on(RowTable.Highlighted, "#runs")
    def _moved(self) -> None:
        row = self.table.current
        self.query_one("#runs-title", Static).update(inert(row.title if row else ""))

    @on(RowTable.Chosen, "#runs")
    def _chosen(self) -> None:
        row = self.table.current
        if row is not None:
            self.app.open(row.path)  # type: ignore[attr-defined]

    @on(RowTable.HeadingPressed, "#runs")
    def _heading(self, event: RowTable.HeadingPressed) -> None:
        down = 2 <= event.column < len(_SORTS)
        if self._order is not None and self._order[0] == event.column:
            down = not self._order[1]
        self._order = (event.column, down)
        self._show()

    def action_sort(self) -> None:
        """Sorts by the next column; after the last one by the time again."""
        column = 0 if self._order is None else self._order[0] + 1
        down = 2 <= column < len(_SORTS)
        self._order = (column, down) if column < len(COLUMNS) else None
        self._show()

    def action_mark(self) -> None:
        """Marks the run under the cursor, or takes the mark away."""
        row = self.table.current
        if row is None:
            return
        if row.path in self._marked:
            del self._marked[row.path]
        else:
            self._marked[row.path] = None
        self.table.action_move(1)
        self._count(self.table.rows)

    def action_compare(self) -> None:
        """Opens the marked runs side by side, in the order of marking."""
        finished = {row.path for row in self._all if row.state in ("complete", "partial")}
        chosen = [path for path in self._marked if path in finished]
        if len(chosen) < 2:
            self.notify("mark two or more finished runs with space first", markup=False)
            return
        from tuiprobe.tui.screens.compare import CompareScreen

        self.app.push_screen(CompareScreen(chosen))

    def action_export(self) -> None:
        """Opens the choice of formats for the run under the cursor."""
        row = self.table.current
        if row is None or row.state not in ("complete", "partial"):
            self.notify("this run has no results to export yet", markup=False)
            return
        from tuiprobe.tui.screens.export import ExportScreen

        self.app.push_screen(ExportScreen(row.path))

    def action_copy(self) -> None:
        """Copies the path of the run under the cursor."""
        row = self.table.current
        if row is not None:
            self.app.copy(str(row.path.absolute()), "path")  # type: ignore[attr-defined]

    def action_refresh_runs(self) -> None:
        """Reads the disk again at once."""
        self._arrived(list_runs(self.root))

    def action_delete(self) -> None:
        """Asks for confirmation, then deletes the marked runs, or the one under the cursor."""
        current = self.table.current
        chosen = [row for row in self._all if row.path in self._marked]
        chosen = chosen or ([current] if current is not None else [])
        running = [row.name for row in chosen if row.state == "running"]
        if running:
            fix = "open it and cancel it first"
            self.app.fail(f"still running: {', '.join(running)}", fix)  # type: ignore[attr-defined]
            return
        if not chosen:
            return
        from tuiprobe.tui.screens.confirm import ConfirmScreen

        count = "this run" if len(chosen) == 1 else f"these {len(chosen)} runs"
        lines = [str(row.path) for row in chosen]
        question = f"delete {count}? This cannot be undone"
        self.app.push_screen(
            ConfirmScreen(question, lines, "Delete"),
            lambda yes: self._delete(chosen) if yes else None,
        )

    def _delete(self, rows: list[RunRow]) -> None:
        try:
            for row in rows:
                delete_run(RunDir(row.path))
        except TuiprobeError as error:
            self.app.fail(str(error))  # type: ignore[attr-defined]
        self._marked = {}
        self.action_refresh_runs()
