"""The live screen against run directories written by hand."""

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

from tests.results.test_accuracy import with_target
from tests.show.tui.conftest import drawn, press_to, screens, until
from tests.show.tui.finished import write_run
from tests.show.tui.live_run import change, live_run, say, status_of, write_live, write_pictures
from tuiprobe.catalog.glossary import term
from tuiprobe.files import Entry
from tuiprobe.measure.run import locks, view
from tuiprobe.measure.run.directory import LOG_MARK
from tuiprobe.results.accuracy import Accuracy, best_accuracy, with_range
from tuiprobe.show.tui import child
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.child import Engine
from tuiprobe.show.tui.livewatch import WatchThread
from tuiprobe.show.tui.screens.live import LiveScreen
from tuiprobe.show.tui.screens.models import ModelsScreen
from tuiprobe.show.tui.screens.results import ResultsScreen
from tuiprobe.show.tui.tabs.overview import OverviewTab
from tuiprobe.show.tui.widgets.bars import ChannelBars
from tuiprobe.show.tui.widgets.forest import Forest
from tuiprobe.show.tui.widgets.keyline import KeyLine
from tuiprobe.show.tui.widgets.pictures import PictureGrid

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


def content(app: TuiprobeApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).content)


def lines(app: TuiprobeApp, kind: type[Widget]) -> str:
    widget = app.screen.query_one(kind)
    return "\n".join(widget.render_line(y).text for y in range(widget.size.height))


def measures(app: TuiprobeApp) -> Callable[[], bool]:
    return lambda: "share" in lines(app, ChannelBars)


def answers(app: TuiprobeApp) -> list[str]:
    forest = app.screen.query_one(Forest)
    return [forest.row_line(row, forest.size.width) for row in forest.rows]


def titles(app: TuiprobeApp, selector: str) -> tuple[str, str]:
    panel = app.screen.query_one(selector)
    return str(panel.border_title), str(panel.border_subtitle)


def pictures(app: TuiprobeApp, panel: str) -> list[Entry | None]:
    """Returns the files whose pictures are shown at one end."""
    return [picture.file for _, of in app.screen.query_one(f"#{panel}").groups for picture in of]


def values(app: TuiprobeApp, panel: str) -> tuple[str, list[str]]:
    """Returns the heading of the pictures at one end, and their values."""
    ((heading, of),) = app.screen.query_one(f"#{panel}").groups
    return heading, [picture.values[0] for picture in of]


def thumb(run: Path, image: int, set_name: str = "val") -> Entry:
    return Entry(run, f"thumbs/{set_name}/{image}.jpg")


def words(app: TuiprobeApp) -> set[str]:
    return {key.word for key in app.screen.query_one(KeyLine).keys}


