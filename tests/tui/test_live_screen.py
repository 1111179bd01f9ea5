"""The live screen against run directories written by hand."""

from __future__ import annotations

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
from tuiprobe.tui.widgets.bars import ChannelBars, Channels
from tuiprobe.tui.widgets.history import SetHistory
from tuiprobe.tui.widgets.keyline import KeyLine
from tuiprobe.tui.widgets.layers import LayerStrip
from tuiprobe.tui.widgets.lines import Lines
from tuiprobe.tui.widgets.plot import KurtosisPlot
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
    return lambda: "share" in lines(app, ChannelBars)


def titles(app: TuiprobeApp, selector: str) -> tuple[str, str]:
    panel = app.screen.query_one(selector)
    return str(panel.border_title), str(panel.border_subtitle)


def pictures(app: TuiprobeApp, panel: str) -> list[Entry | None]:
    """Returns the files whose pictures are shown at one end."""
    return [one.file for one in app.screen.query(f"#{panel} Thumbnail") if one.display]


def thumb(run: Path, image: int, set_name: str = "val") -> Entry:
    return Entry(run, f"thumbs/{set_name}/{image}.jpg")


async def test_bars_layers_line_and_figures_follow_the_run(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
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
        assert "● val    54.0 (52.5 to 55.5)  n\xa0640  now" in lines(app, SetHistory)
        assert "○ sketch waiting" in lines(app, SetHistory)
        assert content(app, "#progress").startswith("val (1 of 3) · 640 of 2,000 ")
        await until(pilot, lambda: "measuring" in content(app, "#place"))
        before = lines(app, KurtosisPlot)
        bars = app.screen.query_one(ChannelBars)
        write_live(tmp_path, 2, done=1000, loud=20, kurtosis=40.0)
        await until(pilot, lambda: "▲    20 █" in lines(app, ChannelBars))
        assert app.screen.query_one(ChannelBars) is bars  # updated in place, not replaced
        assert bars.channel == 13  # bound to its channel, which lost its line
        assert "1,000 of 2,000" in content(app, "#progress")
        await until(pilot, lambda: lines(app, KurtosisPlot) != before)
        assert "3 of 2000 images" in content(app, "#warning")


async def test_a_warning_never_cuts_what_the_title_says_of_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = {"model": "mini_clip", "data": "miniature:val", "weights": "pretrained"}
    monkeypatch.setattr(livewatch, "_about", lambda directory: about)
    run = live_run(tmp_path / ("a-long-name-of-a-run-" * 2))
    (run / "plan.json").write_text("{}")
    app = opened(run)
    async with app.run_test(size=(60, 20)) as pilot:
        await until(pilot, lambda: "DEMONSTRATION" in content(app, "#place"))
        await until(pilot, lambda: "measuring" in content(app, "#place").splitlines()[0])
        assert content(app, "#place").splitlines()[1].endswith("says nothing about real CLIPs")
        await until(pilot, lambda: "says nothing about real CLIPs" in drawn(app))


async def test_kurtosis_begins_anew_where_a_run_starts_again(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "54┤" in lines(app, KurtosisPlot))
        write_live(tmp_path, 2, done=64, kurtosis=40.0)
        await until(pilot, lambda: "40┤" in lines(app, KurtosisPlot))


async def test_both_ends_of_a_channel_are_shown_by_magnitude_with_their_values(
    tmp_path: Path,
) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        assert titles(app, "#strongest") == ("ch 13 strongest (−2,000)", "−2,000  −1,990")  # noqa: RUF001
        assert titles(app, "#other") == ("weakest (−670)", "−670  −677")  # noqa: RUF001
        assert pictures(app, "strongest") == [thumb(tmp_path, 5), thumb(tmp_path, 6)]
        assert pictures(app, "other") == [thumb(tmp_path, 7), thumb(tmp_path, 6)]
        ends = status_of(tmp_path)["ends"]
        ends["val"]["13"] = {"largest": [[5, 3.25]], "smallest": [[6, -1.5]]}
        change(tmp_path, sequence=2, ends=ends)
        await until(pilot, lambda: titles(app, "#other")[0] == "opposite end (−1.5)")  # noqa: RUF001
        assert titles(app, "#strongest")[0] == "ch 13 strongest (+3.25)"


async def test_without_layers_there_is_no_strip_and_layers_have_names(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    write_live(run, 2, layers=("embedding",))
    app = opened(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, shown(app))
        assert not app.screen.query_one(LayerStrip).display
        assert "[█]" not in drawn(app)
        write_live(run, 3)
        await until(pilot, lambda: "[█] embedding" in drawn(app))


@pytest.mark.parametrize("kind", ["untrained", "demonstration"])
async def test_the_title_warns_before_any_figure(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = {
        "untrained": {"model": "rn50", "data": "imagenet:val", "weights": "untrained"},
        "demonstration": {"model": "mini_clip", "data": "miniature:val", "weights": "pretrained"},
    }
    monkeypatch.setattr(livewatch, "_about", lambda directory: about[kind])
    run = live_run(tmp_path / "run")
    (run / "plan.json").write_text("{}")
    app = opened(run)
    full = {
        "untrained": "UNTRAINED",
        "demonstration": "DEMONSTRATION: says nothing about real CLIPs",
    }
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: content(app, "#place").endswith(full[kind]))
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: content(app, "#place").endswith(full[kind].split(":")[0]))
        await until(pilot, lambda: "measuring" in content(app, "#place"))


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (110, 36), (220, 60)])
async def test_every_panel_has_its_place_at_every_size(
    size: tuple[int, int], tmp_path: Path
) -> None:
    app = opened(live_run(tmp_path))
    bars = ("channel", "50 %", "together", "┊ even share 1.6 %", "13", "60.0 %")
    panels = (
        "kurtosis 54.0", "random rotation", "sets so far", "val", "strongest",
        "weakest (−670)", "▀▀▀▀▀▀",  # noqa: RUF001
    )  # fmt: skip
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: all(word in drawn(app) for word in (*bars, *panels)))
        shapes = {one.size for one in app.screen.query(Thumbnail) if one.display}
        assert all(one.width == 2 * one.height for one in shapes)
        for log in (False, True):
            if log:
                await pilot.press("l")
                await until(pilot, lambda: all(word in drawn(app) for word in bars))
            for panel in app.screen.query(".panel"):
                assert not panel.display or panel.region.bottom < size[1]


