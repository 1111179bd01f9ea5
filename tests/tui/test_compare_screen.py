"""Compare: the forest plot, its sentence and pairs, all figures, and what cannot be compared."""

from __future__ import annotations

from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from textual.color import Color
from textual.strip import Strip

from tests.engine.fake_run import FakeSet
from tests.engine.fake_run import write_run as engine_run
from tests.report.samples import estimate, model, outliers, report
from tests.tui.conftest import contrast, until
from tests.tui.conftest import drawn as screen_text
from tests.tui.finished import EVIL, write_run
from tuiprobe.catalog.glossary import term
from tuiprobe.results import NotRun
from tuiprobe.run.directory import RunDir
from tuiprobe.run.results import write_results
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.commands import working_keys
from tuiprobe.tui.figures import FigureText
from tuiprobe.tui.runmarks import LIGHT, run_mark
from tuiprobe.tui.screens.compare import CompareScreen, CompareTable
from tuiprobe.tui.screens.runs import RunsScreen, RunTable

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

KURTOSIS = 3
"""Its row, below the height of the highest channel and the offset share."""


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


def names(app: TuiprobeApp) -> list[str]:
    return [row.id if row.headline is None else row.name for row in table(app).rows]


def text_of(app: TuiprobeApp, selector: str) -> str:
    return app.screen.query_one(selector, FigureText).whole.plain.replace("\xa0", " ")


def at_pair(app: TuiprobeApp, number: int) -> bool:
    return f"pair {number} of 6" in head(app)


def head(app: TuiprobeApp) -> str:
    return text_of(app, "#compare-head")


async def opened(pilot, app: TuiprobeApp, runs: list[Path]) -> None:
    app.push_screen(CompareScreen(runs))
    await until(pilot, lambda: app.screen.query(CompareTable) and table(app).rows)
    await pilot.pause()


async def test_the_forest_plot_explains_copies_and_turns_two_runs_at_every_size(
    runs: list[Path], copied: list[str]
) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(110, 36)) as pilot:
        await opened(pilot, app, runs[:2])
        first, second = (run_mark(run).sign for run in runs[:2])
        name = "[red]sky[/]\\x1b[31m\\u202e"
        assert head(app) == f"A {first} model a {name} (a)   B {second} model b {name} (b)"
        heading, *lines = (table(app).render_line(y).text for y in range(KURTOSIS + 1))
        zero = heading.index("┼")
        assert heading[zero - 8 : zero + 10] == "B lower ┼ B higher"
        line = lines[KURTOSIS - 1]
        assert line.split()[:4] == ["kurtosis", "23.5", "4.0", "*\N{MINUS SIGN}19.5"]
        assert line.index("◆") < zero
        assert line[zero] == "┼"
        assert "(\N{MINUS SIGN}20.1 to \N{MINUS SIGN}18.9)" in line
        assert line.rstrip().endswith("separate")
        for same in lines[: KURTOSIS - 1]:
            assert same[zero] == "◆"
            assert "*" not in same
        assert text_of(app, "#verdict").startswith("Undecided")
        assert "preprocessing" not in head(app)
        beneath = text_of(app, "#beneath")
        assert "outlier features: A outlier channels, B outlier channels" in beneath
        assert "channels  A █ " in beneath

        await pilot.press("down", "down")
        terms = table(app).explained()
        assert terms[:2] == ("kurtosis", "paired")
        assert all(map(term, terms))
        await pilot.press("y", "c")
        assert copied[0].replace("\N{MINUS SIGN}", "-") == (
            "figure kurtosis, A 23.5, B 4.0, B - A *-19.5, 95 % interval (-20.1 to -18.9), "
            "images separate"
        )
        assert copied[1] == f"tuiprobe compare {runs[0]} {runs[1]}"
        for size in ((60, 20), (80, 24), (200, 50)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: app.screen.size.width == size[0])  # noqa: B023
            assert table(app).size.height >= 4
            line = table(app).render_line(KURTOSIS).text
            assert all(sign in line for sign in ("*\N{MINUS SIGN}19.5", "◆", "┼"))
            assert "highest channel" in table(app).render_line(1).text
            assert app.screen.query_one("#verdict").region.height >= 1
            assert app.screen.query_one("#beneath").region.bottom <= size[1] - 1
        await pilot.press("n")  # the two change places
        await until(pilot, lambda: "model b" in head(app).split("   ")[0])
        line = table(app).render_line(KURTOSIS).text
        assert "*+19.5" in line
        assert line.index("◆") > line.index("┼")


