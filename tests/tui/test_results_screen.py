"""Results: every tab and every key, against a run of files with hostile names."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from textual.widgets import Input, Static

from tests.measure.fake_run import FakeSet
from tests.measure.fake_run import write_run as engine_run
from tests.report.samples import data_sets, model
from tests.tui.conftest import unexplained, until
from tests.tui.finished import EVIL, bare_report, full_report, write_run
from tuiprobe.catalog.glossary import term
from tuiprobe.plaintext import plain
from tuiprobe.report.text import line
from tuiprobe.results import Part, Weights
from tuiprobe.results.card import card
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
from tuiprobe.tui.tabs.overview import BlockView, CardPicture
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


async def at_overview(pilot, app) -> ResultsScreen:
    await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.tab)
    await pilot.pause()
    return app.screen


async def to_tab(pilot, app, name: str) -> ResultsScreen:
    await at_overview(pilot, app)
    app.screen.query_one(PartBar).active = name
    await until(pilot, lambda: app.screen.tab.id == f"part-{name}")
    await pilot.pause()
    return app.screen


async def goes_to(pilot, kind: type) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, kind))


def rows(app, selector: str) -> list:
    return list(app.screen.query_one(selector, RowTable).rows)


def drawn(app, selector: str) -> list[str]:
    table = app.screen.query_one(selector, RowTable)
    return [table.render_line(y).text for y in range(len(table.rows) + 1)]


def said(app, selector: str) -> str:
    """The text of a widget, before its lines are broken, with ordinary blanks."""
    widget = app.screen.query_one(selector, Static)
    text = widget.whole.plain if isinstance(widget, Told) else str(widget.content)
    return text.replace("\xa0", " ")


def offered(app) -> set[str]:
    return {binding.action for binding, _ in working_keys(app.screen)}


async def test_the_overview_is_the_card_at_every_size_and_leads_to_the_evidence(
    finished: Path,
) -> None:
    app = TuiprobeApp(open_run=finished)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await at_overview(pilot, app)
        blocks = list(screen.tab.query(BlockView))
        assert [block.block for block in blocks] == list(card(screen.found.report))
        assert app.focused is blocks[0]
        for block in blocks:
            text = block.query_one(".lines", Told).whole.plain
            assert text == "\n".join(line(item) for item in block.block.lines)
        assert said(app, "#place").endswith("DEMONSTRATION: says nothing about real CLIPs")

        block = next(view for view in blocks if view.block.bars)
        names = ["val", EVIL, "r", "sketch", "objectnet", "a"]
        assert [bar.data for bar in block.block.bars] == names
        picture = block.query_one(CardPicture)
        await until(pilot, lambda: "█" in str(picture.content))
        lines = str(picture.content).splitlines()
        bars = re.findall(r"(\S+) +[\d.]+ % (█+)", "\n".join(lines[:-1]))
        lengths = {name: len(bar) for name, bar in bars}
        assert len(lengths) == 6
        assert lengths["val"] > lengths["r"] > lengths["a"]  # .68, .50, .35: one scale
        assert lines[-1].startswith("over the baseline standard  ┼")
        assert "├" in lines[-1]
        assert lines[-1].endswith("+31.0 points (+29.0 to +33.0)")

        await pilot.resize_terminal(60, 40)
        await until(pilot, lambda: str(picture.content).splitlines() != lines)
        assert all(len(text) <= 56 for text in str(picture.content).splitlines())
        await until(pilot, lambda: said(app, "#place").endswith("  DEMONSTRATION"))
        assert len(said(app, "#place")) == 58

        await pilot.resize_terminal(80, 24)  # low: a line a block, the chosen one in full
        await until(pilot, lambda: {view.outer_size.height for view in blocks} == {1})
        await pilot.press("down")
        assert app.focused is blocks[1]
        await pilot.press("up")
        await until(
            pilot, lambda: "50.0 % (49.0 to 51.0) as the mean of" in said(app, "#block-lines")
        )
        assert screen.query_one("#block-lines-panel").size.height > 4
        short = str(blocks[0].query_one(".short", Static).content)
        assert "68.0 % right on val" in short
        next(view for view in blocks if view.block.block == "inside").focus()
        await pilot.press("enter")
        await until(pilot, lambda: screen.tab.id == "part-outliers")


async def test_untrained_hostile_and_spoiled_runs_say_so_and_no_markup_is_obeyed(
    tmp_path: Path, copied: list[str]
) -> None:
    untrained = model(name="rn50", weights=Weights(kind="untrained", source="", digest="ab" * 32))
    spoiled = {"nonfinite": 3, "nonfinite_images": ("a.png",)}
    hostile = full_report(
        title=f"[link=file:///]{EVIL}", warnings=(f"[bold]{EVIL}",), model=untrained,
        data=tuple(one.model_copy(update=spoiled) for one in data_sets()),
    )  # fmt: skip
    run = write_run(tmp_path / "run", hostile)
    whole = {"model": "mini_clip", "data": "/home/me/my photos", "sample": 5000}
    RunDir(run).spec_file.write_json(whole)
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "outliers")
        assert said(app, "#place").startswith("rn50 · zero-shot · 38 M · 1,024 channels")
        assert " UNTRAINED" in said(app, "#place")
        assert "[bold][red]sky[/]\\x1b[31m\\u202e" in said(app, "#outcome")
        assert ", 3 not finite" in said(app, "#figures")
        assert "file:///" not in app.export_screenshot().replace("link=file:///]", "")
        await pilot.press("c")
        assert copied == ["tuiprobe --headless --model mini_clip --data '/home/me/my photos'"]
        await pilot.press("e")
        await goes_to(pilot, ExportScreen)
        assert app.screen.run == run
        await pilot.press("escape")
        spec = {"model": "m", "data": "d", "tokens": "[red]some[/]"}  # of another version
        RunDir(run).spec_file.write_json(spec)
        await pilot.press("c")
        await until(pilot, lambda: len(app._notifications) > 0)
        assert len(copied) == 1
        assert any("--tokens" in notice.message for notice in app._notifications)


async def test_keys_and_the_mouse_reach_every_part_models_and_runs(tmp_path: Path) -> None:
    more = [
        Part(probe=f"extra_{i}", title=f"Extra {i}", not_run="no reason", block=None)
        for i in range(8)
    ]
    report = full_report()
    report = report.model_copy(update={"parts": (*report.parts, *more)})
    app = TuiprobeApp(open_run=write_run(tmp_path / "run", report), runs=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await at_overview(pilot, app)
        kinds = []
        for _ in range(6):
            kinds.append(type(screen.tab).__name__)
            assert app.focused is screen.tab.first()
            await pilot.press("tab")
            await pilot.pause()
        assert kinds == [
            "OverviewTab", "OutliersTab", "DirectionsTab", "ConceptsTab", "ImagesTab", "SectionTab",
        ]  # fmt: skip
        bar = screen.query_one(PartBar)
        total = len(bar.names)
        arrows = set()
        for number, name in enumerate(bar.names, 1):
            await pilot.press(str(number) if number < 10 else "tab")
            await until(pilot, partial(lambda id: screen.tab.id == f"part-{id}", name.id))
            text = bar.render_line(0).text
            assert len(text) == 80
            label = f"{number} {name.title}" if number < 10 else name.title
            assert f"[{label}]" in text
            assert text.endswith(f" {number} of {total} ")
            arrows.add((text[0] == "◂", text.rstrip().split(" of ")[0].count("▸")))
        assert total > 9
        assert arrows == {(False, 1), (True, 1), (True, 0)}
        await pilot.press("tab")
        await until(pilot, lambda: type(screen.tab).__name__ == "OverviewTab")
        await pilot.press("shift+tab")
        await until(pilot, lambda: screen.tab.id == f"part-{bar.names[-1].id}")
        await pilot.press("5")
        await until(pilot, lambda: screen.tab.id == "part-images")
        await pilot.click(PartBar, offset=(bar.render_line(0).text.index("concepts"), 0))
        await until(pilot, lambda: screen.tab.id == "part-concepts")
        await pilot.press("R")
        await goes_to(pilot, RunsScreen)
        await pilot.press("1")
        assert isinstance(app.screen, RunsScreen)  # a number is a part of results alone
        await pilot.press("M")
        await goes_to(pilot, ModelsScreen)


TABS = {
    "overview": ("under-shifts", ""),
    "outliers": ("height", "channel ▲  133, height 14.0 ± 0.2"),
    "directions": ("importance", "direction v0, importance 0.5"),
    "concepts": ("average-precision", "concept "),
    "robustness": ("effective-robustness", "Top-1 "),
    "images": ("share", "channel 133: cats/1.jpg"),
}
"""By tab a term at its cursor, and how the copied row begins."""


def fits(screen: ResultsScreen, width: int) -> bool:
    first = screen.tab.first()
    return first.size.height >= 2 and first.region.right <= width


async def test_every_tab_stands_every_size_explains_its_cursor_and_copies_its_row(
    finished: Path, copied: list[str]
) -> None:
    app = TuiprobeApp(open_run=finished)
    keys = {}
    async with app.run_test(size=(160, 40)) as pilot:
        for id, (wanted, row) in TABS.items():
            screen = await to_tab(pilot, app, id)
            if id == "images":
                await until(pilot, lambda: app.screen.query_one("#grid", PictureGrid).shown)
            terms = [
                name
                for node in app.focused.ancestors_with_self
                if hasattr(node, "explained")
                for name in node.explained()
            ]
            assert wanted in terms
            assert all(term(name) for name in terms)
            keys[id] = offered(app)
            if row:
                await pilot.press("y")
                assert copied[-1].startswith(row)
                assert not {"\x1b", "\u202e", "\n"} & set(copied[-1])
            for size in ((60, 15), (200, 50)) if row else ():
                await pilot.resize_terminal(*size)
                await until(pilot, partial(fits, screen, size[0]))
            assert unexplained(screen) == []
        screen.tab.first().focus()
        await pilot.press("enter")
        await goes_to(pilot, EvidenceScreen)
        terms = app.screen.explained()
        assert terms[0] == "channel"
        assert {"height", "ablation"} <= set(terms)
        assert all(term(name) for name in terms)
    assert {"ablate", "data"} <= keys["outliers"]
    assert not {"filter", "threshold", "basis"} & keys["outliers"]
    assert {"filter", "threshold", "sort"} <= keys["concepts"]
    assert not {"ablate", "filter"} & keys["robustness"]


async def test_channels_show_outcome_figures_layers_and_sets(finished: Path) -> None:
    app = TuiprobeApp(open_run=finished)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await to_tab(pilot, app, "outliers")
        outcome = "▲ 1 outlier channel (133: 14.0 sigma, 22.0 % of the energy)"
        assert outcome in said(app, "#outcome")
        assert "1 channel above a height of 6" in said(app, "#outcome")
        for part in ("23.5 (23.1 to 23.9)  n 500", "2.99", "3.10 (3.00 to 3.20)", "at most"):
            assert part in said(app, "#figures")
        lines = drawn(app, "#result-channels")
        assert lines[1].startswith("▲  133 █")
        assert "99.0 ± 0.5 %" in lines[1]
        assert app.screen.query_one("#result-channels").has_focus

        figures = app.screen.query_one("#figures", Told)
        for width in range(100, 124, 4):  # a count stays beside its n
            await pilot.resize_terminal(width, 40)
            await pilot.pause()
            shown = str(figures.content).splitlines()
            assert not [text for text in shown if text.rstrip().endswith(" n")]
            assert max(map(len, shown)) <= figures.scrollable_content_region.width
        for room in range(20, 60):
            shown = wrapped(figures.whole, room).plain.splitlines()
            assert not [text for text in shown if text.rstrip("\xa0 ").endswith(" n")]

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

        await pilot.resize_terminal(80, 24)  # a low window keeps one half for later
        main, aside = (screen.tab.query_one(name) for name in (".main", ".aside"))
        for key, seen in (("", True), ("m", False), ("m", True)):
            await pilot.press(*[key] * bool(key))
            areas = (seen, not seen)
            await until(pilot, lambda: (main.size.area > 0, aside.size.area > 0) == areas)  # noqa: B023
        await pilot.press("escape")
        assert isinstance(app.screen, ResultsScreen)
        assert not screen.has_class("-only-main")


async def test_a_channel_leads_to_its_evidence_and_to_what_it_is_worth(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    async def answer(words: list[str]) -> Answer:
        asked.append(list(words))
        if "channel:133" in words:
            return Answer(0, json.dumps(ABLATION), "")
        return Answer(4, "", "error: no head [b]here[/]\n")

    monkeypatch.setattr(evidence, "ask", answer)
    app = TuiprobeApp(open_run=finished)
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "outliers")
        app.screen.query_one("#result-layers").focus()
        await pilot.press("enter")
        assert app.screen.query_one("#result-channels").has_focus
        await pilot.press("down", "enter")
        await goes_to(pilot, EvidenceScreen)
        assert app.screen.subject.number == 17
        await pilot.press("escape")
        await goes_to(pilot, ResultsScreen)
        await pilot.press("up", "enter")
        await until(pilot, lambda: app.screen.query_one(PictureGrid).shown)
        about = said(app, "#about")
        assert "directions that lean on it" in about
        assert f"{plain(EVIL)} (scene)  0.98 +" in about
        grid = app.screen.query_one(PictureGrid)
        assert [(name, len(pictures)) for name, pictures in grid.shown] == [
            ("strongest: largest values", 3), ("weakest: smallest values", 1),
        ]  # fmt: skip
        first = grid.shown[0][1][0]
        assert first.file is not None
        assert first.file.path == finished / "thumbs" / "val" / "133.jpg"
        assert first.name == "cats/1.jpg"
        await pilot.press("p", "right", "right", "right")
        assert grid.current is grid.shown[1][1][0]
        assert str(grid.query("_Cell.-here Static").last(Static).content).startswith("▸ 9.8")
        await pilot.press("enter")
        await goes_to(pilot, PictureScreen)
        await pilot.press("escape")
        await goes_to(pilot, EvidenceScreen)

        await pilot.press("a")  # accuracy without the channel, asked of a process
        await until(pilot, lambda: app.screen.query("#ablation") and rows(app, "#ablation"))
        assert asked == [["reprobe", str(finished), "--ablate", "channel:133", "--json"]]
        text = drawn(app, "#ablation")[1]
        assert plain(EVIL)[:5] in text
        assert "*\N{MINUS SIGN}20" in text
        assert said(app, "#said") == (
            "accuracy without it (set to zero) on 1 set; * differs; "
            "no accuracy on concepts, unlabelled: no labels"
        )
        await pilot.press("n")
        await until(pilot, lambda: len(asked) == 2)
        assert asked[1][4:] == ["--ablate-mode", "zero", "--json"]
        await pilot.press("escape")

        await to_tab(pilot, app, "directions")  # a direction in its own basis
        await pilot.press("down", "a")
        await until(pilot, lambda: len(asked) == 3)
        assert asked[2][2:] == ["--ablate", "direction:1", "--centred", "--json"]
        await until(pilot, lambda: "no head [b]here[/]" in said(app, "#said"))
        await pilot.press("escape")

        await to_tab(pilot, app, "outliers")  # an inner layer is not ablated, and says why
        await pilot.press("left", "a")
        await until(pilot, lambda: app.screen.query("#said"))
        await pilot.pause()
        assert "only channels of the final representation" in said(app, "#said")
        await pilot.press("a", "n")
        assert len(asked) == 3
        assert not {"ablate", "zero"} & offered(app)
        assert "of the final representation only" in said(app, "#about")


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
        await to_tab(pilot, app, "outliers")
        await pilot.press("down", "down", "down", "a")
        await until(pilot, lambda: app.screen.query("#ablation") and rows(app, "#ablation"))
        row = rows(app, "#ablation")[0]
        assert (row.name, row.n) == ("val", 300)
        assert row.lost + row.gained > 0
        assert drawn(app, "#ablation")[1].startswith("val")


async def test_directions_have_bases_and_curves(finished: Path) -> None:
    app = TuiprobeApp(open_run=finished)
    async with app.run_test(size=(120, 40)) as pilot:
        await to_tab(pilot, app, "directions")
        assert "on ▲ channels" in said(app, "#basis")
        assert "on ▲" in drawn(app, "#directions")[0]
        pruning = app.screen.query_one("#pruning", ChartView)
        assert pruning.chart.title == "Pruning on val, W minus its mean row"
        assert "6.00" in said(app, "#basis")
        await pilot.press("B")
        assert pruning.chart.title == "Pruning on val, W"
        assert "5.00" in said(app, "#basis")
        await pilot.press("d")
        assert pruning.chart.title == "Pruning on r, W"


async def test_concepts_are_filtered_sorted_cut_and_followed_by_their_images(
    finished: Path,
) -> None:
    app = TuiprobeApp(open_run=finished)
    async with app.run_test(size=(200, 40)) as pilot:
        await to_tab(pilot, app, "concepts")

        def names() -> list[str]:
            return [row.concept.name for row in rows(app, "#concepts")]

        everything = [EVIL, "grass", "dog"]
        assert names() == everything
        assert "\x1b" not in "".join(drawn(app, "#concepts"))
        grid = app.screen.query_one("#exemplars", PictureGrid)
        await until(pilot, lambda: [len(images) for _, images in grid.shown] == [3, 1])
        await pilot.press("down")  # grass is told by the other end
        await until(pilot, lambda: [len(images) for _, images in grid.shown] == [1, 3])
        await pilot.press("enter")
        await goes_to(pilot, EvidenceScreen)
        assert app.screen.subject.question == ["--ablate", "direction:3"]
        await pilot.press("escape")
        await goes_to(pilot, ResultsScreen)

        filter = app.screen.query_one("#concept-filter", Input)
        await pilot.press("slash", *"sadty")  # keys elsewhere, letters here
        assert filter.value == "sadty"
        filter.value = "obj"
        await until(pilot, lambda: names() == ["dog"])
        await pilot.press("enter")
        assert app.screen.query_one("#concepts").has_focus
        await pilot.press("escape")
        assert names() == everything
        await pilot.press("s")
        assert names() == [EVIL, "dog", "grass"]
        await pilot.press("s", "s", "s", "s", "s", "s")
        assert names() == everything
        for left in (everything, everything, everything[:2], everything[:2], [EVIL], everything):
            await pilot.press("t")
            assert names() == left

        for order in ([EVIL, "dog", "grass"], ["grass", "dog", EVIL]):
            await pilot.click("#concepts", offset=(2, 0))
            assert names() == order
        for _ in range(5):  # every heading stays whole beside the arrow
            heading = drawn(app, "#concepts")[0]
            await pilot.press("s")
            await pilot.pause()
            sorted_heading = drawn(app, "#concepts")[0]
            assert "…" not in sorted_heading
            assert sum(sorted_heading.count(arrow) for arrow in "↑↓") == 1
            assert "▲" not in sorted_heading
            assert heading.split() != sorted_heading.split()


async def test_pictures_follow_the_cursor_and_are_enlarged_by_keys(
    finished: Path, copied: list[str]
) -> None:
    app = TuiprobeApp(open_run=finished)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await to_tab(pilot, app, "images")
        grid = screen.query_one("#grid", PictureGrid)
        await until(pilot, lambda: grid.shown)
        assert "channel 133" in str(grid.border_title)
        await pilot.press("down")
        await until(pilot, lambda: "channel 17" in str(grid.border_title))
        await pilot.press("enter")
        await goes_to(pilot, EvidenceScreen)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("up")
        await until(pilot, lambda: "channel 133" in str(grid.border_title) and grid.shown)

        await pilot.press("p")
        assert grid.has_focus
        await pilot.press("right")
        assert grid.current.name == f"cats/{EVIL}.jpg"
        await pilot.press("enter")
        await goes_to(pilot, PictureScreen)
        await until(pilot, lambda: "8.8" in said(app, "#enlarged-about"))
        lines = ["strongest: largest values: 8.8", f"cats/{plain(EVIL)}.jpg"]
        assert said(app, "#enlarged-about").splitlines() == lines
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
        assert screen.query_one("#imaged").has_focus

        wanted = [(name, list(pictures)) for name, pictures in grid.shown]
        await grid.show([])
        first = asyncio.ensure_future(grid.show(wanted))
        await asyncio.sleep(0)
        first.cancel()  # what was cut off is shown the next time
        with contextlib.suppress(asyncio.CancelledError):
            await first
        await grid.show(wanted)
        assert len(grid.query(".pictures-row")) == 2
        assert len(grid.query("Thumbnail")) == 4


async def test_what_was_not_run_or_is_damaged_says_why_and_what_to_do(tmp_path: Path) -> None:
    damaged = write_run(tmp_path / "run")
    (damaged / "results.json").write_text('{"title": "[b]\\u001b"}')
    app = TuiprobeApp(open_run=write_run(tmp_path / "bare", bare_report()))
    async with app.run_test(size=(100, 30)) as pilot:
        await to_tab(pilot, app, "concepts")
        assert "no concept set" in said(app, "#no-concepts")
        assert "--concepts" in said(app, "#no-concepts")
        await to_tab(pilot, app, "directions")
        assert "--classes FILE" in said(app, "#no-directions")
        await to_tab(pilot, app, "robustness")
        assert "no labels and no head" in said(app, ".none")
        await pilot.press(*"adbstmy")  # nothing to act on: nothing happens
        assert isinstance(app.screen, ResultsScreen)

        app.push_screen(ResultsScreen(damaged))
        await until(pilot, lambda: "reprobe" in said(app, "#reading"))
        await pilot.press("tab", "e", "m")
        assert app.screen.run == damaged
        await pilot.press("escape")
        app.push_screen(ResultsScreen(damaged))  # left while it is read
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.run != damaged
