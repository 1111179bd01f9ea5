"""Results, runs, comparison and export as pictures: sizes, themes and without colour.

`pytest tests/tui/test_results_snapshots.py --snapshot-update` renews them after a wanted change.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot

from tests.report.samples import estimate, outliers, report
from tests.tui.conftest import until
from tests.tui.finished import bare_report, full_report, write_run
from tuiprobe.run.directory import RunDir
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.screens.compare import CompareScreen, ForestTable
from tuiprobe.tui.screens.export import ExportTable
from tuiprobe.tui.screens.results import ResultsScreen
from tuiprobe.tui.screens.runs import RunsScreen, RunTable
from tuiprobe.tui.widgets.pictures import PictureGrid

pytestmark = pytest.mark.slow

Act = Callable[[Pilot[None]], Awaitable[None]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the working directory: relative paths are the same on every machine."""
    monkeypatch.chdir(tmp_path)
    return Path("run")


PARTS = {"2": "outliers", "3": "directions", "4": "concepts", "5": "images", "6": "robustness"}


def drawn(app: App[None], key: str) -> bool:
    """Returns whether the screen is where a key leads, with its pictures."""
    leaves = not isinstance(app.screen, ResultsScreen)
    if key in ("enter", "e") and not leaves:
        return False
    part = app.screen if leaves else app.screen.tab
    if key in PARTS and part.id != f"part-{PARTS[key]}":
        return False
    return all(grid.shown for grid in part.query(PictureGrid))


def results(*keys: str, light: bool = False) -> Act:
    async def act(pilot: Pilot[None]) -> None:
        app = pilot.app
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.tab)
        if light:
            app.action_switch_theme()  # type: ignore[attr-defined]
        for key in keys:
            await pilot.press(key)
            await until(pilot, partial(drawn, app, key))

    return act


CASES = {
    "overview": ((120, 40), results()),
    "overview_small": ((80, 24), results()),
    "outliers": ((120, 40), results("2")),
    "outliers_small": ((60, 20), results("2")),
    "directions": ((120, 40), results("3")),
    "directions_small": ((80, 24), results("3")),
    "concepts_wide": ((200, 50), results("4")),
    "images": ((80, 24), results("5", "p", "right")),
    "robustness_light": ((120, 40), results("6", light=True)),
    "evidence": ((120, 40), results("2", "enter")),
    "enlarged": ((80, 24), results("5", "p", "enter")),
}


PICTURED = ("images", "enlarged")


@pytest.mark.parametrize("name", CASES)
def test_results(snap_compare, place: Path, name: str) -> None:
    size, act = CASES[name]
    write_run(place, full_report(), pictures=name in PICTURED)
    app = TuiprobeApp(open_run=place)
    assert snap_compare(app, terminal_size=size, run_before=act)


def test_without_colour(snap_compare, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    write_run(place, full_report(), pictures=False)
    app = TuiprobeApp(open_run=place)
    assert snap_compare(app, terminal_size=(120, 40), run_before=results("3"))


def test_in_ascii(snap_compare, place: Path) -> None:
    write_run(place, full_report(), pictures=False)
    app = TuiprobeApp(open_run=place, ascii=True)
    act = results("5")
    assert snap_compare(app, terminal_size=(80, 24), run_before=act)


def test_what_was_not_run(snap_compare, place: Path) -> None:
    write_run(place, bare_report(), pictures=False)
    app = TuiprobeApp(open_run=place)
    assert snap_compare(app, terminal_size=(80, 24), run_before=results("4"))


def two_runs(root: Path) -> list[Path]:
    weak = report(outliers=(outliers(kurtosis=estimate(4.0, 0.2)),))
    return [write_run(root / "strong", pictures=False), write_run(root / "weak", weak, False)]


def stopped_and_failed(root: Path) -> None:
    """Writes a run that was killed, and one that failed before its plan."""
    run = RunDir(root / "stopped")
    run.key_file.write_text("0" * 64 + "\n")
    run.spec_file.write_json({"model": "timm:resnet50.a1_in1k", "data": "imagefolder:/data/val"})
    run.plan_file.write_json({"sets": [{"name": "val", "planned": 500, "shards": 5}]})
    for number in range(3):
        run.shard_file("val", number).write_bytes(b"")
    RunDir(root / "failed").log_file.write_text("error: /data/val has no images: name another\n")


def test_runs(snap_compare, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    two_runs(place)
    stopped_and_failed(place)
    for number, file in enumerate(("strong/results.json", "weak/results.json", "stopped/key",
                                   "failed/log.txt")):  # fmt: skip
        os.utime(place / file, (1_700_000_000 - 1000 * number,) * 2)
    app = TuiprobeApp(runs=place)

    async def act(pilot: Pilot[None]) -> None:
        app.push_screen(RunsScreen(place))
        await until(pilot, lambda: app.screen.query(RunTable) and app.screen.table.rows)
        await pilot.press("space", "end")
        await pilot.pause()

    assert snap_compare(app, terminal_size=(80, 24), run_before=act)


def compared(*keys: str, light: bool = False) -> Act:
    async def act(pilot: Pilot[None]) -> None:
        app = pilot.app
        weak = full_report(outliers=(outliers(kurtosis=estimate(4.0, 0.2)),))
        runs = [
            write_run(Path("strong"), full_report(), False),
            write_run(Path("weak"), weak, False),
        ]
        app.push_screen(CompareScreen(runs))
        if light:
            app.action_switch_theme()  # type: ignore[attr-defined]
        await until(pilot, lambda: app.screen.query(ForestTable))
        await until(pilot, lambda: app.screen.query_one(ForestTable).rows)
        for key in keys:
            await pilot.press(key)
        await pilot.pause()

    return act


COMPARED = {
    "compare": ((110, 36), compared(), False),
    "compare_small": ((80, 24), compared("n"), False),
    "compare_light": ((80, 24), compared(light=True), False),
    "compare_ascii": ((60, 20), compared(), True),
    "compare_all": ((110, 36), compared("f"), False),
}


@pytest.mark.parametrize("name", COMPARED)
def test_compare(snap_compare, place: Path, name: str) -> None:
    size, act, ascii = COMPARED[name]
    app = TuiprobeApp(runs=place, ascii=ascii)
    assert snap_compare(app, terminal_size=size, run_before=act)


def test_export(snap_compare, place: Path) -> None:
    write_run(place, pictures=False)
    app = TuiprobeApp(open_run=place)

    async def act(pilot: Pilot[None]) -> None:
        await results("e")(pilot)
        await until(pilot, lambda: app.screen.query("#to"))
        app.screen.query_one("#to").value = "reports"
        await until(pilot, lambda: "into reports" in app.screen.query_one("#written").whole.plain)
        table = app.screen.query_one(ExportTable)
        await until(pilot, lambda: "…" not in "".join(table.render_line(i).text for i in range(8)))
        await pilot.pause()

    assert snap_compare(app, terminal_size=(80, 24), run_before=act)
