"""Help as pictures, over a screen of the tests' own.

`pytest tests/tui/test_help_snapshots.py --snapshot-update` renews them after a wanted change.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import until
from tests.tui.test_help import Plain, Thing
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.screens.help import HelpScreen

pytestmark = [
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="pictures are compared on one version of Python"
    ),
    pytest.mark.slow,
]

SHOWN = {
    "help": ((100, 30), ("question_mark",)),
    "help_smallest": ((60, 15), ("question_mark", "down", "down")),
    "help_light": ((80, 24), ("ctrl+t", "question_mark")),
    "help_ascii": ((80, 24), ("question_mark",)),
}


@pytest.mark.parametrize("name", SHOWN)
def test_help(name: str, snap_compare: Callable[..., bool]) -> None:
    size, keys = SHOWN[name]
    app = TuiprobeApp(ascii=name == "help_ascii")

    async def act(pilot: Pilot[None]) -> None:
        app.push_screen(Plain())
        await until(pilot, lambda: app.screen.query(Thing))
        app.screen.query_one(Thing).focus()
        await pilot.press(*keys)
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))

    assert snap_compare(app, terminal_size=size, run_before=act)
