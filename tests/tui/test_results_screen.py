"""Results: every tab and every key, against a run of files with hostile names."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from textual.widgets import Input, Static

from tests.measure.fake_run import FakeSet
from tests.measure.fake_run import write_run as engine_run
from tests.report.samples import model, report
from tests.tui.conftest import until
from tests.tui.finished import EVIL, bare_report, directions, full_report, write_run
from tuiprobe.catalog.glossary import term
from tuiprobe.plaintext import plain
from tuiprobe.probes.robustness.result import Robustness
from tuiprobe.report.text import line
from tuiprobe.results import NotRun, Part, Weights
from tuiprobe.results.card import card
from tuiprobe.results.section import Section
from tuiprobe.run.directory import RunDir
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.child import Answer
from tuiprobe.tui.commands import working_keys
from tuiprobe.tui.figures import Told, wrapped
from tuiprobe.tui.screens import evidence
from tuiprobe.tui.screens.evidence import EvidenceScreen
from tuiprobe.tui.screens.export import ExportScreen
from tuiprobe.tui.screens.models import ModelsScreen
from tuiprobe.tui.screens.results import ResultsScreen
from tuiprobe.tui.screens.runs import RunsScreen
from tuiprobe.tui.tabs.bar import PartBar
from tuiprobe.tui.tabs.outliers import figures_of
from tuiprobe.tui.tabs.overview import BlockView, CardPicture
from tuiprobe.tui.tabs.tab import ShownRun
from tuiprobe.tui.widgets.chart import ChartView
from tuiprobe.tui.widgets.pictures import PictureGrid, PictureScreen
from tuiprobe.tui.widgets.rows import RowTable
from tuiprobe.tui.widgets.thumbnail import Thumbnail

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

TOP = {"top1": 0.9, "low": 0.88, "high": 0.92}
ABLATION = {
    "key": "k", "channels": [133], "directions": [], "matrix": "W", "replaced_by": "zero",
    "sets": [
        {
            "name": EVIL, "n": 500, "before": TOP, "after": TOP | {"top1": 0.7, "low": 0.6},
            "difference": {"value": -0.2, "low": -0.25, "high": -0.15}, "lost": 100, "gained": 0,
        }
    ],
    "not_run": [
        {"name": "concepts", "reason": "no labels"}, {"name": "unlabelled", "reason": "no labels"},
    ],
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Returns a finished run."""
    return write_run(tmp_path / "run")


async def at_overview(pilot, app) -> ResultsScreen:
    await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.tab)
    await pilot.pause()
    return app.screen


async def opened(pilot, app) -> ResultsScreen:
    await to_tab(pilot, app, "outliers")
    return app.screen


async def to_tab(pilot, app, name: str) -> None:
    await at_overview(pilot, app)
    app.screen.query_one(PartBar).active = name
    await until(pilot, lambda: app.screen.tab.id == f"part-{name}")
    await pilot.pause()


def rows(app, selector: str) -> list:
    return list(app.screen.query_one(selector, RowTable).rows)


def drawn(app, selector: str) -> list[str]:
    table = app.screen.query_one(selector, RowTable)
    return [table.render_line(y).text for y in range(len(table.rows) + 1)]


def said(app, selector: str) -> str:
    """The text of a widget, before its lines are broken, with ordinary blanks."""
    found = app.screen.query_one(selector, Static)
    text = found.whole.plain if isinstance(found, Told) else str(found.content)
    return text.replace("\xa0", " ")


def answering(monkeypatch, answer: Answer) -> list[list[str]]:
    asked: list[list[str]] = []

    async def fake(words: list[str]) -> Answer:
        asked.append(list(words))
        return answer

    monkeypatch.setattr(evidence, "ask", fake)
    return asked


