"""Export: formats, destination, pictures, and the path at the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input, Static

from tests.tui.conftest import until
from tests.tui.finished import write_run
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.screens.export import ExportScreen, ExportTable

pytestmark = pytest.mark.asyncio


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Returns a finished run."""
    return write_run(tmp_path / "run")


async def opened(pilot, app: TuiprobeApp, run: Path) -> ExportScreen:
    app.push_screen(ExportScreen(run))
    await until(pilot, lambda: app.screen.query(ExportTable))
    await pilot.pause()
    assert isinstance(app.screen, ExportScreen)
    return app.screen


def said(app: TuiprobeApp) -> str:
    return str(app.screen.query_one("#written", Static).content)


async def test_enter_writes_what_is_chosen_and_copies_the_path(run, copied) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, app, run)
        await pilot.press("enter")
        await until(pilot, lambda: "✓ written" in said(app))
        assert screen.written == [run / "report.html", run / "report.md"]
        assert copied == [str(run / "report.html")]
        assert "data:image/jpeg;base64," in (run / "report.html").read_text()
        await pilot.press("y")
        assert copied == [str(run / "report.html")] * 2


async def test_formats_are_chosen_with_space_and_all_with_a(run, copied) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, app, run)
        await pilot.press("space", "down", "space", "down", "down", "down", "space")
        assert screen.formats == ["tex"]
        await pilot.press("c")
        assert copied == [f"tuiprobe report {run} --format tex --to {run}"]
        await pilot.press("a")
        assert screen.formats == list(FORMATS)
        await pilot.press("a")
        assert screen.formats == []
        await pilot.press("enter")
        assert "no format is selected" in said(app)


async def test_pictures_can_be_left_out(run: Path) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, app, run)
        await pilot.press("end", "space", "enter")
        await until(pilot, lambda: "✓ written" in said(app))
        assert "data:image" not in (run / "report.html").read_text()


async def test_another_destination_by_key_and_by_mouse(run: Path, tmp_path: Path) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, app, run)
        await pilot.press("t")
        field = screen.query_one("#to", Input)
        assert field.has_focus
        field.value = str(tmp_path / "out")
        await pilot.press("escape")
        assert app.screen is screen
        await pilot.click("#write")
        await until(pilot, lambda: "✓ written" in said(app))
        assert (tmp_path / "out" / "report.html").is_file()
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not screen)


async def test_a_place_that_cannot_be_written_is_told(run: Path, tmp_path: Path, copied) -> None:
    (tmp_path / "file").write_text("")
    app = TuiprobeApp()
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, app, run)
        screen.query_one("#to", Input).value = str(tmp_path / "file" / "out")
        await pilot.press("enter")
        await until(pilot, lambda: "✗ cannot write" in said(app))
        await pilot.press("y")
        assert copied == []
