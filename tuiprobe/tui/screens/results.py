"""Results: what a run found, in tabs; every row leads to the evidence behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import ContentSwitcher, Static

from tuiprobe.errors import TuiprobeError
from tuiprobe.plaintext import plain
from tuiprobe.run.directory import RunDir
from tuiprobe.run.listing import command_of_run
from tuiprobe.run.locks import held_locks
from tuiprobe.run.state import RunState, run_state
from tuiprobe.tui.figures import headed
from tuiprobe.tui.progress import sign
from tuiprobe.tui.screens.base import ProbeScreen
from tuiprobe.tui.tabs.bar import NUMBERED, PartBar, PartName
from tuiprobe.tui.tabs.evidence_of import EvidenceSubject
from tuiprobe.tui.tabs.overview import BlockView
from tuiprobe.tui.tabs.section import SectionTab
from tuiprobe.tui.tabs.tab import ResultTab, ShownRun
from tuiprobe.tui.text import inert_lines
from tuiprobe.tui.widgets.pictures import PictureGrid
from tuiprobe.tui.widgets.rows import RowTable

_TABBED = {
    "ablate", "data", "layer", "basis", "filter", "sort", "threshold", "copy", "maximise",
}  # fmt: skip


class ResultsScreen(ProbeScreen):
    """What a run found: numbers and tab show its parts, Enter the evidence behind a row.

    Args:
        run: The run directory.
    """

    PLACE = "Results"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "next_tab(1)", "next", priority=True, tooltip="Next part"),
        Binding(
            "shift+tab", "next_tab(-1)", "previous part", show=False, priority=True,
            tooltip="Previous part",
        ),
        Binding("1", "part(0)", "part", show=False, key_display="1-9", tooltip="Part by number"),
        *(Binding(str(i + 1), f"part({i})", "part", show=False) for i in range(1, NUMBERED)),
        Binding("a", "ablate", "ablate", tooltip="Accuracy without this channel or direction"),
        Binding("slash", "filter", "filter", key_display="/", tooltip="Filter as you type"),
        Binding("s", "sort", "sort", tooltip="Sort by the next column; a click on a heading too"),
        Binding("t", "threshold", "threshold", tooltip="Only above a higher average precision"),
        Binding("b", "label", "label", tooltip="Label a few of your pictures: how many are right"),
        Binding("B", "basis", "basis", tooltip="W, or W minus its mean row"),
        Binding("d", "data", "data", tooltip="Next set of images, or next baseline"),
        Binding("left", "layer(-1)", "layer", show=False, priority=True, tooltip="Previous layer"),
        Binding("right", "layer(1)", "layer", show=False, priority=True, tooltip="Next layer"),
        Binding("r", "resume", "resume", tooltip="Measure the images that are missing"),
        Binding("p", "pictures", "pictures", tooltip="Put the cursor on the pictures, and back"),
        Binding("e", "export", "export", tooltip="Write reports in formats of your choice"),
        Binding("m", "maximise", "maximise", tooltip="One half alone, then the other"),
        Binding("y", "copy", "copy", show=False, tooltip="Copy this row"),
        Binding("c", "command", "command", show=False, tooltip="Copy the command of this run"),
        Binding("escape", "leave", "back", tooltip="Back to where you came from"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    ResultsScreen ContentSwitcher { height: 1fr; }
    ResultsScreen #reading { padding: 1 2; }
    """

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.run = run
        self.found: ShownRun | None = None
        self.state: RunState | None = None
        self._bar: PartBar | None = None

    def compose_body(self) -> ComposeResult:
        """Lays out the place for the tabs, which appear when the results are read."""
        with Container(id="body"):
            yield Static("reading results…", id="reading", markup=False)

    def on_mount(self) -> None:
        """Starts reading in a thread, so that a slow disk does not block the screen."""
        works = self.app.works_on
        threading.Thread(target=self._read, args=(works,), daemon=True, name="results").start()

    def _read(self, works: Callable[[Path], bool]) -> None:
        from tuiprobe.report import read_report

        try:
            found: ShownRun | str = ShownRun.of(RunDir(self.run), read_report(RunDir(self.run)))
        except TuiprobeError as error:
            found = str(error)
        self.state = run_state(RunDir(self.run), held_locks(), alive=works(self.run))
        if self.is_running:
            self.app.call_later(self._arrived, found)

    async def _arrived(self, found: ShownRun | str) -> None:
        if not self.alive:
            return
        reading = self.query_one("#reading", Static)
        if isinstance(found, str):
            reading.update(inert_lines([found, "", "esc goes back"]))
            return
        self.found = found
        self._title()
        parts = _parts(found)
        bar = PartBar([_named(probe, found) for probe in parts])
        for probe, part in parts.items():
            part.id = f"part-{probe}"
        names = [part.id or "" for part in parts.values()]
        await reading.remove()
        switcher = ContentSwitcher(*parts.values(), initial=names[0])
        await self.query_one("#body").mount_all([bar, switcher])
        self._bar = bar
        self._focus()

    def on_resize(self) -> None:
        """Fits the title to the new width."""
        self._title()

    def _title(self) -> None:
        if self.found is not None:
            about = headed(
                self._how_it_stands() + self.found.about, self.found.warning,
                self.found.short_warning,
            )  # fmt: skip
            self.query_one("#place", Static).update(about(self.size.width - 2))

    def _how_it_stands(self) -> str:
        """Returns what the title says of a run that is not done."""
        if self.state is None or self.state.kind == "done":
            return ""
        hint = ", r resumes" if self.state.resumable else ""
        return f"{sign(self.state)} {self.state.words}{hint} · "

    @property
    def shown_run(self) -> Path:
        """The run directory that is shown."""
        return self.run

    @property
    def tab(self) -> ResultTab | None:
        """The part that is shown."""
        if self._bar is None:
            return None
        current = self.query_one(ContentSwitcher).visible_content
        return current if isinstance(current, ResultTab) else None

    def _focus(self) -> None:
        tab = self.tab
        first = tab.first() if tab is not None else None
        if first is not None:
            first.focus()
        else:
            self.set_focus(None)
        self.refresh_bindings()

    @on(PartBar.Changed)
    def _part_changed(self, event: PartBar.Changed) -> None:
        """Shows a part; a click or a key chose it."""
        self.query_one(ContentSwitcher).current = f"part-{event.id}"
        self._focus()

    @on(BlockView.Opened)
    def _block_opened(self, event: BlockView.Opened) -> None:
        """Shows the tab of the first probe of a block that has a result."""
        if self._bar is None or self.found is None:
            return
        ran = [one.probe for one in self.found.report.parts if one.section is not None]
        for probe in sorted(event.probes, key=lambda one: one not in ran):
            self._bar.active = probe
            return

    @on(RowTable.Chosen)
    def _row_chosen(self) -> None:
        self._open(ablate=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether a key does something in the part that is shown."""
        if action in _TABBED:
            tab = self.tab
            return tab is not None and tab.first() is not None and action in tab.ANSWERS
        if action == "resume":
            return self.state is not None and self.state.resumable
        if action == "label":
            part = self.found.report.part_of("targets") if self.found is not None else None
            return part is not None and part.section is not None
        if action == "part":
            return self._bar is not None and int(str(parameters[0])) < len(self._bar.names)
        if action == "pictures":
            return bool(self._grids())
        if action in ("export", "command", "next_tab"):
            return self._bar is not None
        return True

    def _call(self, name: str, *arguments: Any) -> Any:
        method = getattr(self.tab, name, None)
        return method(*arguments) if method is not None else None

    def action_next_tab(self, by: int) -> None:
        """Shows the next part."""
        if self._bar is not None:
            self._bar.step(by)

    def action_part(self, index: int) -> None:
        """Shows a part by its number."""
        if self._bar is not None:
            self._bar.go(index)

    def _grids(self) -> list[PictureGrid]:
        """Returns the pictures of the part that is shown, as far as they are visible."""
        found = self.tab.query(PictureGrid) if self.tab is not None else ()
        return [one for one in found if one.pictures and one.size.area]

    def action_pictures(self) -> None:
        """Puts the cursor on the next pictures; after the last of them, back to the table."""
        grids = self._grids()
        at = next((i for i, one in enumerate(grids) if one.has_focus), -1)
        if at + 1 < len(grids):
            grids[at + 1].focus()
        else:
            self._focus()

    def action_leave(self) -> None:
        """Leaves the pictures; then shows both halves again; then goes back."""
        if any(one.has_focus for one in self._grids()):
            self._focus()
        elif self.has_class("-only-aside") or self.has_class("-only-main"):
            self.remove_class("-only-aside", "-only-main")
        else:
            self.run_worker(self.app.run_action("back"))

    def action_maximise(self) -> None:
        """Gives the window to the evidence, then to the table, then to both again."""
        aside, main = self.has_class("-only-aside"), self.has_class("-only-main")
        self.set_class(not aside and not main, "-only-aside")
        self.set_class(aside, "-only-main")

    def action_filter(self) -> None:
        """Puts the cursor into the filter."""
        self._call("start_filter")

    def action_sort(self) -> None:
        """Sorts by the next column."""
        self._call("switch_sort")

    def action_threshold(self) -> None:
        """Shows what passes the next threshold."""
        self._call("switch_threshold")

    def action_basis(self) -> None:
        """Shows the other basis."""
        self._call("switch_basis")

    def action_label(self) -> None:
        """Opens the labels of the target set."""
        from tuiprobe.tui.screens.label import LabelScreen

        self.app.push_screen(LabelScreen([self.run]))

    def action_data(self) -> None:
        """Shows the next set."""
        self._call("switch_data")

    def action_layer(self, by: int) -> None:
        """Shows the next layer."""
        self._call("switch_layer", by)

    def action_ablate(self) -> None:
        """Opens the evidence of the row and ablates it."""
        self._open(ablate=True)

    def _open(self, ablate: bool) -> None:
        subject: EvidenceSubject | None = self._call("subject")
        if subject is None or self.found is None:
            return
        from tuiprobe.tui.screens.evidence import EvidenceScreen

        self.app.push_screen(EvidenceScreen(self.found, subject, ablate=ablate))

    def action_copy(self) -> None:
        """Copies the row under the cursor."""
        row = self._call("copied")
        if row:
            self.app.copy(plain(row), "row")

    def action_command(self) -> None:
        """Copies the command line that does what this run did."""
        try:
            command = command_of_run(RunDir(self.run))
        except TuiprobeError as error:
            cause = f"no command repeats this run: {plain(str(error))}"
            self.app.fail(cause)
            return
        self.app.copy(command, "command")

    def action_resume(self) -> None:
        """Starts the engine of a run that was stopped and goes to its live screen."""
        engine = self.app.resume(self.run)
        if engine is not None:
            from tuiprobe.tui.screens.live import LiveScreen

            self.app.switch_screen(LiveScreen(self.run, engine))

    def action_export(self) -> None:
        """Opens the choice of formats."""
        from tuiprobe.tui.screens.export import ExportScreen

        self.app.push_screen(ExportScreen(self.run))


OWN_TABS = {
    "overview": "tuiprobe.tui.tabs.overview:OverviewTab",
    "outliers": "tuiprobe.tui.tabs.outliers:OutliersTab",
    "directions": "tuiprobe.tui.tabs.directions:DirectionsTab",
    "concepts": "tuiprobe.tui.tabs.concepts:ConceptsTab",
    "images": "tuiprobe.tui.tabs.images:ImagesTab",
}
"""Tabs with a file of their own, in the order in which they come first."""

_TITLES = {"outliers": "channels"}
"""Titles of parts that are not the name of their probe."""


def _parts(found: ShownRun) -> dict[str, ResultTab]:
    """Returns the parts by probe: those with a tab of their own, other results, then the rest."""
    own = {name: _own_tab(where)(found) for name, where in OWN_TABS.items()}
    others = [part for part in found.report.parts if part.probe not in OWN_TABS]
    others.sort(key=lambda part: part.section is None)
    return own | {part.probe: SectionTab(found, part) for part in others}


def _named(probe: str, found: ShownRun) -> PartName:
    part = found.report.part_of(probe)
    title = _TITLES.get(probe, probe.replace("_", " "))
    return PartName(probe, title, empty=part is not None and part.section is None)


def _own_tab(where: str) -> type[ResultTab]:
    module, _, name = where.partition(":")
    found: type[ResultTab] = getattr(import_module(module), name)
    return found
