"""Results, runs, comparison and export as pictures: sizes, themes and without colour.

`pytest tests/tui/test_results_snapshots.py --snapshot-update` renews them after a wanted change.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.report.samples import estimate, outliers, report
from tests.tui.conftest import until
from tests.tui.finished import bare_report, full_report, write_run
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.screens.compare import CompareScreen, CompareTable
from tuiprobe.tui.screens.export import ExportScreen
from tuiprobe.tui.screens.results import ResultsScreen
from tuiprobe.tui.screens.runs import RunsScreen, RunTable
from tuiprobe.tui.widgets.pictures import PictureGrid

pytestmark = pytest.mark.slow

Act = Callable[[Pilot[None]], object]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the working directory: relative paths are the same on every machine."""
    monkeypatch.chdir(tmp_path)
    return Path("run")


def results(*keys: str, light: bool = False) -> Act:
    async def act(pilot: Pilot[None]) -> None:
        app = pilot.app
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.tab)
        if light:
            app.action_switch_theme()  # type: ignore[attr-defined]
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        tab = getattr(app.screen, "tab", app.screen)
        await until(pilot, lambda: all(grid.shown for grid in tab.query(PictureGrid)))
        await pilot.pause()

    return act


CASES = {
    "overview": ((120, 40), results()),
    "overview_small": ((80, 24), results()),
    "outliers": ((120, 40), results("tab")),
    "outliers_small": ((60, 20), results("tab")),
    "outliers_light": ((80, 24), results("tab", light=True)),
    "directions": ((120, 40), results("tab", "tab")),
    "directions_small": ((80, 24), results("tab", "tab")),
    "concepts_wide": ((200, 50), results("tab", "tab", "tab")),
    "concepts_small": ((60, 20), results("tab", "tab", "tab")),
    "robustness_light": ((120, 40), results(*["tab"] * 4, light=True)),
    "evidence": ((120, 40), results("tab", "enter")),
}


@pytest.mark.parametrize("name", CASES)
def test_results(snap_compare, place: Path, name: str) -> None:
    size, act = CASES[name]
    write_run(place, full_report(), pictures=False)
    app = TuiprobeApp(open_run=place)
    assert snap_compare(app, terminal_size=size, run_before=act)


def test_without_colour(snap_compare, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    write_run(place, full_report(), pictures=False)
    app = TuiprobeApp(open_run=place)
    assert snap_compare(app, terminal_size=(120, 40), run_before=results("tab", "tab"))


def test_in_ascii(snap_compare, place: Path) -> None:
    write_run(place, full_report(), pictures=False)
    app = TuiprobeApp(open_run=place, ascii=True)
    act = results(*["tab"] * 4)
    assert snap_compare(app, terminal_size=(80, 24), run_before=act)


def test_what_was_not_run(snap_compare, place: Path) -> None:
    write_run(place, bare_report(), pictures=False)
    app = TuiprobeApp(open_run=place)
    assert snap_compare(app, terminal_size=(80, 24), run_before=results("tab", "tab", "tab"))


def two_runs(root: Path) -> list[Path]:
    weak = report(outliers=(outliers(kurtosis=estimate(4.0, 0.2)),))
    return [write_run(root / "strong", pictures=False), write_run(root / "weak", weak, False)]


def test_runs(snap_compare, place: Path) -> None:
    two_runs(place)
    app = TuiprobeApp(runs=place)

    async def act(pilot: Pilot[None]) -> None:
        app.push_screen(RunsScreen(place))
        await until(pilot, lambda: app.screen.query(RunTable) and app.screen.table.rows)
        await pilot.press("s", "space")
        await pilot.pause()

    assert snap_compare(app, terminal_size=(80, 24), run_before=act)


def test_compare(snap_compare, place: Path) -> None:
    runs = two_runs(place)
    app = TuiprobeApp(runs=place)

    async def act(pilot: Pilot[None]) -> None:
        app.push_screen(CompareScreen(runs))
        await until(pilot, lambda: app.screen.query(CompareTable) and app.screen.table.rows)
        await pilot.pause()

    assert snap_compare(app, terminal_size=(120, 40), run_before=act)


def test_export(snap_compare, place: Path) -> None:
    write_run(place, pictures=False)
    app = TuiprobeApp(runs=place)

    async def act(pilot: Pilot[None]) -> None:
        app.push_screen(ExportScreen(place))
        await until(pilot, lambda: app.screen.query("#to"))
        app.screen.query_one("#to").value = "reports"
        await pilot.pause()

    assert snap_compare(app, terminal_size=(80, 24), run_before=act)
