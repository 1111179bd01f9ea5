"""Results: every tab and every key, against a run of files with hostile names."""

import asyncio
import gc
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from rich.segment import Segment
from textual.widgets import Input, Static, Tabs

from tests.measure.engine.fake_run import vouch
from tests.show.report.samples import data_sets, model
from tests.show.tui.conftest import drawn as drawn_screen
from tests.show.tui.conftest import press_to, screens, unexplained, until
from tests.show.tui.finished import EVIL, bare_report, full_report, write_run
from tuiprobe.catalog.glossary import term
from tuiprobe.choose.labelling.report_part import labels_state
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.plaintext import plain
from tuiprobe.results import NotRun, Part, Weights
from tuiprobe.results.card import card
from tuiprobe.results.report import Report
from tuiprobe.results.section import Table
from tuiprobe.show.report.strings import line
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.commands import working_keys
from tuiprobe.show.tui.screens.dialogs import HelpScreen
from tuiprobe.show.tui.screens.export import ExportScreen
from tuiprobe.show.tui.screens.label import LabelScreen
from tuiprobe.show.tui.screens.models import ModelsScreen
from tuiprobe.show.tui.screens.results import ResultsScreen
from tuiprobe.show.tui.screens.runs import RunsScreen
from tuiprobe.show.tui.tabs.overview import BlockView
from tuiprobe.show.tui.tabs.section import SubjectPanel, SubjectTable, WrappedTable
from tuiprobe.show.tui.text import FigureText
from tuiprobe.show.tui.widgets.forest import Forest
from tuiprobe.show.tui.widgets.keyline import KeyLine
from tuiprobe.show.tui.widgets.pictures import PictureScreen
from tuiprobe.show.tui.widgets.textplot import ChartView
from tuiprobe.show.tui.widgets.thumbnail import PictureView
from tuiprobe.show.tui.worker import Worker

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

FOLDED_LOW = {"inside", "deploy"}


async def at_overview(pilot, app) -> ResultsScreen:
    await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.tab)
    await pilot.pause()
    return app.screen


async def to_tab(pilot, app, name: str) -> ResultsScreen:
    await at_overview(pilot, app)
    app.screen.show_tab(name)
    await until(pilot, lambda: app.screen.tab.id == f"tab-{name}")
    await pilot.pause()
    return app.screen


def text_of(app, selector: str) -> str:
    """The text of a widget, before its lines are broken, with ordinary blanks."""
    widget = app.screen.query_one(selector, Static)
    text = widget.unwrapped.plain if isinstance(widget, FigureText) else str(widget.content)
    return text.replace("\xa0", " ")


def text(view: BlockView) -> str:
    """The text of a block, as it is drawn for its width."""
    return str(view.content)


def offered(app) -> set[str]:
    return {binding.action for binding, _ in working_keys(app.screen)}


async def test_the_overview_answers_first_and_leads_to_the_evidence(finished: Path) -> None:
    async with screens((120, 44), open_run=finished) as (pilot, app):
        screen = await at_overview(pilot, app)
        blocks = list(screen.tab.query(BlockView))
        assert [block.block for block in blocks] == list(card(screen.results.report))
        assert app.focused is blocks[0]
        assert text_of(app, "#place").endswith("DEMONSTRATION: says nothing about real CLIPs")

        block = next(view for view in blocks if view.block.block == "shifts")
        lines = text(block).splitlines()
        assert lines[0] == "68.0 % right on val, 50.0 % over 5 shifts"  # the answer, once
        assert "as the mean of" not in text(block)
        forest = screen.query_one(Forest)
        assert list(forest.rows) == list(screen.results.report.accuracies)

        await pilot.resize_terminal(60, 44)
        await until(pilot, lambda: forest.size.width <= 56)
        assert all(len(one) <= 56 for one in text(block).splitlines())
        await until(pilot, lambda: text_of(app, "#place").endswith("  DEMONSTRATION"))
        assert len(text_of(app, "#place")) == 58

        await pilot.resize_terminal(80, 17)  # low: a line each of what there is no room for
        inside = next(view for view in blocks if view.block.block == "inside")
        await until(pilot, lambda: inside.outer_size.height == 1)
        for view in blocks[1:]:
            assert view.has_class("-folded") is (view.block.block in FOLDED_LOW)
        assert forest.size.height == len(forest.rows) + 1  # every set, whatever the window
        inside.focus()
        await pilot.press("enter")  # first all of its lines, then the evidence behind them
        await until(pilot, lambda: inside.outer_size.height > 3)
        assert "outlier channel" in text(inside)
        await pilot.press("enter")
        await until(pilot, lambda: screen.tab.id == "tab-channels")


