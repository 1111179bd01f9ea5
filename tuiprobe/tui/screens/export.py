"""Export: which formats, where to, what is inside; a dialog over the screen it belongs to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from tuiprobe.errors import TuiprobeError
from tuiprobe.plaintext import plain
from tuiprobe.report.formats import FORMATS, Files, tables_beside, write_files
from tuiprobe.run.directory import RunDir
from tuiprobe.tui.child import shown_command
from tuiprobe.tui.control import EngineApp
from tuiprobe.tui.exporting import ExportPreview, Rendering, outlook, size_of, size_text
from tuiprobe.tui.figures import Told
from tuiprobe.tui.screens.confirm import ConfirmScreen
from tuiprobe.tui.text import inert, inert_lines
from tuiprobe.tui.widgets.rows import RowColumn, RowTable

COLUMNS = (
    RowColumn("format", 11, term="card"),
    RowColumn("contents", 47, drop=1),
    RowColumn("size", 9, right=True),
)
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


class ExportScreen(ModalScreen[None]):
    """Write a run's reports: space chooses formats, Enter writes them.

    Args:
        run: The run directory.
    """

    app: EngineApp
    AUTO_FOCUS = "#formats"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pick", "choose", tooltip="Choose this format, or leave it out"),
        Binding("a", "all", "all", tooltip="All formats, or none"),
        Binding("t", "destination", "where to", tooltip="Change the directory"),
        Binding("y", "copy", "copy path", tooltip="Copy the path of what was written"),
        Binding("c", "command", "command", show=False, tooltip="Copy the command that does this"),
        Binding("question_mark,f1", "app.help", "help", tooltip="Keys of this dialog"),
        Binding("escape", "leave", "close", tooltip="Close without writing"),
    ]
    DEFAULT_CSS = """
    ExportScreen { align: center middle; }
    ExportScreen #export {
        width: 88; max-width: 96%; height: auto; max-height: 100%;
        border: round $primary; background: $surface; padding: 0 1;
    }
    .-ascii ExportScreen #export { border: ascii $primary; }
    ExportScreen #formats { height: 10; }
    ExportScreen #to-line { height: 1; }
    ExportScreen #to-line Static { width: 4; }
    ExportScreen #to { border: none; height: 1; padding: 0; width: 1fr; background: $panel; }
    ExportScreen #said-scroll { height: auto; max-height: 12; margin: 1 0; }
    ExportScreen.-low #formats { height: 8; }
    ExportScreen.-low #said-scroll { max-height: 3; margin: 0; }
    ExportScreen #export-keys { height: 1; color: $foreground 70%; }
    """

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.run = run
        self.chosen = {"html", "md", PICTURES}
        self.written: list[Path] = []
        self._rendering = Rendering(RunDir(run))
        self._linked = True  # the run's own directory has tables
        self._asked = 0

    def compose(self) -> ComposeResult:
        """Lays out formats, destination and what would be written."""
        with Vertical(id="export") as frame:
            yield ExportTable(COLUMNS, self._cells, id="formats")
            with Horizontal(id="to-line"):
                yield Static("to")
                yield Input(value=plain(str(self.run.absolute())), id="to")
            with VerticalScroll(id="said-scroll") as scroll:
                scroll.can_focus = False
                yield Told(id="written")
            yield Button("Write (Enter)", id="write", variant="primary", compact=True)
            yield Static(
                "space choose · a all · t where to · c command · esc close", id="export-keys"
            )
        frame.border_title = inert(f"export · {self.run.name}")

    def on_mount(self) -> None:
        """Shows the formats."""
        self.query_one("#formats", ExportTable).show_rows(CHOICES)
        self._look()

    def _cells(self, row: Choice) -> list[str]:
        size = self._rendering.size(row.name, PICTURES in self.chosen, self._linked)
        told = size_text(size) if size is not None else "" if row.name == PICTURES else "…"
        return [f"{'☑' if row.name in self.chosen else '☐'} {row.name}", row.about, told]

    @property
    def shown_run(self) -> Path:
        """The run directory that is exported."""
        return self.run

    @property
    def formats(self) -> list[str]:
        """The chosen formats, in the order of the list."""
        return [name for name in FORMATS if name in self.chosen]

    @property
    def to(self) -> Path:
        """The destination."""
        return Path(self.query_one("#to", Input).value).expanduser()

    def _measure(self) -> None:
        """Makes every format for where it goes now, in a thread, so that its size is known."""
        for name in FORMATS:
            try:
                self._rendering.files([name], PICTURES in self.chosen, self._linked)
            except TuiprobeError:
                return  # what would be written says so
            if not self.is_running:
                return
            self.app.call_later(self._sized)

    def _sized(self) -> None:
        if self.is_attached:
            self.query_one("#formats").refresh()

    def _look(self) -> None:
        """Says what would be written, as soon as a thread has looked."""
        self._asked += 1
        if not self.formats:
            self._say(["No format is chosen: space chooses the one under the cursor."])
            return
        self._say(["looking what is there…"])
        self._then(self._looked)

    def _then(self, done: Callable[[Files, ExportPreview], None]) -> None:
        """Makes the chosen files and looks what is there, in a thread."""
        arguments = (self._asked, tuple(self.formats), PICTURES in self.chosen, self.to, done)
        threading.Thread(target=self._prepare, args=arguments, daemon=True, name="look").start()

    def _prepare(
        self,
        asked: int,
        formats: tuple[str, ...],
        pictures: bool,
        to: Path,
        done: Callable[[Files, ExportPreview], None],
    ) -> None:
        try:
            linked = tables_beside(self._rendering.run, formats, to)
            files = self._rendering.files(formats, pictures, linked)
            found = partial(done, files, outlook(files, self._rendering.run, to))
            self._linked = linked
        except (TuiprobeError, OSError, ValueError) as error:
            found = partial(self._failed, str(error))
        if self.is_running:
            self.app.call_later(self._arrived, asked, found)

    def _arrived(self, asked: int, show: Callable[[], None]) -> None:
        if self.is_attached and asked == self._asked:
            show()

    def _looked(self, files: Files, found: ExportPreview) -> None:
        self._say([found.told])
        threading.Thread(target=self._measure, daemon=True, name="sizes").start()

    def _failed(self, reason: str) -> None:
        self._say([f"✗ {reason}", "t changes the directory"])

    def action_pick(self) -> None:
        """Selects or deselects what is under the cursor."""
        row = self.query_one("#formats", ExportTable).current
        if row is not None:
            self._choose(self.chosen ^ {row.name})

    def action_all(self) -> None:
        """Chooses all formats, or none where all are chosen."""
        everything = {one.name for one in CHOICES}
        self._choose(set() if self.chosen == everything else everything)

    def _choose(self, chosen: set[str]) -> None:
        self.chosen = chosen
        self.query_one("#formats").refresh()
        self._look()

    def action_destination(self) -> None:
        """Puts the cursor into the destination."""
        self.query_one("#to", Input).focus()

    @on(Input.Changed, "#to")
    def _moved(self) -> None:
        self._look()

    def action_leave(self) -> None:
        """Leaves the destination, or closes the dialog."""
        if self.query_one("#to", Input).has_focus:
            self.query_one("#formats").focus()
        else:
            self.dismiss()

    @on(RowTable.Chosen, "#formats")
    @on(Button.Pressed, "#write")
    @on(Input.Submitted, "#to")
    def _write(self) -> None:
        if self.formats:
            self._asked += 1
            self._then(self._confirm)
        else:
            self._look()

    def _confirm(self, files: Files, found: ExportPreview) -> None:
        """Writes; asks first where a file with other content would be replaced."""
        if not found.replaced:
            self._start(files, found.to)
            return
        count = len(found.replaced)
        question = f"replace {'1 file' if count == 1 else f'{count} files'}?"
        lines = [f"there with other content in {found.to}:", *found.replaced]
        self.app.push_screen(
            ConfirmScreen(question, lines, "Replace"),
            lambda yes: self._start(files, found.to) if yes else self._look(),
        )

    def _start(self, files: Files, to: Path) -> None:
        self._asked += 1
        self._say(["writing…"])
        arguments = (self._asked, files, to)
        threading.Thread(target=self._export, args=arguments, daemon=True, name="export").start()

    def _export(self, asked: int, files: Files, to: Path) -> None:
        try:
            show = partial(self._done, write_files(files, self._rendering.run, to), files)
        except (TuiprobeError, OSError, ValueError) as error:
            show = partial(self._failed, str(error))
        if self.is_running:
            self.app.call_later(self._arrived, asked, show)

    def _done(self, written: list[Path], files: Files) -> None:
        self.written = written
        self.query_one("#formats").focus()
        count = "1 file" if len(written) == 1 else f"{len(written)} files"
        said = f"✓ written: {count}, {size_text(size_of(files))}; y copies the path again"
        self._say([said, *(str(path) for path in written)])
        self.action_copy()

    def _say(self, lines: list[str]) -> None:
        self.query_one("#written", Told).show(Content(inert_lines(lines).plain))

    def action_copy(self) -> None:
        """Copies the path of the first file that was written: the page, if there is one."""
        if self.written:
            self.app.copy(str(self.written[0].absolute()), "path")
        else:
            self.notify("Nothing written yet. Enter writes the files.", markup=False)

    def action_command(self) -> None:
        """Copies the command that writes the same."""
        words = ["report", str(self.run.absolute())]
        for name in self.formats:
            words += ["--format", name]
        words += ["--to", self.query_one("#to", Input).value]
        self.app.copy(shown_command(words), "command")

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the dialog."""
        return ("card",)
