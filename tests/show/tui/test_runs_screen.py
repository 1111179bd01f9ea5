"""Runs: every key, states that come from the directories, deleting only after a yes."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Input, Static

from tests.show.report.samples import estimate, outliers, report
from tests.show.tui.conftest import press_to, screens, until
from tests.show.tui.finished import full_report, write_run
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.listing import list_runs
from tuiprobe.measure.run.view import RunView
from tuiprobe.results.accuracy import accuracy_from
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.screens import runs as runs_module
from tuiprobe.show.tui.screens.compare import CompareScreen
from tuiprobe.show.tui.screens.dialogs import ConfirmScreen
from tuiprobe.show.tui.screens.export import ExportScreen
from tuiprobe.show.tui.screens.results import ResultsScreen
from tuiprobe.show.tui.screens.runs import RunsScreen, RunTable, columns_of, run_cells
from tuiprobe.show.tui.widgets.rows import row_text, visible_columns

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]
EVIL = "[b]x\u202e"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a directory with three finished runs and an unfinished one."""
    monkeypatch.setattr(runs_module, "_SECONDS", 0.1)
    root = tmp_path / "runs"
    weak = report(outliers=(outliers(kurtosis=estimate(4.0, 0.2)),))
    for number, (name, run_report) in enumerate(
        ((EVIL, full_report()), ("weak", weak), ("half", report(partial=True)))
    ):
        write_run(root / name, run_report, pictures=False)
        os.utime(root / name / "results.json", (9000 - number, 9000 - number))
    run = RunDir(root / "begun")
    run.spec_file.write_json({"model": "mini_clip", "data": "miniature"})
    run.key_file.write_text("0" * 64)
    os.utime(run.key_file.path, (1, 1))
    return root


def table(app: TuiprobeApp) -> RunTable:
    return app.screen.query_one(RunTable)


def changed(view: RunView, **fields: object) -> RunView:
    return replace(view, summary=view.summary.model_copy(update=fields))


def names(app: TuiprobeApp) -> list[str]:
    return [row.name for row in table(app).rows]


def drawn(app: TuiprobeApp) -> list[str]:
    return [table(app).render_line(y).text for y in range(len(table(app).rows) + 1)]


async def opened(pilot, app: TuiprobeApp, root: Path) -> None:
    app.push_screen(RunsScreen(root))
    there = len(list_runs(root))  # rows come as their runs are read
    await until(pilot, lambda: app.screen.query(RunTable) and len(names(app)) == there)


async def test_runs_are_listed_sorted_filtered_opened_exported_and_compared(root, copied):
    async with screens((140, 30)) as (pilot, app):
        await opened(pilot, app, root)
        latest = [EVIL, "weak", "half", "begun"]
        assert names(app) == latest
        assert "\u202e" not in "".join(drawn(app))
        title = app.screen.query_one("#runs-title", Static)
        await until(pilot, lambda: " right on " in str(title.content))
        await pilot.press("y")
        assert copied == [str(root / EVIL)]
        await press_to(pilot, ResultsScreen, "enter")
        assert app.screen.run == root / EVIL
        await press_to(pilot, RunsScreen, "escape")

        await pilot.press("slash", *"done")
        assert names(app) == [EVIL, "weak"]
        await pilot.press("enter")
        assert table(app).has_focus
        await pilot.press("escape")
        assert len(names(app)) == 4
        assert app.screen.query_one("#runs-filter", Input).value == ""
        await pilot.press("slash", *"zzz")
        assert names(app) == []
        assert "esc clears" in table(app).render_line(1).text
        await pilot.press("enter", "escape")

        def models() -> list[str]:
            return [row.summary.model for row in table(app).rows]

        await pilot.press("s")
        assert names(app) == sorted(names(app))
        await pilot.press("s")
        assert models() == sorted(models())
        await pilot.press("s", "s")  # time, latest first
        assert names(app) == latest
        await pilot.press(*"sssss")  # kurtosis, largest first, what has none last
        assert names(app)[-2:] == ["weak", "begun"]
        await pilot.press("s", "s")
        assert names(app)[0] == EVIL
        await pilot.click("#runs", offset=(2, 0))
        assert names(app) == sorted(names(app))
        await pilot.click("#runs", offset=(2, 0))
        assert names(app) == sorted(names(app), reverse=True)
        await pilot.press("s", "s", "s")
        assert names(app) == latest

        await pilot.press("home", "c")
        assert isinstance(app.screen, RunsScreen)  # says that two are needed
        await pilot.press("space", "space")  # the cursor stays
        assert drawn(app)[1].startswith("☐")
        await pilot.press("home", "down", "space", "home", "space")
        assert drawn(app)[1].startswith("☑")
        assert "2 marked" in str(app.screen.query_one("#runs-count", Static).content)
        await press_to(pilot, CompareScreen, "c")
        assert app.screen.runs == [root / "weak", root / EVIL]  # in the order of marking
        await press_to(pilot, RunsScreen, "escape")

        await pilot.press("end", "e")
        await pilot.pause()
        assert isinstance(app.screen, RunsScreen)  # nothing to export yet
        await press_to(pilot, ExportScreen, "home", "e")


