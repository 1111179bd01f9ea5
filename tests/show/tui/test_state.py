"""One truth about the state of a run: the function that decides it, and the screens that say it."""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.show.report.samples import report
from tests.show.tui.conftest import press_to, screens, until
from tests.show.tui.finished import write_run
from tests.show.tui.live_run import change, live_run, publish
from tuiprobe.measure.run import locks
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.listing import list_runs
from tuiprobe.measure.run.view import RunView
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.child import Engine
from tuiprobe.show.tui.screens.dialogs import ConfirmScreen
from tuiprobe.show.tui.screens.live import LiveScreen
from tuiprobe.show.tui.screens.models import ModelsScreen
from tuiprobe.show.tui.screens.results import ResultsScreen
from tuiprobe.show.tui.screens.runs import RunsScreen, RunTable
from tuiprobe.show.tui.widgets.forest import Forest

KEY = "0" * 64 + "\n"


def plan(run: Path, planned: int = 1000, shards: int = 10, published: int = 0) -> RunDir:
    """Writes what tells the progress of a run: its plan, and published shards."""
    directory = RunDir(run)
    directory.key_file.write_text(KEY)
    sets = [{"name": "val", "planned": planned, "shards": shards}]
    directory.plan_file.write_json({"sets": sets})
    for number in range(published):
        publish(run, "val", number)
    return directory


def state(run: Path) -> RunView:
    return RunView.read(RunDir(run))


def here(run: Path, phase: str, rank: int = 0, **fields: object) -> None:
    """Writes the status of a rank, of this host unless another one is named."""
    change(run, rank, **{"host": os.uname().nodename, "phase": phase, **fields})


# The function.


EXTRACT = {"phase": "extract", "begun": 1.0}
LATE = {**EXTRACT, "set": "val", "shard": 999, "images": 1}
STOPPED = {"phase": "interrupted", "begun": 1.0, "time": 4.0}
MEASURED = {"phase": "measured", "begun": 1.0, "time": 5.0}
OF_TWO, OF_THREE = {**MEASURED, "world": 2}, {**MEASURED, "world": 3}
KILLED = {**EXTRACT, "begun": 2.0, "world": 3, "set": "val", "shard": 4, "images": 10}
FULL = {**OF_THREE, "phase": "failed", "begun": 2.0, "time": 6.0, "message": "no space left"}
HERE = {**EXTRACT, "world": 2}
AWAY = {**HERE, "host": "gpu07", "set": "val", "shard": 1}
NO_SHARD_OF_1 = {0, 2, 3, 5, 6, 8, 9}
"""Of ten shards rank 1 of 3 has 1, 4 and 7."""


@pytest.mark.parametrize(
    ("shards", "published", "results", "statuses", "locks", "expected"),
    [
        (1000, range(600), "", [EXTRACT], [], ("unfinished", "stopped at 60 %")),
        (1000, range(999), "", [EXTRACT], [], ("unfinished", "stopped at 99 %")),
        (1000, range(999), "", [LATE], ["lock"], ("running", "running")),
        (1000, range(1000), "", [LATE], [], ("unfinished", "stopped after measuring")),
        (10, range(4), "partial", [STOPPED], [], ("partial", "stopped at 40 %")),
        (10, range(4), "whole", [OF_TWO], [],
         ("partial", "stopped at 40 %, waits for shards of ranks 0 and 1")),
        (10, range(10), "whole", [{**STOPPED, "world": 1}], [],
         ("partial", "stopped after measuring")),
        (10, (), "whole", [{**OF_TWO, "phase": "done"}, OF_TWO], [], ("done", "done")),
        (10, NO_SHARD_OF_1, "", [OF_THREE, None, OF_THREE], [],
         ("unfinished", "stopped at 70 %, waits for shards of rank 1")),
        (10, {1, *NO_SHARD_OF_1}, "", [OF_THREE, KILLED, OF_THREE], [],
         ("unfinished", "stopped at 80 %, waits for shards of rank 1")),
        (10, {1, *NO_SHARD_OF_1}, "", [OF_THREE, KILLED, OF_THREE], ["lock-1"],
         ("running", "running")),
        (10, {1, *NO_SHARD_OF_1} - {0}, "", [OF_THREE, KILLED, OF_THREE], ["lock-1"],
         ("running", "running, waits for shards of rank 0")),
        (10, {1, *NO_SHARD_OF_1}, "", [OF_THREE, KILLED, FULL], [],
         ("failed", "failed: rank 2: no space left")),
        (10, NO_SHARD_OF_1, "", [{"phase": "load", "begun": 9.0, "world": 1}, KILLED, FULL], [],
         ("unfinished", "stopped at 70 %")),
        (2, (), "", [HERE, AWAY], ["lock"], ("running", "running")),
        (2, (), "", [HERE, AWAY], [],
         ("unfinished", "stopped at 0 %, or silent on gpu07, waits for shards of ranks 0 and 1")),
        (2, (), "", [HERE, {**AWAY, "phase": "failed"}], ["lock"],
         ("running", "running, waits for shards of rank 1")),
    ],
)  # fmt: skip
def test_a_run_is_told_by_its_shards_its_ranks_and_their_locks(
    shards, published, results, statuses, locks, expected, tmp_path
):
    run = plan(tmp_path, shards=shards)
    for number in published:
        publish(tmp_path, "val", number)
    if results:
        write_run(tmp_path, report(partial=results == "partial"), pictures=False)
    for rank, status in enumerate(statuses):
        if status:
            here(tmp_path, rank=rank, **status)
    with run.locked():
        pass  # as an engine that has ended leaves it
    with contextlib.ExitStack() as held:
        for lock in locks:
            held.enter_context(run.locked(lock))
        view = state(tmp_path)
    assert (view.state, view.words) == expected
    assert view.results == bool(results)
    assert view.resumable == (view.state in ("unfinished", "partial", "failed"))