async def test_the_outcome_and_the_figures_stand_beside_their_references(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        assert "▲ 1 outlier channel (133: 14.0 sigma, 22.0 % of the energy)" in said(
            app, "#outcome"
        )
        assert "1 channel above a height of 6" in said(app, "#outcome")
        figures = said(app, "#figures")
        for part in ("23.5 (23.1 to 23.9)  n 500", "2.99", "3.10 (3.00 to 3.20)", "at most"):
            assert part in figures
        lines = drawn(app, "#result-channels")
        assert lines[1].startswith("▲  133 █")
        assert "99.0 ± 0.5 %" in lines[1]
        assert app.screen.query_one("#result-channels").has_focus


async def test_the_overview_is_the_card_and_leads_to_the_evidence(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await at_overview(pilot, app)
        blocks = list(screen.tab.query(BlockView))
        assert [one.block for one in blocks] == list(card(screen.found.report))
        assert app.focused is blocks[0]
        for one in blocks:
            told = one.query_one(".lines", Told).whole.plain
            assert told == "\n".join(line(text) for text in one.block.lines)
        inside = next(one for one in blocks if one.block.block == "inside")
        inside.focus()
        await pilot.press("enter")
        await until(pilot, lambda: screen.tab.id == "part-outliers")


async def test_the_overview_has_one_line_a_block_in_a_low_window(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await at_overview(pilot, app)
        blocks = list(screen.tab.query(BlockView))
        assert [one.outer_size.height for one in blocks] == [1] * len(blocks)
        await pilot.press("down")
        assert app.focused is blocks[1]
        await pilot.press("up")
        await until(
            pilot, lambda: "50.0 % (49.0 to 51.0) as the mean of" in said(app, "#block-lines")
        )
        assert screen.query_one("#block-lines-panel").size.height > 4
        short = str(blocks[0].query_one(".short", Static).content)
        assert "68.0 % right on val" in short


async def test_the_overview_draws_accuracies_and_the_distance_from_the_baseline(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await at_overview(pilot, app)
        block = next(one for one in screen.tab.query(BlockView) if one.block.bars)
        assert [one.data for one in block.block.bars] == [
            "val",
            EVIL,
            "r",
            "sketch",
            "objectnet",
            "a",
        ]
        picture = block.query_one(CardPicture)
        await until(pilot, lambda: "█" in str(picture.content))
        lines = str(picture.content).splitlines()
        bars = re.findall(r"(\S+) +[\d.]+ % (█+)", "\n".join(lines[:-1]))
        assert len(bars) == 6
        lengths = {name: len(bar) for name, bar in bars}
        assert lengths["val"] > lengths["r"] > lengths["a"]  # .68, .50, .35: one scale
        assert lines[-1].startswith("over the baseline standard  ┼")
        assert "├" in lines[-1]
        assert lines[-1].endswith("+31.0 points (+29.0 to +33.0)")
        await pilot.resize_terminal(60, 40)
        await until(pilot, lambda: str(picture.content).splitlines() != lines)
        assert all(len(line) <= 56 for line in str(picture.content).splitlines())


async def test_the_title_says_what_and_warns(tmp_path: Path) -> None:
    untrained = model(name="rn50", weights=Weights(kind="untrained", source="", digest="ab" * 32))
    app = TuiprobeApp(open_run=write_run(tmp_path / "a", report(model=untrained)))
    async with app.run_test(size=(80, 24)) as pilot:
        await at_overview(pilot, app)
        assert said(app, "#place").split() == [
            "rn50", "·", "zero-shot", "·", "38", "M", "·", "1,024", "channels", "UNTRAINED",
        ]  # fmt: skip
    app = TuiprobeApp(open_run=write_run(tmp_path / "b"))
    async with app.run_test(size=(120, 40)) as pilot:
        await at_overview(pilot, app)
        assert said(app, "#place").endswith("DEMONSTRATION: says nothing about real CLIPs")
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: said(app, "#place").endswith("  DEMONSTRATION"))
        assert len(said(app, "#place")) == 58


async def test_tab_walks_through_all_parts_and_round(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await at_overview(pilot, app)
        seen = []
        for _ in range(6):
            seen.append(type(screen.tab).__name__)
            assert app.focused is screen.tab.first()
            await pilot.press("tab")
            await pilot.pause()
        assert seen == [
            "OverviewTab", "OutliersTab", "DirectionsTab", "ConceptsTab", "ImagesTab", "SectionTab",
        ]  # fmt: skip
        assert type(screen.tab).__name__ == "OverviewTab"
        await pilot.press("shift+tab")
        await until(pilot, lambda: type(screen.tab).__name__ == "SectionTab")
        line = screen.query_one(PartBar).render_line(0).text
        await pilot.click(PartBar, offset=(line.index("robustness"), 0))
        await until(pilot, lambda: screen.tab.id == "part-robustness")


async def test_numbers_show_parts_and_every_part_is_named_somewhere(tmp_path: Path) -> None:
    more = [
        Part(probe=f"extra_{i}", title=f"Extra {i}", not_run="no reason", block=None)
        for i in range(8)
    ]
    found = full_report()
    found = found.model_copy(update={"parts": (*found.parts, *more)})
    app = TuiprobeApp(open_run=write_run(tmp_path / "run", found))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await at_overview(pilot, app)
        bar = screen.query_one(PartBar)
        total = len(bar.names)
        assert total > 9
        seen = set()
        for number, name in enumerate(bar.names):
            if number < 9:
                await pilot.press(str(number + 1))
            else:
                await pilot.press("tab")
            await until(pilot, partial(lambda id: screen.tab.id == f"part-{id}", name.id))
            line = bar.render_line(0).text
            assert len(line) == 80
            label = f"{number + 1} {name.title}" if number < 9 else name.title
            assert f"[{label}]" in line
            assert line.endswith(f" {number + 1} of {total} ")
            seen.add((line[0] == "◂", line.rstrip().split(" of ")[0].count("▸")))
        assert seen == {(False, 1), (True, 1), (True, 0)}
        assert isinstance(app.screen, ResultsScreen)


async def test_models_and_runs_have_keys_of_their_own(run: Path) -> None:
    app = TuiprobeApp(open_run=run, runs=run.parent)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_overview(pilot, app)
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("1")
        assert isinstance(app.screen, RunsScreen)  # a number is a part of results alone
        await pilot.press("M")
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))


async def test_layers_and_sets(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app)
        assert screen.tab.shown.tap == "final"
        await pilot.press("left")
        assert screen.tab.shown.tap == "blocks.3"
        assert [row.channel for row in rows(app, "#result-channels")] == [133, 17]
        await pilot.press("right")
        assert screen.tab.shown.tap == "final"
        await pilot.press("d")
        assert screen.tab.shown.data == EVIL
        title = str(screen.tab.query_one(".main").border_title)
        assert "sky" in title
        assert not {"\x1b", "\u202e"} & set(title)
        await pilot.press("d")
        assert screen.tab.shown.data == "val"


async def test_a_layer_leads_to_its_channels_and_a_channel_to_its_evidence(
    run: Path,
) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        app.screen.query_one("#result-layers").focus()
        await pilot.press("enter")
        assert app.screen.query_one("#result-channels").has_focus
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, EvidenceScreen))
        assert app.screen.subject.number == 17
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen))
        await pilot.press("up", "enter")
        await until(pilot, lambda: app.screen.query_one(PictureGrid).shown)
        about = said(app, "#about")
        assert "directions that lean on it" in about
        assert f"{plain(EVIL)} (scene)  0.98 +" in about
        grid = app.screen.query_one(PictureGrid)
        assert [(name, len(pictures)) for name, pictures in grid.shown] == [
            ("strongest: largest values", 3),
            ("weakest: smallest values", 1),
        ]
        first = grid.shown[0][1][0]
        assert first.file is not None
        assert first.file.path == run / "thumbs" / "val" / "133.jpg"
        assert first.name == "cats/1.jpg"
        await pilot.press("p", "right", "right", "right")
        assert grid.current is grid.shown[1][1][0]
        cell = grid.query("_Cell.-here Static").last(Static)
        assert str(cell.content).startswith("▸ 9.8")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PictureScreen))


