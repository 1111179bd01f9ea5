"""Results: what a run found, in tabs; every row leads to the evidence behind it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widgets import ContentSwitcher, Tab, Tabs

from tuiprobe.choose.labelling.report_part import labels_state
from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.listing import command_of_run
from tuiprobe.measure.run.view import RunView
from tuiprobe.plaintext import plain
from tuiprobe.results import Part, Report
from tuiprobe.show.tui.child import Engine
from tuiprobe.show.tui.keys import KEYS, MAX_TABS
from tuiprobe.show.tui.progress import sign
from tuiprobe.show.tui.screens.base import ProbeScreen
from tuiprobe.show.tui.tabs.overview import BlockView, OverviewTab
from tuiprobe.show.tui.tabs.section import SectionTab, SubjectPanel, SubjectTable
from tuiprobe.show.tui.tabs.tab import ResultTab, RunResults
from tuiprobe.show.tui.widgets.forest import Forest
from tuiprobe.show.tui.widgets.pictures import PictureGrid
from tuiprobe.show.tui.widgets.rows import RowTable
from tuiprobe.show.tui.widgets.textplot import ChartView
from tuiprobe.show.tui.worker import read_report

ResultTabs = dict[str, Callable[[], ResultTab]]
"""What lays out each part, by its name."""


def parts_by_tab(report: Report) -> dict[str, list[Part]]:
    """Returns the parts of a report with content by tab: what to expect, why, and how sure.

    The first sections that name a tab have it to themselves.
    """
    tabs: dict[str, list[Part]] = {"yours": [], "shifts": []}
    checks: list[Part] = []
    room = MAX_TABS - len(("overview", "yours", "shifts", "inside", "checks"))
    for part in report.parts:
        if part.section is None:
            continue
        if part.block == "inside":
            own = part.section.tab if room else None
            room -= own is not None
            tabs.setdefault(own or "inside", []).append(part)
        elif part.block in ("your images", "shifts"):
            tabs["shifts" if part.block == "shifts" else "yours"].append(part)
        else:
            checks.append(part)
    return {name: parts for name, parts in {**tabs, "checks": checks}.items() if parts}


def tabs_of(results: RunResults) -> ResultTabs:
    """Returns the tabs of a run in order, the overview first."""
    tabs: ResultTabs = {"overview": partial(OverviewTab, results)}
    for name, parts in parts_by_tab(results.report).items():
        tabs[name] = partial(SectionTab, results, [p.section for p in parts if p.section])
    return tabs


class ResultsScreen(ProbeScreen):
    """What a run found: numbers and tab show its parts, Enter the evidence behind a row.

    Args:
        run: The run directory.
        first: The part to begin with; the overview where there is none of this name.
    """

    HEADING = "Results"
    reading = True
    BINDINGS: ClassVar[list[BindingType]] = KEYS["results"]

    def __init__(self, run: Path, first: str = "") -> None:
        super().__init__()
        self.run, self._first = run, first
        self.results: RunResults | None = None
        self.view: RunView | None = None
        self._labels: tuple[object, ...] = ()
        self._tabs: ResultTabs = {}

    def compose_body(self) -> ComposeResult:
        """Lays out the place for the tabs, which appear when the results are read."""
        yield Container(id="body")

    def on_mount(self) -> None:
        """Starts reading in a thread, so that a slow disk does not block the screen."""
        running = self.app.has_running_engine(self.run)

        def load() -> tuple[RunResults, ResultTabs]:
            self.view = RunView.read(RunDir(self.run), alive=running)
            run = RunDir(self.run)
            self._labels = labels_state(run)
            results = RunResults(run, read_report(run, results=()))  # without what no tab shows
            return results, tabs_of(results)

        self.app.read(self, load, self._arrived)

    def on_screen_resume(self) -> None:
        """Opens the results again where labels were given or taken back meanwhile."""
        with suppress(OSError):  # deleted meanwhile: what was read stays
            changed = self.tab is not None and labels_state(RunDir(self.run)) != self._labels
            if changed and self.is_current:
                self.app.switch_screen(ResultsScreen(self.run, self.query_one(Tabs).active))

    async def _arrived(self, results: tuple[RunResults, ResultTabs] | TuiprobeError) -> None:
        if isinstance(results, TuiprobeError):
            self.finish_reading(str(results))
            return
        self.results, self._tabs = results
        first = self._first if self._first in self._tabs else None
        bar = Tabs(*(Tab(name, id=name) for name in self._tabs), active=first)
        bar.can_focus = False
        await self.query_one("#body").mount_all([bar, ContentSwitcher()])
        if self.alive:  # else left meanwhile
            self.on_resize()

    def on_resize(self) -> None:
        """Names all tabs, or, where there is no room, the one that is shown beside numbers."""
        names = [f"{number} {name}" for number, name in enumerate(self._tabs, 1)]
        roomy = sum(len(name) + 1 for name in names) - 1 <= self.app.size.width
        for bar in self.query(Tabs):
            for number, tab in enumerate(bar.query(Tab)):
                shown = roomy or tab.id == bar.active
                tab.label = names[number] if shown else f"{number + 1}…"

    @on(Tabs.TabActivated)
    async def _activated(self, event: Tabs.TabActivated) -> None:
        """Shows a part; it is laid out when it is first shown."""
        name, switchers = event.tab.id or "", self.query(ContentSwitcher)
        if not switchers or not self.alive:  # left meanwhile
            return
        switcher = switchers.first()
        if not switcher.query(f"#tab-{name}"):
            part = self._tabs[name]()
            part.id = f"tab-{name}"
            await switcher.mount(part)
        if self.alive:
            switcher.current = f"tab-{name}"
            self.on_resize()
            self._focus()
            if self.reading:  # the first part gets its size, and folds for it, behind "reading…"
                self.call_after_refresh(self.call_after_refresh, self._uncover)

    def _uncover(self) -> None:
        """Shows the first part once it is laid out."""
        if self.alive and self.results is not None:
            state = ""
            if self.view is not None and self.view.state != "done":
                hint = ", r resumes" if self.view.resumable else ""
                state = f"{sign(self.view)} {self.view.words}{hint} · "
            self.title_line.show(state + self.results.about, [self.results.spec])
            self.finish_reading()
            self.on_screen_resume()  # a label may have come while it was read

    @property
    def shown_run(self) -> Path:
        """The run directory that is shown."""
        return self.run

    @property
    def tab(self) -> ResultTab | None:
        """The part that is shown."""
        switcher = next(iter(self.query(ContentSwitcher)), None)
        current = switcher.visible_content if switcher is not None else None
        return current if isinstance(current, ResultTab) else None

    def _focus(self) -> None:
        first = self.tab.first() if self.tab is not None else None
        self.set_focus(first)
        self.refresh_bindings()

    def show_tab(self, name: str) -> None:
        """Shows a part by its name; nothing where there is none."""
        if name in self._tabs and self.query(Tabs):
            self.query_one(Tabs).active = name

    @on(BlockView.Opened)
    def _block_opened(self, event: BlockView.Opened) -> None:
        """Shows the part that holds the evidence behind a block."""
        assert self.results is not None
        tabs = parts_by_tab(self.results.report)
        self.show_tab(
            next((tab for tab in tabs if event.block in (p.block for p in tabs[tab])), "checks")
        )

    def action_pictures(self, data: str = "", words: str = "") -> None:
        """Opens the pictures of a set: wrong ones, least sure, each class.

        Args:
            data: The set; empty for the first.
            words: The class to begin with.
        """
        from tuiprobe.show.tui.screens.pictures import PicturesScreen

        self.app.push_screen(PicturesScreen([self.run], data=data, words=words))

    @on(RowTable.Chosen)
    def _row_chosen(self, event: RowTable.Chosen) -> None:
        """Opens the pictures of a set or class, or those of a channel or direction."""
        data, label = event.table.pictures if isinstance(event.table, SubjectTable) else ("", "")
        if isinstance(event.table, Forest) and event.table.current is not None:
            data = event.table.current.data
        if data:
            self.action_pictures(data, label)
        else:
            self._focus_pictures()

    def _focus_pictures(self) -> None:
        """Goes to the pictures beside the rows, which a narrow window shows alone."""
        for panel in self.tab.query(SubjectPanel) if self.tab is not None else ():
            if not panel.display:
                self.add_class("-only-aside")
            self.call_after_refresh(panel.pictures.focus)

    @on(ChartView.Chosen)
    def _point_chosen(self, event: ChartView.Chosen) -> None:
        """Opens the pictures behind a point: of its channel or direction, or of its set."""
        chart, point, tab = event.chart, event.point, self.tab
        if tab is None or self.results is None:
            return
        form = chart.id.rpartition("_")[2]  # of a head there are two
        tables = sorted(tab.query(SubjectTable), key=lambda of: form not in of.section_table.id)
        linked = (table for table in tables if table.section_table.subjects and chart.ticks)
        if any(table.select_row(point.name) for table in linked):
            self._focus_pictures()
            return
        data = self.results.set_of(point.name, point.series, chart.title)
        if data:
            self.action_pictures(data, point.name if chart.ticks and point.name != data else "")
        else:
            self.notify("no pictures are behind this point", timeout=3)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether a key does something in the part that is shown."""
        if action == "maximise":
            return self.tab is not None and bool(self.tab.query(".aside"))
        if action == "resume":
            return self.view is not None and self.view.resumable
        if action == "label":
            stopped = self.view is not None and self.view.resumable
            return "yours" in self._tabs and not stopped
        if action == "part":
            return int(str(parameters[0])) < len(self._tabs) and bool(self.query(Tabs))
        if action == "pictures":
            return "yours" in self._tabs or "shifts" in self._tabs
        if action in ("export", "command", "next_tab"):
            return bool(self.query(Tabs))
        return True

    def action_next_tab(self, by: int) -> None:
        """Shows the next part."""
        names = list(self._tabs)
        self.show_tab(names[(names.index(self.query_one(Tabs).active) + by) % len(names)])

    def action_part(self, index: int) -> None:
        """Shows a part by its number."""
        self.show_tab(list(self._tabs)[index])

    async def action_leave(self) -> None:
        """Leaves the pictures or the filter; then shows both halves again; then goes back."""
        tab = self.tab
        if tab is not None and tab.clear_filter():
            return
        if self.has_class("-only-aside") or self.has_class("-only-main"):
            self.remove_class("-only-aside", "-only-main")
            self._focus()
        elif isinstance(self.focused, PictureGrid) and tab is not None and tab.first() is not None:
            self._focus()
        else:
            await self.app.run_action("back")

    def action_maximise(self) -> None:
        """Gives the window to the pictures, then to the table, then to both again."""
        aside, main = self.has_class("-only-aside"), self.has_class("-only-main")
        self.set_class(not aside and not main, "-only-aside")
        self.set_class(aside, "-only-main")

    def action_label(self, tolerated: float | None = None) -> None:
        """Opens the labels of the target set.

        Args:
            tolerated: Share of errors under which pictures are certified, if they are.
        """
        from tuiprobe.show.tui.screens.label import LabelScreen

        self.app.push_screen(LabelScreen([self.run], tolerated=tolerated))

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
        from tuiprobe.show.tui.screens.live import LiveScreen

        def resumed(engine: Engine) -> None:
            if self.is_current:  # it waits until an engine that stops has ended
                self.app.switch_screen(LiveScreen(self.run, engine))

        self.app.resume(self.run, resumed)

    def action_export(self) -> None:
        """Opens the choice of formats."""
        from tuiprobe.show.tui.screens.export import ExportScreen

        self.app.push_screen(ExportScreen(self.run))
