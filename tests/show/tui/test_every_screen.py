"""Every screen: terms for whatever has the focus, and keys after any size of the window."""

import asyncio
import gc
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.color import Color
from textual.screen import Screen
from textual.strip import Strip

from tests.show.tui.child_answers import answered
from tests.show.tui.conftest import accented, contrast, drawn, faint, press_to, unexplained, until
from tests.show.tui.live_run import live_run
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.screens.base import ProbeScreen
from tuiprobe.show.tui.screens.compare import CompareScreen
from tuiprobe.show.tui.screens.dialogs import HelpScreen
from tuiprobe.show.tui.screens.export import ExportScreen
from tuiprobe.show.tui.screens.label import LabelScreen
from tuiprobe.show.tui.screens.live import LiveScreen
from tuiprobe.show.tui.screens.models import ModelsScreen
from tuiprobe.show.tui.screens.pictures import PicturesScreen
from tuiprobe.show.tui.screens.results import ResultsScreen
from tuiprobe.show.tui.screens.runs import RunsScreen
from tuiprobe.show.tui.screens.setup import SetupScreen
from tuiprobe.show.tui.widgets.keyline import KeyLine

pytestmark = pytest.mark.slow

SCREENS: dict[str, Callable[[Path], Screen]] = {
    "models": lambda runs: ModelsScreen(),
    "setup": lambda runs: SetupScreen(["mini_clip"]),
    "live": lambda runs: LiveScreen(live_run(runs / "live")),
    "runs": lambda runs: RunsScreen(runs),
    "compare": lambda runs: CompareScreen([runs / "a", runs / "b"]),
    "export": lambda runs: ExportScreen(runs / "a"),
    "label": lambda runs: LabelScreen([runs / "a", runs / "b"]),
    "pictures": lambda runs: PicturesScreen([runs / "a"]),
    "results": lambda runs: ResultsScreen(runs / "a"),
}


@pytest.fixture
def runs(finished: Path, tmp_path: Path) -> Path:
    """Returns a folder with two finished runs."""
    for name in ("a", "b"):
        shutil.copytree(finished, tmp_path / "runs" / name)
    return tmp_path / "runs"


@pytest.mark.asyncio
@pytest.mark.parametrize("name", SCREENS)
async def test_a_screen_may_be_left_at_any_time(name, runs, monkeypatch):
    answered(monkeypatch)
    app = TuiprobeApp(runs=runs)
    async with app.run_test(size=(120, 40)) as pilot:
        below = app.screen
        for rounds in (*range(0, 60, 3), *range(60, 600, 30)):
            app.push_screen(SCREENS[name](runs))
            for _ in range(rounds):
                await asyncio.sleep(0)
            app.pop_screen()
        await until(pilot, lambda: app.screen is below)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", SCREENS)
async def test_a_screen_stays_usable_in_any_window(name, runs, monkeypatch):
    answered(monkeypatch)
    app = TuiprobeApp(runs=runs)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = SCREENS[name](runs)
        app.push_screen(screen)
        await until(pilot, lambda: app.screen is screen and screen.focused is not None)
        before = screen.focused
        for size in ((59, 40), (1, 1), (20, 5), (120, 14)):
            await pilot.resize_terminal(*size)
            if isinstance(screen, ProbeScreen) and size[0] > 1:
                await until(pilot, lambda: "the window" in drawn(app))
            await pilot.pause()
            assert screen.focused is before, size
        for size in ((60, 15), (120, 40)):
            await pilot.resize_terminal(*size)
            lines = screen.query(KeyLine)
            await until(pilot, lambda: all("help" in line.render_line(0).text for line in lines))  # noqa: B023
            for line in lines:
                text = line.render_line(0).text
                assert text.count("help") == 1
                assert len(text) == line.size.width
            assert lines or not isinstance(screen, ProbeScreen)
        assert unexplained(screen) == []
        for _ in ("dark", "light") if isinstance(screen, ProbeScreen) else ():
            app.action_switch_theme()
            await until(pilot, lambda: faint(app) == [], 20)
            ends = (app.get_css_variables()[name] for name in ("background", "foreground"))
            assert contrast(*map(Color.parse, ends)) > 7  # WCAG's AAA
            keys = {chip.label for line in lines for chip in line.keys} | set("123456789/nskv")
            assert set(accented(app)) <= keys  # no other word has the colour of keys
        await press_to(pilot, HelpScreen, "f1")


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["runs", "compare", "results"])
async def test_every_theme_of_the_list_draws_tables(name, runs):
    app = TuiprobeApp(runs=runs)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = SCREENS[name](runs)
        app.push_screen(screen)
        await until(pilot, lambda: app.screen is screen and not screen.reading)
        for theme in app.available_themes:  # some name a terminal's colours, which have no RGB
            app.theme = theme
            await pilot.pause()
            assert app.theme_variables["primary"]
            drawn(app)


@pytest.mark.asyncio
async def test_screens_that_are_left_hold_no_lines(runs):
    """Textual keeps the caches of 1,024 widgets, those of scrollbars too."""
    app = TuiprobeApp(runs=runs)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        held = []
        for _ in range(10):
            screen = ResultsScreen(runs / "a")
            app.push_screen(screen)
            await until(pilot, lambda: app.screen is screen and screen.tab)  # noqa: B023
            await pilot.press("tab", "tab")
            await app.run_action("back")
            await until(pilot, lambda: isinstance(app.screen, ModelsScreen))
            gc.collect()
            held.append(sum(isinstance(one, Strip) for one in gc.get_objects()))
        assert held[-1] < held[1] + 100, held