async def test_a_folded_block_is_cut_only_where_there_is_no_room(finished: Path) -> None:
    async with screens((80, 15), open_run=finished) as (pilot, app):
        screen = await at_overview(pilot, app)
        inside = next(view for view in screen.tab.query(BlockView) if view.block.block == "inside")
        last, seen = screen.tab.query(BlockView).last(), set()
        for height in range(15, 25):
            await pilot.resize_terminal(80, height)
            await until(pilot, lambda: last.parent.size.height == height - 3)  # noqa: B023
            room = last.parent.region.bottom - last.region.bottom
            if inside.folded:
                seen.add(inside.outer_size.height)
                assert inside.outer_size.height == 3 or room < 2, height
        assert seen == {1, 3}


async def test_a_block_that_opens_below_the_edge_is_scrolled_into_sight(finished: Path) -> None:
    async with screens((80, 15), open_run=finished) as (pilot, app):
        screen = await at_overview(pilot, app)
        last = [view for view in screen.tab.query(BlockView) if view.folded][-1]
        last.focus()
        await pilot.press("enter")
        await until(pilot, lambda: last.outer_size.height > 1)
        bottom = last.parent.region.bottom
        await until(pilot, lambda: 0 < last.region.bottom <= bottom)


async def test_a_warning_of_the_answers_stands_above_them(tmp_path: Path) -> None:
    report = full_report()
    warned = tuple(
        part.model_copy(
            update={"section": part.section.model_copy(update={"warnings": (f"{EVIL} reversed",)})}
        )
        if part.probe == "robustness" and part.section is not None
        else part
        for part in report.parts
    )
    run = write_run(tmp_path / "run", report.model_copy(update={"parts": warned}))
    async with screens((120, 40), open_run=run) as (pilot, app):
        screen = await at_overview(pilot, app)
        (warning,) = screen.query("OverviewTab .-warning")
        first = next(iter(screen.query(BlockView)))
        assert warning.region.y < first.region.y
        assert "! " + plain(f"{EVIL} reversed") in drawn_screen(app)


async def test_untrained_hostile_and_spoiled_runs_say_so_and_no_markup_is_obeyed(tmp_path, copied):
    untrained = model(name="rn50", weights=Weights(kind="untrained", source="", digest="ab" * 32))
    spoiled = {"nonfinite": 3, "nonfinite_images": ("a.png",)}
    hostile = full_report(
        title=f"[link=file:///]{EVIL}", warnings=(f"[bold]{EVIL}",), model=untrained,
        data=tuple(one.model_copy(update=spoiled) for one in data_sets()),
    )  # fmt: skip
    run = write_run(tmp_path / "run", hostile)
    whole = {"model": "mini_clip", "data": "/home/me/my photos", "sample": 5000}
    RunDir(run).spec_file.write_json(whole)
    vouch(RunDir(run))
    async with screens((120, 40), open_run=run) as (pilot, app):
        await to_tab(pilot, app, "channels")
        assert text_of(app, "#place").startswith("rn50 · zero-shot · 38 M · 1,024 channels")
        assert " UNTRAINED" in text_of(app, "#place")
        assert not {"\x1b", "\u202e"} & set(drawn_screen(app))
        assert "file:///" not in app.export_screenshot().replace("link=file:///]", "")
        await pilot.press("c")
        assert copied == ["tuiprobe --headless --model mini_clip --data '/home/me/my photos'"]
        await press_to(pilot, ExportScreen, "e")
        assert app.screen.run == run
        await pilot.press("escape")
        spec = {"model": "m", "data": "d", "tokens": "[red]some[/]"}  # of another version
        RunDir(run).spec_file.write_json(spec)
        vouch(RunDir(run))
        await pilot.press("c")
        await until(pilot, lambda: len(app._notifications) > 0)
        assert len(copied) == 1
        assert any("--tokens" in notice.message for notice in app._notifications)