async def test_every_panel_follows_the_run(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    shutil.rmtree(run / "thumbs")
    async with screens((120, 40), open_run=run) as (pilot, app):
        await until(pilot, measures(app))
        assert isinstance(app.screen, LiveScreen)
        for node in (app.screen, *app.screen.query("*")):
            for id in getattr(node, "explained", tuple)():
                assert term(id).short
        assert app.screen.query_one(ChannelBars).explained()[0] == "outlier-channel"

        assert not app.screen.query_one("#pictures").display  # there are none yet
        write_pictures(run)  # pictures that come later are shown
        write_live(run, 2)
        picture = app.screen.query(PictureGrid).first()
        await until(pilot, lambda: "▀" in picture.render_line(1).text)
        assert values(app, "strongest") == ("channel 13, strongest", ["−2,000", "−1,990", "−1,980"])  # noqa: RUF001
        assert values(app, "other") == ("weakest", ["−670", "−677", "−684"])  # noqa: RUF001
        assert pictures(app, "strongest")[:2] == [thumb(run, 5), thumb(run, 6)]
        bars = app.screen.query_one(ChannelBars)
        write_live(run, 3, done=1000, loud=20, kurtosis=40.0)
        await until(pilot, lambda: "▲    20 █" in lines(app, ChannelBars))
        assert app.screen.query_one(ChannelBars) is bars  # updated in place, not replaced
        assert bars.channel == 13  # bound to its channel, which lost its line
        assert " 50 %  212 img/s  0:05 left" in content(app, "#place")
        assert "90.0 % (88.0 to 91.7)" in answers(app)[1]
        assert "3 of 2000 images" in content(app, "#warning")

        ends = status_of(run)["ends"]
        ends["val"]["13"] = {"largest": [[5, 3.25]], "smallest": [[6, -1.5]]}
        change(run, sequence=5, ends=ends)
        await until(pilot, lambda: values(app, "other") == ("opposite end", ["−1.5"]))  # noqa: RUF001

        path = run / "status" / "0.json"  # damage keeps the last figures
        path.write_text(path.read_text().replace('"low": 38.5', '"low": 1e308'))
        path.write_text(path.read_text().replace('"sequence": 5', '"sequence": 6'))
        await until(pilot, lambda: "cannot read the live state" in content(app, "#place"))
        assert "40.0" in titles(app, "#channels")[1]
        write_live(run, 7, done=1200)
        await until(pilot, lambda: " 60 % " in content(app, "#place"))

        assert not app.screen.query_one("#ranks").display
        change(run, world=8, sequence=8)
        change(run, 7, world=8, host="[b]away", phase="measured")
        await until(pilot, lambda: "2 ranks: 1 measuring · 1 measured" in drawn(app))
        change(run, 7, host=os.uname().nodename, phase="extract")  # it holds no lock
        line = f"2 ranks: 1 measuring · ✗ 7 ended on {os.uname().nodename}"
        await until(pilot, lambda: line in drawn(app))


async def test_without_a_head_the_reason_stands_in_place_of_the_answers(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    change(run, sequence=2, answers={}, unanswered="the model has no head", messages=[])
    async with screens((60, 15), open_run=run) as (pilot, app):
        await until(pilot, lambda: len(answers(app)) > 2)
        assert content(app, "#reason") == "the model has no head"
        assert answers(app)[0].split() == ["val", "640", "of", "2,000", "images"]
        reason = "the images carry no class names, so there is nothing to name in a head; pass it"
        change(run, sequence=3, unanswered=reason)
        await until(pilot, lambda: reason in app.screen.query_one("#reason").unwrapped.plain)
        assert reason.split()[-1] in drawn(app).splitlines()[3]  # all of its words are in sight
        change(run, sequence=4, answers={
            "street": {"images": 20, "value": 0.5, "low": 0.4, "high": 0.6, "estimated": 20}
        })  # fmt: skip
        await until(pilot, lambda: "mean confidence 50 %" in answers(app)[0])


async def test_keys_walk_channels_layers_and_the_log(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    async with screens((120, 40), open_run=run) as (pilot, app):
        await until(pilot, measures(app))
        bars = app.screen.query_one(ChannelBars)
        await pilot.press("enter")  # no results yet
        assert isinstance(app.screen, LiveScreen)
        assert "results" not in words(app)
        await pilot.press("c")
        assert app.clipboard == f"tuiprobe open {run}"
        await pilot.press("down")
        assert bars.channel == 0
        await until(pilot, lambda: pictures(app, "strongest") == [thumb(run, 8)])
        assert values(app, "strongest") == ("channel 0, strongest", ["+41.5"])
        await pilot.press("down")
        await until(pilot, lambda: not app.screen.query_one("#pictures").display)
        await pilot.press("left", "left")
        assert "layer3 (3 of 5)" in titles(app, "#channels")[0]
        assert not app.screen.query_one("#pictures").display
        await pilot.press(*["left"] * 9)
        assert "layer1 (1 of 5)" in titles(app, "#channels")[0]
        await pilot.click(ChannelBars, offset=(5, 3))
        assert bars.channel == 1

        write_live(run, 2, done=1500)
        await until(pilot, lambda: "90.0 % (88.4 to 91.4)" in answers(app)[1])

        (run / "log.txt").write_text("[bold]\x1b[31mred\u202e\n")
        await pilot.press("l")
        await until(pilot, lambda: "[bold]\\x1b[31mred\\u202e" in content(app, "#log-lines"))
        with (run / "log.txt").open("a") as file:
            file.write("one more\n")
        await until(pilot, lambda: "one more" in content(app, "#log-lines"))
        await pilot.press("l")
        assert not app.screen.query_one("#log").display
        await press_to(pilot, ModelsScreen, "d")


async def test_a_title_and_a_warning_are_drawn_anew_at_once_and_end_in_an_ellipsis(tmp_path):
    run = live_run(tmp_path)
    say(run, "warning", "a long warning " * 20)
    async with screens((120, 40), open_run=run) as (pilot, app):
        await until(pilot, lambda: "─ 32 %" in content(app, "#place"))
        app.screen._timer.pause()  # no tick draws it
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: len(content(app, "#warning").rstrip()) <= 2 * 58)
        assert content(app, "#warning").endswith("…  (and 1 more: l)")
        assert len(content(app, "#place")) <= 58


async def test_keys_that_do_nothing_are_not_shown_and_sets_can_be_chosen(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    write_live(run, 2, layers=("embedding",))
    (run / "log.txt").unlink()
    async with screens((80, 24), open_run=run) as (pilot, app):
        await until(pilot, measures(app))
        assert " of " not in titles(app, "#channels")[0]
        assert {"stop", "detach", "help"} <= words(app)
        assert not {"layer", "next set", "next run"} & words(app)
        await pilot.press("l")
        await until(
            pilot, lambda: "warning: 3 of 2000" in content(app, "#log-lines")
        )  # without a log
        await pilot.press("l")
        write_live(run, 3, sets=("val", "r"))
        await until(pilot, lambda: app.screen.check_action("set", ()))
        await until(pilot, lambda: "embedding (5 of 5)" in drawn(app))
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: len(words(app)) < 8)
        assert {"stop", "detach", "help"} <= words(app)
        await pilot.resize_terminal(200, 24)
        await until(pilot, lambda: {"layer", "next set"} <= words(app))
        assert titles(app, "#channels")[0].startswith("val ·")
        await pilot.press("t")
        assert titles(app, "#channels")[0].startswith("r ·")


async def test_a_group_shows_a_run_at_a_time_and_warns_before_any_figure(tmp_path, monkeypatch):
    long = "a-long-name-of-a-run-" * 2
    about = {
        "one": {"model": "rn50", "data": "imagenet:val", "weights": "untrained"},
        long: {"model": "mini_clip", "data": "miniature:val", "weights": "pretrained"},
    }
    monkeypatch.setattr(view, "_planned", lambda path, written: about.get(path.name, {}))
    for name in about:
        live_run(tmp_path / name)
    async with screens((150, 40), open_run=tmp_path) as (pilot, app):
        await until(
            pilot,
            lambda: content(app, "#place").startswith("● mini_clip, 1 of 2 models "),
        )
        assert content(app, "#place").endswith("says nothing about real CLIPs")
        # Both models on one axis, whichever of them is shown below.
        await until(pilot, lambda: len(answers(app)) == 6)
        assert [line.split()[0] for line in answers(app)[:2]] == [
            app.mark(tmp_path / name).sign for name in (long, "one")
        ]
        write_live(tmp_path / "one", 2, done=1000, sets=("val", "r"))  # of which one is a shift
        await until(pilot, lambda: "90.0 % (88.1 to 91.9)" in answers(app)[1])
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: content(app, "#place").endswith(" DEMONSTRATION"))
        say(tmp_path / long, "stage", "probing", phase="probe")
        await until(pilot, lambda: "mini_clip, 1 of 2 models: probing" in content(app, "#place"))
        await pilot.press("n")
        await until(pilot, lambda: content(app, "#place").startswith("● rn50"))
        await until(pilot, lambda: content(app, "#place").endswith("UNTRAINED"))
        live_run(tmp_path / "later")
        await until(pilot, lambda: len(app.screen._members) == 3)
        assert "rn50" in content(app, "#place")
        await pilot.press("n")
        await until(pilot, lambda: "mini_clip" in content(app, "#place"))
        await pilot.press("n")
        await until(pilot, lambda: "later" in content(app, "#place"))
        log = (f"{LOG_MARK}of before", "error: older: no", f"{LOG_MARK}now", "error: d: no weights")
        (tmp_path / "log.txt").write_text("\n".join((*log, "")))  # it has no run directory
        await until(pilot, lambda: content(app, "#warning").startswith("! d: no weights"))


async def test_a_run_of_elsewhere_is_cancelled_by_a_file_and_may_vanish(tmp_path: Path) -> None:
    run = live_run(tmp_path / "run")
    async with screens((120, 40), open_run=run) as (pilot, app):
        await until(pilot, measures(app))
        await pilot.press("x", "enter")  # No is where the cursor is
        assert not (run / "cancel").exists()
        await pilot.press("x", "y")
        await until(pilot, lambda: (run / "cancel").is_file())
        write_run(run, pictures=False)
        say(run, "done", "a title", phase="done")
        await until(pilot, lambda: "✓" in content(app, "#place"))
        await until(pilot, lambda: "█" not in lines(app, ChannelBars))  # the results have them
        (run / "cancel").unlink()
        await pilot.press("x", "y")
        assert not (run / "cancel").exists()
        shutil.rmtree(run)
        await until(pilot, lambda: "the run directory is gone" in content(app, "#place"))
        await pilot.press("down", "left", "l", "x", "enter")
        await pilot.press("escape")
        assert not app.screen.query_one("#log").display  # the log closes first
        await press_to(pilot, ModelsScreen, "escape")


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
    await until(pilot, lambda: engine.exit_code() is not None)


async def test_a_killed_engine_leaves_the_screen_alive_and_the_next_one_goes_on_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = "import time; print('loading', flush=True); time.sleep(600)"
    app, run = started(tmp_path, monkeypatch, sleep)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: ": libraries load" in content(app, "#place"))
        await until(pilot, lambda: re.match(r"○ 0:\d[1-9] run", content(app, "#place")))
        assert "no figures yet" in lines(app, ChannelBars)
        live_run(run)
        await until(pilot, measures(app))
        monkeypatch.setattr(locks, "QUIET_SECONDS", 0.1)  # the status is of another host
        os.kill(app.engines[0].pid, 9)
        await until(pilot, lambda: "killed by SIGKILL, so memory may" in content(app, "#warning"))
        assert "    13" in lines(app, ChannelBars)
        await pilot.press("down")
        await pilot.press("r")
        await until(pilot, lambda: len(app.engines) == 2)
        await until(pilot, lambda: "SIGKILL" not in drawn(app))
        await pilot.press("d")  # detaching and leaving let it go on
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        await until(pilot, lambda: content(app, "#badge") == "● 1 running 32 %")
        await pilot.press("q")
        engine = app.engines[1]
        assert engine.exit_code() is None
        assert app.exit_message == f"{run.name} goes on; to see or stop it: tuiprobe open {run}"
        await end(pilot, engine)


