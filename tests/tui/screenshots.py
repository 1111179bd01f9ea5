"""Writes the pictures of docs/tui.md: ``python -m tests.tui.screenshots``.

Models, setup and live screen, drawn by the program on a run of the miniature's format whose numbers
are made up (``tests/tui/live_run.py``), so the pictures are the same on every machine.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from textual.widgets import Static

from tests.tui.conftest import until
from tests.tui.live_run import live_run, write_live
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.screens.models import ModelTable
from tuiprobe.tui.screens.setup import SetupScreen
from tuiprobe.tui.widgets.bars import ChannelBars

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
SIZE = (120, 36)


def save(app: TuiprobeApp, name: str) -> None:
    """Writes what the screen shows."""
    lines = app.export_screenshot(simplify=True).splitlines()
    (IMAGES / f"{name}.svg").write_text("\n".join(line.rstrip() for line in lines) + "\n")
    print(IMAGES / f"{name}.svg")


async def models() -> None:
    """The list of models, filtered."""
    app = TuiprobeApp()
    async with app.run_test(size=SIZE) as pilot:
        table = app.screen.query_one(ModelTable)
        await until(pilot, lambda: len(table.rows) > 2000, 120)
        await pilot.press("slash", *"vitb16", "down", "space", "down", "space", "up")
        await until(pilot, lambda: len(table.rows) < 20)
        save(app, "models")


async def setup() -> None:
    """The setup of the default run."""
    app = TuiprobeApp()
    async with app.run_test(size=SIZE) as pilot:
        app.push_screen(SetupScreen(["mini_clip"]))
        await until(pilot, lambda: app.screen.query("#understood"))
        words = app.screen.query_one("#understood", Static)
        await until(pilot, lambda: "images, about" in str(words.content), 120)
        save(app, "setup")


async def live() -> None:
    """A run as it goes on."""
    run = live_run(Path("mini_clip-miniature-val"))
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=SIZE) as pilot:
        for step in range(1, 12):
            value = 54.0 + (-1) ** step * 6.0 / step
            write_live(run, step + 1, done=100 * step, kurtosis=value)
            await until(pilot, lambda n=100 * step: app.screen._shown.done == n)
        await until(pilot, lambda: app.screen.query_one(ChannelBars).channel == 13)
        await pilot.pause(0.5)
        save(app, "live")


async def everything() -> None:
    """All three, one after the other."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for one in (models, setup, live):
        await one()


if __name__ == "__main__":
    os.environ.pop("NO_COLOR", None)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        asyncio.run(everything())