async def test_keys_and_the_mouse_reach_every_part_models_and_runs(tmp_path: Path) -> None:
    gone = [
        Part(probe=f"extra_{i}", title="", not_run=NotRun(reason="no reason"), block=None)
        for i in range(8)
    ]
    report = full_report()
    report = report.model_copy(update={"parts": (*report.parts, *gone)})
    async with screens((80, 24), open_run=write_run(tmp_path / "run", report), runs=tmp_path) as (
        pilot,
        app,
    ):
        screen = await at_overview(pilot, app)
        names = ["overview", "shifts", "channels", "directions", "concepts"]
        for number, name in enumerate(names, 1):  # no part without content
            await until(pilot, lambda: screen.tab.id == f"tab-{name}")  # noqa: B023
            assert app.focused is screen.tab.first()
            assert f"{number} {name}" in drawn_screen(app).splitlines()[1]
            await pilot.press("tab")
        await until(pilot, lambda: screen.tab.id == "tab-overview")
        await pilot.press("shift+tab")
        await until(pilot, lambda: screen.tab.id == "tab-concepts")
        await pilot.press("4")
        await until(pilot, lambda: screen.tab.id == "tab-directions")
        await pilot.press("9")
        await pilot.click("Tab#channels")
        await until(pilot, lambda: screen.tab.id == "tab-channels")
        await press_to(pilot, RunsScreen, "R")
        await pilot.press("1")
        assert isinstance(app.screen, RunsScreen)  # a number is a part of results alone
        await press_to(pilot, ModelsScreen, "M")


TABS = {
    "overview": ("card", ""),
    "directions": ("importance", "direction 0, strength 0.500, importance 0.5"),
    "concepts": ("encodes", "concept "),
    "shifts": ("effective-robustness", "data val, top-1 68.0 % (66.0 to 70.0)"),
    "channels": ("height", "channel 133, outlier channel yes, median height 14.0 sigma"),
}
"""By tab a term at its cursor, and how the copied row begins."""


def fits(screen: ResultsScreen, width: int) -> bool:
    first = screen.tab.first()
    return first.size.height >= 2 and first.region.right <= width


async def test_every_tab_stands_every_size_explains_its_cursor_and_copies_its_row(finished, copied):
    app = TuiprobeApp(open_run=finished)
    keys = {}
    async with app.run_test(size=(160, 40)) as pilot:
        for id, (term_id, row) in TABS.items():
            screen = await to_tab(pilot, app, id)
            terms = [
                name
                for node in app.focused.ancestors_with_self
                if hasattr(node, "explained")
                for name in node.explained()
            ]
            assert term_id in terms
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
        terms = list(screen.tab.query_one(SubjectPanel).explained())
        assert "ablation" in terms
        assert all(term(name) for name in terms)
    assert {"filter", "sort"} <= keys["channels"]
    assert {"filter", "sort"} <= keys["concepts"]
    assert "filter" not in keys["shifts"]