async def test_r_resumes_all_models_of_a_group_that_was_opened_again(tmp_path, monkeypatch):
    group, resumed = tmp_path / "group", []
    for name in ("a", "b"):
        live_run(group / name)
    monkeypatch.setattr(locks, "QUIET_SECONDS", 0.1)  # of another host, silent from now on
    app = TuiprobeApp(open_run=group)
    monkeypatch.setattr(app, "resume", lambda run, then: resumed.append(run))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "r" in app.screen.active_bindings)
        await pilot.press("r")
        await until(pilot, lambda: resumed)
    assert resumed == [group]


async def test_an_engine_that_fails_says_why_and_what_to_do(tmp_path, monkeypatch):
    code = "import sys; print('error: no image below [red]x[/]', file=sys.stderr); sys.exit(4)"
    app, _ = started(tmp_path, monkeypatch, code)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "no image below [red]x[/]" in content(app, "#warning"))
        assert content(app, "#place").rstrip() == "✗ run: failed"
        assert "r tries again" in content(app, "#warning")
        assert drawn(app).count("no image below") == 1
        assert not app._notifications  # what stands on the screen is not said again


async def test_cancel_asks_the_engine_and_x_again_can_end_it(tmp_path, monkeypatch):
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
        await press_to(pilot, LiveScreen, "X", "n")
        assert app.engines[0].exit_code() is None
        await pilot.press("X", "y")
        await until(pilot, lambda: app.engines[0].exit_code() == -9)
        await until(pilot, lambda: "killed on request" in content(app, "#warning"))
        assert not any("memory" in notice.message for notice in app._notifications)