@pytest.mark.parametrize(
    ("width", "kept"),
    [
        (56, "run state your pictures"),
        (76, "run model state your pictures"),
        (116, "run model set time state your pictures top-1 shifts kurtosis"),
    ],
)
async def test_narrow_lists_keep_the_accuracy_on_your_pictures(root, width, kept):
    row = changed(
        list_runs(root)[0],
        model="mini_clip",
        source="miniature",
        target=accuracy_from(estimate(0.5, 0.1), "street", "estimate"),
    )
    columns = columns_of([replace(row, short_name="mini_clip-miniature-3a1b")], width)
    assert " ".join(columns[i].title for i in visible_columns(columns, width)) == kept


@pytest.mark.parametrize("evidence", ["estimate", "labels"])
async def test_a_range_on_your_pictures_has_two_ends_that_are_never_cut(root, evidence):
    target = accuracy_from(estimate(0.932, 0.011), "street", evidence)
    row = changed(list_runs(root)[0], target=target)
    text = row_text(columns_of([row], 76), run_cells(row, ""), 76)
    assert f"{'◇' if evidence == 'estimate' else '◆'} 93.2 % (92.1 to 94.3)" in text
    assert "±" not in text


async def test_runs_are_deleted_after_a_yes_and_never_while_they_run(root: Path) -> None:
    async with screens((120, 30)) as (pilot, app):
        await opened(pilot, app, root)
        with RunDir(root / "begun").locked():
            await until(pilot, lambda: "● running" in drawn(app)[4])
            await pilot.press("end", "x")
            await pilot.pause()
            assert isinstance(app.screen, RunsScreen)
        await until(pilot, lambda: "○ stopped" in drawn(app)[4])
        await pilot.press("home")
        for answer in ("n", "escape", "enter"):  # No is where the cursor is
            await press_to(pilot, ConfirmScreen, "x")
            await press_to(pilot, RunsScreen, answer)
        assert len(list(root.iterdir())) == 4
        await press_to(pilot, ConfirmScreen, "x")
        await pilot.press("y")
        await until(pilot, lambda: names(app) == ["weak", "half", "begun"])
        assert not (root / EVIL).exists()
        await pilot.press("space", "down", "space", "x")  # marked runs go together, by mouse
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.click("#yes")
        await until(pilot, lambda: names(app) == ["begun"])


async def test_an_empty_place_says_how_to_fill_it_and_runs_appear(root: Path) -> None:
    place = root / "empty"
    place.mkdir()
    async with screens((120, 30)) as (pilot, app):
        app.push_screen(RunsScreen(place))
        await until(pilot, lambda: "M goes to" in table(app).render_line(1).text)
        await pilot.press("enter", "space", "x", "e", "c", "y")
        assert isinstance(app.screen, RunsScreen)
        write_run(place / "later", report(), pictures=False)
        await until(pilot, lambda: names(app) == ["later"])
        assert names(app) == ["later"]


@pytest.mark.parametrize(
    ("keys", "screen"),
    [(("down", "enter"), ResultsScreen), (("space", "down", "space", "c"), CompareScreen)],
)
async def test_keys_pressed_while_runs_are_read_count_once_they_are_there(
    root: Path, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...], screen: type
) -> None:
    read, listed = threading.Event(), RunsScreen._listed

    def slowly(screen: RunsScreen) -> list[RunView]:
        read.wait(60)
        return listed(screen)

    monkeypatch.setattr(RunsScreen, "_listed", slowly)
    async with screens((140, 30)) as (pilot, app):
        app.push_screen(RunsScreen(root))
        await until(pilot, lambda: "reading…" in table(app).render_line(1).text)
        await pilot.press(*keys)
        read.set()
        await until(pilot, lambda: isinstance(app.screen, screen))


async def test_marked_runs_without_results_are_named_when_others_are_compared(root: Path) -> None:
    async with screens((110, 36), runs=root) as (pilot, app):
        app.push_screen(RunsScreen(root))
        await until(pilot, lambda: len(table(app).rows) == 4)
        app.screen._marked = dict.fromkeys(row.path for row in table(app).rows)
        await press_to(pilot, CompareScreen, "c")
        assert len(app.screen.runs) == 3
        assert any("begun" in one.message for one in app._notifications)


async def test_columns_that_say_the_same_of_all_runs_are_not_shown(root: Path) -> None:
    done = [row for row in list_runs(root) if row.results]
    alike = [changed(row, model="mini_clip", source="miniature") for row in done]
    other = [alike[0], *(changed(row, model="mini_supervised") for row in alike[1:])]
    for rows, shown in ((alike, False), (other, True)):
        columns = columns_of(rows, 160)
        titles = [columns[i].title for i in visible_columns(columns, 160)]
        assert ("model" in titles) == shown
        assert "set" not in titles
        assert titles[0] == "run"
        assert {"time", "state"} < {*titles}
