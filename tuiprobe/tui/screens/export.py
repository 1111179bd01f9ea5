"""Export: which formats, where to, what is inside; a dialog over the screen it belongs to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Input, Static

from tuiprobe.errors import TuiprobeError
from tuiprobe.plaintext import plain
from tuiprobe.report import read_report
from tuiprobe.report.formats import FORMATS, Files, tables_beside, write_files
from tuiprobe.results import Report
from tuiprobe.run.directory import RunDir
from tuiprobe.tui.child import shown_command
from tuiprobe.tui.control import EngineApp
from tuiprobe.tui.figures import FigureText
from tuiprobe.tui.screens.dialogs import ConfirmScreen, Dialog
from tuiprobe.tui.text import inert, inert_lines
from tuiprobe.tui.widgets.rows import RowColumn, RowTable

COLUMNS = (
    RowColumn("format", 11, term="card"),
    RowColumn("contents", 47, drop=1),
    RowColumn("size", 9, right=True),
)
PICTURES = "pictures"
CHOICES = {
    **{format.name: format.about for format in FORMATS.values()},
    PICTURES: "the run's small images inside the page",
}
"""What each choice is: a format, or pictures within formats."""


@dataclass(frozen=True)
class ExportPreview:
    """What writing some files below a directory would do.

    Attributes:
        to: The directory.
        files: What would be written.
        linked: Whether tables/ lies beside the files.
        same: Names of files that are there with the same content; results.json of the run too.
        replaced: Names of files that are there with other content.
    """

    to: Path
    files: Files
    linked: bool = False
    same: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One sentence.

        >>> files = {"report.md": "x" * 500, "report.html": "x" * 2_500_000}
        >>> ExportPreview(Path("out"), files, replaced=("report.html",)).summary
        'Writes 2 files, 2.5 MB, into out; 1 of them is there with other content.'
        """
        parts = [f"Writes {files_text(self.files)}, into {self.to}"]
        if len(self.same) == len(self.files):
            parts.append("all there already and the same")
        elif self.same:
            parts.append(f"{_of_them(self.same)} there already and the same")
        if self.replaced:
            parts.append(f"{_of_them(self.replaced)} there with other content")
        return "; ".join(parts) + "."


class Exporter:
    """The files of a run's report, each format made when it is first asked for.

    Args:
        run: The run directory.
    """

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self._lock = threading.Lock()
        self._report: Report | None = None
        self._made: dict[tuple[str, bool, bool], Files] = {}

    def size(self, name: str, pictures: bool, linked: bool) -> int | None:
        """Returns the bytes of a format; None until it is made."""
        made = self._made.get((name, pictures, linked))
        return size_of(made) if made is not None else None

    def make(self, name: str, pictures: bool, linked: bool) -> Files:
        """Returns the files of a format.

        Args:
            name: One of `FORMATS`.
            pictures: Whether formats that hold pictures show the run's small ones.
            linked: Whether tables/ lies beside the files.

        Raises:
            DamagedFileError: The report cannot be read.
        """
        with self._lock:
            self._report = self._report or read_report(self.run)
            key = (name, pictures, linked)
            if key not in self._made:
                run = self.run if pictures else None
                self._made[key] = FORMATS[name].files(self._report, run, linked)
            return self._made[key]

    def preview(self, formats: Sequence[str], pictures: bool, to: Path) -> ExportPreview:
        """Makes some formats, and compares their files with those that are there.

        Raises:
            DamagedFileError: The report cannot be read.
            OSError: The directory, or a file in it, cannot be read.
        """
        linked = tables_beside(self.run, formats, to)
        files: Files = {}
        for name in formats:
            files |= self.make(name, pictures, linked)
        own_results = to.exists() and to.samefile(self.run.path) and self.run.results_file.name
        same: list[str] = []
        replaced: list[str] = []
        for name, text in files.items():
            file, content = to / name, encoded(text)
            if name == own_results:  # never replaced
                same.append(name)
            elif file.exists():
                equal = (
                    file.is_file()
                    and file.stat().st_size == len(content)
                    and file.read_bytes() == content
                )
                (same if equal else replaced).append(name)
        return ExportPreview(to, files, linked, tuple(same), tuple(replaced))


def size_text(size: int) -> str:
    """Returns a number of bytes for people.

    >>> size_text(812), size_text(49_098), size_text(3_842_882)
    ('812 B', '49 kB', '3.8 MB')
    """
    if size < 1000:
        return f"{size} B"
    return f"{size / 1e3:.0f} kB" if size < 1_000_000 else f"{size / 1e6:.1f} MB"


def files_text(files: Files) -> str:
    """Returns how many files there are, and their size."""
    count = "1 file" if len(files) == 1 else f"{len(files)} files"
    return f"{count}, {size_text(size_of(files))}"


def _of_them(names: tuple[str, ...]) -> str:
    return "1 of them is" if len(names) == 1 else f"{len(names)} of them are"


def encoded(text: str) -> bytes:
    """Returns what a file of this text holds."""
    return text.encode("utf-8", "surrogatepass")