async def test_resuming_a_run_that_stops_waits_until_it_has_stopped(tmp_path, monkeypatch):
    code = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *a: print('asked', flush=True))\n"
        "print('ready', flush=True)\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.02)"
    )
    monkeypatch.chdir(tmp_path)
    app, run = started(tmp_path, monkeypatch, code)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "ready" in (run / "log.txt").read_text())
        live_run(run)
        await until(pilot, measures(app))
        assert "resume" not in words(app)
        change(run, sequence=2, stopped=True, phase="merge")
        await until(pilot, lambda: app.screen.check_action("resume", ()))
        await pilot.press("r")
        assert len(app.engines) == 1
        (tmp_path / "go").touch()
        await until(pilot, lambda: len(app.engines) == 2)
        await until(pilot, lambda: all(one.exit_code() is not None for one in app.engines))


async def test_the_last_figures_are_those_of_the_results(tmp_path: Path) -> None:
    run = live_run(tmp_path / "run")
    async with screens((120, 40), open_run=run) as (pilot, app):
        await until(pilot, lambda: "57 % (38 to 76)" in answers(app)[0])
        known = with_target()
        write_run(run, known, pictures=False)
        say(run, "done", "a title", phase="done")
        await until(pilot, lambda: "✓" in content(app, "#place"))
        photos = best_accuracy(known, "photos")
        assert isinstance(photos, Accuracy)
        await until(pilot, lambda: app.screen.query(OverviewTab))
        await until(pilot, lambda: with_range(photos) in drawn(app))
        assert "57 % (38 to 76)" not in drawn(app)
        assert "90.0 % (87" not in drawn(app)
        assert "60.0 %" not in drawn(app)
        await press_to(pilot, ResultsScreen, "enter")