async def test_channels_stand_beside_their_pictures_or_in_their_place(finished: Path) -> None:
    async with screens((120, 40), open_run=finished) as (pilot, app):
        screen = await to_tab(pilot, app, "channels")
        table = screen.query_one(SubjectTable)
        assert screen.tab.first() is table
        assert [table._texts[row][0] for row in table.rows] == ["133", "17"]
        assert table.subject is not None
        assert table.subject.number == 133
        panel = screen.tab.query_one(SubjectPanel)
        assert str(panel.border_title) == "channel 133 (val)"
        assert "heights" not in {one.chart.id for one in screen.tab.query(ChartView)}

        await pilot.resize_terminal(80, 24)  # a narrow window keeps one half for later
        main = screen.tab.query_one(".main")
        for key, seen in (("", True), ("m", False), ("m", True)):
            await pilot.press(*[key] * bool(key))
            areas = (seen, not seen)
            await until(pilot, lambda: (main.size.area > 0, panel.size.area > 0) == areas)  # noqa: B023
        await pilot.press("escape")
        assert isinstance(app.screen, ResultsScreen)
        assert not screen.has_class("-only-main")
        table.focus()
        await pilot.press("enter")  # the evidence in place of the rows, and back
        await until(pilot, lambda: panel.pictures.has_focus and not main.size.area)
        await pilot.press("escape")
        await until(pilot, lambda: table.has_focus and main.size.area > 0)
        assert app.screen is screen


async def test_a_channel_leads_to_its_evidence(finished: Path) -> None:
    async with screens((120, 40), open_run=finished) as (pilot, app):
        screen = await to_tab(pilot, app, "channels")
        await pilot.press("down")
        panel = screen.tab.query_one(SubjectPanel)
        await until(pilot, lambda: panel.subject is not None and panel.subject.number == 17)
        await pilot.press("up")
        grid = panel.pictures
        await until(pilot, lambda: grid.groups and panel.subject.number == 133)
        about = text_of(app, "#about")
        assert "named in Privileged directions" in about  # the directions that lean on it
        assert "direction 0, strength 0.500, importance 0.50" in about
        assert [(name, len(pictures)) for name, pictures in grid.groups] == [
            ("highest values", 3), ("weakest (nearest to zero)", 1),
        ]  # fmt: skip
        first = grid.groups[0][1][0]
        assert first.file is not None
        assert first.file.path == finished / "thumbs" / "val" / "133.jpg"
        assert first.name == "cats/1.jpg"


async def test_rows_of_a_section_are_filtered_sorted_and_followed_by_their_images(finished):
    async with screens((200, 40), open_run=finished) as (pilot, app):
        screen = await to_tab(pilot, app, "concepts")

        def names() -> list[str]:
            return [table._texts[row][0] for row in table.rows]

        table = screen.query_one(SubjectTable)
        everything = [plain(EVIL), "grass", "dog"]
        assert names() == everything
        title = str(screen.tab.query_one(SubjectPanel).border_title).replace("\\[", "[")
        assert title == f"{plain(EVIL)} (scene), direction 3 (broden)"
        assert table.has_focus
        assert "\x1b" not in drawn_screen(app)
        grid = screen.tab.query_one(SubjectPanel).pictures
        assert [len(images) for _, images in grid.groups] == [3, 1]
        await pilot.press("end")  # a direction without pictures
        await until(pilot, lambda: not grid.groups)
        await pilot.press("home", "enter")
        await until(pilot, lambda: grid.has_focus)
        about = text_of(app, "#about")
        assert "directions of W" in about or "Privileged" in about
        await pilot.press("escape")
        await until(pilot, lambda: table.has_focus)

        filter = screen.query_one(Input)
        await pilot.press("slash", *"sadty")  # keys elsewhere, letters here
        assert filter.value == "sadty"
        filter.value = "obj"
        await until(pilot, lambda: names() == ["dog"])
        await pilot.press("enter")
        assert table.has_focus
        await pilot.press("escape")
        assert names() == everything
        assert not filter.display
        await pilot.press("s")
        assert sorted(names()) == names()
        await pilot.press("s", "s")
        assert names() == ["dog", "grass", plain(EVIL)]  # by precision, numbers by their value
        while table.sorted_by is not None:
            await pilot.press("s")
        assert names() == everything
        await pilot.click(table, offset=(2, 0))
        assert names() == sorted(everything)
        await pilot.click(table, offset=(2, 0))
        assert names() == sorted(everything, reverse=True)

        charts = [one.chart.title for one in screen.query(ChartView)]
        assert charts == ["Unique concepts on broden"]
        await to_tab(pilot, app, "directions")
        charts = [one.chart.title for one in screen.tab.query(ChartView)]
        assert "Pruning on val, class weights, centred" in charts
        assert "Pruning on r, class weights" in charts
        assert len(screen.tab.query(SubjectTable)) == 2