async def test_ablation_is_asked_of_a_process_and_told_with_intervals(run, monkeypatch) -> None:
    asked = answering(monkeypatch, Answer(0, json.dumps(ABLATION), ""))
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        await pilot.press("a")
        await until(pilot, lambda: app.screen.query("#ablation") and rows(app, "#ablation"))
        assert asked == [["reprobe", str(run), "--ablate", "channel:133", "--json"]]
        line = drawn(app, "#ablation")[1]
        assert plain(EVIL)[:5] in line
        assert "*\N{MINUS SIGN}20" in line
        assert said(app, "#said") == (
            "accuracy without it (set to zero) on 1 set; * differs; "
            "no accuracy on concepts, unlabelled: no labels"
        )
        await pilot.press("n")
        await until(pilot, lambda: len(asked) == 2)
        assert asked[1][4:] == ["--ablate-mode", "zero", "--json"]


async def test_a_direction_is_ablated_in_its_own_basis(run, monkeypatch) -> None:
    asked = answering(monkeypatch, Answer(4, "", "error: no head [b]here[/]\n"))
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "directions")
        await pilot.press("down", "a")
        await until(pilot, lambda: asked)
        assert asked[0][2:] == ["--ablate", "direction:1", "--centred", "--json"]
        await until(pilot, lambda: "no head [b]here[/]" in said(app, "#said"))


