"""Writes the pictures of the documentation: `python -m tests.tui.screenshots`.

Models, setup, a real run of the embedded default as it goes on and when it is done, and the default
runs of all embedded models side by side.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from textual.widgets import Input, Static

from tests.tui.conftest import until
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.child import Engine
from tuiprobe.tui.screens.compare import CompareScreen, CompareTable
from tuiprobe.tui.screens.live import LiveScreen
from tuiprobe.tui.screens.models import ModelTable
from tuiprobe.tui.screens.results import ResultsScreen
from tuiprobe.tui.screens.runs import RunsScreen, RunTable
from tuiprobe.tui.screens.setup import SetupScreen
from tuiprobe.tui.widgets.chart import ChartView
from tuiprobe.tui.widgets.pictures import PictureGrid

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
NAMES = (
    "models", "setup", "live", "overview", "results", "directions", "export", "runs", "compare",
)  # fmt: skip
"""Of all pictures."""
SIZE = (120, 36)
COMPARED = ("mini_supervised", "mini_clip")
MODELS = ("mini_clip", "mini_clip_soft", "mini_supervised", "mini_finetuned")


def save(app: TuiprobeApp, name: str) -> None:
    """Writes what the screen shows."""
    assert name in NAMES
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
        await until(pilot, lambda: "alone is measured" in str(words.content), 120)
        save(app, "setup")


async def live() -> None:
    """A run as it goes on."""
    place = Path("runs/mini_clip")
    app = TuiprobeApp()
    async with app.run_test(size=SIZE) as pilot:
        words = ["--headless", "--output", str(place)]
        app.push_screen(LiveScreen(place, Engine(words, place)))
        await until(pilot, lambda: isinstance(app.screen, LiveScreen))
        await until(
            pilot, lambda: app.screen._shown is not None and app.screen._shown.measured > 5000, 300
        )
        pictures = app.screen.query(PictureGrid).first()
        await until(pilot, lambda: "▀" in pictures.render_line(1).text, 60)
        save(app, "live")
        await until(pilot, lambda: app.engines[0].exit_code() == 0, 300)


def _shows(app: TuiprobeApp, part: str) -> bool:
    """Returns whether a tab of the results is on the screen."""
    return app.screen.tab.id == part


async def results() -> None:
    """Tabs of a finished run."""
    app = TuiprobeApp(open_run=Path("runs/mini_clip"))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.tab, 60)
        await pilot.pause(1.0)
        save(app, "overview")
        for tab, name in (("channels", "results"), ("directions",) * 2):
            app.screen.show_tab(tab)
            await until(pilot, partial(_shows, app, f"tab-{tab}"))
            if name == "directions":  # the curves in the whole window
                await pilot.press("m", "m")
                views = app.screen.tab.query(ChartView)
                chart = next(one for one in views if one.chart.id == "pruning_centred_0")
                chart.focus()
                await pilot.press("n", "n", "n")
            await pilot.pause(1.0)
            save(app, name)


def measure_others() -> None:
    """Runs the other embedded models."""
    for model in MODELS[1:]:
        words = ["--headless", "--model", model, "--output", f"runs/{model}"]
        subprocess.run([sys.executable, "-m", "tuiprobe", *words], check=True, capture_output=True)


async def runs() -> None:
    """The list of runs."""
    app = TuiprobeApp()
    async with app.run_test(size=(SIZE[0], 20)) as pilot:
        app.push_screen(RunsScreen(Path("runs")))
        await until(pilot, lambda: app.screen.query(RunTable))
        await until(pilot, lambda: len(app.screen.query_one(RunTable).rows) == len(MODELS), 60)
        await pilot.press("down", "down", "space", "space")
        save(app, "runs")


async def compared() -> None:
    """Two runs side by side."""
    app = TuiprobeApp()
    async with app.run_test(size=(SIZE[0], 22)) as pilot:
        app.push_screen(CompareScreen([Path("runs", model) for model in COMPARED]))
        await until(pilot, lambda: app.screen.query(CompareTable))
        await until(pilot, lambda: app.screen.query_one(CompareTable).rows, 60)
        await pilot.pause(1.0)
        save(app, "compare")


async def exported() -> None:
    """The dialog of an export over the results."""
    app = TuiprobeApp(open_run=Path("runs/mini_clip"))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.tab, 60)
        await pilot.press("e")
        await until(pilot, lambda: app.screen.query("#to"))
        app.screen.query_one("#to", Input).value = "reports"
        await pilot.pause(1.0)
        save(app, "export")


async def everything() -> None:
    """All, one after the other."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for one in (models, setup, live, results, exported):
        await one()
    measure_others()
    for one in (runs, compared):
        await one()


if __name__ == "__main__":
    os.environ.pop("NO_COLOR", None)
    begun = time.time()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = str(Path(folder, "config"))  # the user's theme is not used
        os.chdir(folder)
        asyncio.run(everything())
    if left := [name for name in NAMES if (IMAGES / f"{name}.svg").stat().st_mtime < begun]:
        sys.exit(f"not drawn: {', '.join(left)}")
