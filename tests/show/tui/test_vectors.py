"""A run of stored vectors on the screens: rows by name where images have pictures."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.show.tui.conftest import screens, until
from tests.vectors.conftest import planted
from tuiprobe.probes.run import run
from tuiprobe.request import RunRequest, make_spec
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.screens.results import ResultsScreen

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


def shows(app: TuiprobeApp, tab: str) -> bool:
    return app.screen.tab.id == f"tab-{tab}"


async def test_every_tab_of_a_run_of_vectors_opens(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", planted(300, 24))
    np.save(tmp_path / "y.npy", planted(200, 24, seed=5))
    given = {"embeddings": str(tmp_path / "x.npy"), "target_embeddings": (str(tmp_path / "y.npy"),)}
    run([RunRequest(spec=make_spec(None, None, given), output=tmp_path / "run")])
    async with screens((120, 40), open_run=tmp_path / "run") as (pilot, app):
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.tab)
        await pilot.pause()
        for tab in app.screen._tabs:
            app.screen.show_tab(tab)
            await until(pilot, partial(shows, app, tab))
            await pilot.press("down", "enter")
            await pilot.pause()
            if not isinstance(app.screen, ResultsScreen):  # the images of a channel, by name
                await pilot.press("escape")
                await pilot.pause()
            assert isinstance(app.screen, ResultsScreen)