async def test_a_real_process_ablates_a_real_head(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((6, 16)).astype("f4")
    labels = rng.integers(0, 6, 300)
    h = (weight[labels] + rng.standard_normal((300, 16))).astype("f4")
    h[:, 9] += 40 * (labels == 0)  # a channel that the head uses
    weight[0, 9] = 5
    engine_run(tmp_path / "run", {"val": FakeSet(h, labels)}, weight)
    write_run(tmp_path / "run")
    app = TuiprobeApp(open_run=tmp_path / "run")
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        await pilot.press("down", "down", "down", "a")
        await until(pilot, lambda: app.screen.query("#ablation") and rows(app, "#ablation"))
        found = rows(app, "#ablation")[0]
        assert (found.name, found.n) == ("val", 300)
        assert found.lost + found.gained > 0
        assert drawn(app, "#ablation")[1].startswith("val")


async def test_an_inner_layer_is_not_ablated_and_says_why(run, monkeypatch) -> None:
    asked = answering(monkeypatch, Answer(0, "", ""))
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        await pilot.press("left", "a")
        await until(pilot, lambda: app.screen.query("#said"))
        await pilot.pause()
        assert "only channels of the final representation" in said(app, "#said")
        await pilot.press("a", "n")  # and neither key is offered
        assert not asked
        assert not {"ablate", "zero"} & {one.action for one, _ in working_keys(app.screen)}
        assert "of the final representation only" in said(app, "#about")


async def test_bases_and_curves(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "directions")
        pruning = app.screen.query_one("#pruning", ChartView)
        assert pruning.chart.title == "Pruning on val, W minus its mean row"
        assert "6.00" in said(app, "#basis")
        await pilot.press("b")
        assert pruning.chart.title == "Pruning on val, W"
        assert "5.00" in said(app, "#basis")
        await pilot.press("d")
        assert pruning.chart.title == "Pruning on r, W"


async def test_outlier_channels_are_named_only_where_there_are_any(tmp_path: Path) -> None:
    one = directions()
    bare = tuple(
        basis.model_copy(
            update={
                "outlier_share": NotRun(reason="no outlier channel"),
                "directions": tuple(
                    d.model_copy(update={"outlier_share": None}) for d in basis.directions
                ),
            }
        )
        for basis in one.bases
    )
    found = full_report(directions=one.model_copy(update={"bases": bare}))
    words = "Without channels 3 and 5 (half of the offset): -3.8 points on val."
    ablated = Part(probe="ablation", title="", section=Section(title="", headline=(words,)))
    parts = (*(part for part in found.parts if part.probe != "ablation"), ablated)
    run = write_run(tmp_path / "run", found.model_copy(update={"parts": parts}))
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "directions")
        assert words in said(app, "#basis")
        assert "▲" not in said(app, "#basis") + drawn(app, "#directions")[0]
    app = TuiprobeApp(open_run=write_run(tmp_path / "marked"))
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "directions")
        assert "on ▲ channels" in said(app, "#basis")
        assert "on ▲" in drawn(app, "#directions")[0]


