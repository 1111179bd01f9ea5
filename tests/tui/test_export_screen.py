"""Export: formats and sizes, what would be replaced, destination, pictures, and what went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from tests.tui.conftest import until
from tests.tui.finished import write_run
from tuiprobe.report.formats import FORMATS
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.exporting import size_text
from tuiprobe.tui.figures import Told
from tuiprobe.tui.screens.confirm import ConfirmScreen
from tuiprobe.tui.screens.export import ExportScreen, ExportTable
from tuiprobe.tui.screens.results import ResultsScreen
from tuiprobe.tui.tabs.overview import BlockView

pytestmark = pytest.mark.asyncio


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Returns a finished run."""
    return write_run(tmp_path / "run")


async def opened(pilot, app: TuiprobeApp, run: Path) -> ExportScreen:
    app.push_screen(ExportScreen(run))
    await until(pilot, lambda: app.screen.query(ExportTable) and "Writes" in said(app))
    assert isinstance(app.screen, ExportScreen)
    return app.screen


def said(app: TuiprobeApp) -> str:
    return app.screen.query_one("#written", Told).whole.plain


def lines(app: TuiprobeApp) -> list[str]:
    table = app.screen.query_one(ExportTable)
    return [table.render_line(y).text.rstrip() for y in range(1, 8)]


async def test_enter_writes_what_is_chosen_and_copies_the_path(run, copied) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, app, run)
        await pilot.press("enter")
        await until(pilot, lambda: "✓ written" in said(app))
        assert screen.written == [run / "report.html", run / "report.md"]
        assert copied == [str(run / "report.html")]
        assert "data:image/jpeg;base64," in (run / "report.html").read_text()
        size = sum(file.stat().st_size for file in screen.written)
        assert said(app).splitlines() == [
            f"✓ written: 2 files, {size_text(size)}; y copies the path again",
            str(run / "report.html"),
            str(run / "report.md"),
        ]
        await pilot.press("y")
        assert copied == [str(run / "report.html")] * 2


async def test_the_sentence_and_the_sizes_are_those_of_what_is_written(run: Path) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, app, run)
        await until(pilot, lambda: not [line for line in lines(app)[:6] if line.endswith("…")])
        told, sizes = said(app), [line.split()[-2:] for line in lines(app)]
        await pilot.press("enter")
        await until(pilot, lambda: "✓ written" in said(app))
        html, page = (run / "report.html").stat().st_size, (run / "report.md").stat().st_size
        assert sizes[:2] == [size_text(html).split(), size_text(page).split()]
        assert told == f"Writes 2 files, {size_text(html + page)}, into {run}."
        await pilot.press("end", "space")  # without pictures the page is smaller
        await until(pilot, lambda: "1 of them is there already and the same" in said(app))
        await until(pilot, lambda: lines(app)[0].split()[-2:] != sizes[0])


@pytest.mark.slow
async def test_files_with_other_content_are_replaced_only_after_a_yes(run: Path) -> None:
    (run / "report.md").write_text("my own notes")
    app = TuiprobeApp()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app, run)
        assert said(app).endswith("; 1 of them is there with other content.")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("n")
        await until(pilot, lambda: app.screen is screen)
        assert (run / "report.md").read_text() == "my own notes"
        assert not (run / "report.html").exists()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: app.screen is screen and "✓ written" in said(app))
        assert (run / "report.md").read_text().startswith("# ")
        await pilot.press("space", "space")
        await until(pilot, lambda: "all there already and the same" in said(app))
        await pilot.press("enter")  # nothing would change, so nothing is asked
        await until(pilot, lambda: "✓ written" in said(app))
        assert app.screen is screen


@pytest.mark.slow
async def test_the_dialog_stands_over_the_screen_it_belongs_to(run: Path) -> None:
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.screen.query(BlockView))
        below = app.screen
        assert isinstance(below, ResultsScreen)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ExportScreen))
        frame = app.screen.query_one("#export").region
        assert frame.width < 100
        shown = [
            "".join(segment.text for segment in strip)
            for strip in app.screen._compositor.render_strips()
        ]
        drawn = app.export_screenshot()
        assert "export" in drawn
        assert "Under" in drawn  # the overview is still there behind it
        assert len(shown) == 40
        await pilot.press("question_mark")
        await until(pilot, lambda: app.screen.query("#help"))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: app.screen is below)


async def test_formats_are_chosen_with_space_and_all_with_a(run, copied) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, app, run)
        await pilot.press("space", "down", "space", "down", "down", "space")
        assert screen.formats == ["csv"]
        await pilot.press("c")
        assert copied == [f"tuiprobe report {run} --format csv --to {run}"]
        await pilot.press("a")
        assert screen.formats == list(FORMATS)
        await pilot.press("a")
        assert screen.formats == []
        await pilot.press("enter")
        assert "No format is chosen" in said(app)


@pytest.mark.slow
async def test_pictures_can_be_left_out(run: Path) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, app, run)
        await pilot.press("end", "space", "enter")
        await until(pilot, lambda: "✓ written" in said(app))
        assert "data:image" not in (run / "report.html").read_text()


@pytest.mark.slow
async def test_the_results_of_the_run_itself_stay_as_they_are(run: Path) -> None:
    before = (run / "results.json").read_bytes()
    app = TuiprobeApp()
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, app, run)
        await pilot.press("a", "enter")
        await until(pilot, lambda: "✓ written" in said(app))
        assert run / "results.json" in screen.written
        assert (run / "results.json").read_bytes() == before


async def test_another_destination_by_key_and_by_mouse(run: Path, tmp_path: Path) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, app, run)
        await pilot.press("t")
        field = screen.query_one("#to", Input)
        assert field.has_focus
        field.value = str(tmp_path / "out")
        await until(pilot, lambda: said(app).endswith(f"into {tmp_path / 'out'}."))
        await pilot.press("escape")
        assert app.screen is screen
        await pilot.click("#write")
        await until(pilot, lambda: "✓ written" in said(app))
        assert (tmp_path / "out" / "report.html").is_file()
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not screen)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(60, 15), (80, 24)])
async def test_what_went_wrong_is_told_whole(run, tmp_path, copied, size) -> None:
    place = tmp_path / "file" / ("a long name " * 8).strip()
    (tmp_path / "file").write_text("")
    app = TuiprobeApp()
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot, app, run)
        screen.query_one("#to", Input).value = str(place)
        await pilot.press("enter")
        await until(pilot, lambda: "✗ " in said(app))
        assert str(place) in said(app) or str(tmp_path / "file") in said(app)
        shown = str(screen.query_one("#written", Told).content)
        room = screen.query_one("#written").size.width
        assert all(len(line) <= room or " " not in line.strip() for line in shown.splitlines())
        assert "t changes the directory" in shown
        await pilot.press("y")
        assert copied == []
        frame = screen.query_one("#export").region
        assert frame.bottom <= size[1]


async def test_a_run_whose_results_are_damaged_says_so(run: Path) -> None:
    (run / "results.json").write_text("{}")
    app = TuiprobeApp()
    async with app.run_test(size=(100, 30)) as pilot:
        app.push_screen(ExportScreen(run))
        await until(pilot, lambda: app.screen.query(ExportTable) and "✗" in said(app))
        assert "reprobe" in said(app)
        await pilot.press("enter", "escape")
        await until(pilot, lambda: not isinstance(app.screen, ExportScreen))
