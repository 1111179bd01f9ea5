"""Writes the pictures of the documentation: `python -m tests.show.tui.screenshots`.

Models, setup, a real run of the embedded default as it goes on and when it is done, the default
runs of all embedded models side by side, and photographs with the answers of three networks on
them (`python -m tests.show.tui.screenshots FOLDER`, the folder that docs/howto/unlabelled.md
makes).
"""

import asyncio
import base64
import csv
import html
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from PIL import Image, ImageOps
from textual.widgets import Input, Static

from tests.show.tui.conftest import until
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.child import Engine
from tuiprobe.show.tui.screens.compare import CompareScreen, CompareTable
from tuiprobe.show.tui.screens.live import LiveScreen
from tuiprobe.show.tui.screens.models import ModelTable
from tuiprobe.show.tui.screens.results import ResultsScreen
from tuiprobe.show.tui.screens.runs import RunsScreen, RunTable
from tuiprobe.show.tui.screens.setup import SetupScreen
from tuiprobe.show.tui.widgets.pictures import PictureGrid
from tuiprobe.show.tui.widgets.textplot import ChartView

IMAGES = Path(__file__).resolve().parents[3] / "docs" / "images"
NAMES = (
    "models", "setup", "live", "overview", "results", "directions", "export", "runs", "compare",
    "photographs",
)  # fmt: skip
"""Of all pictures."""
PHOTOGRAPHS = ("camera", "coffee", "chelsea", "rocket", "astronaut")
"""Those of the picture; all are in the public domain or CC0."""
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
        await until(pilot, lambda: "only the representation" in str(words.content), 120)
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
        await pilot.press("down", "down", "space", "down", "space")
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


def photographs(folder: Path) -> None:
    """Photographs with the answers of three networks, under the decision that README.md shows.

    The photographs are those of scikit-image: in the public domain, or CC0.
    """
    readme = (IMAGES.parents[1] / "README.md").read_text("utf-8")
    decision = re.findall("^```text\n(.+?)```$", readme, re.MULTILINE | re.DOTALL)[0].splitlines()
    tables = [
        [*csv.DictReader((folder / f"answers{size}/predictions.csv").open(encoding="utf-8"))]
        for size in range(3)
    ]
    top, width = 56 + 22 * len(decision), 180
    parts = [_line(24, 34 + 22 * at, line, "15") for at, line in enumerate(decision)]
    for column, name in enumerate(PHOTOGRAPHS):
        left = 24 + column * (width + 12)
        square = ImageOps.fit(Image.open(folder / f"photographs/{name}.png"), (width, width))
        square.save(stream := io.BytesIO(), "JPEG", quality=80)
        data = base64.b64encode(stream.getvalue()).decode()
        parts.append(
            f'<image x="{left}" y="{top}" width="{width}" height="{width}" '
            f'href="data:image/jpeg;base64,{data}"/>'
        )
        for size, table in enumerate(tables):
            row = next(row for row in table if row["path"] == f"{name}.png")
            text = f"lite{size} {row['class']}, {float(row['confidence']):.0%}"
            parts.append(_line(left, top + width + 18 + 16 * size, text.replace("%", " %"), "11"))
    height = top + width + 66
    (IMAGES / "photographs.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 996 {height}">\n'
        f'<rect width="996" height="{height}" rx="8" fill="#1e1e1e"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _line(x: int, y: int, text: str, size: str) -> str:
    """Returns a line of terminal text."""
    style = f'font-family="monospace" font-size="{size}" fill="#e0e0e0" xml:space="preserve"'
    return f'<text x="{x}" y="{y}" {style}>{html.escape(text)}</text>'


async def everything() -> None:
    """All, one after the other."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for one in (models, setup, live, results, exported):
        await one()
    measure_others()
    for one in (runs, compared):
        await one()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(photographs(Path(sys.argv[1])))
    os.environ.pop("NO_COLOR", None)
    begun = time.time()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = str(Path(folder, "config"))  # the user's theme is not used
        os.chdir(folder)
        asyncio.run(everything())
    if left := [name for name in NAMES[:-1] if (IMAGES / f"{name}.svg").stat().st_mtime < begun]:
        sys.exit(f"not drawn: {', '.join(left)}")
