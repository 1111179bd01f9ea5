"""No key ends the program: whatever is pressed on any screen, also while it is being laid out."""

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
from textual.command import CommandList, CommandPalette
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from tests.settled import settled
from tests.show.tui.child_answers import answered
from tests.show.tui.conftest import press_to, screens, type_ahead, until
from tests.show.tui.live_run import live_run, write_live
from tests.show.tui.test_every_screen import SCREENS
from tuiprobe.show.tui import child
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.commands import Palette
from tuiprobe.show.tui.screens.compare import CompareScreen
from tuiprobe.show.tui.screens.dialogs import HelpScreen
from tuiprobe.show.tui.screens.live import LiveScreen
from tuiprobe.show.tui.screens.models import ModelsScreen
from tuiprobe.show.tui.screens.results import ResultsScreen
from tuiprobe.show.tui.screens.runs import RunsScreen
from tuiprobe.show.tui.screens.setup import SetupScreen

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

KEYS = (
    *"0123456789abcdefghijklmnprstuvwyzGNMRX+-/'?:", "up", "down", "left", "right", "enter",
    "escape", "tab", "shift+tab", "space", "home", "end", "pageup", "pagedown", "backspace", "f1",
    "ctrl+t", "ctrl+p",
)  # fmt: skip
"""All but those that leave, open a file in another program or save a picture of the screen."""

SECONDS = float(os.environ.get("TUIPROBE_KEYS_SECONDS", "4"))
SEED = os.environ.get("TUIPROBE_KEYS_SEED", "1")
SIZES = ((60, 15), (80, 24), (120, 40), (220, 60))


async def test_leaving_results_while_they_are_laid_out_ends_nothing(finished: Path) -> None:
    async with screens((80, 24)) as (pilot, app):
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


@pytest.mark.parametrize("action", ["command_palette", "change_theme"])
async def test_keys_before_a_palette_has_lines_end_nothing(action: str) -> None:
    async with screens((80, 24)) as (pilot, app):
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        await app.run_action(action)
        while not any(listed.option_count for listed in app.screen.query(CommandList)):
            await asyncio.sleep(0)
        for key in ("page_up", "page_down", "last"):
            await app.screen.run_action(f"command_list('{key}')")
        await press_to(pilot, ModelsScreen, "escape")
        for turns in range(40):  # closed at every moment before its search begins
            app.call_next(app.run_action, action)
            for _ in range(turns):
                await asyncio.sleep(0)
            while len(app.screen_stack) > 2:
                await app.pop_screen()
        await press_to(pilot, ModelsScreen, "escape")


async def test_a_search_may_end_after_its_palette_is_closed() -> None:
    async with screens((80, 24)) as (pilot, app):
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        await press_to(pilot, Palette, "colon")
        palette = app.screen

        async def search() -> None:
            while palette.query(CommandList):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)
            palette.query_one(CommandList)

        worker: Worker[None] = palette.run_worker(search())
        await until(pilot, lambda: worker.state is WorkerState.RUNNING)
        await press_to(pilot, ModelsScreen, "escape")
        await until(pilot, lambda: worker.state is WorkerState.ERROR)


async def test_keys_typed_ahead_arrive_at_the_screen_that_opens(finished, tmp_path, monkeypatch):
    answered(monkeypatch)
    for name in ("a", "b"):
        shutil.copytree(finished, tmp_path / name)
    async with screens((120, 40), runs=tmp_path) as (pilot, app):
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        type_ahead(app, "enter", *"photos")
        await until(pilot, lambda: isinstance(app.screen, SetupScreen))
        await until(pilot, lambda: app.screen.query_one("#data", Input).value == "photos")
        type_ahead(app, "escape", ":", *"compare")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await until(pilot, lambda: app.screen.query_one(Input).value == "compare")
        type_ahead(app, "escape", "R", "enter", "3")
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen))
        await until(pilot, lambda: app.screen.tab and app.screen.tab.id == "tab-channels")
        type_ahead(app, "R", "space", "down", "space", "c", "f")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await until(pilot, lambda: app.screen.everything)
        type_ahead(app, "R", "enter", "3", "escape")  # the last one leaves at once
        await settled()
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.table.rows)
        assert len(app.screen_stack) == 2


