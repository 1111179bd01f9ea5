"""Models: choose one or several, see what is known of them, check them, go on."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input, Static
from textual.worker import Worker

from tuiprobe.plugins import MODELS, is_extended
from tuiprobe.tui import modellist
from tuiprobe.tui.child import ask, ask_python, follow, shown_command
from tuiprobe.tui.modellist import GroupHeading, ModelRow
from tuiprobe.tui.screens.base import FilteredScreen
from tuiprobe.tui.text import inert, inert_lines
from tuiprobe.tui.widgets.modeltable import ModelTable
from tuiprobe.tui.widgets.rows import RowTable


class ModelsScreen(FilteredScreen):
    """Choose what to probe: type / to filter, space marks several, Enter sets up the run."""

    PLACE = "Models M · Runs R"
    PURPOSE = "Will an encoder hold up on your images, why, and how sure? Choose one."
    AUTO_FOCUS = "#models"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "mark", tooltip="Mark this model; several run side by side"),
        Binding(
            "slash", "filter", "filter", key_display="/", tooltip="Filter the list as you type"
        ),
        Binding(
            "d", "doctor", "check", tooltip="Check this model: weights, preprocessing, answers"
        ),
        Binding("f", "fetch", "fetch", tooltip="Download and verify the weights of this model"),
        Binding("s", "sort", "sort", tooltip="Sort by the next column; a click on a heading too"),
        Binding("down", "list", "list", show=False, tooltip="From the filter to the list"),
        Binding(
            "escape", "clear", "clear", show=False, tooltip="Stop a download, or clear the filter"
        ),
        Binding("y", "copy", "copy", show=False, tooltip="Copy the command that probes this model"),
    ]

    DEFAULT_CSS = """
    ModelsScreen #purpose { height: 1; padding: 0 1; color: $secondary; }
    ModelsScreen.-tiny #purpose, ModelsScreen.-slim #purpose { display: none; }
    ModelsScreen.-narrow #body { layout: vertical; }
    ModelsScreen.-narrow #left { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._fetching: dict[str, Worker[None]] = {}
        self._all: list[ModelRow] = modellist.first_rows()
        self._marked: dict[str, None] = {}
        self._checks: dict[str, list[str]] = {}
        self._order: tuple[int, bool] | None = None
        self._refreshed = False
        self._others: list[ModelRow] | None = None  # of other packages; None until listed

    def compose_body(self) -> ComposeResult:
        """Lays out what the program is for, the filter, the list and the details."""
        yield Static(self.PURPOSE, id="purpose")
        with Horizontal(id="body"):
            with Vertical(id="left", classes="panel"):
                yield Input(
                    placeholder="/ filters: words of name, data or kind",
                    id="filter",
                    classes="filter",
                )
                yield ModelTable(
                    modellist.COLUMNS,
                    self._cells,
                    empty="No model matches. esc clears the filter.",
                    id="models",
                )
                yield Static("", id="count", classes="dim")
            with VerticalScroll(id="details", classes="panel"):
                yield Static("", id="about", markup=False)
                yield Static("", id="preflight", markup=False)

    def on_mount(self) -> None:
        """Shows the presets at once; the rest comes from a thread."""
        self._show()
        threading.Thread(target=self._load, daemon=True, name="catalog").start()

    def _cells(self, row: ModelRow | GroupHeading) -> list[str]:
        marked = isinstance(row, ModelRow) and row.name in self._marked
        return modellist.cells(row, marked) if isinstance(row, ModelRow) else [row.title]

    @property
    def table(self) -> ModelTable:
        """The list."""
        return self.query_one("#models", ModelTable)

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the glossary for the model under the cursor."""
        return (*self.table.explained(), "preset", "preflight", "weights")

    def _load(self) -> None:
        from tuiprobe.catalog import names
        from tuiprobe.catalog.listing import listed

        rows = [modellist.row_of(model) for model in listed()]
        if self.is_running:
            self.app.call_later(self._arrived, rows, names.is_stale(), is_extended(MODELS))

    def _arrived(self, rows: list[ModelRow], stale: bool, extended: bool) -> None:
        self._all = rows + (self._others or [])
        if self.alive:
            if extended and self._others is None:
                self._others = []
                self._ask_others()
            self._show()
            if stale and not self._refreshed:
                self._refreshed = True
                self._refresh()

    @work(group="names")
    async def _refresh(self) -> None:
        """Lists the models of the installed libraries, in a process that may import them."""
        from tuiprobe.catalog import names

        answer = await ask_python(["-P", "-m", "tuiprobe.models.names", "--cache"])
        if answer.code == 0:
            names.all_published.cache_clear()
            threading.Thread(target=self._load, daemon=True, name="catalog").start()
        else:
            self.notify(
                f"the list of models is from other library versions: {answer.reason}", markup=False
            )

    @work(group="others")
    async def _ask_others(self) -> None:
        """Lists the models of other packages, in a process that may import these."""
        answer = await ask(["models", "--json"])
        if answer.code == 0 and self.alive:
            self._others = modellist.rows_of_packages(answer.out)
            self._all = self._all + self._others
            self._show()

    def _show(self) -> None:
        current = self.table.model
        matching = modellist.filtered(self._all, self._query)
        rows: list[ModelRow | GroupHeading] = list(modellist.grouped(matching))
        if self._order is not None:
            rows = list(modellist.ordered(matching, *self._order))
        self.table.sorted_by = self._order
        same = (i for i, row in enumerate(rows) if isinstance(row, ModelRow) and row == current)
        name = current.name if current is not None else ""
        named = (i for i, row in enumerate(rows) if isinstance(row, ModelRow) and row.name == name)
        self.table.show_rows(rows, next(same, next(named, 0)))
        count = modellist.catalogue(len(matching), self._all, len(self._marked))
        self.query_one("#count", Static).update(inert(count))

    @on(RowTable.Highlighted, "#models")
    def _highlighted(self) -> None:
        row = self.table.model
        about, preflight = self.query_one("#about", Static), self.query_one("#preflight", Static)
        checked = row is not None and row.name in self._checks
        self.query_one("#details").set_class(checked, "-checked")
        if row is None:
            about.update("")
            preflight.update("")
            return
        self.query_one("#details").border_title = inert(row.name)
        about.update(inert_lines(modellist.details(row)))
        preflight.update(inert_lines(self._checks.get(row.name, ["", "d checks this model"])))

    @on(RowTable.Chosen, "#models")
    def _chosen(self) -> None:
        self.action_setup()

    @on(RowTable.HeadingPressed, "#models")
    def _heading(self, event: RowTable.HeadingPressed) -> None:
        down = event.column >= 4
        if self._order is not None and self._order[0] == event.column:
            down = not self._order[1]
        self._order = (event.column, down)
        self._show()

    def action_sort(self) -> None:
        """Sorts by the next column; after the last one, restores the original order."""
        column = -1 if self._order is None else self._order[0]
        column += 1
        self._order = (column, column >= 4) if column < len(modellist.COLUMNS) else None
        self._show()

    def action_list(self) -> None:
        """Puts the cursor into the list."""
        self.table.focus()

    def action_mark(self) -> None:
        """Marks the model under the cursor, or takes the mark away."""
        row = self.table.model
        if row is None:
            return
        if row.name in self._marked:
            del self._marked[row.name]
        else:
            self._marked[row.name] = None
            if row.cached == "yes" and row.name not in self._checks:
                self.action_doctor()
        self._show()
        self.table.action_move(1)

    def action_setup(self) -> None:
        """Goes on to the run's setup with the marked models, or the one under the cursor."""
        from tuiprobe.tui.screens.setup import SetupScreen

        names = list(self._marked)
        if not names and self.table.model is not None:
            names = [self.table.model.name]
        if names:
            self.app.push_screen(SetupScreen(names))

    def action_copy(self) -> None:
        """Copies the command line that probes this model."""
        row = self.table.model
        if row is not None:
            command = shown_command(["--headless", "--model", row.name])
            self.app.copy_to_clipboard(command)
            self.notify("command copied", timeout=2)

    def action_doctor(self) -> None:
        """Checks the model under the cursor in a process of its own."""
        row = self.table.model
        if row is not None:
            self._note(row.name, ["", "checking: loads the model, takes some seconds"])
            self._examine(row.name)

    @work(group="doctor")
    async def _examine(self, name: str) -> None:
        answer = await ask(["doctor", "--model", name, "--json"])
        try:
            lines = modellist.check_lines(json.loads(answer.out)["checks"])
        except (ValueError, TypeError, KeyError):
            lines = ["", f"✗ {answer.reason}"]
        self._note(name, lines)

    def action_fetch(self) -> None:
        """Downloads the weights of the model under the cursor in a process of its own."""
        row = self.table.model
        if row is not None:
            if row.name in self._fetching:
                return
            self._note(row.name, ["", "fetching: downloads and verifies the weights; esc stops it"])
            self._fetching[row.name] = self._download(row.name)

    @work(group="fetch")
    async def _download(self, name: str) -> None:
        def show_line(text: str) -> None:
            self._note(name, ["", "fetching; esc stops it", text])

        try:
            answer = await follow(["fetch", name, "--progress"], show_line)
        except asyncio.CancelledError:
            self._note(name, ["", "! stopped: what was downloaded is kept; f goes on with it"])
            raise
        finally:
            self._fetching.pop(name, None)
        if answer.code:
            self._note(name, ["", f"✗ {answer.reason}"])
            return
        lines = [line for line in (answer.out or answer.err).splitlines() if line]
        self._note(name, ["", "✓ fetched", *lines])
        threading.Thread(target=self._load, daemon=True, name="catalog").start()

    def _note(self, name: str, lines: list[str]) -> None:
        self._checks[name] = lines
        if self.alive:
            self._highlighted()

    def action_clear(self) -> None:
        """Stops the download of the model under the cursor, or else clears the filter."""
        row = self.table.model
        if row is not None and row.name in self._fetching:
            self._fetching[row.name].cancel()
            return
        self.query_one("#filter", Input).value = ""
        self.table.focus()