async def test_concepts_filter_sort_and_threshold(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "concepts")

        def names() -> list[str]:
            return [row.concept.name for row in rows(app, "#concepts")]

        assert names() == [EVIL, "grass", "dog"]
        assert "\x1b" not in "".join(drawn(app, "#concepts"))
        await pilot.press("slash", *"sadty")  # keys elsewhere, letters here
        assert app.screen.query_one("#concept-filter", Input).value == "sadty"
        app.screen.query_one("#concept-filter", Input).value = "obj"
        await until(pilot, lambda: names() == ["dog"])
        await pilot.press("enter")
        assert app.screen.query_one("#concepts").has_focus
        await pilot.press("escape")
        assert names() == [EVIL, "grass", "dog"]
        await pilot.press("s")
        assert names() == [EVIL, "dog", "grass"]
        await pilot.press("s", "s", "s", "s", "s", "s")
        assert names() == [EVIL, "grass", "dog"]
        for _ in range(3):
            await pilot.press("t")
        assert names() == [EVIL, "grass"]
        await pilot.press("t", "t")
        assert names() == [EVIL]
        await pilot.press("t")
        assert len(names()) == 3


async def test_a_heading_sorts_concepts(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(200, 40)) as pilot:
        await to_tab(pilot, app, "concepts")
        await pilot.click("#concepts", offset=(2, 0))
        assert [row.concept.name for row in rows(app, "#concepts")] == [EVIL, "dog", "grass"]
        await pilot.click("#concepts", offset=(2, 0))
        assert [row.concept.name for row in rows(app, "#concepts")] == ["grass", "dog", EVIL]
        for _ in range(5):  # every heading stays whole beside the arrow
            heading = drawn(app, "#concepts")[0]
            await pilot.press("s")
            await pilot.pause()
            sorted_heading = drawn(app, "#concepts")[0]
            assert "…" not in sorted_heading
            assert sum(sorted_heading.count(arrow) for arrow in "↑↓") == 1
            assert "▲" not in sorted_heading
            assert heading.split() != sorted_heading.split()


async def test_exemplars_follow_the_cursor_and_the_sign(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "concepts")
        grid = app.screen.query_one("#exemplars", PictureGrid)
        await until(pilot, lambda: [len(found) for _, found in grid.shown] == [3, 1])
        await pilot.press("down")  # grass is told by the other end
        await until(pilot, lambda: [len(found) for _, found in grid.shown] == [1, 3])
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, EvidenceScreen))
        assert app.screen.subject.question == ["--ablate", "direction:3"]


async def test_robustness_shows_accuracies_and_both_intervals(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(220, 60)) as pilot:
        await to_tab(pilot, app, "robustness")
        strips = app.screen._compositor.render_strips()
        text = "\n".join("".join(part.text for part in strip) for strip in strips)
        found = full_report().part(Robustness)
        first = found.effective[0]
        for figure in (found.accuracies[0].top1, first.value, first.prediction):
            assert line((figure,)) in text
        assert "imagenet_a" in text
        assert "on the same classes" not in text  # no row has a figure there
        chart = app.screen.tab.query_one(ChartView)
        await until(pilot, lambda: chart.size.height > 0)
        drawn = "\n".join(chart.render_line(y).text for y in range(chart.size.height))
        assert "open_clip:RN50-quickgelu" in drawn
        assert "◆" in drawn
        assert "baseline standard" in drawn


async def test_images_follow_the_cursor(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "images")
        grid = app.screen.query_one("#grid", PictureGrid)
        await until(pilot, lambda: grid.shown)
        assert "channel 133" in str(grid.border_title)
        await pilot.press("down")
        await until(pilot, lambda: "channel 17" in str(grid.border_title))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, EvidenceScreen))


async def test_pictures_that_were_cut_off_are_shown_the_next_time(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "images")
        grid = app.screen.query_one("#grid", PictureGrid)
        await until(pilot, lambda: grid.shown)
        wanted = [(name, list(pictures)) for name, pictures in grid.shown]
        await grid.show([])
        first = asyncio.ensure_future(grid.show(wanted))
        await asyncio.sleep(0)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        await grid.show(wanted)
        assert len(grid.query(".pictures-row")) == 2
        assert len(grid.query("Thumbnail")) == 4