def size_of(files: Files) -> int:
    """Returns the bytes of all files."""
    return sum(len(encoded(text)) for text in files.values())


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
        Binding("a", "all", "all", tooltip="All formats, or none"),
        Binding("t", "destination", "where to", tooltip="Change the directory"),
        Binding("y", "copy", "copy path", tooltip="Copy the path of what was written"),
        Binding("c", "command", "command", show=False, tooltip="Copy the command that does this"),
        Binding("question_mark,f1", "app.help", "help", tooltip="Keys of this dialog"),
        Binding("escape", "leave", "close", tooltip="Close without writing"),
    ]

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.run = run
        self.chosen = {"html", "md", PICTURES}
        self.written: list[Path] = []
        self._exporter = Exporter(RunDir(run))
        self._linked = True  # the run's own directory has tables

    def compose(self) -> ComposeResult:
        """Lays out formats, destination and what would be written."""
        with Vertical(id="export", classes="dialog") as frame:
            yield ExportTable(COLUMNS, self._cells, id="formats")
            with Horizontal(id="to-line"):
                yield Static("to")
                yield Input(value=plain(str(self.run.absolute())), id="to")
            with VerticalScroll(id="result", can_focus=False):
                yield FigureText(id="written")
            yield Button("Write (Enter)", id="write", variant="primary", compact=True)
            yield Static(
                "space choose · a all · t where to · c command · esc close", id="export-keys"
            )
        frame.border_title = inert(f"export · {self.run.name}")

    def on_mount(self) -> None:
        """Shows the formats."""
        self.query_one("#formats", ExportTable).show_rows([*CHOICES])
        self._look()

    def _cells(self, name: str) -> list[str]:
        size = self._exporter.size(name, PICTURES in self.chosen, self._linked)
        text = size_text(size) if size is not None else "" if name == PICTURES else "…"
        return [f"{'☑' if name in self.chosen else '☐'} {name}", CHOICES[name], text]

    @property
    def shown_run(self) -> Path:
        """The run directory that is exported."""
        return self.run

    @property
    def formats(self) -> list[str]:
        """The chosen formats, in the order of the list."""
        return [name for name in FORMATS if name in self.chosen]

    @on(Input.Changed, "#to")
    @work(exclusive=True)
    async def _look(self) -> None:
        """Says what would be written, then makes every format, so that its size is known."""
        preview = await self._preview()
        if preview is None:
            return
        self._say(preview.summary)
        for name in FORMATS:
            with suppress(TuiprobeError):  # what would be written says so
                await asyncio.to_thread(
                    self._exporter.make, name, PICTURES in self.chosen, self._linked
                )
            self.query_one("#formats").refresh()

    async def _preview(self) -> ExportPreview | None:
        """Makes the chosen files and looks what is there; says why if that is not possible."""
        if not self.formats:
            self._say("No format is chosen: space chooses the one under the cursor.")
            return None
        self._say("looking what is there…")
        to = Path(self.query_one("#to", Input).value).expanduser()
        pictures = PICTURES in self.chosen
        try:
            preview = await asyncio.to_thread(self._exporter.preview, self.formats, pictures, to)
        except (TuiprobeError, OSError, ValueError) as error:
            self._fail(error)
            return None
        self._linked = preview.linked
        return preview

    def action_pick(self) -> None:
        """Selects or deselects what is under the cursor."""
        name = self.query_one("#formats", ExportTable).current
        if name is not None:
            self._choose(self.chosen ^ {name})

    def action_all(self) -> None:
        """Chooses all formats, or none where all are chosen."""
        everything = set(CHOICES)
        self._choose(set() if self.chosen == everything else everything)

    def _choose(self, chosen: set[str]) -> None:
        self.chosen = chosen
        self.query_one("#formats").refresh()
        self._look()

    def action_destination(self) -> None:
        """Puts the cursor into the destination."""
        self.query_one("#to", Input).focus()

    def action_leave(self) -> None:
        """Leaves the destination, or closes the dialog."""
        if self.query_one("#to", Input).has_focus:
            self.query_one("#formats").focus()
        else:
            self.workers.cancel_node(self)
            self.dismiss()

    @on(RowTable.Chosen, "#formats")
    @on(Button.Pressed, "#write")
    @on(Input.Submitted, "#to")
    @work(exclusive=True)
    async def _write(self) -> None:
        """Writes; asks first where a file with other content would be replaced."""
        preview = await self._preview()
        if preview is None:
            return
        if preview.replaced:
            count = len(preview.replaced)
            question = f"replace {'1 file' if count == 1 else f'{count} files'}?"
            lines = [f"there with other content in {preview.to}:", *preview.replaced]
            if not await self.app.push_screen_wait(ConfirmScreen(question, lines, "Replace")):
                self._look()
                return
        self._say("writing…")
        try:
            self.written = await asyncio.to_thread(
                write_files, preview.files, self._exporter.run, preview.to
            )
        except (TuiprobeError, OSError, ValueError) as error:
            self._fail(error)
            return
        self.query_one("#formats").focus()
        self._say(
            f"✓ written: {files_text(preview.files)}; y copies the path again",
            *map(str, self.written),
        )
        self.action_copy()

    def _fail(self, error: Exception) -> None:
        self._say(f"✗ {error}", "t changes the directory")

    def _say(self, *lines: str) -> None:
        self.query_one("#written", FigureText).show(inert_lines(lines))

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
