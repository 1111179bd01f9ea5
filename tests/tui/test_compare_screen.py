"""Compare: differences with intervals, filters, and what cannot be compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Static

from tests.report.samples import estimate, model, outliers, report
from tests.tui.conftest import until
from tests.tui.finished import EVIL, write_run
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.comparing import columns
from tuiprobe.tui.screens.compare import CompareScreen, CompareTable

pytestmark = pytest.mark.asyncio


KURTOSIS = 3
"""Its row, below the height of the highest channel and the offset share."""


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Returns three runs: the second is lower, the third like the first."""
    return [
        write_run(
            tmp_path / name,
            report(title=f"{name} {EVIL}", outliers=(outliers(kurtosis=estimate(kurtosis, 0.4)),)),
            pictures=False,
        )
        for name, kurtosis in (("a", 23.5), ("b", 4.0), ("c", 23.4))
    ]


def table(app: TuiprobeApp) -> CompareTable:
    return app.screen.query_one(CompareTable)


def names(app: TuiprobeApp) -> list[str]:
    return [row.name for row in table(app).rows]


def head(app: TuiprobeApp) -> str:
    return str(app.screen.query_one("#compare-head", Static).content)


async def opened(pilot, app: TuiprobeApp, runs: list[Path]) -> None:
    app.push_screen(CompareScreen(runs))
    await until(pilot, lambda: app.screen.query(CompareTable) and names(app))


async def test_differences_stand_with_their_intervals(runs: list[Path]) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(160, 40)) as pilot:
        await opened(pilot, app, runs)
        assert head(app).splitlines()[0].startswith("A a [red]sky[/]\\x1b[31m\\u202e")
        assert "outlier channels on val: shared 133; only in the first none; only " in head(app)
        line = table(app).render_line(KURTOSIS).text
        assert line.startswith("kurtosis")
        assert "23.5 ±.4" in line
        assert "* -19.5 (-20.1 to -18.9)" in line
        assert "  -.100 (-.666 to +.466)" in line
        title = str(app.screen.query_one("#compare-panel").border_title)
        assert "1 differ" in title


async def test_only_what_differs_and_filters(runs: list[Path]) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app, runs[:2])
        assert names(app) == ["highest channel", "offset share", "kurtosis"]
        await pilot.press("f")
        everything = names(app)
        assert len(everything) > 8
        assert everything[KURTOSIS - 1] == "kurtosis"
        await pilot.press("d")
        assert names(app) == ["kurtosis"]
        await pilot.press("d")
        assert names(app) == everything
        await pilot.press("slash", *"persistence")
        assert names(app)
        assert all("persistence" in name for name in names(app))
        await pilot.press("enter", "escape")
        assert names(app) == everything
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, CompareScreen))


async def test_the_next_run_can_be_the_first(runs: list[Path]) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app, runs[:2])
        await pilot.press("n")
        await until(pilot, lambda: head(app).startswith("A b "))
        assert "* +19.5" in table(app).render_line(KURTOSIS).text


async def test_what_can_be_copied(runs: list[Path], copied: list[str]) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app, runs[:2])
        await pilot.press("down", "down", "y", "Y", "c")
        assert copied[0].startswith("figure kurtosis, set val, layer final, A 23.5 ±.4")
        assert copied[1].startswith("# Comparison")
        assert copied[2] == f"tuiprobe compare {runs[0]} {runs[1]}"


async def test_other_kinds_are_refused_with_what_to_do(runs: list[Path], tmp_path: Path) -> None:
    pooled = report(model=model(representation="pooled"))
    other = write_run(tmp_path / "pooled", pooled, pictures=False)
    app = TuiprobeApp()
    async with app.run_test(size=(120, 40)) as pilot:
        app.push_screen(CompareScreen([runs[0], other]))
        await until(
            pilot, lambda: app.screen.query(CompareTable) and "within one kind" in head(app)
        )
        await pilot.press("y", "Y", "d", "enter")
        assert isinstance(app.screen, CompareScreen)


async def test_a_narrow_window_keeps_the_figure_and_its_difference() -> None:
    kept = [column.title for column in columns(3) if column.drop == 0]
    assert kept == ["figure", "B - A"]


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (200, 50)])
async def test_every_size_shows_rows(runs: list[Path], size: tuple[int, int]) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=size) as pilot:
        await opened(pilot, app, runs)
        assert table(app).size.height >= 4
        assert "* -19.5" in table(app).render_line(KURTOSIS).text


async def test_headline_figures_first_and_f_shows_all(tmp_path: Path) -> None:
    pair = [write_run(tmp_path / name, pictures=False) for name in ("a", "b")]
    app = TuiprobeApp()
    async with app.run_test(size=(160, 40)) as pilot:
        await opened(pilot, app, pair)
        few = ["top-1", "mean of shifts", "effective robustness"]
        few += ["highest channel", "offset share", "kurtosis"]
        assert names(app) == few
        panel = app.screen.query_one("#compare-panel")
        total = str(panel.border_subtitle).split()[2]
        assert str(panel.border_subtitle) == f"f: all {total} figures"
        await pilot.press("f")
        assert len(names(app)) == int(total) > 40
        assert names(app)[:6] == few
        assert str(panel.border_subtitle) == "f: the 6 headline figures"
        await pilot.press("f")
        assert names(app) == few
        assert "separate" in table(app).render_line(KURTOSIS).text
        assert "not told apart by top-1, mean of shifts" in head(app)
