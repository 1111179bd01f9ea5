"""Pictures behind figures: which ones a row gives, their answers, originals and what remains."""

import shutil
from pathlib import Path

import pytest
from textual.widgets import Static

from tests.show.tui.conftest import drawn, press_to, screens, until
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.pictures import differing, read_pictures
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.screens.compare import CompareScreen, CompareTable
from tuiprobe.show.tui.screens.pictures import SHOWN, PictureRow, PicturesScreen
from tuiprobe.show.tui.screens.results import ResultsScreen
from tuiprobe.show.tui.tabs.section import SetPanel, SubjectTable
from tuiprobe.show.tui.widgets.forest import Forest
from tuiprobe.show.tui.widgets.pictures import Picture, PictureGrid, PictureScreen
from tuiprobe.show.tui.widgets.textplot import ChartView

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


def shown(app: TuiprobeApp) -> list[Picture]:
    grid = app.screen.query_one(PictureGrid)
    return [picture for _, pictures in grid.groups for picture in pictures]


def row(app: TuiprobeApp) -> PictureRow:
    assert app.screen.table.current is not None
    return app.screen.table.current


async def test_enter_in_a_comparison_opens_what_its_models_answer_differently(label_runs):
    async with screens((110, 36)) as (pilot, app):
        app.push_screen(CompareScreen(label_runs))
        await until(pilot, lambda: app.screen.query_one(CompareTable).rows)
        chosen = app.screen.query_one(CompareTable).current
        decision = app.screen.compared.decision
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PicturesScreen) and shown(app))
        assert row(app).data == chosen.data
        assert len(row(app).indices) == chosen.differ
        leads, other = (
            read_pictures(RunDir(label_runs[model.place]))[chosen.data]
            for model in (decision.models[0], chosen.other)
        )
        places = differing([leads, other])
        models = (decision.models[0], chosen.other)
        signs = [app.mark(label_runs[model.place]).sign for model in models]
        names = [f"{sign} {one.model}" for sign, one in zip(signs, models, strict=True)]
        answers = [
            tuple(
                f"{sign} {one.answer}{' ✓' if one.answer == one.label else ''}"
                for sign, one in zip(signs, pair, strict=True)  # which model said which
            )
            for pair in zip(leads.at(places), other.at(places), strict=True)
        ]
        assert sorted(picture.values for picture in shown(app)) == sorted(answers[:SHOWN])
        grid = app.screen.query_one(PictureGrid)
        headings = [heading for heading, _ in grid.groups]
        assert headings[:2] == [f"only {name} is right" for name in names]
        assert [one.strip() for one in grid.render_line(0).text.split("is right")[:2]] == [
            heading.removesuffix(" is right") for heading in headings[:2]
        ]  # side by side
        for heading, of in grid.groups:
            for picture in of:
                right = [at for at, text in enumerate(picture.values) if text.endswith("✓")]
                assert heading == (headings[right[0]] if right else "none is right")
        await press_to(pilot, PictureScreen, "enter", "enter")
        about = str(app.screen.query_one("#enlarged-about", Static).render())
        assert all(f"{model.model}: " in about for model in (decision.models[0], chosen.other))
        await press_to(pilot, CompareScreen, "escape", "escape", "escape")


async def test_wrong_pictures_of_a_class_stand_under_what_they_are_called(label_runs):
    of = read_pictures(RunDir(label_runs[1]))["val"]
    async with screens((80, 24)) as (pilot, app):
        app.push_screen(PicturesScreen([label_runs[1]], data="val"))
        await until(pilot, lambda: isinstance(app.screen, PicturesScreen) and shown(app))
        rows = app.screen.table.rows
        assert [r.name for r in rows[:2]] == ["wrong", "least sure"]
        assert len(rows[0].indices) == len(of.wrong())
        worst = next(r for r in rows if r.by_answer)
        await pilot.press("slash", *worst.name, "enter")
        await until(pilot, lambda: row(app).name == worst.name)
        groups = app.screen.query_one(PictureGrid).groups
        answers = [p.answer for p in of.at(of.wrong(worst.name))]
        assert {heading for heading, _ in groups} == {f"called {a}" for a in answers}
        assert sum(len(pictures) for _, pictures in groups) == len(answers)


