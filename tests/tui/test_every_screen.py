"""Every screen: terms for whatever has the focus, and keys after any size of the window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.screen import Screen

from tests.tui.asked import answered
from tests.tui.conftest import until
from tests.tui.finished import write_run
from tests.tui.live_run import live_run
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.screens.base import ProbeScreen
from tuiprobe.tui.screens.compare import CompareScreen
from tuiprobe.tui.screens.export import ExportScreen
from tuiprobe.tui.screens.help import HelpScreen, explained_at
from tuiprobe.tui.screens.live import LiveScreen
from tuiprobe.tui.screens.models import ModelsScreen
from tuiprobe.tui.screens.picker import PickerScreen
from tuiprobe.tui.screens.results import ResultsScreen
from tuiprobe.tui.screens.runs import RunsScreen
from tuiprobe.tui.screens.setup import SetupScreen
from tuiprobe.tui.widgets.keyline import KeyLine

pytestmark = pytest.mark.slow

SCREENS: dict[str, Callable[[Path], Screen]] = {
    "models": lambda runs: ModelsScreen(),
    "setup": lambda runs: SetupScreen(["mini_clip"]),
    "live": lambda runs: LiveScreen(live_run(runs / "live")),
    "runs": lambda runs: RunsScreen(runs),
    "compare": lambda runs: CompareScreen([runs / "a", runs / "b"]),
    "export": lambda runs: ExportScreen(runs / "a"),
    "results": lambda runs: ResultsScreen(runs / "a"),
    "picker": lambda runs: PickerScreen(runs),
}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Returns a folder with two finished runs."""
    for name in ("a", "b"):
        write_run(tmp_path / "runs" / name)
    return tmp_path / "runs"


def unexplained(screen: Screen) -> list[str]:
    """Returns the widgets that may have the focus and offer no term."""
    lost = []
    for widget in screen.focus_chain:
        screen.set_focus(widget)
        if not explained_at(screen):
            lost.append(str(widget))
    return lost


@pytest.mark.asyncio
@pytest.mark.parametrize("name", SCREENS)
async def test_a_screen_stays_usable_in_any_window(
    name: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(monkeypatch)
    app = TuiprobeApp(runs=runs)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = SCREENS[name](runs)
        app.push_screen(screen)
        await until(pilot, lambda: app.screen is screen and screen.focused is not None)
        await pilot.pause(0.2)
        before = screen.focused
        for size in ((59, 40), (1, 1), (20, 5), (120, 14)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert screen.focused is before, size
        for size in ((60, 15), (80, 24), (120, 40)):
            await pilot.resize_terminal(*size)
            lines = screen.query(KeyLine)
            await until(pilot, lambda: all("help" in line.render_line(0).text for line in lines))  # noqa: B023
            for line in lines:
                text = line.render_line(0).text
                assert text.count("help") == 1
                assert len(text) == line.size.width
            assert screen.query(KeyLine) or not isinstance(screen, ProbeScreen)
        assert unexplained(screen) == []
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))


@pytest.mark.asyncio
async def test_every_tab_of_the_results_has_terms(runs: Path) -> None:
    app = TuiprobeApp(open_run=runs / "a")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.tab)
        seen = {}
        while (tab := app.screen.tab) is not None and tab.id not in seen:
            await pilot.pause()
            seen[tab.id] = unexplained(app.screen)
            app.screen.action_next_tab(1)
            await until(pilot, lambda old=tab: app.screen.tab is not old)  # type: ignore[misc]
        assert len(seen) > 5
        assert {id: lost for id, lost in seen.items() if lost} == {}
