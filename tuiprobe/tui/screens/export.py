"""Export: which formats, where to, what is inside."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Input, Static

from tuiprobe.errors import TuiprobeError
from tuiprobe.plaintext import plain
from tuiprobe.report.formats import FORMATS, export
from tuiprobe.run.directory import RunDir
from tuiprobe.tui.child import shown_command
from tuiprobe.tui.screens.base import ProbeScreen
from tuiprobe.tui.text import inert_lines
from tuiprobe.tui.widgets.rows import Column, RowTable

COLUMNS = (Column("what", 12), Column("made", 44, drop=1))
PICTURES = "pictures"


@dataclass(frozen=True)
class Choice:
    """A choice: a format, or pictures within formats."""

    name: str
    about: str


CHOICES = (
    *(Choice(one.name, one.about) for one in FORMATS.values()),
    Choice(PICTURES, "the run's small images inside the page"),
)


class ExportTable(RowTable[Choice]):
    """Formats."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "write", tooltip="Write the chosen formats"),
    ]


class ExportScreen(ProbeScreen):
    """Write a run's reports: space chooses formats, Enter writes them.

    Args:
        run: The run directory.
    """

    PLACE = "Export"
    AUTO_FOCUS = "#formats"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pick", "choose", tooltip="Choose this format, or leave it out"),
        Binding("a", "all", "all", tooltip="All formats, or none"),
        Binding("t", "destination", "where to", tooltip="Change the directory"),
        Binding("y", "copy", "copy path", tooltip="Copy the path of what was written"),
        Binding("c", "command", "command", show=False, tooltip="Copy the command that does this"),
        Binding("escape", "leave", "back", tooltip="Back to where you came from"),
    ]
    DEFAULT_CSS = """
    ExportScreen #formats { height: 9; }
    ExportScreen #to-line { height: 1; margin-top: 1; }
    ExportScreen #to-line Static { width: 4; }
    ExportScreen #to { border: none; height: 1; padding: 0; width: 1fr; background: $surface; }
    ExportScreen #write { margin: 1 0; }
    ExportScreen.-low #to-line, ExportScreen.-low #write { margin: 0; }
    ExportScreen #written-scroll { height: 1fr; }
    ExportScreen #written { height: auto; }
    """

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.run = run
        self.chosen = {"html", "md", PICTURES}
        self.written: list[Path] = []

    def compose_body(self) -> ComposeResult:
        """Lays out formats, destination and what was written."""
        with Vertical(id="body", classes="panel") as body:
            yield ExportTable(COLUMNS, self._cells, id="formats")
            with Horizontal(id="to-line"):
                yield Static("to")
                yield Input(value=plain(str(self.run.absolute())), id="to")
            yield Button("Write (Enter)", id="write", variant="primary", compact=True)
            with VerticalScroll(id="written-scroll") as scroll:
                scroll.can_focus = False
                yield Static("", id="written", markup=False)
        body.border_title = "export"

    def on_mount(self) -> None:
        """Shows the formats."""
        self.place(f"tuiprobe  Export · {self.run.name}")
        self.query_one("#formats", ExportTable).show_rows(CHOICES)

    def _cells(self, row: Choice) -> list[str]:
        return [f"{'☑' if row.name in self.chosen else '☐'} {row.name}", row.about]

    @property
    def formats(self) -> list[str]:
        """The chosen formats, in the order of the list."""
        return [name for name in FORMATS if name in self.chosen]

    def action_pick(self) -> None:
        """Selects or deselects what is under the cursor."""
        row = self.query_one("#formats", ExportTable).current
        if row is not None:
            self.chosen ^= {row.name}
            self.query_one("#formats").refresh()

    def action_all(self) -> None:
        """Chooses all formats, or none where all are chosen."""
        everything = {one.name for one in CHOICES}
        self.chosen = set() if self.chosen == everything else everything
        self.query_one("#formats").refresh()

    def action_destination(self) -> None:
        """Puts the cursor into the destination."""
        self.query_one("#to", Input).focus()

    def action_leave(self) -> None:
        """Leaves the destination, or the screen."""
        if self.query_one("#to", Input).has_focus:
            self.query_one("#formats").focus()
        else:
            self.run_worker(self.app.run_action("back"))

    @on(RowTable.Chosen, "#formats")
    @on(Button.Pressed, "#write")
    @on(Input.Submitted, "#to")
    def _write(self) -> None:
        if not self.formats:
            self._say(["no format is selected: space selects the one under the cursor"])
            return
        to = Path(self.query_one("#to", Input).value).expanduser()
        self._say(["writing…"])
        arguments = (tuple(self.formats), to, PICTURES in self.chosen)
        threading.Thread(target=self._export, args=arguments, daemon=True, name="export").start()

    def _export(self, formats: tuple[str, ...], to: Path, pictures: bool) -> None:
        from tuiprobe.report import read_report

        run = RunDir(self.run)
        try:
            written: list[Path] | str = export(read_report(run), run, formats, to, pictures)
        except TuiprobeError as error:
            written = str(error)
        if self.is_running:
            self.app.call_later(self._done, written)

    def _done(self, written: list[Path] | str) -> None:
        if not self.alive:
            return
        if isinstance(written, str):
            self._say([f"✗ {written}", "t changes the directory"])
            return
        self.written = written
        self.query_one("#formats").focus()
        self._say(["✓ written; y copies the path again", *(str(path) for path in written)])
        self.action_copy()

    def _say(self, lines: list[str]) -> None:
        self.query_one("#written", Static).update(inert_lines(lines))

    def action_copy(self) -> None:
        """Copies the path of the first file that was written: the page, if there is one."""
        if self.written:
            self.app.copy(str(self.written[0].absolute()), "path")  # type: ignore[attr-defined]
        else:
            self.notify("Nothing written yet. Enter writes the files.", markup=False)

    def action_command(self) -> None:
        """Copies the command that writes the same."""
        words = ["report", str(self.run.absolute())]
        for name in self.formats:
            words += ["--format", name]
        words += ["--to", self.query_one("#to", Input).value]
        self.app.copy(shown_command(words), "command")  # type: ignore[attr-defined]