def test_an_engine_that_was_killed_does_not_seem_to_start_again(tmp_path: Path) -> None:
    run = plan(tmp_path, published=4)
    run.engine_file.replace(b"")
    here(tmp_path, "extract", begun=time.time() + 1)

    def of_an_engine() -> str:
        return RunView.read(run, alive=True).state

    assert of_an_engine() == "running"  # its lock is gone, its process not yet
    assert state(tmp_path).words == "stopped at 40 %"
    os.utime(run.engine_file.path, (time.time() + 9, time.time() + 9))  # the next one
    assert of_an_engine() == "waiting"


def test_a_damaged_run_says_so_once_and_in_one_line() -> None:
    reason = "runs/x/results.json is damaged: 1 error\n\n  answer: missing"
    assert RunView("damaged", reason).words == (
        "runs/x/results.json is damaged: 1 error answer: missing"
    )
    named = "no such folder: runs/it is damaged/photos"  # a name steers nothing
    assert RunView("failed", named).words == f"failed: {named}"


def test_a_failure_counts_until_the_next_attempt(tmp_path: Path) -> None:
    plan(tmp_path, published=4)
    log = tmp_path / "log.txt"
    log.write_text("$ tuiprobe --headless\nerror: no such folder\n")
    here(tmp_path, "extract", begun=1.0, time=1.0)
    os.utime(tmp_path / "status" / "0.json", ns=(10**18, 10**18))
    assert state(tmp_path).words == "failed: no such folder"
    os.utime(log, ns=(9 * 10**17, 9 * 10**17))
    assert state(tmp_path).words == "stopped at 40 %"
    here(tmp_path, "failed", message="the disk is full: free some", time=2.0)
    assert state(tmp_path).words == "failed: the disk is full: free some"
    here(tmp_path, "extract", begun=3.0, time=3.0)
    assert state(tmp_path).words == "stopped at 40 %"

    early = tmp_path / "early"  # it failed before its key
    early.mkdir()
    (early / "log.txt").write_text("$ tuiprobe --headless\nloading x\nerror: no weights: pass y\n")
    assert state(early).words == "failed: no weights: pass y"
    with (early / "log.txt").open("a") as file:
        file.write("$ tuiprobe --headless\nloading x\n")
    words = "stopped before the first image"
    assert (state(early).state, state(early).words) == ("unfinished", words)