async def test_pictures_are_reached_and_enlarged_by_keys(run: Path, copied: list[str]) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "images")
        screen, grid = app.screen, app.screen.query_one("#grid", PictureGrid)
        await until(pilot, lambda: grid.shown)
        await pilot.press("p")
        assert grid.has_focus
        await pilot.press("right")
        assert grid.current.name == f"cats/{EVIL}.jpg"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PictureScreen))
        await until(pilot, lambda: "8.8" in said(app, "#enlarged-about"))
        about = said(app, "#enlarged-about")
        assert about.splitlines() == ["strongest: largest values: 8.8", f"cats/{plain(EVIL)}.jpg"]
        large = app.screen.query_one("#enlarged-picture", Thumbnail)
        await until(pilot, lambda: large.size.height > 20)
        assert large.size.width == 2 * large.size.height
        assert "▀" in large.render_line(0).text
        await pilot.press("right", "y")
        assert "the run keeps no picture of it" in said(app, "#enlarged-about")
        assert copied == ["id 135"]
        await pilot.press("right", "escape")
        await until(pilot, lambda: app.screen is screen)
        assert grid.current is grid.shown[1][1][0]  # the cursor is where one has looked last
        await pilot.press("up")
        assert grid.current is grid.shown[0][1][0]
        await pilot.press("escape")
        assert app.screen is screen
        assert app.screen.query_one("#imaged").has_focus


async def test_a_count_stays_beside_its_n_at_every_width(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        figures = app.screen.query_one("#figures", Told)
        widths = set()
        for width in range(100, 124, 2):
            await pilot.resize_terminal(width, 40)
            await pilot.pause()
            room = figures.scrollable_content_region.width
            widths.add(room)
            lines = str(figures.content).splitlines()
            assert not [line for line in lines if line.rstrip().endswith(" n")]
            assert max(map(len, lines)) <= room
        for room in range(20, 60):
            lines = wrapped(figures.whole, room).plain.splitlines()
            assert not [line for line in lines if line.rstrip("\xa0 ").endswith(" n")]


async def test_every_part_explains_what_is_at_the_cursor(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    expected = {
        "overview": "under-shifts", "outliers": "height", "directions": "importance",
        "concepts": "average-precision", "robustness": "effective-robustness", "images": "share",
    }  # fmt: skip
    async with app.run_test(size=(160, 40)) as pilot:
        await at_overview(pilot, app)
        for id, wanted in expected.items():
            if id != "overview":
                await to_tab(pilot, app, id)
            found = [
                one
                for node in app.focused.ancestors_with_self
                if hasattr(node, "explained")
                for one in node.explained()
            ]
            assert wanted in found
            assert all(term(one) for one in found)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, EvidenceScreen))
        found = app.screen.explained()
        assert found[0] == "channel"
        assert {"height", "ablation"} <= set(found)
        assert all(term(one) for one in found)


async def test_y_copies_the_row(run: Path, copied: list[str]) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        for tab, expected in (
            ("outliers", "channel ▲  133, height 14.0 ± 0.2"),
            ("directions", "direction v0, importance 0.5"),
            ("concepts", "concept "),
            ("robustness", "Top-1 "),
            ("images", "channel 133: cats/1.jpg"),
        ):
            await to_tab(pilot, app, tab)
            if tab == "images":
                await until(pilot, lambda: app.screen.query_one("#grid", PictureGrid).shown)
            await pilot.press("y")
            assert copied[-1].startswith(expected)
            assert not {"\x1b", "\u202e", "\n"} & set(copied[-1])


async def test_c_copies_the_command_and_e_opens_the_export(run: Path, copied: list[str]) -> None:
    whole = {"model": "mini_clip", "data": "/home/me/my photos", "sample": 5000}
    RunDir(run).spec_file.write_json(whole)
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        await pilot.press("c")
        assert copied == ["tuiprobe --headless --model mini_clip --data '/home/me/my photos'"]
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ExportScreen))
        assert app.screen.run == run
        await pilot.press("escape")
        spec = {"model": "m", "data": "d", "tokens": "[red]some[/]"}  # of another version
        RunDir(run).spec_file.write_json(spec)
        await pilot.press("c")
        await until(pilot, lambda: len(app._notifications) > 0)
        assert len(copied) == 1
        assert any("--tokens" in one.message for one in app._notifications)


