"""Export: formats, pictures, destination, what would be replaced, and what went wrong."""

from pathlib import Path

import pytest
from textual.widgets import Input

from tests.show.tui.conftest import press_to, screens, until
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.screens.dialogs import ConfirmScreen
from tuiprobe.show.tui.screens.export import ExportScreen, ExportTable
from tuiprobe.show.tui.screens.results import ResultsScreen
from tuiprobe.show.tui.tabs.overview import BlockView
from tuiprobe.show.tui.text import FigureText

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


async def opened(pilot, app: TuiprobeApp, run: Path) -> ExportScreen:
    app.push_screen(ExportScreen(run))
    await until(pilot, lambda: app.screen.query_one(ExportTable).rows)
    assert isinstance(app.screen, ExportScreen)
    return app.screen


def message(app: TuiprobeApp) -> str:
    return app.screen.query_one("#written", FigureText).unwrapped.plain


async def test_enter_writes_what_is_chosen_and_asks_before_it_replaces(run, tmp_path, copied):
    results, out = (run / "results.json").read_bytes(), tmp_path / "out"
    async with screens((100, 30)) as (pilot, app):
        screen = await opened(pilot, app, run)
        await pilot.press("down", "down", "space", "enter")  # results.json too
        await until(pilot, lambda: "✓ 3 files written" in message(app))
        assert (run / "results.json").read_bytes() == results
        assert copied == [str(run / "report.html")]
        assert message(app).splitlines()[1:3] == [
            str(run / "report.html"), str(run / "report.md"),
        ]  # fmt: skip
        assert "data:image/jpeg;base64," in (run / "report.html").read_text()

        out.mkdir()
        notes = out / "report.md"
        notes.write_text("my own notes")
        await pilot.press("end", "space", "tab")  # without pictures, elsewhere
        field = screen.query_one("#to", Input)
        assert field.has_focus
        field.value = str(out)
        for answer in ("n", "y"):
            await pilot.press("enter")  # a click could meet the button while it moves
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            assert notes.read_text() == "my own notes"
            await pilot.press(answer)
            await until(pilot, lambda: "written" in message(app))
        await until(pilot, lambda: "✓ 3 files written" in message(app))
        assert notes.read_text().startswith("# ")
        assert "data:image" not in (out / "report.html").read_text()
        await pilot.click("#write")  # nothing would change, so nothing is asked
        await until(pilot, lambda: len(copied) == 3)
        assert app.screen is screen

        screen.query_one("#formats").focus()
        await pilot.press("home", *["space", "down"] * 3, "enter")
        await until(pilot, lambda: "No format is chosen" in message(app))


async def test_the_dialog_lies_over_the_screen_it_belongs_to(finished: Path) -> None:
    async with screens((120, 40), open_run=finished) as (pilot, app):
        await until(pilot, lambda: app.screen.query(BlockView))
        below = app.screen
        assert isinstance(below, ResultsScreen)
        await press_to(pilot, ExportScreen, "e")
        assert app.screen.query_one("#export").region.width < 100
        assert "Right" in app.export_screenshot()  # the overview is still there behind it
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is below)


async def test_what_went_wrong_is_told_whole(run: Path, tmp_path: Path, copied: list[str]) -> None:
    place = tmp_path / "file" / ("a long name " * 8).strip()
    (tmp_path / "file").write_text("")
    async with screens((60, 15)) as (pilot, app):
        screen = await opened(pilot, app, run)
        screen.query_one("#to", Input).value = str(place)
        await pilot.press("enter")
        await until(pilot, lambda: "✗ " in message(app))
        assert str(tmp_path / "file") in message(app)
        assert "name another directory" in message(app)
        assert copied == []
        assert screen.query_one("#export").region.bottom <= 15
        (run / "results.json").write_text("{}")
        await pilot.press("enter")
        await until(pilot, lambda: "reprobe" in message(app))
        screen.query_one("#to", Input).value = "~nobody-of-this-name/x"
        await pilot.press("enter")
        await until(pilot, lambda: "home directory" in message(app))