def test_what_is_no_run_says_so(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    assert (state(tmp_path).state, state(tmp_path).resumable) == ("none", False)
    assert "is no run directory: it holds no key" in state(tmp_path).words
    assert "is no directory" in state(tmp_path / "nowhere").words
    RunDir(tmp_path).key_file.write_text("nonsense")
    assert state(tmp_path).state == "damaged"


def test_hostile_plans_count_nothing(tmp_path: Path) -> None:
    run = plan(tmp_path)
    for sets in ([{"name": "val", "planned": -5, "shards": 1}], [{"name": "val"}], 7, [3]):
        run.plan_file.write_json({"sets": sets})
        os.utime(run.plan_file.path, ns=(id(sets), id(sets)))
        assert (state(tmp_path).measured, state(tmp_path).planned) == (0, 0)


def test_a_run_of_another_host_runs_while_its_heartbeat_moves(tmp_path, monkeypatch):
    run = plan(tmp_path, published=3)
    run.at("lock").write_text("process 1 on gpu07\n")
    before = RunView.read(run)
    change(tmp_path, host="gpu07", phase="extract", set="val", shard=3, images=50)
    before = RunView.read(run, before)
    assert before.words == "stopped at 30 %, or silent on gpu07"
    change(tmp_path, sequence=2, images=51)
    running = RunView.read(run, before)
    assert (running.state, running.measured) == ("running", 351)
    monkeypatch.setattr(locks, "QUIET_SECONDS", 0.0)
    assert RunView.read(run, running).state == "unfinished"


# The screens.


def place(app: TuiprobeApp) -> str:
    return str(app.screen.query_one("#place", Static).content)


def whole(app: TuiprobeApp) -> str:
    """Returns the sentence below the panels of a run that ended."""
    return str(app.screen.query_one("#warning", Static).content)


def about(app: TuiprobeApp) -> str:
    titles = app.screen.query("#runs-title")
    return str(titles.first(Static).content) if titles else ""


async def choose(pilot: Pilot[None], app: TuiprobeApp, name: str, words: str) -> None:
    """Goes to a run in the list, and waits until its line says some words."""
    table = app.screen.query_one(RunTable)
    await until(pilot, lambda: name in [row.name for row in table.rows])
    downs = [row.name for row in table.rows].index(name)
    await pilot.press("home", *["down"] * downs)
    await until(pilot, lambda: f" {name}: " in about(app) and words in about(app))


@pytest.mark.slow
@pytest.mark.asyncio
async def test_screens_say_the_same_of_every_run_and_what_to_do(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run = plan(live_run(root / "killed"), published=6)
    run.at("lock").write_text(f"process 1 on {os.uname().nodename}\n")
    here(run.path, "extract")
    again = plan(root / "again", published=6)
    write_run(again.path, report(partial=True), pictures=False)
    reason = "/data/photos was moved: " + "put it back or give another --data, " * 6 + "please"
    broken = plan(root / "broken", published=1)
    broken.spec_file.write_json({"model": "open_clip:RN50-quickgelu/openai", "data": "folder:x"})
    here(broken.path, "failed", message=reason)
    (root / "early").mkdir()
    (root / "early" / "log.txt").write_text("error: no weights for x\n")
    theirs = plan(root / "theirs", published=1)
    theirs.spec_file.write_json({"model": "py:evil:build", "data": "miniature"})

    def notified(*parts: str) -> bool:
        return any(all(part in n.message for part in parts) for n in app._notifications)

    async with screens((120, 40), runs=root, open_run=run.path) as (pilot, app):
        with run.locked():
            await until(pilot, lambda: re.match(r"● (\S+ )?killed ", place(app)))
        await until(pilot, lambda: place(app).startswith("◐ killed: stopped at 60 %"))
        assert "r resumes" in whole(app)
        assert "r resumes" not in place(app)
        await press_to(pilot, RunsScreen, "R")
        await choose(pilot, app, "killed", "◐ killed: stopped at 60 % · r resumes")
        table = app.screen.query_one(RunTable)
        line = table.render_line(1 + table.cursor).text
        assert "◐ stopped" in line
        assert "60 %" in line

        with again.locked():  # a run that goes on opens live, whatever results it has
            await choose(pilot, app, "again", "● again: running 60 %")
            await press_to(pilot, LiveScreen, "enter")
            await press_to(pilot, RunsScreen, "escape")
        await choose(pilot, app, "again", "◐ again: stopped at 60 %")
        await press_to(pilot, ResultsScreen, "enter")
        await until(pilot, lambda: "◐ stopped at 60 %, r resumes" in place(app))
        await press_to(pilot, RunsScreen, "escape")

        await choose(pilot, app, "early", "failed: no weights for x")
        await pilot.press("r")
        await until(pilot, lambda: notified("M goes to the models"))
        await choose(pilot, app, "theirs", "")
        await pilot.press("r")
        await until(
            pilot,
            lambda: notified(
                "py:evil:build runs code", "tuiprobe --headless --model py:evil:build"
            ),
        )
        assert isinstance(app.screen, RunsScreen)
        assert not app.engines

        await pilot.resize_terminal(80, 24)
        await choose(pilot, app, "broken", reason)
        line = table.render_line(1 + table.cursor).text
        assert "open_clip:RN50-quickgelu/openai" in line  # columns fold before a name does
        assert "✗ failed" in line
        title = app.screen.query_one("#runs-title", Static)

        def drawn() -> str:
            return " ".join(title.render_line(y).text.strip() for y in range(title.size.height))

        await until(pilot, lambda: "please · r tries again" in drawn())  # it grows with its text

        app.push_screen(app.screen_of(tmp_path))
        await until(pilot, lambda: "is no run directory" in whole(app))
        assert "starting" not in place(app)
        await pilot.press("x", "X", "r")
        assert isinstance(app.screen, LiveScreen)


# With the real engine.


WORDS = ["--headless", "--data", "miniature:val", "--shard-batches", "1",
         "--batch-size", "8"]  # fmt: skip


def started(run: Path) -> Engine:
    return Engine([*WORDS, "--sample", "400", "--output", str(run)], run)


@contextlib.contextmanager
def held(engine: Engine) -> Iterator[None]:
    """Stops an engine where it is, so that a screen may take its time."""
    os.killpg(engine.pid, signal.SIGSTOP)
    yield
    with contextlib.suppress(ProcessLookupError):
        os.killpg(engine.pid, signal.SIGCONT)


async def measured(run: Path, shards: int) -> None:
    """Waits until some shards are published; looks often, since a run takes seconds."""
    there, deadline = run / "shards", time.monotonic() + 120
    while not (there.exists() and len(list(there.iterdir())) >= shards):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def ended(pilot: Pilot[None], engine: Engine, code: int) -> None:
    await until(pilot, lambda: engine.exit_code() is not None, 200)
    assert engine.exit_code() == code, (engine.run / "log.txt").read_text()


# Three starts of an engine; by day `test_child.py` and `tests/measure/engine/` have the parts.
@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.asyncio
async def test_a_run_that_is_killed_and_cancelled_is_resumed_to_its_end(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    engine = started(run)  # as another program would
    async with screens((120, 40), runs=tmp_path / "runs", open_run=run) as (pilot, app):
        with held(engine):
            await until(pilot, lambda: "○ one: starting" in place(app))
        await measured(run, 6)
        with held(engine):
            await until(pilot, lambda: re.match(r"● [\d:]+ mini_clip ", place(app)))
            engine.kill()
        await ended(pilot, engine, -9)
        await until(pilot, lambda: "◐ mini_clip: stopped at" in place(app))
        assert "killed" not in whole(app)  # it cannot know
        stamps = {one: one.stat().st_mtime_ns for one in (run / "shards").glob("val-*")}
        sentence = state(run).words
        await press_to(pilot, ModelsScreen, "escape")
        await press_to(pilot, RunsScreen, "R")
        await until(pilot, lambda: sentence in about(app))
        await press_to(pilot, LiveScreen, "enter")
        await until(pilot, lambda: sentence in whole(app))
        await pilot.press("r")
        await until(pilot, lambda: app.engines)
        engine = app.engines[0]
        assert engine.arguments[-2:] == ("--output", str(run))

        await measured(run, len(stamps) + 6)
        with held(engine):
            await press_to(pilot, ConfirmScreen, "x")
            await pilot.press("enter")  # No is where the cursor is
            await until(pilot, lambda: isinstance(app.screen, LiveScreen))
            await press_to(pilot, LiveScreen, "x", "y")
        await ended(pilot, engine, 130)
        await until(pilot, lambda: "◐ mini_clip: stopped at" in place(app))
        assert "✓" not in place(app)
        percent, sentence = int(100 * state(run).measured / 400), state(run).words
        assert state(run).state == "partial"
        (row,) = list_runs(tmp_path / "runs")
        assert row.words == sentence
        await press_to(pilot, ResultsScreen, "enter")
        await until(pilot, lambda: sentence in place(app))
        await press_to(pilot, LiveScreen, "r")
        await until(pilot, lambda: len(app.engines) == 2)
        shares: list[int] = []

        def through() -> bool:
            shares.extend(int(share) for share in re.findall(r" (\d+) %  ", place(app)))
            return app.engines[1].exit_code() is not None

        await until(pilot, through, 200)
        assert app.engines[1].exit_code() == 0, (run / "log.txt").read_text()
        assert min(shares) >= percent > 0  # what was kept counts from the first frame
        await until(pilot, lambda: "✓ mini_clip: done" in place(app))
        assert "DEMONSTRATION" in place(app)
        assert {one: one.stat().st_mtime_ns for one in stamps} == stamps
        assert [one.name for one in (tmp_path / "runs").iterdir()] == ["one"]
        assert app.screen.query_one(Forest).rows[0].evidence == "400 images"  # of both attempts
        await press_to(pilot, ResultsScreen, "enter")
