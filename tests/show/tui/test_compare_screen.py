"""Compare: the decision and the differences it rests on, all figures, what cannot be compared."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.color import Color
from textual.strip import Strip

from tests.measure.engine.fake_run import FakeSet
from tests.measure.engine.fake_run import write_run as engine_run
from tests.show.report.samples import estimate, model, outliers, report
from tests.show.report.samples_head import linear
from tests.show.tui.conftest import contrast, press_to, screens, until
from tests.show.tui.conftest import drawn as screen_text
from tests.show.tui.finished import EVIL, write_run
from tuiprobe.catalog.glossary import term
from tuiprobe.choose.comparing.decide import decide
from tuiprobe.choose.comparing.decision import DecidedModel
from tuiprobe.choose.comparing.differences import compare_runs
from tuiprobe.choose.comparing.forest import YOUR_PICTURES, paired_rows
from tuiprobe.choose.comparing.runs import read_runs
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.pictures import read_pictures
from tuiprobe.measure.run.results import write_results
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.control import LIGHT_COLOURS
from tuiprobe.show.tui.screens.compare import CompareScreen, CompareTable
from tuiprobe.show.tui.screens.live import LiveScreen
from tuiprobe.show.tui.screens.results import ResultsScreen
from tuiprobe.show.tui.screens.runs import RunsScreen, RunTable
from tuiprobe.show.tui.text import FigureText
from tuiprobe.show.tui.widgets.textplot import ChartView

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Returns three runs: the second is lower, the third like the first."""
    root = tmp_path_factory.mktemp("compared")
    return [
        write_run(
            root / name,
            report(
                title=f"{name} {EVIL}", model=model(name=f"model {name} {EVIL}"),
                outliers=(outliers(kurtosis=estimate(kurtosis, 0.4)),),
            ),
            pictures=False,
        )
        for name, kurtosis in (("a", 23.5), ("b", 4.0), ("c", 23.4))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Returns two runs on the same images."""
    root = tmp_path_factory.mktemp("paired")
    return [paired_run(root / "a", 1.0), paired_run(root / "b", 0.8)]


def table(app: TuiprobeApp) -> CompareTable:
    return app.screen.query_one(CompareTable)


def text_of(app: TuiprobeApp, selector: str) -> str:
    return app.screen.query_one(selector, FigureText).unwrapped.plain.replace("\xa0", " ")


async def opened(pilot, app: TuiprobeApp, runs: list[Path]) -> None:
    app.push_screen(CompareScreen(runs))
    await until(pilot, lambda: app.screen.query(CompareTable) and table(app).rows)
    await pilot.pause()


async def test_the_decision_stands_above_the_differences_that_it_rests_on(label_runs, copied):
    runs = read_runs(label_runs)
    decision = decide(runs)
    first, *rest = (row.place for row in decision.models)
    comparisons = [compare_runs(runs, place, first, None) for place in rest]
    async with screens((120, 40)) as (pilot, app):
        await opened(pilot, app, label_runs)
        text = text_of(app, "#decision").replace("\n  ", " ")
        assert text.startswith(decision.sentence)
        assert decision.command not in text
        assert text.endswith("press b")
        demonstration = [note for note in decision.notes if "demonstration" in note]
        assert len(demonstration) == 1
        assert screen_text(app).lower().count("demonstration") == 1  # in the title alone
        assert all(note in text for note in decision.notes if note not in demonstration)
        rows = table(app).rows
        paired = paired_rows(decision, comparisons)
        assert [(r.name, r.other.model, r.difference) for r in rows[: len(paired)]] == [
            (r.name, r.model, r.difference) for r in paired
        ]
        assert {r.name for r in rows[len(paired) :]} == {decision.target}
        by_model = {row.model: read_pictures(runs[row.place].directory) for row in decision.models}
        leads = by_model[decision.models[0].model]
        for row in (row for row in rows if row.name in leads):  # no mean over several sets
            both = (leads[row.data], by_model[row.other.model][row.data])
            answers = [[p.answer for p in of.at(of.everything())] for of in both]
            assert row.differ == sum(a != b for a, b in zip(*answers, strict=True))
        estimates = text_of(app, "#estimates")
        assert all(f"{row.model} " in estimates for row in decision.models)
        await pilot.press("c")
        assert copied == [f"tuiprobe compare {' '.join(map(str, label_runs))}"]
        for size in ((60, 15), (80, 24), (200, 50)):
            await pilot.resize_terminal(*size)
            width = size[0] - 4
            await until(pilot, lambda: width - 2 <= table(app).size.width <= width)  # noqa: B023
            assert table(app).size.height >= 3
            line = table(app).render_line(1).text
            assert rows[0].other.model in line
            assert all(end in line for end in rows[0].difference.ends(signed=True).split(" to "))
            assert "◆" in line
            assert app.screen.query_one("#decided").region.height >= 3


@pytest.mark.parametrize("count", [1, 2])
async def test_the_curve_of_labels_takes_the_lines_that_answers_leave(count, tmp_path):
    results = {"linear": linear()}
    runs = [
        write_run(tmp_path / name, report(**results, model=model(name=name)), pictures=False)
        for name in "ab"[:count]
    ]
    async with screens(
        (80, 70), first=lambda: CompareScreen(runs) if count > 1 else ResultsScreen(runs[0])
    ) as (pilot, app):
        await until(pilot, lambda: app.screen.query_one(ChartView).region.height > 8, 60)
        curve = app.screen.query_one(ChartView)
        assert len(curve.chart.series) == count
        await pilot.resize_terminal(80, 16)
        await until(pilot, lambda: not curve.display, 60)


async def test_figures_of_all_pairs_are_listed_filtered_copied_and_left(runs, copied):
    async with screens((120, 40)) as (pilot, app):
        app.push_screen(CompareScreen(runs))
        await until(pilot, lambda: app.screen.compared)
        leader = app.screen.compared.decision.models[0].model
        assert not table(app).rows  # nothing was answered
        await pilot.pause()
        assert table(app).render_line(1).text.strip() == table(app).empty
        assert table(app).size.height > 1
        await pilot.press("f")
        figures = app.screen.table
        assert figures.has_focus
        everything = list(figures.rows)
        assert {model for model, _ in everything} == {m.model for m in _others(app)}
        kurtosis = {model: row for model, row in everything if row.id == "kurtosis"}
        moved = {"model a": 23.5, "model b": 4.0, "model c": 23.4}
        for model, row in kurtosis.items():
            assert row.difference.value == pytest.approx(moved[leader[:7]] - moved[model[:7]])
        await pilot.press("slash", "*", "enter")
        assert all(row.differs for _, row in figures.rows)
        assert {row.id for _, row in figures.rows} == {"kurtosis"}
        await pilot.press("y")
        assert copied[0].startswith("figure kurtosis, other model model")
        assert "separate" in copied[0]
        terms = figures.explained()
        assert all(map(term, terms))
        await pilot.press("escape", "slash", *"persistence")
        assert figures.rows
        assert all("persistence" in f"{row.name} {row.id}" for _, row in figures.rows)
        await pilot.press("enter", "escape")
        assert list(figures.rows) == everything
        await pilot.press("escape")
        assert not app.screen.everything
        await pilot.press("slash", *"kurt")  # a filter is of all figures
        assert app.screen.everything
        assert "kurtosis" in {row.id for _, row in figures.rows}
        await pilot.press("escape", "escape", "escape")
        await until(pilot, lambda: not isinstance(app.screen, CompareScreen))


async def test_a_run_of_several_models_opens_on_the_decision_once_all_have_results(pair, tmp_path):
    group = tmp_path / "group"
    for run in pair:
        shutil.copytree(run, group / run.name)
    (group / "b" / "results.json").rename(tmp_path / "results.json")
    async with screens((100, 30)) as (pilot, app):
        app.open(group)
        await until(pilot, lambda: isinstance(app.screen, LiveScreen) and app.screen.view)
        (tmp_path / "results.json").rename(group / "b" / "results.json")
        await until(pilot, lambda: app.screen.view and app.screen.view.results)  # of another watch
        await press_to(pilot, CompareScreen, "enter")
        assert app.screen.runs == [group / "a", group / "b"]
        app.push_screen(RunsScreen(tmp_path))  # a run of the group leads there too
        await until(pilot, lambda: app.screen.query(RunTable) and app.screen.table.rows)
        assert [row.name for row in app.screen.table.rows] == ["group/b", "group/a"]
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen) and app.screen.compared)
        await pilot.press("o", "enter")  # and from there to the results of the one to take
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen))
        assert app.screen.run == group / "a"


def _others(app: TuiprobeApp) -> Sequence[DecidedModel]:
    return app.screen.compared.decision.models[1:]


async def test_two_models_are_named_in_the_columns_and_drawn_without_colour(pair, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    async with screens((110, 36)) as (pilot, app):
        await opened(pilot, app, pair)
        decision = app.screen.compared.decision
        assert (decision.evidence, decision.take.model) == ("pictures", "a")
        assert text_of(app, "#decision").startswith(decision.sentence)
        (row,) = table(app).rows
        assert (row.name, row.data, row.difference) == (
            YOUR_PICTURES, "val", decision.models[1].difference,
        )  # fmt: skip
        text = screen_text(app).splitlines()[table(app).region.y + 1]
        assert all(sign in text[text.index(YOUR_PICTURES) :] for sign in "├◆┤┼")
        await pilot.press("f")
        first, other = (model.model for model in app.screen.compared.decision.models)
        assert [of.title for of in app.screen.table.columns[1:3]] == [first, other]


async def test_what_cannot_be_compared_is_told(runs: list[Path], tmp_path: Path) -> None:
    pooled = write_run(tmp_path / "pooled", report(model=model(representation="pooled")), False)
    async with screens((120, 40)) as (pilot, app):
        app.push_screen(CompareScreen([runs[0], pooled]))  # of another kind
        await until(pilot, lambda: app.screen.compared)
        await pilot.press("f")
        assert "figures of channels" in text_of(app, "#common")
        app.push_screen(CompareScreen([runs[0], tmp_path]))  # no run
        await until(pilot, lambda: str(tmp_path) in str(app.screen.query_one("#reading").content))
        await pilot.press("y", "f", "d", "enter", "f")
        assert isinstance(app.screen, CompareScreen)


def paired_run(path: Path, signal: float) -> Path:
    """Writes and answers a run on images that are the same in every such run."""
    import numpy as np

    from tuiprobe.probes.report import make_report

    rng = np.random.default_rng(3)
    weight = rng.standard_normal((6, 16)).astype("f4")
    labels = rng.integers(0, 6, 400)
    h = (signal * weight[labels] + 2 * rng.standard_normal((400, 16))).astype("f4")
    engine_run(path, {"val": FakeSet(h, labels)}, weight)
    write_results(RunDir(path), make_report(RunDir(path)))
    return path


async def test_a_run_has_one_sign_and_colour_everywhere(runs):
    async with screens((110, 36), runs=runs[0].parent) as (pilot, app):
        app.push_screen(RunsScreen(runs[0].parent))
        await until(pilot, lambda: len(app.screen.query_one(RunTable).rows) == 3)
        listed = app.screen.query_one(RunTable)
        first = listed.rows[0].path
        await pilot.press("space")
        assert listed.render_line(1).text.startswith(f"☑ {app.mark(first).sign} ")
        colour = app.theme_variables[app.mark(first).colour]
        assert colour_of(listed.render_line(1), app.mark(first).sign) == colour
        signs, colours = zip(*(app.mark(row.path) for row in listed.rows), strict=True)
        assert len({*signs}) == len({*colours}) == 3
        for _ in ("dark", "light"):
            under = listed.get_component_rich_style("rows--cursor").bgcolor
            marks = (
                Color.parse(app.theme_variables[f"run-{i}"]) for i in range(len(LIGHT_COLOURS))
            )
            assert all(contrast(mark, Color.from_rich_color(under)) >= 4.5 for mark in marks)
            await pilot.press("ctrl+t")


def colour_of(strip: Strip, text: str) -> str:
    """The colour of the part of a line that is a text, blanks aside."""
    part = next(part for part in strip if part.text.strip() == text)
    return str(part.style.color.name)


async def test_no_figure_is_cut_where_columns_have_no_room(runs, tmp_path):
    wide = write_run(
        tmp_path / "wide",
        report(model=model(), outliers=(outliers(kurtosis=estimate(-1234567.891, 23456.789)),)),
        pictures=False,
    )
    async with screens((80, 30)) as (pilot, app):
        app.push_screen(CompareScreen([wide, *runs[:1]]))
        await until(pilot, lambda: app.screen.compared)
        await pilot.press("f")
        figures = app.screen.table
        rows = [row for _, row in figures.rows]
        assert any(len(f"({row.difference.ends(signed=True)})") > 18 for row in rows)

        for width in (80, 160):
            await pilot.resize_terminal(width, 30)
            await until(pilot, lambda: figures.scrollable_content_region.width == width - 4)  # noqa: B023
            shown = [figures.render_line(y).text for y in range(len(rows) + 1)]
            assert {len(line) for line in shown} == {width - 4}
            for row, text in zip(rows, shown[1:], strict=True):
                assert row.difference.ends(signed=True) in text
                for figure in (row.first, row.second) if width == 160 else ():
                    assert figure.point(bare=True) in text
