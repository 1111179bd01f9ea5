"""Export: formats and sizes, what would be replaced, destination, pictures, and what went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from tests.tui.conftest import until
from tuiprobe.report.formats import FORMATS
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.figures import FigureText
from tuiprobe.tui.screens.dialogs import ConfirmScreen
from tuiprobe.tui.screens.export import ExportScreen, ExportTable, size_text
from tuiprobe.tui.screens.results import ResultsScreen
from tuiprobe.tui.tabs.overview import BlockView

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


async def opened(pilot, app: TuiprobeApp, run: Path) -> ExportScreen:
    app.push_screen(ExportScreen(run))
    await until(pilot, lambda: app.screen.query(ExportTable) and "Writes" in said(app))
    assert isinstance(app.screen, ExportScreen)
    return app.screen


def said(app: TuiprobeApp) -> str:
    return app.screen.query_one("#written", FigureText).whole.plain


def lines(app: TuiprobeApp) -> list[str]:
    table = app.screen.query_one(ExportTable)
    return [table.render_line(y).text.rstrip() for y in range(1, 8)]


async def test_enter_writes_what_is_chosen_and_asks_before_it_replaces(
    run: Path, tmp_path: Path, copied: list[str]
) -> None:
    notes, results = run / "report.md", (run / "results.json").read_bytes()
    notes.write_text("my own notes")
    app = TuiprobeApp()
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, app, run)
        assert said(app).endswith("; 1 of them is there with other content.")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("n")
        await until(pilot, lambda: app.screen is screen)
        assert notes.read_text() == "my own notes"
        assert not (run / "report.html").exists()
        notes.unlink()
        await pilot.press("space", "space")

        await until(pilot, lambda: not [line for line in lines(app)[:6] if line.endswith("…")])
        await until(pilot, lambda: said(app).startswith("Writes") and "other" not in said(app))
        before, sizes = said(app), [line.split()[-2:] for line in lines(app)]
        await pilot.press("enter")
        await until(pilot, lambda: "✓ written" in said(app))
        assert screen.written == [run / "report.html", run / "report.md"]
        assert copied == [str(run / "report.html")]
        assert "data:image/jpeg;base64," in (run / "report.html").read_text()
        html, page = (run / "report.html").stat().st_size, notes.stat().st_size
        assert sizes[:2] == [size_text(html).split(), size_text(page).split()]
        assert before == f"Writes 2 files, {size_text(html + page)}, into {run}."
        assert said(app).splitlines() == [
            f"✓ written: 2 files, {size_text(html + page)}; y copies the path again",
            str(run / "report.html"),
            str(run / "report.md"),
        ]
        await pilot.press("y")
        assert copied == [str(run / "report.html")] * 2

        notes.write_text("my own notes")
        await pilot.press("space", "space")
        await until(pilot, lambda: "1 of them is there with other content" in said(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: app.screen is screen and "✓ written" in said(app))
        assert notes.read_text().startswith("# ")
        await pilot.press("space", "space")
        await until(pilot, lambda: "all there already and the same" in said(app))
        await pilot.press("enter")  # nothing would change, so nothing is asked
        await until(pilot, lambda: "✓ written" in said(app))
        assert app.screen is screen

        await pilot.press("t")
        field = screen.query_one("#to", Input)
        assert field.has_focus
        field.value = str(tmp_path / "out")
        await until(pilot, lambda: said(app).endswith(f"into {tmp_path / 'out'}."))
        await pilot.press("escape")
        assert app.screen is screen
        await pilot.press("end", "space")  # without pictures the page is smaller
        await until(pilot, lambda: lines(app)[0].split()[-2:] not in (sizes[0], ["…"]))
        await pilot.click("#write")
        await until(pilot, lambda: "✓ written" in said(app))
        assert "data:image" not in (tmp_path / "out" / "report.html").read_text()

        for file in (notes, run / "report.html"):
            file.unlink()
        field.value = str(run)
        await until(pilot, lambda: f"into {run}" in said(app))
        await pilot.press("a", "enter")  # all, with the results themselves
        await until(pilot, lambda: "✓ written" in said(app))
        assert run / "results.json" in screen.written
        assert (run / "results.json").read_bytes() == results
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not screen)


async def test_formats_are_chosen_in_a_dialog_over_the_screen_it_belongs_to(
    finished: Path, copied: list[str]
) -> None:
    app = TuiprobeApp(open_run=finished)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.screen.query(BlockView))
        below = app.screen
        assert isinstance(below, ResultsScreen)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ExportScreen))
        screen = app.screen
        assert screen.query_one("#export").region.width < 100
        drawn = app.export_screenshot()
        assert "export" in drawn
        assert "Right" in drawn  # the overview is still there behind it
        await pilot.press("question_mark")
        await until(pilot, lambda: app.screen.query("#help"))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("space", "down", "space", "down", "down", "space")
        assert screen.formats == ["csv"]
        await pilot.press("c")
        assert copied == [f"tuiprobe report {finished} --format csv --to {finished}"]
        await pilot.press("a")
        assert screen.formats == list(FORMATS)
        await pilot.press("a")
        assert screen.formats == []
        await pilot.press("enter")
        assert "No format is chosen" in said(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is below)


async def test_what_went_wrong_is_told_whole(run: Path, tmp_path: Path, copied: list[str]) -> None:
    place = tmp_path / "file" / ("a long name " * 8).strip()
    (tmp_path / "file").write_text("")
    app = TuiprobeApp()
    async with app.run_test(size=(60, 15)) as pilot:
        screen = await opened(pilot, app, run)
        screen.query_one("#to", Input).value = str(place)
        await pilot.press("enter")
        await until(pilot, lambda: "✗ " in said(app))
        assert str(place) in said(app) or str(tmp_path / "file") in said(app)
        shown = str(screen.query_one("#written", FigureText).content)
        room = screen.query_one("#written").size.width
        assert all(len(line) <= room or " " not in line.strip() for line in shown.splitlines())
        assert "t changes the directory" in shown
        await pilot.press("y")
        assert copied == []
        assert screen.query_one("#export").region.bottom <= 15
        await pilot.press("escape", "escape")

        (run / "results.json").write_text("{}")
        app.push_screen(ExportScreen(run))
        await until(pilot, lambda: app.screen.query(ExportTable) and "✗" in said(app))
        assert "reprobe" in said(app)
        await pilot.press("enter", "escape")
        await until(pilot, lambda: not isinstance(app.screen, ExportScreen))