async def test_a_set_a_class_and_a_point_lead_to_their_pictures(label_runs: list[Path]) -> None:
    app = TuiprobeApp(open_run=label_runs[1])

    async def came() -> PictureRow:
        await until(pilot, lambda: isinstance(app.screen, PicturesScreen) and shown(app))
        chosen = row(app)
        await press_to(pilot, ResultsScreen, "escape")
        return chosen

    async with app.run_test(size=(110, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.tab)
        screen = app.screen
        forest = screen.query_one(Forest)
        before = screen.focused
        while screen.focused is not forest:
            await pilot.press("down")
        for known in forest.rows:  # each line of the overview
            await pilot.press("enter")
            assert (await came()).data == known.data
            await pilot.press("down")
        assert screen.focused not in (forest, None)  # from the last line to what stands below
        await pilot.press(*["up"] * (len(forest.rows) + 1))
        assert screen.focused is before
        for name in ("yours", "checks"):  # each point of each chart, and each row of each table
            screen.show_tab(name)
            await until(pilot, lambda: screen.tab.id == f"tab-{name}")  # noqa: B023
            for chart in screen.tab.query(ChartView):
                chart.point = 0
                point, sets = chart.named, [data.name for data in screen.results.report.data]
                data = screen.results.set_of(point.name, point.series, chart.chart.title)
                chart.action_choose()
                if data:
                    assert (await came()).data == data in sets
            for table in screen.tab.query(SubjectTable):
                data, label = table.pictures
                if not data:
                    continue
                table.focus()
                await pilot.press("enter")
                chosen = await came()
                assert (chosen.data, label in ("", chosen.name)) == (data, True)


async def test_originals_that_are_gone_leave_what_the_run_keeps_and_a_deleted_run_says_so(
    label_runs: list[Path], runs_on_targets: Path
) -> None:
    photos, away = runs_on_targets / "photos", runs_on_targets / "away"
    async with screens((110, 36)) as (pilot, app):
        app.push_screen(PicturesScreen([label_runs[0]], data="photos"))
        await until(pilot, lambda: isinstance(app.screen, PicturesScreen) and shown(app))
        await until(pilot, lambda: "▀" in drawn(app))
        first = next(picture for picture in shown(app) if picture.file.path.is_file())
        original = first.image(8, 8)
        assert original.size != (8, 8)  # in its own shape
        photos.rename(away)
        try:
            without = PicturesScreen([label_runs[0]], data="photos")
            app.push_screen(without)
            await until(pilot, lambda: app.screen is without and shown(app))
            again = next(p for p in shown(app) if p.name == first.name)
            kept = again.image(8, 8)
            assert kept.size == (8, 8)
        finally:
            away.rename(photos)
        shutil.rmtree(label_runs[0])
        await pilot.press("end")  # of a set whose answers are still to be read
        await until(pilot, lambda: not shown(app))
        assert "cannot read" in drawn(app)


async def test_beside_a_table_a_run_damaged_meanwhile_says_so(label_runs: list[Path]) -> None:
    async with screens((220, 50), open_run=label_runs[1]) as (pilot, app):
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.tab)
        app.screen.show_tab("yours")
        await until(pilot, lambda: app.screen.tab.id == "tab-yours")
        panel, table = app.screen.query_one(SetPanel), app.screen.tab.table
        await until(pilot, lambda: panel.pictures.groups)
        shutil.rmtree(label_runs[1] / "shards")
        for _ in table.rows:  # to one whose answers are still to be read
            await pilot.press("down")
        await until(pilot, lambda: "cannot read" in drawn(app))


async def test_a_wide_window_has_the_pictures_beside_the_table(label_runs: list[Path]) -> None:
    async with screens((220, 50), open_run=label_runs[1]) as (pilot, app):
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.tab)
        app.screen.show_tab("yours")
        await until(pilot, lambda: app.screen.tab.id == "tab-yours")
        panel, table = app.screen.query_one(SetPanel), app.screen.tab.table
        await until(pilot, lambda: panel.pictures.groups)
        assert panel.region.x > table.region.right
        for _ in table.rows:
            data = table.pictures[0]
            await until(pilot, lambda: str(panel.border_title).startswith(f"{data}, "))  # noqa: B023
            await pilot.press("down")
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: not panel.display or not panel.region.area)