async def test_runs_of_the_same_images_are_drawn_without_colour(
    pair: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = TuiprobeApp()
    async with app.run_test(size=(110, 36)) as pilot:
        await opened(pilot, app, pair)
        rows = {row.id: row for row in table(app).rows}
        assert rows["top1"].paired
        assert rows["top1"].differs
        assert text_of(app, "#verdict").startswith("Undecided")  # no labelled shifts
        line = table(app).render_line(1).text
        assert line.startswith("top-1 on val")
        assert "the same" in line
        text = screen_text(app).splitlines()[table(app).region.y + 1]
        signs = "├◆┤┼"  # ends, value and zero
        assert all(sign in text[text.index("top-1 on val") :] for sign in signs)


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


async def test_n_goes_through_the_pairs_and_f_shows_all_figures(
    runs: list[Path], copied: list[str]
) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app, runs)
        assert "pair 1 of 6: n shows the next" in head(app)
        seen = []
        for pair in range(6):
            await until(pilot, partial(at_pair, app, pair + 1))
            await until(pilot, lambda: table(app).rows)
            title = table(app).columns[3].title
            seen.append((title[0], title[-1]))
            kurtosis = table(app).rows[KURTOSIS - 1]
            assert f"   {title[0]} " in head(app)
            moved = {"A": 23.5, "B": 4.0, "C": 23.4}
            assert kurtosis.difference.value == pytest.approx(moved[title[0]] - moved[title[-1]])
            await pilot.press("n")
        assert sorted(set(seen)) == sorted(permutations("ABC", 2))  # each pair once, both ways
        await until(pilot, lambda: "pair 1 of 6" in head(app))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, CompareScreen))

        await opened(pilot, app, runs[:2])
        assert not app.screen.everything
        assert table(app).has_focus
        assert "differing" not in {binding.action for binding, _ in working_keys(app.screen)}
        total = str(app.screen.query_one(".panel").border_subtitle)
        await pilot.press("f")
        everything = names(app)
        assert total == f"f: all {len(everything)} figures"
        assert table(app).has_focus
        assert app.screen.everything
        assert everything[:KURTOSIS] == ["highest channel", "offset share", "kurtosis"]
        assert "*\N{MINUS SIGN}19.5" in table(app).render_line(KURTOSIS).text
        assert "outlier channels on val: shared 133; only in B none" in text_of(app, "#common")
        await pilot.press("down", "down", "y")
        assert copied[0].startswith("figure kurtosis, A 23.5, B 4.0")
        await pilot.press("d")
        assert names(app) == ["kurtosis"]
        await pilot.press("d", "slash", *"persistence")
        assert names(app)
        assert all("persistence" in name for name in names(app))
        await pilot.press("enter", "escape")
        assert names(app) == everything
        await pilot.press("escape")
        assert not app.screen.everything
        await pilot.press("slash", *"kurt")  # a filter is of all figures
        assert app.screen.everything
        assert "kurtosis" in names(app)
        await pilot.press("escape", "escape", "escape")
        await until(pilot, lambda: not isinstance(app.screen, CompareScreen))


async def test_what_differs_or_cannot_be_compared_is_told_above_the_plot(
    runs: list[Path], tmp_path: Path
) -> None:
    bilinear = model().preprocessing.model_copy(update={"interpolation": "bilinear"})
    others: list[dict[str, Any]] = [
        {"model": model(preprocessing=bilinear)},
        {"model": model(representation="pooled")},
        {"outliers": NotRun(reason="no")},
    ]
    resized, pooled, bare = (
        write_run(tmp_path / str(number), report(**changes), pictures=False)
        for number, changes in enumerate(others)
    )
    app = TuiprobeApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app, [runs[0], resized])
        assert "! preprocessing differs" in head(app).splitlines()

        app.push_screen(CompareScreen([runs[0], pooled, runs[1]]))  # of another kind
        await until(pilot, lambda: "figures of channels are not" in head(app))
        await pilot.press("y", "f", "d", "enter", "f")
        assert isinstance(app.screen, CompareScreen)
        assert not table(app).rows
        await pilot.press("n")
        await until(pilot, lambda: table(app).rows)
        assert "figures of channels" not in head(app)
        assert head(app).startswith("A ")
        assert "   C " in head(app)

        app.push_screen(CompareScreen([bare, bare]))
        await until(pilot, lambda: "Undecided" in text_of(app, "#verdict"))
        assert not table(app).rows


async def test_pinned_runs_and_channels_come_first_and_a_run_has_one_colour_everywhere(
    runs: list[Path],
) -> None:
    app = TuiprobeApp(runs=runs[0].parent)
    async with app.run_test(size=(110, 36)) as pilot:
        app.push_screen(RunsScreen(runs[0].parent))
        await until(pilot, lambda: len(app.screen.query_one(RunTable).rows) == 3)
        listed = app.screen.query_one(RunTable)
        last = listed.rows[2].path
        await pilot.press("space", "space", "space", "end", "p")
        assert listed.rows[0].path == last
        assert listed.render_line(1).text.startswith(f"☑p{run_mark(last).sign} ")
        colour = app.theme_variables[run_mark(last).colour]
        assert colour_of(listed.render_line(1), run_mark(last).sign) == colour
        for _ in ("dark", "light"):
            under = listed.get_component_rich_style("rows--cursor").bgcolor
            marks = (Color.parse(app.theme_variables[f"run-{i}"]) for i in range(len(LIGHT)))
            assert all(contrast(mark, Color.from_rich_color(under)) >= 4.5 for mark in marks)
            await pilot.press("ctrl+t")
        await pilot.press("s", "s", "s")  # in any order
        assert listed.rows[0].path == last

        await pilot.press("c")
        await until(pilot, lambda: app.screen.query(CompareTable) and table(app).rows)
        assert app.screen.runs[0] == last
        assert (
            f"A\N{NO-BREAK SPACE}{run_mark(last).sign}"
            in app.screen.query_one("#compare-head", FigureText).whole.plain
        )
        await until(pilot, lambda: colour_of(table(app).render_line(0), "A") == colour)


def colour_of(strip: Strip, text: str) -> str:
    """The colour of the part of a line that is a text, blanks aside."""
    part = next(part for part in strip if part.text.strip() == text)
    return str(part.style.color.name)
