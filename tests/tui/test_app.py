"""What holds on every screen: help, palette, themes, sizes, colours, leaving."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from textual.color import Color
from textual.widgets import Input

from tests.tui.conftest import drawn, palette, until
from tests.tui.live_run import live_run
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.commands import working_keys
from tuiprobe.tui.screens.help import HelpScreen
from tuiprobe.tui.screens.live import LiveScreen
from tuiprobe.tui.screens.models import ModelsScreen


@pytest.mark.asyncio
async def test_help_lists_the_keys_that_work_here() -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(100, 50)) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        shown = "\n".join(str(one.content) for one in app.screen.query("#help Static"))
        for meaning in ("Choose what to probe", "Mark this model", "One row up", "Command palette"):
            assert meaning in shown
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))


@pytest.mark.asyncio
@pytest.mark.slow
async def test_every_footer_key_is_in_the_palette_and_has_a_meaning(tmp_path: Path) -> None:
    app = TuiprobeApp(open_run=live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "64 channels" in drawn(app))  # some keys work from now on
        shown = [b for b in app.screen.active_bindings.values() if b.binding.show]
        meanings = {binding.action for binding, _ in working_keys(app.screen)}
        assert {b.binding.action for b in shown} <= meanings
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "CommandPalette" in type(app.screen).__name__)
        app.screen.query_one(Input).value = "hold the view"
        await until(pilot, lambda: "Hold the view" in drawn(app))
        await pilot.press("escape")


@pytest.mark.asyncio
@pytest.mark.slow
async def test_the_palette_runs_what_it_lists() -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(120, 40)) as pilot:
        before = app.theme
        await palette(pilot, "dark or light", "Dark or light theme")
        await until(pilot, lambda: app.theme != before)


def luminance(colour: Color) -> float:
    """Returns the relative luminance as WCAG 2 defines it."""
    parts = [part / 255 for part in colour.rgb]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.asyncio
async def test_dark_and_light_are_both_readable() -> None:
    app = TuiprobeApp()
    async with app.run_test() as pilot:
        for _ in range(2):
            theme = app.current_theme
            colours = app.get_css_variables()
            ground, text = colours["background"], colours["foreground"]
            light = sorted(luminance(Color.parse(colour)) for colour in (ground, text))
            assert (light[1] + 0.05) / (light[0] + 0.05) > 7, theme.name  # WCAG's AAA
            await pilot.press("ctrl+t")


@pytest.mark.asyncio
@pytest.mark.parametrize("screen", ["models", "live"])
async def test_a_window_may_change_its_size_at_any_time(screen: str, tmp_path: Path) -> None:
    run = live_run(tmp_path) if screen == "live" else None
    app = TuiprobeApp(open_run=run, runs=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        for size in ((60, 20), (59, 30), (80, 24), (100, 14), (220, 60), (20, 5), (120, 40)):
            await pilot.resize_terminal(*size)
            content = "13" if screen == "live" else "mini_clip"
            if size[0] < 60 or size[1] < 15:
                await until(pilot, lambda: "the window" in drawn(app))
                assert "mini_clip" not in drawn(app)
            else:
                await until(pilot, lambda: content in drawn(app))  # noqa: B023
                assert len(drawn(app).splitlines()) == size[1]
                assert "too small" not in drawn(app)
        if screen == "live":
            await until(pilot, lambda: "64 channels" in drawn(app))


@pytest.mark.asyncio
@pytest.mark.parametrize("screen", ["models", "live"])
@pytest.mark.slow
async def test_ascii_drawing_is_ascii(screen: str, tmp_path: Path) -> None:
    run = live_run(tmp_path) if screen == "live" else None
    app = TuiprobeApp(open_run=run, ascii=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: ("persistence 0.93" if run else "mini_clip") in drawn(app))
        await pilot.press("question_mark")
        await pilot.pause()
        assert drawn(app).isascii()


@pytest.mark.asyncio
async def test_no_color_draws_greys_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = TuiprobeApp(open_run=live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "persistence 0.93" in drawn(app))
        for strip in app.screen._compositor.render_strips():
            for segment in strip:
                style = segment.style
                for colour in (style.color, style.bgcolor) if style is not None else ():
                    if colour is not None and colour.triplet is not None:
                        assert len(set(colour.triplet)) == 1, segment


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_each_key_that_leaves_ends_the_program(key: str, tmp_path: Path) -> None:
    app = TuiprobeApp(open_run=live_run(tmp_path))
    async with app.run_test() as pilot:
        await until(pilot, lambda: isinstance(app.screen, LiveScreen))
        await pilot.press(key)
        await until(pilot, lambda: not app.is_running)


@pytest.mark.parametrize("arguments", [[], ["--ascii"], ["open", "."]], ids=str)
def test_without_a_terminal_it_says_so(arguments: list[str], tmp_path: Path) -> None:
    live_run(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tuiprobe", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "terminal" in done.stderr
    assert "tuiprobe --headless" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_opening_what_is_no_directory_is_an_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tuiprobe", "open", str(tmp_path / "none")],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 4
    assert "is no directory" in done.stderr


def test_the_first_paint_needs_neither_numpy_nor_pydantic() -> None:
    code = (
        "import asyncio, sys\n"
        "from tuiprobe.tui.app import TuiprobeApp\n"
        "async def main():\n"
        "    app = TuiprobeApp()\n"
        "    async with app.run_test() as pilot:\n"
        "        await pilot.pause()\n"
        "        print(sorted({'numpy', 'pydantic', 'torch', 'scipy'} & set(sys.modules)))\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
