"""Runs the program with whatever packages its environment has: `python lowest.py`.

Help, the default run of 60 images, the screen of its results, and a watch, in a folder of its own.
`.ci/lowest` calls it where every package has the lowest version that pyproject.toml allows.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

import tuiprobe
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.screens.results import ResultsScreen


def program(*words: str) -> None:
    """Runs the program in a process of its own."""
    print("tuiprobe", *words, flush=True)
    subprocess.run([sys.executable, "-m", "tuiprobe", *words], check=True)


async def check_screen(run: Path) -> None:
    """Opens the results of a run on a screen without a terminal.

    Raises:
        TimeoutError: After 60 s without the screen.
    """
    print("the screen of", run, flush=True)
    app = TuiprobeApp(open_run=run)
    async with app.run_test() as pilot, asyncio.timeout(60):
        while not isinstance(app.screen, ResultsScreen):
            await pilot.pause(0.1)


def check_watch() -> None:
    """Watches a layer of a network, compiled too."""
    print("tuiprobe.watch", flush=True)
    network = nn.Sequential(nn.Linear(8, 64), nn.GELU(), nn.Linear(64, 4))
    with tuiprobe.watch(network, "0") as watched:
        compiled = torch.compile(network, fullgraph=True, backend="eager")
        for call in (network, network, compiled, compiled):
            call(torch.randn(16, 8))
    (figures,) = watched.figures()
    assert (figures.layer, figures.images, figures.channels) == ("0", 64, 64), figures


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        program("--help")
        program("--headless", "--sample", "60")
        (run,) = Path("runs").iterdir()
        asyncio.run(check_screen(run))
        check_watch()