@pytest.mark.parametrize(("key", "kind"), [("question_mark", HelpScreen), ("colon", Palette)])
async def test_a_box_closes_once_whatever_was_typed_ahead(key, kind, finished: Path) -> None:
    async with screens((120, 40), open_run=finished) as (pilot, app):
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.tab)
        results = app.screen
        await press_to(pilot, kind, key)
        box = app.screen
        for _ in range(2):  # as by keys that it has before it closes
            box.dismiss()
        await until(pilot, lambda: app.screen is results)
        await settled()
        assert app.screen is results


def decisions(app: TuiprobeApp) -> list[CompareScreen]:
    return [screen for screen in app.screen_stack if isinstance(screen, CompareScreen)]


@pytest.mark.parametrize(
    "keys",
    [["enter", "enter", "f"], pytest.param(["n", "enter", "enter"], marks=pytest.mark.nightly)],
)
async def test_enter_at_every_moment_around_the_end_of_several_models(keys, finished, tmp_path):
    """The results of one model after the other are there; the last one leads to the decision."""
    group, names = tmp_path / "group", ("a", "b")
    for name in names:
        live_run(group / name)
    async with screens((80, 24), runs=tmp_path) as (pilot, app):
        for done in range(len(names) + 1):
            screen = LiveScreen(group)
            app.push_screen(screen)
            for turns in (0, 1, 5, 40):
                type_ahead(app, *keys)
                for _ in range(turns):
                    await asyncio.sleep(0)
            await settled()
            if done == len(names):  # a second Enter opens the pictures where they differ
                await until(pilot, lambda: any(s.compared for s in decisions(app)))
            app.action_open_list("models")
            await settled()
            if done < len(names):
                shutil.rmtree(group / names[done])
                shutil.copytree(finished, group / names[done])
        assert app.is_running


def changing_runs(runs: Path, finished: Path, stop: threading.Event) -> None:
    """Lets runs appear, grow, end and vanish until it is told to stop."""
    number = 0
    while not stop.wait(0.05):
        number += 1
        live, done = runs / "growing", runs / f"new-{number % 3}"
        with contextlib.suppress(OSError):  # deleted by a key meanwhile
            if number % 40 == 0:
                shutil.rmtree(live)
            else:
                (live_run if number % 40 == 1 else write_live)(live, **growing(number))
            if done.exists():
                shutil.rmtree(done)
            elif number % 7 == 0:
                shutil.copytree(finished, done)
            if number % 5 == 0:  # cut while it is read, then as it was
                content = (finished / "results.json").read_bytes()
                (runs / "b" / "results.json").write_bytes(content[: number % 2 or None])


def growing(number: int) -> dict[str, Any]:
    """Returns how far a live run is at a step; its first one writes it."""
    return {} if number % 40 == 1 else {"sequence": number, "done": 50 * (number % 40)}


@pytest.mark.parametrize("size", SIZES)
async def test_random_keys_on_all_screens_end_nothing(size, finished, tmp_path, monkeypatch):
    monkeypatch.setattr(child, "command", lambda *of: [sys.executable, "-c", ""])
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    for name in ("a", "b"):
        shutil.copytree(finished, runs / name)
    shutil.copytree(finished, runs / "damaged")
    (runs / "damaged" / "results.json").write_text("{")
    draw = random.Random(f"{SEED} {size}")
    changing = threading.Event()
    changes = threading.Thread(target=changing_runs, args=(runs, finished, changing))
    changes.start()
    app, pressed = TuiprobeApp(runs=runs), []
    end = time.monotonic() + SECONDS / len(SIZES)
    async with app.run_test(size=size):
        while time.monotonic() < end:
            name = draw.choice(sorted(SCREENS))
            app.push_screen(SCREENS[name](runs))
            for _ in range(draw.randrange(1, 10)):
                pressed.append(draw.choices(KEYS, k=draw.randrange(1, 6)))
                type_ahead(app, *pressed[-1])
                await asyncio.sleep(draw.choice((0.0, 0.0, 0.02, 0.1)))
            await settled()
            if len(app.screen_stack) > 8:
                app.action_open_list("models")
        changing.set()
        changes.join()
        assert app.is_running, (SEED, pressed[-40:])
