"""The pictures behind a figure: wrong ones of a set or class, least sure, where models differ."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input

from tuiprobe.errors import TuiprobeError
from tuiprobe.plaintext import holds_all
from tuiprobe.tui.keys import KEYS
from tuiprobe.tui.picturesets import PictureRow, PictureSets
from tuiprobe.tui.screens.base import FilteredScreen
from tuiprobe.tui.widgets.pictures import PictureGrid, PicturePanel
from tuiprobe.tui.widgets.rows import RowColumn, RowTable

COLUMNS = (
    RowColumn("pictures", 14),
    RowColumn("set", 10, drop=1, term="set"),
    RowColumn("number", 7, right=True, term="top-1"),
)


class PicturesScreen(FilteredScreen):
    """The pictures behind a figure, with what each model answers on them.

    Args:
        runs: The run directories, of which the first one's answers choose the pictures.
        models: What their models are called.
        data: The set to begin with; empty for the first.
        words: The row to begin with, such as a class; empty for the first.
    """

    HEADING = "Pictures"
    reading = True
    AUTO_FOCUS = "#sets"
    BINDINGS: ClassVar[list[BindingType]] = KEYS["pictures"]
    DEFAULT_CSS = """
    PicturesScreen #body { layout: horizontal; }
    PicturesScreen #queries { width: 40; height: 1fr; }
    PicturesScreen.-narrow #queries { width: 34; }
    PicturesScreen PicturePanel { width: 1fr; }
    """

    def __init__(
        self, runs: Sequence[Path], models: Sequence[str] = (), data: str = "", words: str = ""
    ) -> None:
        super().__init__()
        self.runs, self.models = list(runs), list(models)
        self._data, self._words = data, words
        self._pictures: PictureSets | None = None

    def compose_body(self) -> ComposeResult:
        """Lays out sets and classes beside their pictures."""
        with Horizontal(id="body"):
            with Vertical(id="queries", classes="panel"):
                yield Input(placeholder="/ filters sets and classes", classes="filter")
                yield RowTable[PictureRow](
                    COLUMNS, lambda row: [row.name, row.data, row.count], empty="reading…",
                    id="sets",
                )  # fmt: skip
            yield PicturePanel(classes="panel")

    def on_mount(self) -> None:
        """Reads the answers in a thread."""
        load = partial(PictureSets, self.runs, self.models, self._data)
        self.app.read(self, load, self._arrived)

    def _arrived(self, pictures: PictureSets | TuiprobeError) -> None:
        self.finish_reading()
        self.table.empty = "no answers: the run has no class names"
        if isinstance(pictures, TuiprobeError):
            self.table.empty = str(pictures)
            self.notify(str(pictures), severity="error", markup=False)
            self.table.refresh()
            return
        self._pictures = pictures
        self._show()
        self.table.show_rows(self.table.rows, pictures.row_index(self._data, self._words))

    def _show(self) -> None:
        words = self._query.split()
        rows = self._pictures.rows if self._pictures is not None else []
        rows = [row for row in rows if holds_all(f"{row.name} {row.data}", words)]
        self.table.show_rows(rows, 0)

    @on(RowTable.Highlighted, "#sets")
    def _moved(self) -> None:
        row, panel = self.table.current, self.query_one(PicturePanel)
        if row is None or self._pictures is None:
            panel.show("", [], Content())
        else:
            panel.show(*self._pictures.shown(row))

    @on(RowTable.Chosen, "#sets")
    def _chosen(self) -> None:
        self.query_one(PictureGrid).focus()

    def action_clear(self) -> None:
        """Goes back to the rows, clears the filter, or leaves."""
        if isinstance(self.focused, PictureGrid):
            self.table.focus()
        else:
            super().action_clear()

    def action_label(self) -> None:
        """Opens the labels of the target set."""
        from tuiprobe.tui.screens.label import LabelScreen

        self.app.push_screen(LabelScreen(self.runs))