async def test_a_chart_names_its_points(finished: Path) -> None:
    async with screens((100, 40), open_run=finished) as (pilot, app):
        screen = await to_tab(pilot, app, "concepts")
        chart = screen.query_one(ChartView)
        chart.focus()
        await pilot.pause()
        await pilot.press("n", "n")
        lines = [chart.render_line(y).text for y in range(chart.size.height)]
        assert any("random directions, 0.5: 2.1" in one for one in lines), lines


async def test_pictures_follow_the_cursor_and_are_enlarged_by_keys(finished, copied):
    async with screens((120, 40), open_run=finished) as (pilot, app):
        screen = await to_tab(pilot, app, "channels")
        panel = screen.tab.query_one(SubjectPanel)
        grid = panel.pictures
        await pilot.press("down")
        await until(pilot, lambda: panel.subject.number == 17)
        await pilot.press("up")
        await until(pilot, lambda: panel.subject.number == 133 and grid.groups)
        assert "▀▀▀▀" in drawn_screen(app)
        assert "no picture" in drawn_screen(app)

        grid.focus()
        await pilot.press("right")
        assert grid.current.name == f"cats/{EVIL}.jpg"
        await press_to(pilot, PictureScreen, "enter")
        await until(pilot, lambda: "8.8" in text_of(app, "#enlarged-about"))
        lines = ["highest values: 8.8", f"cats/{plain(EVIL)}.jpg"]
        assert text_of(app, "#enlarged-about").splitlines() == lines
        large = app.screen.query_one("#enlarged-picture", PictureView)
        await until(pilot, lambda: large.size.height > 20)
        assert large.size.width == 2 * large.size.height
        await until(pilot, lambda: "▀" in large.render_line(0).text)
        place = app.screen.query_one("#enlarged").region
        await pilot.press("right", "y")
        await until(pilot, lambda: "the run keeps no picture" in text_of(app, "#enlarged-about"))
        await pilot.pause()
        assert app.screen.query_one("#enlarged").region == place  # it does not jump
        assert copied == ["id 135"]
        await pilot.press("right", "escape")
        await until(pilot, lambda: app.screen is screen)
        assert grid.current is grid.groups[1][1][0]  # the cursor is where one has looked last
        await pilot.press("up")
        assert grid.current in grid.groups[0][1]
        await pilot.press("escape")
        assert app.screen is screen
        assert isinstance(app.focused, SubjectTable)


async def test_a_tab_scrolls_as_a_whole_and_cuts_no_figure_that_has_room(finished: Path) -> None:
    async with screens((60, 15), open_run=finished) as (pilot, app):
        screen = await to_tab(pilot, app, "directions")
        first, second = screen.tab.query(SubjectTable)
        assert first.size.height == len(first.rows) + 1
        bottom = app.screen.query_one(KeyLine).region.y
        for table in (second, first):  # the row at the cursor is in sight
            table.focus()
            await pilot.press("end")
            await until(pilot, lambda: 0 < table.region.y + len(table.rows) < bottom)  # noqa: B023
            assert not table.show_vertical_scrollbar or not table.scrollbar_size_vertical
        await to_tab(pilot, app, "channels")  # sets are columns: figures alone, where they fit
        (shown,) = screen.tab.query(WrappedTable)
        rows = str(shown.content).splitlines()
        assert rows[0].startswith("without ranges")
        assert "val" in rows[1]
        assert plain(EVIL).split()[0][:5] in rows[1]
        await pilot.resize_terminal(200, 24)
        await until(pilot, lambda: "without ranges" not in str(shown.content))
        await to_tab(pilot, app, "directions")
        await until(pilot, lambda: "channels of largest weight" in second.render_line(0).text)
        assert "…" not in second.render_line(0).text


