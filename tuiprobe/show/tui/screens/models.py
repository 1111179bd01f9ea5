"""Models: choose one or several, see what is known of them, go on."""

from __future__ import annotations

import asyncio
import json
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input, Static

from tuiprobe.catalog.published_models import ListedModel, similar_models
from tuiprobe.plugins import MODELS, is_extended
from tuiprobe.show.tui import modellist
from tuiprobe.show.tui.child import ask
from tuiprobe.show.tui.keys import KEYS
from tuiprobe.show.tui.modellist import ModelTable
from tuiprobe.show.tui.screens.base import FilteredScreen
from tuiprobe.show.tui.text import inert, inert_lines
from tuiprobe.show.tui.widgets.rows import RowTable


class ModelsScreen(FilteredScreen):
    """Choose what to probe: type / to filter, space marks several, Enter sets up the run."""

    HEADING = "Models M · Runs R"
    PURPOSE = "Will an encoder hold up on your images, why, and how sure? Choose one."
    AUTO_FOCUS = "#models"
    BINDINGS: ClassVar[list[BindingType]] = KEYS["models"]

    def __init__(self) -> None:
        super().__init__()
        self._published = modellist.first_models()
        self._is_listed = False
        self._others: list[ListedModel] = []  # of other packages
        self._marked: dict[str, None] = {}

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
                    sorts_down=modellist.SORTS_DOWN,
                    id="models",
                )
                yield Static("", id="count", classes="dim")
            with VerticalScroll(id="details", classes="panel"):
                yield Static("", id="about", markup=False)

    def on_mount(self) -> None:
        """Shows the presets at once, and lists all models meanwhile."""
        self._show()
        self.call_after_refresh(self._list_all)

    def _cells(self, row: ListedModel | str) -> list[str]:
        return [row] if isinstance(row, str) else modellist.cells(row, row.name in self._marked)

    @property
    def table(self) -> ModelTable:
        """The list."""
        return self.query_one("#models", ModelTable)

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the glossary for the model under the cursor."""
        return (*self.table.explained(), "preset", "weights")

    @work(group="catalog")
    async def _list_all(self) -> None:
        """Lists the published models, then those of other packages and of other library versions.

        Only processes of their own import packages and libraries.
        """
        from tuiprobe.catalog import published_models

        await self._list_published()
        if is_extended(MODELS):
            answer = await ask(["models", "--json"])
            if answer.code == 0:
                rows = json.loads(answer.out)
                self._others = [ListedModel(**row) for row in rows if row["preset"] is None]
                self._show()
        if await asyncio.to_thread(published_models.is_stale):
            answer = await ask(["--cache"], "tuiprobe.models.generate_lists")
            if answer.code == 0:
                published_models.all_published.cache_clear()
                await self._list_published()
            else:
                self.notify(
                    f"the list of models is from other library versions: {answer.reason}",
                    markup=False,
                )

    async def _list_published(self) -> None:
        from tuiprobe.catalog.model_list import list_models

        self._published = await asyncio.to_thread(lambda: list(list_models()))
        self._is_listed = True
        self._show()

    def _show(self) -> None:
        if not self.alive:
            return
        current = self.table.model
        everything = [*self._published, *self._others]
        matching = modellist.filtered(everything, self._query)
        rows: list[ListedModel | str] = modellist.grouped(matching)
        if self.table.sorted_by is not None:
            rows = [*modellist.ordered(matching, *self.table.sorted_by)]
        names = [row if isinstance(row, str) else row.name for row in rows]
        still_listed = current is not None and current.name in names
        near = "" if matching else " or ".join(similar_models(everything, self._query))
        meant = f"; did you mean {near}?" if near else "."
        self.table.empty = f"No model matches{meant} esc clears the filter."
        self.table.show_rows(rows, names.index(current.name) if current and still_listed else 0)
        if self._is_listed:  # what the list is of takes as long to read as to draw the screen
            counts = modellist.counts(len(matching), len(everything), len(self._marked))
            self.query_one("#count", Static).update(inert(counts))

    @on(RowTable.Highlighted, "#models")
    def _highlighted(self) -> None:
        model = self.table.model
        self.query_one("#details").border_title = inert("" if model is None else model.name)
        about = modellist.details(model) if model is not None else []
        self.query_one("#about", Static).update(inert_lines(about))

    def action_list(self) -> None:
        """Puts the cursor into the list."""
        self.table.focus()

    def action_mark(self) -> None:
        """Marks the model under the cursor, or takes the mark away."""
        model = self.table.model
        if model is None:
            return
        if model.name in self._marked:
            del self._marked[model.name]
        else:
            self._marked[model.name] = None
        self._show()

    @on(RowTable.Chosen, "#models")
    def action_setup(self) -> None:
        """Goes on to the run's setup with the marked models, or the one under the cursor."""
        from tuiprobe.show.tui.screens.setup import SetupScreen

        names = list(self._marked)
        if not names and self.table.model is not None:
            names = [self.table.model.name]
        if names:
            self.app.push_screen(SetupScreen(names))

    def action_copy(self) -> None:
        """Copies the command line that probes this model."""
        from tuiprobe.request import shown_command

        if self.table.model is not None:
            command = shown_command(["--headless", "--model", self.table.model.name])
            self.app.copy(command, "command")

    def action_clear(self) -> None:
        """Clears the filter."""
        self.query_one("#filter", Input).value = ""
        self.table.focus()
