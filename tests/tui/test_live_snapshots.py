"""Models, setup, live screen and help as pictures: sizes, themes, ASCII and without colour.

`pytest tests/tui/test_live_snapshots.py --snapshot-update` renews them after a wanted change.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from tests.tui.conftest import until
from tests.tui.live_run import live_run, write_live, write_pictures
from tests.tui.test_pieces import FOUND, TRIAL
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.child import Answer
from tuiprobe.tui.screens import setup
from tuiprobe.tui.screens.models import ModelsScreen
from tuiprobe.tui.screens.setup import SetupScreen
from tuiprobe.tui.widgets.bars import ChannelBars

pytestmark = [
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="pictures are compared on one version of Python"
    ),
    pytest.mark.slow,
]

LIVE = {
    "live": ((120, 40), ()),
    "live_wide": ((200, 50), ()),
    "live_small": ((80, 24), ("l",)),
    "live_smallest": ((60, 20), ("w",)),
    "live_light": ((120, 40), ("ctrl+t", "left")),
    "live_ascii": ((80, 24), ()),
    "live_no_color": ((80, 24), ()),
    "live_final": ((110, 36), ("down",)),
    "live_help": ((100, 40), ("question_mark",)),
}
MODELS = {
    "models": ((120, 40), ()),
    "models_small": ((60, 20), ()),
    "models_light": ((80, 24), ("ctrl+t", "space")),
    "models_too_small": ((50, 12), ()),
}
SETUP = {"setup": (120, 40), "setup_small": (80, 24), "setup_smallest": (60, 20)}


@pytest.mark.parametrize("name", LIVE)
def test_live(
    name: str, snap_compare: Callable[..., bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, keys = LIVE[name]
    if name == "live_no_color":
        monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    run = live_run(Path("run"))
    if name == "live_final":
        write_live(run, 2, sets=("val", "r"), layers=("embedding",))
        write_pictures(run, "r")
    app = TuiprobeApp(open_run=run, ascii=name == "live_ascii")

    async def act(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.screen.query(ChannelBars))
        await until(pilot, lambda: app.screen.query_one(ChannelBars).channel == 13)
        await pilot.press(*keys)
        await pilot.pause(0.5)

    assert snap_compare(app, terminal_size=size, run_before=act)


@pytest.mark.parametrize("name", MODELS)
def test_models(
    name: str, snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    size, keys = MODELS[name]
    monkeypatch.setattr(ModelsScreen, "_load", lambda self: None)  # the presets alone
    app = TuiprobeApp()

    async def act(pilot: Pilot[None]) -> None:
        await pilot.press(*keys)
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=act)


@pytest.mark.parametrize("name", SETUP)
def test_setup(
    name: str, snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trial(words: list[str]) -> Answer:
        return Answer(0, json.dumps(TRIAL), "")

    async def found(words: list[str]) -> Answer:
        return Answer(0, json.dumps(FOUND), "")

    monkeypatch.setattr(setup, "ask", trial)
    monkeypatch.setattr(setup, "ask_python", found)
    monkeypatch.setattr(ModelsScreen, "_load", lambda self: None)
    app = TuiprobeApp()

    async def act(pilot: Pilot[None]) -> None:
        app.push_screen(SetupScreen(["mini_clip"]))
        await until(pilot, lambda: app.screen.query("#understood"))
        for field in app.screen.query(Input):
            field.cursor_blink = False
        words = app.screen.query_one("#understood", Static)
        await until(pilot, lambda: "images, about" in str(words.content))
        await pilot.pause()

    assert snap_compare(app, terminal_size=SETUP[name], run_before=act)
