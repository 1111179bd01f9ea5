"""The live screen against run directories written by hand."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Static

from tests.tui.conftest import drawn, until
from tests.tui.finished import write_run
from tests.tui.live_run import change, live_run, say, status_of, write_live, write_pictures
from tuiprobe.catalog.glossary import term
from tuiprobe.files import Entry
from tuiprobe.run import locks
from tuiprobe.tui import child, livewatch
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.child import Engine
from tuiprobe.tui.screens.live import LiveScreen
from tuiprobe.tui.screens.models import ModelsScreen
from tuiprobe.tui.widgets.bars import ChannelBars
from tuiprobe.tui.widgets.history import SetHistory
from tuiprobe.tui.widgets.keyline import KeyLine
from tuiprobe.tui.widgets.layers import LayerStrip
from tuiprobe.tui.widgets.lines import Lines
from tuiprobe.tui.widgets.plot import KurtosisPlot
from tuiprobe.tui.widgets.thumbnail import Thumbnail

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


def content(app: TuiprobeApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).content)


def lines(app: TuiprobeApp, kind: type[Widget]) -> str:
    widget = app.screen.query_one(kind)
    return "\n".join(widget.render_line(y).text for y in range(widget.size.height))


def shown(app: TuiprobeApp) -> Callable[[], bool]:
    return lambda: "share" in lines(app, ChannelBars)


def titles(app: TuiprobeApp, selector: str) -> tuple[str, str]:
    panel = app.screen.query_one(selector)
    return str(panel.border_title), str(panel.border_subtitle)


def pictures(app: TuiprobeApp, panel: str) -> list[Entry | None]:
    """Returns the files whose pictures are shown at one end."""
    return [view.file for view in app.screen.query(f"#{panel} Thumbnail") if view.display]


def thumb(run: Path, image: int, set_name: str = "val") -> Entry:
    return Entry(run, f"thumbs/{set_name}/{image}.jpg")


def words(app: TuiprobeApp) -> set[str]:
    return {key.word for key in app.screen.query_one(KeyLine).keys}


async def test_every_panel_follows_the_run(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    shutil.rmtree(run / "thumbs")
    change(run, phase="head", shard=None, built=3, to_build=9)  # what was measured is shown
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        assert isinstance(app.screen, LiveScreen)
        row = lines(app, ChannelBars).splitlines()[1]
        assert row.startswith("▸▲    13 █")
        assert row.endswith("60.0 %  100 % 97.0 %")
        assert "… 61 more, together 37.6 %" in lines(app, ChannelBars)
        assert "[█]" in lines(app, LayerStrip)
        assert "embedding · kurtosis 54 · layer 5 of 5" in lines(app, LayerStrip)
        assert titles(app, "#channels") == (
            "do the same few channels dominate every image? · val · embedding",
            "64 channels · ┊ even share 1.6 %",
        )
        assert titles(app, "#kurtosis") == (
            "kurtosis 54.0 (52.5 to 55.5)", "persistence 0.93 · effective channels 2.7",
        )  # fmt: skip
        await until(pilot, lambda: "random rotation" in lines(app, KurtosisPlot))
        await until(pilot, lambda: "2.91┤" in lines(app, KurtosisPlot))
        assert "54┤" in lines(app, KurtosisPlot)
        assert "○ sketch waiting" in lines(app, SetHistory)
        for node in (app.screen, *app.screen.query("*")):
            for id in getattr(node, "explained", tuple)():
                assert term(id).short
        assert app.screen.query_one(ChannelBars).explained()[0] == "outlier-channel"

        assert titles(app, "#strongest") == ("ch 13 strongest (−2,000)", "−2,000  −1,990")  # noqa: RUF001
        assert titles(app, "#other") == ("weakest (−670)", "−670  −677")  # noqa: RUF001
        assert pictures(app, "strongest") == [thumb(run, 5), thumb(run, 6)]
        assert pictures(app, "other") == [thumb(run, 7), thumb(run, 6)]
        picture = app.screen.query(Thumbnail).first()
        assert "▀" not in picture.render_line(0).text
        write_pictures(run)  # pictures that come later are shown
        write_live(run, 2)
        await until(pilot, lambda: "▀" in picture.render_line(0).text)
        before, bars = lines(app, KurtosisPlot), app.screen.query_one(ChannelBars)
        write_live(run, 3, done=1000, loud=20, kurtosis=40.0)
        await until(pilot, lambda: "▲    20 █" in lines(app, ChannelBars))
        assert app.screen.query_one(ChannelBars) is bars  # updated in place, not replaced
        assert bars.channel == 13  # bound to its channel, which lost its line
        assert content(app, "#progress").startswith("1,000 of 2,000 images ")
        assert "● val    40.0 (38.5 to 41.5)  n\xa01,000  now" in lines(app, SetHistory)
        assert "3 of 2000 images" in content(app, "#warning")
        await until(pilot, lambda: "measuring" in content(app, "#place"))
        await until(pilot, lambda: lines(app, KurtosisPlot) != before)
        write_live(run, 4, done=64, kurtosis=40.0)  # a run that starts again
        await until(pilot, lambda: "40┤" in lines(app, KurtosisPlot))

        ends = status_of(run)["ends"]
        ends["val"]["13"] = {"largest": [[5, 3.25]], "smallest": [[6, -1.5]]}
        change(run, sequence=5, ends=ends)
        await until(pilot, lambda: titles(app, "#other")[0] == "opposite end (−1.5)")  # noqa: RUF001
        assert titles(app, "#strongest")[0] == "ch 13 strongest (+3.25)"

        path = run / "status" / "0.json"  # damage keeps the last figures
        path.write_text(path.read_text().replace('"low": 38.5', '"low": 1e308'))
        path.write_text(path.read_text().replace('"sequence": 5', '"sequence": 6'))
        await until(pilot, lambda: "cannot read the live state" in content(app, "#place"))
        assert "40.0" in titles(app, "#kurtosis")[0]
        write_live(run, 7, done=1200)
        await until(pilot, lambda: "measuring" in content(app, "#place"))
        assert "1,200 of 2,000" in content(app, "#progress")

        assert not app.screen.query_one("#ranks").display
        change(run, world=8, sequence=8)
        change(run, 7, world=8, host="[b]away", phase="measured")
        await until(pilot, lambda: "ranks ● 0 212 img/s · ✓ 7 measured" in drawn(app))
        change(run, 7, host=os.uname().nodename, phase="extract")  # it holds no lock
        line = f"ranks ● 0 212 img/s · ✗ 7 ended on {os.uname().nodename}"
        await until(pilot, lambda: line in drawn(app))


async def test_keys_walk_channels_layers_spectrum_log_and_hold_the_view(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        bars = app.screen.query_one(ChannelBars)
        await pilot.press("enter")  # no results yet
        assert isinstance(app.screen, LiveScreen)
        assert "results" not in words(app)
        await pilot.press("y")
        assert app.clipboard == "val\tembedding\t13\t0.6"
        await pilot.press("c")
        assert app.clipboard == f"tuiprobe open {run}"
        narrow, low = bars.size
        await pilot.press("m")
        await until(pilot, lambda: bars.size.width > narrow)
        await pilot.press("m")
        await until(pilot, lambda: bars.size.width == narrow)

        await pilot.press("w")
        await until(pilot, lambda: bars.size.height > low)
        assert "rank 1 to 64 · full height: channel 13, 60.0 %" in lines(app, ChannelBars)
        assert lines(app, ChannelBars).startswith("█")
        await pilot.press("o")
        assert "channel 0 to 63" in lines(app, ChannelBars)
        assert lines(app, ChannelBars).splitlines()[0].index("█") == 13
        await pilot.press("w")
        channels = [int(line[2:8]) for line in lines(app, ChannelBars).splitlines()[1:4]]
        assert channels == sorted(channels)
        await pilot.press("o")

        await pilot.press("down")
        assert bars.channel == 0
        await until(pilot, lambda: pictures(app, "strongest") == [thumb(run, 8)])
        assert titles(app, "#strongest")[0] == "ch 0 strongest (+41.5)"
        await pilot.press("down")
        assert content(app, "#strongest Static").startswith("Only the eight channels")
        await pilot.press("left", "left")
        assert "layer3 · kurtosis" in lines(app, LayerStrip)
        assert "Inner layers have no pictures" in content(app, "#strongest Static")
        await pilot.press(*["left"] * 9)
        assert "layer1 · kurtosis" in lines(app, LayerStrip)
        await pilot.click(LayerStrip, offset=(3, 0))
        assert "layer2 · kurtosis" in lines(app, LayerStrip)
        await pilot.click(ChannelBars, offset=(5, 3))
        assert bars.channel == 1

        await pilot.press("space")
        assert "paused" in content(app, "#place")
        write_live(run, 2, done=1500)
        await until(pilot, lambda: app.screen._watch.latest.done == 1500)
        app.screen._tick()
        assert "640 of 2,000" in content(app, "#progress")
        await pilot.press("space")
        await until(pilot, lambda: "1,500 of 2,000" in content(app, "#progress"))

        (run / "log.txt").write_text("[bold]\x1b[31mred\u202e\n")
        await pilot.press("l")
        await until(pilot, lambda: "[bold]\\x1b[31mred\\u202e" in lines(app, Lines))
        with (run / "log.txt").open("a") as file:
            file.write("one more\n")
        await until(pilot, lambda: "one more" in lines(app, Lines))
        await pilot.press("l")
        assert not app.screen.query_one("#log").display
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))


async def test_every_panel_has_its_place_at_every_size(tmp_path: Path) -> None:
    app = TuiprobeApp(open_run=live_run(tmp_path))
    bars = ("channel", "50 %", "together", "┊ even share 1.6 %", "13", "60.0 %")
    panels = (
        "kurtosis 54.0", "random rotation", "sets so far", "val", "strongest",
        "weakest (−670)", "▀▀▀▀▀▀",  # noqa: RUF001
    )  # fmt: skip
    async with app.run_test(size=(80, 24)) as pilot:
        for size in ((60, 20), (80, 24), (220, 60)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: all(word in drawn(app) for word in (*bars, *panels)))
            shapes = {view.size for view in app.screen.query(Thumbnail) if view.display}
            assert all(shape.width == 2 * shape.height for shape in shapes)
            for _ in ("without", "with the log"):
                await until(pilot, lambda: all(word in drawn(app) for word in bars))
                for panel in app.screen.query(".panel"):
                    assert not panel.display or panel.region.bottom < size[1]
                await pilot.press("l")


async def test_keys_that_do_nothing_are_not_shown_and_sets_can_be_chosen(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    write_live(run, 2, layers=("embedding",))
    (run / "log.txt").unlink()
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, shown(app))
        assert not app.screen.query_one(LayerStrip).display
        assert "[█]" not in drawn(app)
        assert {"cancel", "detach", "help"} <= words(app)
        assert not {"layer", "next set", "next run"} & words(app)
        await pilot.press("l")
        await until(pilot, lambda: "warning: 3 of 2000" in lines(app, Lines))  # without a log
        await pilot.press("l")
        write_live(run, 3, sets=("val", "r"))
        await until(pilot, lambda: app.screen.check_action("set", ()))
        await until(pilot, lambda: "[█] embedding" in drawn(app))
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: len(words(app)) < 8)
        assert {"cancel", "detach", "help"} <= words(app)
        await pilot.resize_terminal(200, 24)
        await until(pilot, lambda: {"layer", "next set"} <= words(app))
        assert "· val ·" in titles(app, "#channels")[0]
        await pilot.press("t")
        assert "· r ·" in titles(app, "#channels")[0]


async def test_a_group_shows_a_run_at_a_time_and_warns_before_any_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "a-long-name-of-a-run-" * 2
    about = {
        "one": {"model": "rn50", "data": "imagenet:val", "weights": "untrained"},
        long: {"model": "mini_clip", "data": "miniature:val", "weights": "pretrained"},
    }
    monkeypatch.setattr(livewatch, "_about", lambda directory: about.get(directory.path.name, {}))
    for name in about:
        (live_run(tmp_path / name) / "plan.json").write_text("{}")
    app = TuiprobeApp(open_run=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "measuring" in content(app, "#place"))
        await until(pilot, lambda: "DEMONSTRATION" in content(app, "#place"))
        assert content(app, "#place").endswith("says nothing about real CLIPs")
        await pilot.resize_terminal(60, 20)  # the warning never cuts the state
        await until(pilot, lambda: len(content(app, "#place").splitlines()) == 2)
        assert "measuring" in content(app, "#place").splitlines()[0]
        assert content(app, "#place").splitlines()[1].endswith("says nothing about real CLIPs")
        await until(pilot, lambda: "says nothing about real CLIPs" in drawn(app))
        await pilot.press("n")
        await until(pilot, lambda: content(app, "#place").startswith("● one: measuring"))
        await until(pilot, lambda: content(app, "#place").endswith("UNTRAINED"))
        live_run(tmp_path / "later")
        await until(pilot, lambda: len(app.screen._members) == 3)
        assert "one" in content(app, "#place")
        await pilot.press("n")
        await until(pilot, lambda: long in content(app, "#place"))
        await pilot.press("n")
        await until(pilot, lambda: "later" in content(app, "#place"))


async def test_a_run_of_elsewhere_is_cancelled_by_a_file_and_may_vanish(tmp_path: Path) -> None:
    run = live_run(tmp_path / "run")
    app = TuiprobeApp(open_run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        await pilot.press("x", "enter")  # No is where the cursor is
        assert not (run / "cancel").exists()
        await pilot.press("x", "y")
        await until(pilot, lambda: (run / "cancel").is_file())
        write_run(run, pictures=False)
        say(run, "done", "a title", phase="done")
        await until(pilot, lambda: "✓" in content(app, "#place"))
        (run / "cancel").unlink()
        await pilot.press("x", "y")
        assert not (run / "cancel").exists()
        shutil.rmtree(run)
        await until(pilot, lambda: "the run directory is gone" in content(app, "#place"))
        await pilot.press("down", "w", "left", "l", "x", "space", "enter", "y")
        assert "    13" in lines(app, ChannelBars) or "█" in lines(app, ChannelBars)
        await pilot.press("escape")
        assert not app.screen.query_one("#log").display  # the log closes first
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))


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


async def test_a_killed_engine_leaves_the_screen_alive_and_the_next_one_goes_on_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = "import time; print('loading', flush=True); time.sleep(600)"
    app, run = started(tmp_path, monkeypatch, sleep)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "starting: libraries load" in content(app, "#place"))
        await until(pilot, lambda: re.search(r"\(0:\d[1-9]\)", content(app, "#place")))
        assert "no image measured yet" in lines(app, ChannelBars)
        live_run(run)
        await until(pilot, shown(app))
        monkeypatch.setattr(locks, "QUIET_SECONDS", 0.1)  # the status is of another host
        os.kill(app.engines[0].pid, 9)
        await until(pilot, lambda: "killed by SIGKILL, so memory may" in content(app, "#place"))
        assert "    13" in lines(app, ChannelBars)
        await pilot.press("down", "w")
        await pilot.press("r")
        await until(pilot, lambda: len(app.engines) == 2)
        await until(pilot, lambda: "SIGKILL" not in content(app, "#place"))
        await pilot.press("d")  # detaching and leaving let it go on
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        await pilot.press("q")
        engine = app.engines[1]
        assert engine.ended() is None
        assert app.farewell == f"{run.name} goes on; to see or stop it: tuiprobe open {run}"
        await end(pilot, engine)


async def test_an_engine_that_fails_says_why_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys; print('error: no image below [red]x[/]', file=sys.stderr); sys.exit(4)"
    app, _ = started(tmp_path, monkeypatch, code)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "no image below [red]x[/]" in content(app, "#place"))
        assert content(app, "#place").startswith("✗ run: failed: ")
        assert "r tries again" in content(app, "#place")


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
        await pilot.press("x", "y")
        await until(pilot, lambda: "asked" in (run / "log.txt").read_text())
        await pilot.press("X", "n")
        await until(pilot, lambda: isinstance(app.screen, LiveScreen))
        assert app.engines[0].ended() is None
        await pilot.press("X", "y")
        await until(pilot, lambda: app.engines[0].ended() == -9)
        await until(pilot, lambda: "killed on request" in content(app, "#warning"))
        assert not any("memory" in notice.message for notice in app._notifications)
