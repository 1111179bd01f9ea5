"""The live screen and its help as pictures: sizes, themes, ASCII and without colour.

`pytest tests/tui/test_live_snapshots.py --snapshot-update` renews them after a wanted change.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import drawn, until
from tests.tui.live_run import live_run, write_live, write_pictures
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.screens.help import HelpScreen
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


WITHOUT = ("live_ascii", "live_no_color")
"""Where pictures are shades."""


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
        parts = ["measuring", "random rotation", *["▀▀"] * (name not in WITHOUT)]
        await until(pilot, lambda: all(part in drawn(app) for part in parts))
        await pilot.press(*keys)
        if "l" in keys:
            await until(pilot, lambda: "measuring 2000 images" in drawn(app))
        if "question_mark" in keys:
            await until(pilot, lambda: isinstance(app.screen, HelpScreen))

    assert snap_compare(app, terminal_size=size, run_before=act)