async def test_the_keys_that_stop_and_leave_come_first_and_dead_ones_are_not_there(
    tmp_path: Path,
) -> None:
    run = live_run(tmp_path)
    write_live(run, 2, layers=("embedding",))
    app = opened(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, shown(app))

        def words() -> list[str]:
            return [key.word for key in app.screen.query_one(KeyLine).keys]

        assert {"cancel", "detach", "help"} <= set(words())
        assert not {"layer", "next set", "next run"} & set(words())
        write_live(run, 3, sets=("val", "r"))
        await until(pilot, lambda: app.screen.check_action("set", ()))
        await pilot.resize_terminal(200, 24)
        await until(pilot, lambda: {"layer", "next set"} <= set(words()))
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: len(words()) < 8)
        assert {"cancel", "detach", "help"} <= set(words())


async def test_terms_of_the_panels_are_explained(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, shown(app))
        for node in (app.screen, *app.screen.query("*")):
            for id in getattr(node, "explained", tuple)():
                assert term(id).short
        assert app.screen.query_one(ChannelBars).explained()[0] == "outlier-channel"


async def test_a_live_state_that_cannot_be_read_is_told_until_it_is_whole(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        path = tmp_path / "status" / "0.json"
        path.write_text(path.read_text().replace('"low": 52.5', '"low": 1e308'))
        path.write_text(path.read_text().replace('"sequence": 1', '"sequence": 2'))
        await until(pilot, lambda: "cannot read the live state" in content(app, "#place"))
        assert "54.0" in titles(app, "#kurtosis")[0]
        write_live(tmp_path, 3, done=1000)
        await until(pilot, lambda: "measuring" in content(app, "#place"))
        assert "1,000 of 2,000" in content(app, "#progress")


async def test_keys_walk_channels_and_layers(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        bars = app.screen.query_one(ChannelBars)
        assert bars.channel == 13
        assert pictures(app, "strongest")[0] == thumb(tmp_path, 5)
        picture = app.screen.query(Thumbnail).first()
        await until(pilot, lambda: "▀" in picture.render_line(0).text)
        await pilot.press("down")
        assert bars.channel == 0
        await until(pilot, lambda: pictures(app, "strongest") == [thumb(tmp_path, 8)])
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


async def test_the_spectrum_shows_all_channels_in_either_order(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        low = app.screen.query_one(ChannelBars).size.height
        await pilot.press("w")
        await until(pilot, lambda: app.screen.query_one(ChannelBars).size.height > low)
        assert "rank 1 to 64 · full height: channel 13, 60.0 %" in lines(app, ChannelBars)
        top = lines(app, ChannelBars).splitlines()[0]
        assert top.startswith("█")
        await pilot.press("o")
        assert "channel 0 to 63" in lines(app, ChannelBars)
        assert lines(app, ChannelBars).splitlines()[0].index("█") == 13
        await pilot.press("w")
        channels = [int(line[2:8]) for line in lines(app, ChannelBars).splitlines()[1:4]]
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


async def test_without_a_log_the_messages_are_shown(tmp_path: Path) -> None:
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
        await pilot.press("x", "enter")  # No is where the cursor is
        assert not (tmp_path / "cancel").exists()
        await pilot.press("x", "y")
        await until(pilot, lambda: (tmp_path / "cancel").is_file())
        write_run(tmp_path, pictures=False)
        say(tmp_path, "done", "a title", phase="done")
        await until(pilot, lambda: "✓" in content(app, "#place"))
        (tmp_path / "cancel").unlink()
        await pilot.press("x", "y")
        assert not (tmp_path / "cancel").exists()


async def test_sets_can_be_chosen_and_else_follow_the_run(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    write_live(run, 2, sets=("val", "r"))
    app = opened(run)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(pilot, shown(app))
        assert "· r ·" in titles(app, "#channels")[0]
        await pilot.press("t")
        assert "· val ·" in titles(app, "#channels")[0]


async def test_a_run_that_is_first_seen_while_its_head_is_built_shows_what_it_measured(
    tmp_path: Path,
) -> None:
    run = live_run(tmp_path)
    change(run, phase="head", shard=None, built=3, to_build=9)
    app = opened(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        assert "▸▲    13 █" in lines(app, ChannelBars)


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
        assert not app.screen.query_one("#log").display  # the log closes first
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


async def test_results_are_offered_once_they_are_there(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        await pilot.press("enter")
        assert isinstance(app.screen, LiveScreen)
        assert "results" not in [key.word for key in app.screen.query_one(KeyLine).keys]


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
        monkeypatch.setattr(locks, "QUIET_SECONDS", 0.1)  # the status is of another host
        os.kill(app.engines[0].pid, 9)
        await until(pilot, lambda: "killed by SIGKILL, so memory may" in content(app, "#place"))
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
        await pilot.press("X", "y")
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
        assert "✓ val" in lines(app, SetHistory)
        assert "n\xa064" in lines(app, SetHistory)
        picture = app.screen.query(Thumbnail).first()
        await until(pilot, lambda: "▀" in picture.render_line(0).text)
        assert "DEMONSTRATION" in content(app, "#place")
        await pilot.press("enter")
        await until(pilot, lambda: type(app.screen).__name__ == "ResultsScreen")


async def test_pictures_that_come_later_are_shown(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    shutil.rmtree(run / "thumbs")
    app = opened(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        picture = app.screen.query(Thumbnail).first()
        assert "▀" not in picture.render_line(0).text
        write_pictures(run)
        write_live(run, 2)
        await until(pilot, lambda: "▀" in picture.render_line(0).text)


async def test_wide_layers_are_drawn(tmp_path: Path) -> None:
    bars = ChannelBars()
    shares = np.random.default_rng(0).dirichlet(np.ones(8192))

    class App(TuiprobeApp):
        def on_ready(self) -> None:
            self.screen.mount(bars)

    app = App()
    async with app.run_test(size=(220, 60)) as pilot:
        bars.show(Channels("embedding", shares))
        await pilot.pause()
        text = "\n".join(bars.render_line(y).text for y in range(bars.size.height))
        assert "8,180 more, together" in text


async def test_the_ranks_of_a_shared_run_have_a_line(tmp_path: Path) -> None:
    app = opened(live_run(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown(app))
        assert not app.screen.query_one("#ranks").display
        change(tmp_path, world=8, sequence=2)
        change(tmp_path, 7, world=8, host="[b]away", phase="measured")
        await until(pilot, lambda: "ranks ● 0 212 img/s · ✓ 7 measured" in drawn(app))
        change(tmp_path, 7, host=os.uname().nodename, phase="extract")  # it holds no lock
        line = f"ranks ● 0 212 img/s · ✗ 7 ended on {os.uname().nodename}"
        await until(pilot, lambda: line in drawn(app))
