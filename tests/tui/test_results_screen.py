"""Results: every tab and every key, against a run of files with hostile names."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from textual.widgets import Input, Static, Tabs

from tests.measure.fake_run import FakeSet
from tests.measure.fake_run import write_run as engine_run
from tests.tui.conftest import until
from tests.tui.finished import EVIL, bare_report, full_report, write_run
from tuiprobe.plaintext import plain
from tuiprobe.report.text import line
from tuiprobe.results.card import card
from tuiprobe.run.directory import RunDir
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.child import Answer
from tuiprobe.tui.commands import working_keys
from tuiprobe.tui.screens import evidence
from tuiprobe.tui.screens.evidence import EvidenceScreen
from tuiprobe.tui.screens.export import ExportScreen
from tuiprobe.tui.screens.results import ResultsScreen
from tuiprobe.tui.tabs.outliers import figures_of
from tuiprobe.tui.tabs.overview import BlockView
from tuiprobe.tui.tabs.tab import Found
from tuiprobe.tui.widgets.chart import ChartView
from tuiprobe.tui.widgets.pictures import PictureGrid
from tuiprobe.tui.widgets.rows import RowTable

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
    "not_run": [{"name": "unlabelled", "reason": "no labels"}],
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
    app.screen.query_one(Tabs).active = name
    await until(pilot, lambda: app.screen.tab.id == f"part-{name}")
    await pilot.pause()


def rows(app, selector: str) -> list:
    return list(app.screen.query_one(selector, RowTable).rows)


def drawn(app, selector: str) -> list[str]:
    table = app.screen.query_one(selector, RowTable)
    return [table.render_line(y).text for y in range(len(table.rows) + 1)]


def said(app, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).content)


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
        assert "▲ 1 outlier channel (133: 14 sigma, 22 % of the energy)" in said(app, "#outcome")
        assert "1 channel above a height of 6" in said(app, "#outcome")
        figures = said(app, "#figures")
        for part in ("23.5 (23.1 to 23.9)  n 500", "2.99", "3.10 (3.00 to 3.20)", "at most"):
            assert part in figures
        lines = drawn(app, "#result-channels")
        assert lines[1].startswith("▲  133 █")
        assert ".990 ±.005" in lines[1]
        assert app.screen.query_one("#result-channels").has_focus


async def test_the_overview_is_the_card_and_leads_to_the_evidence(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await at_overview(pilot, app)
        blocks = list(screen.tab.query(BlockView))
        assert [one.block for one in blocks] == list(card(screen.found.report))
        assert app.focused is blocks[0]
        for one in blocks:
            told = str(one.query_one(".full", Static).content)
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
            "OverviewTab", "OutliersTab", "DirectionsTab", "ConceptsTab", "RobustnessTab",
            "ImagesTab",
        ]  # fmt: skip
        assert type(screen.tab).__name__ == "OverviewTab"
        await pilot.press("shift+tab")
        await pilot.pause()
        assert type(screen.tab).__name__ == "ImagesTab"


async def test_a_tab_can_be_clicked(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app)
        await pilot.click("Tab#robustness")
        assert type(screen.tab).__name__ == "RobustnessTab"


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


async def test_a_layer_leads_to_its_channels_and_a_channel_to_its_evidence(run: Path) -> None:
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
        assert isinstance(app.screen, ResultsScreen)


async def test_evidence_shows_images_directions_and_concepts(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query(PictureGrid))
        await pilot.pause()
        about = said(app, "#about")
        assert "directions that lean on it" in about
        assert f"{plain(EVIL)} (scene)  0.980 +" in about
        groups = app.screen.query_one(PictureGrid).shown
        assert [(name, len(pictures)) for name, pictures in groups] == [
            ("largest", 3),
            ("smallest", 1),
        ]
        first = groups[0][1][0]
        assert first.file is not None
        assert first.file.path == run / "thumbs" / "val" / "133.jpg"
        assert first.name == "cats/1.jpg"


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
        assert "▼-0.200" in line
        assert "unlabelled not run: no labels" in said(app, "#said")
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
        assert not asked


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


async def test_concepts_filter_sort_and_threshold(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "concepts")

        def names() -> list[str]:
            return [row.concept.name for row in rows(app, "#concepts")]

        assert names() == [EVIL, "grass", "dog"]
        assert "\x1b" not in "".join(drawn(app, "#concepts"))
        await pilot.press("slash", *"obj")
        assert names() == ["dog"]
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
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "concepts")
        await pilot.click("#concepts", offset=(2, 0))
        assert [row.concept.name for row in rows(app, "#concepts")] == [EVIL, "dog", "grass"]
        await pilot.click("#concepts", offset=(2, 0))
        assert [row.concept.name for row in rows(app, "#concepts")] == ["grass", "dog", EVIL]


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
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "robustness")
        assert len(rows(app, "#accuracies")) == 6
        text = said(app, "#effective")
        assert ".310 (.290 to .330)" in text
        assert ".310 (.270 to .350)" in text
        assert "▲ above" in text
        scatter = app.screen.query_one("#scatter", ChartView)
        shown = "\n".join(scatter.render_line(y).text for y in range(scatter.size.height))
        assert "open_clip:RN50-quickgelu ◆" in shown
        assert "baseline standard" in shown
        await pilot.press("d")


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


@pytest.mark.parametrize(
    ("tab", "expected"),
    [
        ("outliers", "channel ▲  133, height 14.0 ±.2"),
        ("directions", "direction v0, importance .500"),
        ("concepts", "concept "),
        ("robustness", "set val, top-1 .680 ±.020"),
        ("images", "channel 133: cats/1.jpg"),
    ],
)
async def test_y_copies_the_row(run: Path, copied: list[str], tab: str, expected: str) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, tab)
        await pilot.press("y")
        assert copied[0].startswith(expected)
        assert not {"\x1b", "\u202e", "\n"} & set(copied[0])


async def test_c_copies_the_command_and_e_opens_the_export(run: Path, copied: list[str]) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        await pilot.press("c")
        assert copied == [
            "tuiprobe --headless --model mini_clip --data 'my photos' --sample 500 "
            "--layers 'blocks.*'"
        ]
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ExportScreen))
        assert app.screen.run == run


async def test_options_of_another_version_are_not_copied(run: Path, copied: list[str]) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        spec = {"model": "m", "data": "d", "tokens": "[red]some[/]"}
        app.screen.found = replace(
            app.screen.found, report=app.screen.found.report.model_copy(update={"spec": spec})
        )
        await pilot.press("c")
        await until(pilot, lambda: len(app._notifications) == 1)
        assert copied == []
        assert "--tokens" in next(iter(app._notifications)).message


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
        assert "no labels and no head" in said(app, "#no-robustness")
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


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (200, 50), (60, 15)])
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


async def test_filter_field_takes_letters_that_are_keys_elsewhere(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "concepts")
        await pilot.press("slash", *"sadty")
        assert app.screen.query_one("#concept-filter", Input).value == "sadty"


async def test_images_that_are_not_finite_are_told_beside_the_figures() -> None:
    report = full_report()
    about = Found.of(RunDir("nowhere"), report)
    (final,) = [o for o in about.taps if o.final and o.data == report.data[0].name]
    told = figures_of(final, about).plain
    assert "not finite" not in told
    data = report.data[0].model_copy(update={"nonfinite": 3, "nonfinite_images": ("a.png",)})
    spoiled = report.model_copy(update={"data": (data, *report.data[1:])})
    told = figures_of(final, Found.of(RunDir("nowhere"), spoiled)).plain
    assert ", 3 not finite" in told