async def test_at_the_end_of_several_models_stands_which_one_to_take(tmp_path: Path) -> None:
    group = tmp_path / "group"
    for name in ("a", "b"):
        live_run(group / name)
    async with screens((80, 24), open_run=group) as (pilot, app):
        await until(pilot, lambda: app.screen.query(ChannelBars))
        for name in ("a", "b"):
            assert not app.screen.query(OverviewTab)
            write_run(group / name, with_target(), pictures=False)
            say(group / name, "done", "a title", phase="done")
        await until(pilot, lambda: app.screen.query(OverviewTab))
        await until(pilot, lambda: "Which one?" in drawn(app))
        assert "tuiprobe label" not in drawn(app)
        blank = [line for line in drawn(app).splitlines() if not line.strip(" │")]
        assert len(blank) <= 5
        write_live(group / "a", 2)  # a later attempt
        await until(pilot, lambda: not app.screen.query(OverviewTab))


async def test_results_stand_until_a_later_attempt_answers(tmp_path: Path) -> None:
    group, known = tmp_path / "group", with_target()
    for name in ("a", "b"):
        write_run(group / name, known, pictures=False)
        say(group / name, "stage", "loading", phase="load")
    photos = best_accuracy(known, "photos")
    assert isinstance(photos, Accuracy)
    async with screens((120, 40), runs=tmp_path) as (pilot, app):
        app.push_screen(LiveScreen(group))
        await until(pilot, lambda: any(with_range(photos) in line for line in answers(app)))
        assert content(app, "#place").startswith("● ")
        write_live(group / "a", 2)
        await until(pilot, lambda: any("90.0 %" in line for line in answers(app)))
        assert not any(with_range(photos) in line for line in answers(app))


async def test_an_attached_run_says_its_figures_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(WatchThread, "_loop", lambda thread: None)  # nothing is read again
    run = live_run(tmp_path / "run")
    async with screens((120, 40), runs=tmp_path) as (pilot, app):
        app.open(run)
        await until(pilot, lambda: app.screen.query(Forest) and len(answers(app)) > 2)
        assert "57 % (38 to 76)" in answers(app)[0]
        assert "60.0 %" in lines(app, ChannelBars)
