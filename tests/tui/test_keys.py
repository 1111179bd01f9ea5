"""No key ends the program: whatever is pressed on any screen, also while it is being laid out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.settled import settled
from tests.tui.conftest import until
from tests.tui.live_run import live_run, write_live
from tests.tui.test_every_screen import SCREENS
from tuiprobe.tui import child
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.screens.results import ResultsScreen

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

KEYS = (
    *"0123456789abcdefghijklmnprstuvwyzGNMRX+-/'?:", "up", "down", "left", "right", "enter",
    "escape", "tab", "shift+tab", "space", "home", "end", "pageup", "pagedown", "backspace", "f1",
    "ctrl+t", "ctrl+p",
)  # fmt: skip
"""All but those that leave, open a file in another program or save a picture of the screen."""

SECONDS = float(os.environ.get("TUIPROBE_KEYS_SECONDS", "10"))
SEED = os.environ.get("TUIPROBE_KEYS_SEED", "1")
SIZES = ((60, 15), (80, 24), (120, 40), (220, 60))


async def test_leaving_results_while_they_are_laid_out_ends_nothing(finished: Path) -> None:
    app = TuiprobeApp()
    async with app.run_test(size=(80, 24)) as pilot:
        for turns in range(0, 60, 4):
            screen = ResultsScreen(finished)
            app.push_screen(screen)
            await until(pilot, lambda: app.screen is screen)  # noqa: B023
            end = time.monotonic() + 60
            while not screen.results:  # read, and from now on laid out
                assert app.is_running
                assert time.monotonic() < end
                await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            await app.run_action("back")
        await settled()
        assert not isinstance(app.screen, ResultsScreen)


def changing_runs(runs: Path, finished: Path, stop: threading.Event) -> None:
    """Lets runs appear, grow, end and vanish until it is told to stop."""
    number = 0
    while not stop.wait(0.05):
        number += 1
        live, done = runs / "live", runs / f"new-{number % 3}"
        with contextlib.suppress(OSError):  # deleted by a key meanwhile
            if number % 40 == 0:
                shutil.rmtree(live)
            else:
                (live_run if number % 40 == 1 else write_live)(live, **growing(number))
            if done.exists():
                shutil.rmtree(done)
            elif number % 7 == 0:
                shutil.copytree(finished, done)


def growing(number: int) -> dict[str, Any]:
    """Returns how far a live run is at a step; its first one writes it."""
    return {} if number % 40 == 1 else {"sequence": number, "done": 50 * (number % 40)}


@pytest.mark.parametrize("size", SIZES)
async def test_random_keys_on_all_screens_end_nothing(
    size: tuple[int, int], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(child, "command", lambda arguments: [sys.executable, "-c", ""])
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    for name in ("a", "b"):
        shutil.copytree(finished, runs / name)
    draw = random.Random(f"{SEED} {size}")
    changing = threading.Event()
    changes = threading.Thread(target=changing_runs, args=(runs, finished, changing))
    changes.start()
    app, pressed = TuiprobeApp(runs=runs), []
    end = time.monotonic() + SECONDS / len(SIZES)
    async with app.run_test(size=size) as pilot:
        while time.monotonic() < end:
            name = draw.choice(sorted(SCREENS))
            app.push_screen(SCREENS[name](runs))
            for _ in range(draw.randrange(1, 30)):
                pressed.append(draw.choice(KEYS))
                await pilot.press(pressed[-1])
            if len(app.screen_stack) > 8:
                app.action_go("models")
        changing.set()
        changes.join()
        assert app.is_running, (SEED, pressed[-40:])
