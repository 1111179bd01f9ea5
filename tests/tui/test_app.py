"""What holds on every screen: help, palette, themes, sizes, colours, leaving."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from textual.color import Color

from tests.tui.conftest import contrast, drawn, until
from tests.tui.live_run import live_run
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.screens.dialogs import HelpScreen


def fills(app: TuiprobeApp, height: int) -> bool:
    """Says whether the screen is drawn at a height; a change of size takes a moment."""
    return len(drawn(app).splitlines()) == height


@pytest.mark.asyncio
@pytest.mark.parametrize("screen", ["models", "live"])
@pytest.mark.slow
async def test_sizes_and_themes_on_both_first_screens(screen: str, tmp_path: Path) -> None:
    run = live_run(tmp_path) if screen == "live" else None
    content = "13" if screen == "live" else "mini_clip"
    app = TuiprobeApp(open_run=run, runs=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        for size in ((60, 20), (59, 30), (220, 60), (100, 14), (20, 5), (120, 40)):
            await pilot.resize_terminal(*size)
            if size[0] < 60 or size[1] < 15:
                await until(pilot, lambda: "the window" in drawn(app))
                assert "mini_clip" not in drawn(app)
            else:
                await until(pilot, partial(fills, app, size[1]))
                await until(pilot, lambda: content in drawn(app))
                assert "too small" not in drawn(app)
        await until(pilot, lambda: ("about 57 %" if run else "mini_clip") in drawn(app))
        for _ in ("dark", "light"):
            colours = app.get_css_variables()
            ends = (Color.parse(colours[name]) for name in ("background", "foreground"))
            assert contrast(*ends) > 7, app.theme  # WCAG's AAA
            await pilot.press("ctrl+t")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        help_text = "\n".join(str(one.content) for one in app.screen.query("#help Static"))
        assert "Every action of every screen" in help_text
        assert ("Show or hide the log" if run else "Mark this model") in help_text


@pytest.mark.asyncio
async def test_no_color_sends_no_colour_not_even_grey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = TuiprobeApp(open_run=live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "about 57 %" in drawn(app))
        for strip in app.screen._compositor.render_strips():
            for segment in strip:
                style = segment.style
                for colour in (style.color, style.bgcolor) if style is not None else ():
                    assert colour is None or colour.is_default, segment


@pytest.mark.parametrize("arguments", [[], ["open", "."]], ids=str)
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


def test_the_first_paint_and_the_palette_need_neither_numpy_nor_pydantic() -> None:
    code = (
        "import asyncio, sys\n"
        "from textual.command import CommandList\n"
        "from tuiprobe.tui.app import TuiprobeApp\n"
        "async def main():\n"
        "    app = TuiprobeApp()\n"
        "    async with app.run_test() as pilot:\n"
        "        await pilot.press('colon')\n"
        "        while app.screen.query_one(CommandList).option_count < 40:\n"
        "            await asyncio.sleep(0.02)\n"
        "        print(sorted({'numpy', 'pydantic', 'torch', 'scipy'} & set(sys.modules)))\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
