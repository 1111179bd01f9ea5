"""The live screen against run directories written by hand."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Static

from tests.tui.conftest import until
from tests.tui.live_run import live_run, say, write_live, write_pictures
from tuiprobe.files import Entry
from tuiprobe.tui import child
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.child import Engine
from tuiprobe.tui.screens.live import LiveScreen
from tuiprobe.tui.screens.models import ModelsScreen
from tuiprobe.tui.widgets.bars import ChannelBars
from tuiprobe.tui.widgets.layers import LayerStrip
from tuiprobe.tui.widgets.lines import Lines
from tuiprobe.tui.widgets.plot import LinePlot
from tuiprobe.tui.widgets.thumbnail import Thumbnail

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


def opened(run: Path) -> TuiprobeApp:
    return TuiprobeApp(open_run=run)


def content(app: TuiprobeApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).content)


def lines(app: TuiprobeApp, kind: type[Widget]) -> str:
    widget = app.screen.query_one(kind)
    return "\n".join(widget.render_line(y).text for y in range(widget.size.height))


def shown(app: TuiprobeApp) -> Callable[[], bool]:
    return lambda: "channels" in lines(app, ChannelBars)


async def test_bars_layers_line_and_figures_follow_the_run(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        assert isinstance(app.screen, LiveScreen)
        assert "    13  .60  .97 ███" in lines(app, ChannelBars)
        assert "[█]" in lines(app, LayerStrip)
        assert "embedding · kurtosis 54.0 · 5 of 5" in lines(app, LayerStrip)
        assert "54.00  (52.50 to 55.50)  n 640" in content(app, "#figures")
        assert "640 of 2,000" in content(app, "#progress")
        assert "measuring" in content(app, "#place")
        before = lines(app, LinePlot)
        bars = app.screen.query_one(ChannelBars)
        write_live(tmp_path, 2, done=1000, loud=20, kurtosis=40.0)
        await until(pilot, lambda: "    20  .60" in lines(app, ChannelBars))
        assert app.screen.query_one(ChannelBars) is bars  # updated in place, not replaced
        assert "1,000 of 2,000" in content(app, "#progress")
        assert lines(app, LinePlot) != before
        assert "3 of 2000 images" in content(app, "#warning")


async def test_a_live_state_that_cannot_be_read_is_told_until_it_is_whole(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        path = tmp_path / "live" / "0.json"
        path.write_text(path.read_text().replace('"low": 52.5', '"low": 1e308'))
        path.write_text(path.read_text().replace('"sequence": 1', '"sequence": 2'))
        await until(pilot, lambda: "cannot read the live state" in content(app, "#place"))
        assert "54.00" in content(app, "#figures")
        write_live(tmp_path, 3, done=1000)
        await until(pilot, lambda: "measuring" in content(app, "#place"))
        assert "1,000 of 2,000" in content(app, "#progress")


async def test_keys_walk_channels_and_layers(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        bars = app.screen.query_one(ChannelBars)
        assert bars.channel == 13
        pictures = [widget.file for widget in app.screen.query(Thumbnail)]
        assert pictures[:3] == [Entry(tmp_path, f"thumbs/val/{i}.jpg") for i in (5, 6, 7)]
        assert "▀" in app.screen.query_one("#picture-0", Thumbnail).render_line(0).text
        await pilot.press("down")
        assert bars.channel == 0
        await until(
            pilot,
            lambda: (
                app.screen.query_one("#picture-0", Thumbnail).file
                == Entry(tmp_path, "thumbs/val/8.jpg")
            ),
        )
        assert app.screen.query_one("#picture-1", Thumbnail).file is None
        await pilot.press("left", "left")
        assert "layer3 · kurtosis" in lines(app, LayerStrip)
        assert "inner layers have no pictures" in content(app, "#picture-note")
        await pilot.press(*["left"] * 9)
        assert "layer1 · kurtosis" in lines(app, LayerStrip)
        await pilot.click(LayerStrip, offset=(3, 0))
        assert "layer2 · kurtosis" in lines(app, LayerStrip)
        await pilot.click(ChannelBars, offset=(5, 3))
        assert bars.channel == 1


async def test_the_spectrum_shows_all_channels_in_either_order(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        await pilot.press("w")
        assert "rank 1 to 64 · highest: channel 13, .60" in lines(app, ChannelBars)
        top = lines(app, ChannelBars).splitlines()[0]
        assert top.startswith("█")
        await pilot.press("o")
        assert "channel 0 to 63" in lines(app, ChannelBars)
        assert lines(app, ChannelBars).splitlines()[0].index("█") == 13
        await pilot.press("w")
        channels = [int(line[1:6]) for line in lines(app, ChannelBars).splitlines()[1:6]]
        assert channels == sorted(channels)


async def test_the_view_can_be_held_while_the_run_goes_on(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        await pilot.press("space")
        assert "paused" in content(app, "#place")
        write_live(tmp_path, 2, done=1500)
        await until(pilot, lambda: app.screen._watch.latest.done == 1500)
        await pilot.pause(0.5)
        assert "640 of 2,000" in content(app, "#progress")
        await pilot.press("space")
        await until(pilot, lambda: "1,500 of 2,000" in content(app, "#progress"))


async def test_the_log_opens_and_is_inert(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    with (run / "log.txt").open("a") as file:
        file.write("[bold]\x1b[31mred\u202e\n")
    app = opened(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        await pilot.press("l")
        await until(pilot, lambda: "[bold]\\x1b[31mred\\u202e" in lines(app, Lines))
        with (run / "log.txt").open("a") as file:
            file.write("one more\n")
        await until(pilot, lambda: "one more" in lines(app, Lines))
        await pilot.press("l")
        assert not app.screen.query_one("#log").display


async def test_without_a_log_the_events_are_shown(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    (run / "log.txt").unlink()
    app = opened(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        await pilot.press("l")
        await until(pilot, lambda: "warning: 3 of 2000" in lines(app, Lines))


async def test_cancelling_a_run_of_elsewhere_leaves_a_file(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test() as pilot:
        await until(pilot, shown(app))
        await pilot.press("x")
        assert (tmp_path / "cancel").is_file()
        say(tmp_path, "done", "a title")
        await until(pilot, lambda: "✓" in content(app, "#place"))
        (tmp_path / "cancel").unlink()
        await pilot.press("x")
        assert not (tmp_path / "cancel").exists()


async def test_sets_can_be_chosen_and_else_follow_the_run(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    write_live(run, 2, sets=("val", "r"))
    app = opened(run)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(pilot, shown(app))
        assert str(app.screen.query_one("#channels").border_title).startswith("r ·")
        await pilot.press("s")
        assert str(app.screen.query_one("#channels").border_title).startswith("val ·")


async def test_a_run_that_is_first_seen_while_its_head_is_built_shows_what_it_measured(
    tmp_path: Path,
) -> None:
    run = live_run(tmp_path)
    state = run / "live" / "0.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "set": "head", "stage": "head"}))
    app = opened(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        assert "    13  .60  .97" in lines(app, ChannelBars)


async def test_a_group_shows_one_model_at_a_time(tmp_path: Path) -> None:
    live_run(tmp_path / "one")
    live_run(tmp_path / "two")
    app = opened(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        assert "one" in content(app, "#place")
        await pilot.press("n")
        await until(pilot, lambda: "two" in content(app, "#place"))
        await until(pilot, shown(app))
        live_run(tmp_path / "later")
        await until(pilot, lambda: len(app.screen._members) == 3)
        assert "two" in content(app, "#place")
        await pilot.press("n")
        await until(pilot, lambda: "later" in content(app, "#place"))


async def test_a_directory_that_vanishes_is_said_and_nothing_breaks(tmp_path: Path) -> None:
    run = live_run(tmp_path / "run")
    app = opened(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        shutil.rmtree(run)
        await until(pilot, lambda: "the run directory is gone" in content(app, "#place"))
        await pilot.press("down", "w", "left", "l", "x", "space", "enter", "y")
        assert "    13" in lines(app, ChannelBars) or "█" in lines(app, ChannelBars)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))


async def test_leaving_goes_back_to_the_models(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test() as pilot:
        await until(pilot, shown(app))
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))


async def test_panels_can_be_maximised_and_figures_copied(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        narrow = app.screen.query_one(ChannelBars).size.width
        await pilot.press("m")
        await until(pilot, lambda: app.screen.query_one(ChannelBars).size.width > narrow)
        await pilot.press("m")
        await until(pilot, lambda: app.screen.query_one(ChannelBars).size.width == narrow)
        await pilot.press("y")
        assert app.clipboard == "val\tembedding\t13\t0.6"
        await pilot.press("c")
        assert app.clipboard == f"tuiprobe open {tmp_path}"


async def test_enter_waits_for_the_results(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        await pilot.press("enter")
        assert isinstance(app.screen, LiveScreen)
        assert any("No results yet" in note.message for note in app._notifications)


# A run that this program started.


def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> tuple[TuiprobeApp, Path]:
    monkeypatch.setattr(child, "command", lambda words: [sys.executable, "-c", code])
    run = tmp_path / "run"

    class App(TuiprobeApp):
        def on_ready(self) -> None:
            self.push_screen(LiveScreen(run, Engine(["--headless"], run)))

    return App(runs=tmp_path), run


async def end(pilot: Pilot[None], engine: Engine) -> None:
    """Ends an engine and takes note of it, so that no process is left."""
    engine.kill()
    await until(pilot, lambda: engine.ended() is not None)


SLEEP = "import time; print('loading', flush=True); time.sleep(600)"


async def test_while_the_model_is_built_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, run = started(tmp_path, monkeypatch, SLEEP)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "starting: libraries load" in content(app, "#place"))
        await until(pilot, lambda: re.search(r"\(0:\d[1-9]\)", content(app, "#place")))
        assert "no image measured yet" in lines(app, ChannelBars)
        live_run(run)
        await until(pilot, shown(app))
        await end(pilot, app.engines[0])


async def test_an_engine_that_is_killed_leaves_the_screen_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, run = started(tmp_path, monkeypatch, SLEEP)
    async with app.run_test(size=(120, 40)) as pilot:
        live_run(run)
        await until(pilot, shown(app))
        os.kill(app.engines[0].pid, 9)
        await until(pilot, lambda: "killed by SIGKILL: memory may have" in content(app, "#place"))
        assert "    13" in lines(app, ChannelBars)
        await pilot.press("down", "w")
        await pilot.press("r")
        await until(pilot, lambda: len(app.engines) == 2)
        await until(pilot, lambda: "SIGKILL" not in content(app, "#place"))
        await end(pilot, app.engines[1])


async def test_an_engine_that_fails_says_why_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys; print('error: no image below [red]x[/]', file=sys.stderr); sys.exit(4)"
    app, _ = started(tmp_path, monkeypatch, code)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "no image below [red]x[/]" in content(app, "#place"))
        assert "l shows the log" in content(app, "#place")


async def test_cancel_asks_the_engine_and_x_again_can_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *a: print('asked', flush=True))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(0.05)"
    )
    app, run = started(tmp_path, monkeypatch, code)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "ready" in (run / "log.txt").read_text())
        await pilot.press("x")
        await until(pilot, lambda: "asked" in (run / "log.txt").read_text())
        await pilot.press("X")
        await until(pilot, lambda: app.engines[0].ended() == -9)


async def test_detaching_and_leaving_let_the_engine_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, run = started(tmp_path, monkeypatch, SLEEP)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LiveScreen))
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        await pilot.press("q")
        engine = app.engines[0]
        assert engine.ended() is None
        assert app.farewell == f"{run.name} goes on; to see or stop it: tuiprobe open {run}"
        await end(pilot, engine)


async def test_a_real_run_of_the_miniature_is_watched_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = TuiprobeApp(runs=Path("runs"))
    words = ["--headless", "--data", "miniature:val", "--sample", "64", "--output", "runs/real"]
    async with app.run_test(size=(120, 40)) as pilot:
        app.push_screen(LiveScreen(Path("runs/real"), Engine(words, Path("runs/real"))))
        await until(pilot, lambda: isinstance(app.screen, LiveScreen))
        await until(pilot, lambda: app.engines and app.engines[0].ended() is not None, 200)
        assert app.engines[0].ended() == 0, Path("runs/real/log.txt").read_text()
        await until(pilot, lambda: "✓" in content(app, "#place"))
        assert "n 64" in content(app, "#figures")
        pictures = app.screen.query_one("#picture-0", Thumbnail)
        await until(pilot, lambda: "▀" in pictures.render_line(0).text)
        await pilot.press("enter")
        await until(pilot, lambda: type(app.screen).__name__ == "ResultsScreen")


async def test_pictures_that_come_later_are_shown(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    shutil.rmtree(run / "thumbs")
    app = opened(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        picture = app.screen.query_one("#picture-0", Thumbnail)
        assert "▀" not in picture.render_line(0).text
        write_pictures(run)
        write_live(run, 2)
        await until(pilot, lambda: "▀" in picture.render_line(0).text)


async def test_a_thousand_taps_and_wide_layers_are_drawn(tmp_path: Path) -> None:
    bars = ChannelBars()
    shares = np.random.default_rng(0).dirichlet(np.ones(8192))

    class App(TuiprobeApp):
        def on_ready(self) -> None:
            self.screen.mount(bars)

    app = App()
    async with app.run_test(size=(220, 60)) as pilot:
        bars.show(shares, None)
        await pilot.pause()
        assert "more channels carry" in "\n".join(
            bars.render_line(y).text for y in range(bars.size.height)
        )
