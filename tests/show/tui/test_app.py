"""What holds on every screen: help, palette, themes, sizes, colours, leaving."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.show.tui.conftest import drawn, screens, until
from tests.show.tui.live_run import live_run


@pytest.mark.asyncio
async def test_no_color_sends_no_colour_not_even_grey(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    async with screens((120, 40), open_run=live_run(tmp_path)) as (pilot, app):
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
        "from tuiprobe.show.tui.app import TuiprobeApp\n"
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