async def test_what_was_not_run_or_is_damaged_says_why_and_what_to_do(tmp_path: Path) -> None:
    damaged = write_run(tmp_path / "run")
    (damaged / "results.json").write_text('{"title": "[b]\\u001b"}')
    async with screens((100, 30), open_run=write_run(tmp_path / "bare", bare_report())) as (
        pilot,
        app,
    ):
        screen = await at_overview(pilot, app)
        assert not {"concepts", "directions", "shifts"} & set(screen._tabs)
        reasons = "\n".join(
            line(one) for view in screen.query(BlockView) for one in view.block.lines
        )
        assert "--concepts" in reasons  # the overview says why, and what to pass
        assert "--classes FILE" in reasons
        assert "no labels and no head" in reasons
        await pilot.press(*"adbstmy")  # nothing to act on: nothing happens
        assert isinstance(app.screen, ResultsScreen)

        app.push_screen(ResultsScreen(damaged))
        await until(pilot, lambda: "reprobe" in text_of(app, "#reading"))
        await pilot.press("tab", "e", "m")
        assert app.screen.run == damaged
        await pilot.press("escape")
        app.push_screen(ResultsScreen(damaged))  # left while it is read
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.run != damaged


async def test_screens_that_are_left_keep_neither_pictures_nor_reports_in_memory(finished):
    def kept(kind: type = Segment) -> int:
        gc.collect()
        return sum(isinstance(one, kind) for one in gc.get_objects())

    before = kept(Report)

    async with screens((160, 50), open_run=finished) as (pilot, app):
        counts = []
        for _ in range(4):
            await to_tab(pilot, app, "channels")
            counts.append(kept())
            app.pop_screen()
            app.push_screen(ResultsScreen(finished))
            await pilot.pause()
        assert counts[-1] < 1.2 * counts[1], counts
        assert kept(Report) <= before + 2


async def test_labels_that_were_given_meanwhile_count_without_reopening(label_runs, monkeypatch):
    call = Worker.call
    async with screens((120, 40), open_run=label_runs[0]) as (pilot, app):
        opened = await at_overview(pilot, app)
        await press_to(pilot, HelpScreen, "question_mark")
        await press_to(pilot, ResultsScreen, "escape")
        assert app.screen is opened  # no label changed
        await to_tab(pilot, app, "yours")
        app.push_screen(LabelScreen(label_runs, "street"))
        await until(pilot, lambda: isinstance(app.screen, LabelScreen) and app.screen.picture)
        first = app.screen.picture
        await pilot.press("1")
        await until(pilot, lambda: app.screen.picture not in (None, first))
        monkeypatch.setattr(Worker, "call", lambda *of: time.sleep(0.3) or call(*of))
        await press_to(pilot, ResultsScreen, "2", "escape")  # one label on disk, one soon
        (labels,) = label_runs[0].parent.glob("labels-*.csv")
        await until(pilot, lambda: len(labels.read_text().splitlines()) == 3)
        run = RunDir(label_runs[0])
        await until(pilot, lambda: app.screen is not opened and app.screen.tab)
        await until(pilot, lambda: app.screen.tab and app.screen._labels == labels_state(run))
        assert app.screen.query_one(Tabs).active == "yours"


