"""Export: which formats, and where to; a dialog over the screen it belongs to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Input, Static

from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.plaintext import plain
from tuiprobe.show.report.formats import FORMATS, ReplacedFilesError, export
from tuiprobe.show.tui.control import EngineApp
from tuiprobe.show.tui.screens.dialogs import ConfirmScreen
from tuiprobe.show.tui.text import FigureText, inert, inert_lines
from tuiprobe.show.tui.widgets.dialog import Dialog
from tuiprobe.show.tui.widgets.rows import RowColumn, RowTable
from tuiprobe.show.tui.worker import read_report

COLUMNS = (RowColumn("  format", 60, term="card"),)
PICTURES = "pictures"
CHOICES = {
    **{format.name: format.about for format in FORMATS.values()},
    PICTURES: "the run's small images inside the page",
}
"""What each choice is: a format, or pictures within formats."""


class ExportTable(RowTable[str]):
    """Formats."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "write", tooltip="Write the chosen formats"),
    ]


class ExportScreen(Dialog[None]):
    """Write a run's reports: space chooses formats, Enter writes them.

    Args:
        run: The run directory.
    """

    app: EngineApp
    AUTO_FOCUS = "#formats"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pick", "choose", tooltip="Choose this format, or leave it out"),
        Binding("question_mark,f1", "app.help", "help", tooltip="Keys of this dialog"),
        Binding("escape", "dismiss", "close", tooltip="Close the dialog"),
    ]

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.run = run
        self.chosen = {"html", "md", PICTURES}

    def compose(self) -> ComposeResult:
        """Lays out formats, destination and result."""
        with Vertical(id="export", classes="dialog") as frame:
            yield ExportTable(COLUMNS, self._cells, id="formats")
            with Horizontal(id="to-line"):
                yield Static("to")
                yield Input(value=plain(str(self.run.absolute())), id="to")
            with VerticalScroll(id="result", can_focus=False):
                yield FigureText(id="written")
            yield Button("Write (Enter)", id="write", variant="primary", compact=True)
        frame.border_title = inert(f"export · {self.run.name}")
        frame.border_subtitle = "space chooses · tab: where to · esc closes"

    def on_mount(self) -> None:
        """Shows the formats."""
        self.query_one("#formats", ExportTable).show_rows([*CHOICES])

    def _cells(self, name: str) -> list[str]:
        return [f"{'☑' if name in self.chosen else '☐'} {name:<9} {CHOICES[name]}"]

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the dialog."""
        return ("card",)

    def action_pick(self) -> None:
        """Chooses what is under the cursor, or leaves it out."""
        table = self.query_one("#formats", ExportTable)
        if table.current is not None:
            self.chosen ^= {table.current}
            table.refresh()

    @on(RowTable.Chosen, "#formats")
    @on(Button.Pressed, "#write")
    @on(Input.Submitted, "#to")
    @work(exclusive=True)
    async def _write(self) -> None:
        """Writes the files and copies the path of the first; asks before it replaces others."""
        if not self.chosen - {PICTURES}:
            self._show("No format is chosen: space chooses the one under the cursor.")
            return
        self._show("writing…")
        try:
            to = Path(self.query_one("#to", Input).value).expanduser()
            try:
                written = await asyncio.to_thread(self._export, to, False)
            except ReplacedFilesError as error:
                if not await self.app.push_screen_wait(
                    ConfirmScreen("replace what is there?", [error.summary], "Replace")
                ):
                    self._show("nothing was written")
                    return
                written = await asyncio.to_thread(self._export, to, True)
        except (TuiprobeError, OSError, ValueError, RuntimeError) as error:  # of no user's home
            self._show(f"✗ {error}", "name another directory under to")
            return
        if not written:
            self._show("nothing was written: the report has nothing to show in these formats")
            return
        count = "1 file" if len(written) == 1 else f"{len(written)} files"
        self._show(f"✓ {count} written, the path is copied", *map(str, written))
        self.app.copy(str(written[0].absolute()), "path")

    def _export(self, to: Path, replace: bool) -> list[Path]:
        run = RunDir(self.run)
        formats = [name for name in FORMATS if name in self.chosen]
        return export(read_report(run), run, formats, to, PICTURES in self.chosen, replace)

    def _show(self, *lines: str) -> None:
        self.query_one("#written", FigureText).show(inert_lines(lines))