async def test_one_half_can_have_the_window(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        main, aside = (screen.tab.query_one(name) for name in (".main", ".aside"))

        def seen() -> tuple[bool, bool]:
            return main.size.area > 0, aside.size.area > 0

        assert seen() == (True, False)  # a low window keeps the figures for later
        await pilot.press("m")
        assert seen() == (False, True)
        await pilot.press("m")
        assert seen() == (True, False)
        await pilot.press("escape")
        assert isinstance(app.screen, ResultsScreen)
        assert not screen.has_class("-only-main")


async def test_only_keys_that_work_are_offered(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app)

        def offered() -> set[str]:
            return {binding.action for binding, _ in working_keys(screen)}

        assert {"ablate", "data"} <= offered()
        assert not {"filter", "threshold", "basis"} & offered()
        await to_tab(pilot, app, "concepts")
        assert {"filter", "threshold", "sort"} <= offered()
        await to_tab(pilot, app, "robustness")
        assert not {"ablate", "filter"} & offered()


async def test_what_was_not_run_says_why_and_what_would_give_it(tmp_path: Path) -> None:
    app = TuiprobeApp(open_run=write_run(tmp_path / "bare", bare_report()))
    async with app.run_test(size=(100, 30)) as pilot:
        await to_tab(pilot, app, "concepts")
        assert "no concept set" in said(app, "#no-concepts")
        assert "--concepts" in said(app, "#no-concepts")
        await to_tab(pilot, app, "directions")
        assert "--classes FILE" in said(app, "#no-directions")
        await to_tab(pilot, app, "robustness")
        assert "no labels and no head" in said(app, ".none")
        for key in "adbstmy":  # nothing to act on: nothing happens
            await pilot.press(key)
        assert isinstance(app.screen, ResultsScreen)


async def test_damaged_results_are_an_error_with_a_next_step(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "results.json").write_text('{"title": "[b]\\u001b"}')
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "reprobe" in said(app, "#reading"))
        await pilot.press("tab", "e", "m")
        assert isinstance(app.screen, ResultsScreen)


async def test_leaving_while_results_are_read_is_no_error(run, monkeypatch) -> None:
    app = TuiprobeApp(runs=run.parent)
    async with app.run_test(size=(100, 30)) as pilot:
        app.push_screen(ResultsScreen(run))
        await pilot.press("escape")
        await pilot.pause(0.2)
        assert not isinstance(app.screen, ResultsScreen)


@pytest.mark.parametrize("size", [(60, 15), (200, 50)])
async def test_every_tab_stands_every_size(run: Path, size: tuple[int, int]) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot, app)
        for _ in range(5):
            first = screen.tab.first()
            assert first.size.height >= 2
            assert first.region.right <= size[0]
            await pilot.press("tab")
            await pilot.pause()


async def test_no_markup_of_the_run_is_obeyed(tmp_path: Path) -> None:
    hostile = full_report(title=f"[link=file:///]{EVIL}", warnings=(f"[bold]{EVIL}",))
    app = TuiprobeApp(open_run=write_run(tmp_path / "run", hostile))
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        assert "[bold][red]sky[/]\\x1b[31m\\u202e" in said(app, "#outcome")
        svg: Callable[[], str] = app.export_screenshot
        assert "file:///" not in svg().replace("link=file:///]", "")


async def test_images_that_are_not_finite_are_told_beside_the_figures() -> None:
    report = full_report()
    about = ShownRun.of(RunDir("nowhere"), report)
    (final,) = [o for o in about.taps if o.final and o.data == report.data[0].name]
    told = figures_of(final, about).plain
    assert "not finite" not in told
    data = report.data[0].model_copy(update={"nonfinite": 3, "nonfinite_images": ("a.png",)})
    spoiled = report.model_copy(update={"data": (data, *report.data[1:])})
    told = figures_of(final, ShownRun.of(RunDir("nowhere"), spoiled)).plain
    assert ", 3 not finite" in told