async def test_a_finished_run_opens_without_libraries_of_arrays(finished, label_runs):
    """Nor does a walk through labelled runs load what computes: a process of its own does."""
    code = (
        "import asyncio, pathlib, sys\n"
        "from tuiprobe.show.tui.app import TuiprobeApp\n"
        f"app = TuiprobeApp(open_run=pathlib.Path({str(finished)!r}))\n"
        "async def main():\n"
        "    async with app.run_test(size=(120, 40)) as pilot:\n"
        "        while not getattr(app.screen, 'tab', None):\n"
        "            await asyncio.sleep(0.05)\n"
        "        print(sorted({'numpy', 'scipy', 'torch', 'pyarrow'} & sys.modules.keys()))\n"
        "        from tuiprobe.show.tui.screens.compare import CompareScreen\n"
        "        from tuiprobe.show.tui.screens.label import LabelScreen\n"
        "        from tuiprobe.show.tui.screens.results import ResultsScreen\n"
        "        from tuiprobe.show.tui.screens.runs import RunsScreen\n"
        f"        runs = [*map(pathlib.Path, {[*map(str, label_runs)]!r})]\n"
        "        for screen, ready, keys in (\n"
        "            (LabelScreen(runs, 'street'), lambda: screen.picture, '12u'),\n"
        "            (ResultsScreen(runs[0]), lambda: screen.tab, '12345678'),\n"
        "            (CompareScreen(runs), lambda: screen.compared, 'f'),\n"
        "            (RunsScreen(runs[0].parent), lambda: screen.table.rows, ''),\n"
        "        ):\n"
        "            app.push_screen(screen)\n"
        "            while not (screen.is_running and ready()):\n"
        "                await asyncio.sleep(0.05)\n"
        "            for key in keys:\n"
        "                await pilot.press(key)\n"
        "                while not ready():\n"
        "                    await asyncio.sleep(0.05)\n"
        "asyncio.run(main())\n"
        "print(sorted({'scipy', 'torch', 'pyarrow'} & sys.modules.keys()))\n"
    )
    out = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.splitlines()[-2:] == ["[]", "[]"]


async def test_results_are_read_without_what_only_files_hold(finished: Path) -> None:
    async with screens((120, 40), open_run=finished) as (pilot, app):
        screen = await to_tab(pilot, app, "channels")
        assert screen.tab.query(SubjectTable)
        parts = screen.results.report.parts
        content = [one for part in parts if part.section for one in part.section.content]
        tables = [one for one in content if isinstance(one, Table)]
        assert all(part.result is None for part in parts)
        assert any(one.rows for one in tables)
        assert not any(one.rows for one in tables if not one.reading)


async def test_no_name_of_a_tab_is_cut_and_the_active_one_is_in_sight(tmp_path: Path) -> None:
    report = full_report()
    own = next(part for part in report.parts if part.probe == "robustness")
    more = [
        own.model_copy(update={"probe": "targets", "block": "your images"}),
        own.model_copy(update={"probe": "calibration", "block": "how sure"}),
    ]
    report = report.model_copy(update={"parts": (*report.parts, *more)})
    async with screens((80, 24), open_run=write_run(tmp_path / "run", report)) as (pilot, app):
        screen = await to_tab(pilot, app, "checks")
        bar = screen.query_one(Tabs)
        assert drawn_screen(app).splitlines()[bar.region.y] == (
            "1 overview 2 yours 3 shifts 4 channels 5 directions 6 concepts 7 checks".ljust(80)
        )
        await pilot.resize_terminal(60, 15)  # the active one beside numbers, none of them cut
        for name, shown in (
            ("checks", "1… 2… 3… 4… 5… 6… 7 checks"),
            ("overview", "1 overview 2… 3… 4… 5… 6… 7…"),
        ):
            await to_tab(pilot, app, name)
            await until(
                pilot,
                lambda: drawn_screen(app).splitlines()[bar.region.y].rstrip() == shown,  # noqa: B023
            )


async def test_a_run_opens_without_half_drawn_states(finished, monkeypatch):
    frames: list[str] = []
    refresh = ResultsScreen._compositor_refresh

    def noted(screen: ResultsScreen) -> None:
        refresh(screen)
        lines = drawn_screen(app).splitlines()
        frames.append("\n".join(lines[1:-1]))  # the line of keys follows the focus

    monkeypatch.setattr(ResultsScreen, "_compositor_refresh", noted)
    async with screens((80, 24), open_run=finished) as (pilot, app):
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and not app.screen.reading)
        await pilot.pause()
    shown = [frame for frame in dict.fromkeys(frames) if "reading…" not in frame]
    assert len(shown) == 1
    assert "overview" in shown[0]
