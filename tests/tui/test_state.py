"""One truth about the state of a run: the function that decides it, and the screens that say it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.report.samples import report
from tests.tui.conftest import until
from tests.tui.finished import write_run
from tests.tui.live_run import change, live_run, publish
from tuiprobe.cli.app import run_cli
from tuiprobe.run import locks
from tuiprobe.run.directory import RunDir
from tuiprobe.run.listing import list_runs
from tuiprobe.run.locks import held_locks
from tuiprobe.run.state import Observer, RunState, run_state
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.child import Engine
from tuiprobe.tui.livewatch import Snapshot
from tuiprobe.tui.progress import advice, cause_of_end, state_line
from tuiprobe.tui.screens.confirm import ConfirmScreen
from tuiprobe.tui.screens.live import LiveScreen
from tuiprobe.tui.screens.models import ModelsScreen
from tuiprobe.tui.screens.results import ResultsScreen
from tuiprobe.tui.screens.runs import RunsScreen, RunTable

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


def state(run: Path) -> RunState:
    return run_state(RunDir(run), held_locks())


def here(run: Path, phase: str, rank: int = 0, **fields: object) -> None:
    """Writes the status of a rank of this host."""
    change(run, rank, host=os.uname().nodename, phase=phase, **fields)


# The function.


def test_what_a_kill_leaves_is_told_by_its_shards(tmp_path: Path) -> None:
    run = plan(tmp_path, published=6)
    here(tmp_path, "extract", begun=1.0)
    assert (state(tmp_path).kind, state(tmp_path).words) == ("unfinished", "stopped at 60 %")
    with run.locked():
        assert state(tmp_path).kind == "running"
    assert state(tmp_path).resumable


def test_a_run_is_not_at_a_hundred_before_it_is(tmp_path: Path) -> None:
    plan(tmp_path, planned=2000, shards=2000, published=1999)
    assert state(tmp_path).words == "stopped at 99 %"
    RunDir(tmp_path).shard_file("val", 1999).write_bytes(b"")
    assert state(tmp_path).words == "stopped after measuring"


def test_a_stopped_run_is_not_done_though_its_last_event_is(tmp_path: Path) -> None:
    plan(tmp_path, published=4)
    write_run(tmp_path, report(partial=True), pictures=False)
    here(tmp_path, "interrupted", begun=1.0, time=4.0)
    assert (state(tmp_path).kind, state(tmp_path).words) == ("partial", "stopped at 40 %")
    assert state(tmp_path).results


def test_a_run_that_was_stopped_in_its_head_is_not_done(tmp_path: Path) -> None:
    plan(tmp_path, published=10)
    write_run(tmp_path, report(), pictures=False)
    here(tmp_path, "interrupted", begun=1.0, time=3.0)
    assert (state(tmp_path).kind, state(tmp_path).words) == ("partial", "stopped after measuring")
    here(tmp_path, "done", begun=4.0, time=5.0)
    assert state(tmp_path).kind == "done"


def test_a_failure_counts_until_the_next_attempt(tmp_path: Path) -> None:
    plan(tmp_path, published=4)
    here(tmp_path, "failed", message="the disk is full: free some", time=2.0)
    assert state(tmp_path).words == "failed: the disk is full: free some"
    here(tmp_path, "extract", begun=3.0, time=3.0)
    assert state(tmp_path).words == "stopped at 40 %"


def test_a_failure_before_the_key_is_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("$ tuiprobe --headless\nloading x\nerror: no weights: pass --checkpoint\n")
    assert state(tmp_path).words == "failed: no weights: pass --checkpoint"
    with log.open("a") as file:
        file.write("$ tuiprobe --headless\nloading x\n")
    assert (state(tmp_path).kind, state(tmp_path).words) == (
        "unfinished", "stopped before the first image",
    )  # fmt: skip


def test_an_old_error_in_the_log_does_not_count(tmp_path: Path) -> None:
    plan(tmp_path, published=5)
    (tmp_path / "log.txt").write_text("$ tuiprobe --headless\nerror: no such folder\n")
    here(tmp_path, "extract", begun=3.0)
    os.utime(tmp_path / "status" / "0.json", ns=(10**18, 10**18))
    assert state(tmp_path).words == "failed: no such folder"
    os.utime(tmp_path / "log.txt", ns=(9 * 10**17, 9 * 10**17))
    assert state(tmp_path).words == "stopped at 50 %"


def test_what_is_no_run_says_so(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    assert (state(tmp_path).kind, state(tmp_path).resumable) == ("none", False)
    assert "is no run directory: it holds no key" in state(tmp_path).words
    assert "is no directory" in state(tmp_path / "nowhere").words
    RunDir(tmp_path).key_file.write_text("nonsense")
    assert state(tmp_path).kind == "damaged"


def test_hostile_plans_and_statuses_count_nothing(tmp_path: Path) -> None:
    run = plan(tmp_path)
    for sets in ([{"name": "val", "planned": -5, "shards": 1}], [{"name": "val"}], 7, [3]):
        run.plan_file.write_json({"sets": sets})
        os.utime(run.plan_file.path, ns=(id(sets), id(sets)))
        assert (state(tmp_path).measured, state(tmp_path).planned) == (0, 0)
    for text in ("[1]", '{"phase": "failed", "time": "x"}', '{"phase": []}', "[" * 100_000):
        (tmp_path / "status").mkdir(exist_ok=True)
        (tmp_path / "status" / "0.json").write_text(text)
        assert state(tmp_path).kind == "unfinished"


def test_a_run_of_another_host_runs_while_its_heartbeat_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = plan(tmp_path, published=3)
    run.at("lock").write_text("process 1 on gpu07\n")
    watcher = Observer()
    change(tmp_path, host="gpu07", phase="extract", set="val", shard=3, images=50)
    assert watcher.state(run, held_locks()).words == "stopped at 30 %, or silent on gpu07"
    change(tmp_path, sequence=2, images=51)
    running = watcher.state(run, held_locks())
    assert (running.kind, running.measured) == ("running", 351)
    monkeypatch.setattr(locks, "QUIET_SECONDS", 0.0)
    assert watcher.state(run, held_locks()).kind == "unfinished"


def test_the_shard_under_way_counts_while_its_rank_runs(tmp_path: Path) -> None:
    run = plan(tmp_path, published=4)
    here(tmp_path, "extract", set="val", shard=7, images=50)
    with run.locked():
        assert (state(tmp_path).measured, state(tmp_path).percent) == (450, "45 %")
    assert state(tmp_path).measured == 400  # a kill loses it


# Several ranks.


def test_a_run_waits_for_the_ranks_that_do_not_run_and_whose_shards_are_missing(
    tmp_path: Path,
) -> None:
    run = plan(tmp_path, shards=10)
    for number in (0, 2, 3, 5, 6, 8, 9):  # rank 1 of 3 has 1, 4 and 7
        publish(tmp_path, "val", number)
    here(tmp_path, "measured", begun=1.0, time=5.0, world=3)
    here(tmp_path, "measured", 2, begun=1.0, time=5.0, world=3)
    assert state(tmp_path).kind == "unfinished"
    assert state(tmp_path).words == "stopped at 70 %, waits for shards of rank 1"
    publish(tmp_path, "val", 1)
    here(tmp_path, "extract", 1, begun=2.0, world=3, set="val", shard=4, images=10)
    assert state(tmp_path).words == "stopped at 80 %, waits for shards of rank 1"  # it was killed
    with run.locked("lock-1"):
        assert (state(tmp_path).words, state(tmp_path).measured) == ("running", 810)
    run.shard_file("val", 0).unlink()
    with run.locked("lock-1"):
        assert state(tmp_path).words == "running, waits for shards of rank 0"
    here(tmp_path, "load", begun=9.0, world=1)  # the same command, alone
    assert state(tmp_path).words == "stopped at 70 %"


def test_a_rank_that_failed_says_why(tmp_path: Path) -> None:
    plan(tmp_path, shards=4)
    here(tmp_path, "measured", begun=1.0, time=3.0, world=2)
    here(tmp_path, "failed", 1, begun=1.0, time=3.0, world=2, message="no space left")
    assert state(tmp_path).words == "failed: rank 1: no space left"


def test_a_rank_of_another_host_may_run_until_it_was_silent(tmp_path: Path) -> None:
    run = plan(tmp_path, shards=2)
    here(tmp_path, "extract", begun=1.0, world=2)
    change(tmp_path, 1, host="gpu07", world=2, begun=1.0, phase="extract", set="val", shard=1)
    with run.locked():
        assert state(tmp_path).words == "running"
    assert state(tmp_path).words == (
        "stopped at 0 %, or silent on gpu07, waits for shards of ranks 0 and 1"
    )
    change(tmp_path, 1, phase="failed", message="no space left")
    with run.locked():
        assert state(tmp_path).words == "running, waits for shards of rank 1"


def test_a_finished_run_whose_shards_were_deleted_waits_for_nobody(tmp_path: Path) -> None:
    plan(tmp_path, published=0)
    write_run(tmp_path, report(), pictures=False)
    for rank, phase in enumerate(("done", "measured")):
        here(tmp_path, phase, rank, begun=1.0, time=2.0, world=2)
    assert state(tmp_path).words == "done"


def test_results_of_before_are_not_those_of_a_run_that_waits(tmp_path: Path) -> None:
    plan(tmp_path, published=4)
    write_run(tmp_path, report(), pictures=False)
    here(tmp_path, "measured", begun=1.0, time=2.0, world=2)
    assert state(tmp_path).words == "stopped at 40 %, waits for shards of ranks 0 and 1"
    assert state(tmp_path).kind == "partial"


def test_the_command_says_the_same_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan(tmp_path / "killed", published=6)
    plan(tmp_path / "broken", published=1)
    here(tmp_path / "broken", "failed", message="the disk is full")
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "log.txt").write_text("error: no weights\n")
    assert run_cli(["runs", "--root", str(tmp_path)]) == 0
    said = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert said["killed"].endswith("stopped at 60 %")
    assert said["broken"].endswith("failed: the disk is full")
    assert said["early"].endswith("failed: no weights")
    assert run_cli(["runs", "--root", str(tmp_path), "--json"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)["runs"]}
    assert (found["killed"]["state"], found["killed"]["measured"]) == ("unfinished", 0.6)
    assert found["broken"]["reason"] == "the disk is full"


def test_a_failed_start_can_be_deleted_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "log.txt").write_text("error: no weights\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "log.txt").write_text("notes of my own\n")
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    assert run_cli(["runs", "early", "--delete", "--yes", "--root", str(tmp_path)]) == 0
    assert not (tmp_path / "early").exists()
    assert run_cli(["runs", "mine", "--delete", "--yes", "--root", str(tmp_path)]) == 4
    assert (tmp_path / "mine" / "thesis.tex").exists()


# Its words on the screens.


@pytest.mark.parametrize(
    ("code", "killed", "log", "cause"),
    [
        (0, False, (), ""),
        (130, False, (), ""),
        (-9, False, (), "killed by SIGKILL, so memory may have run out"),
        (-9, True, (), "killed on request"),
        (-11, False, (), "killed by SIGSEGV"),
        (1, False, ("Traceback", "ValueError: odd", ""), "code 1: ValueError: odd"),
        (-99, False, (), "signal 99"),
        (None, False, (), ""),
    ],
)
def test_an_end_has_the_cause_that_the_directory_cannot_tell(
    code: int | None, killed: bool, log: tuple[str, ...], cause: str
) -> None:
    said = cause_of_end(code, killed, log)
    assert said.endswith(cause)
    assert bool(said) == bool(cause)


def test_every_state_that_ends_says_what_to_do() -> None:
    assert "r resumes" in advice(RunState("unfinished", measured=1, planned=2), "killed on request")
    assert "Enter shows the results so far" in advice(RunState("partial", results=True))
    assert "no weights · r tries again" in advice(RunState("failed", "no weights"), "code 3")
    assert "r " not in advice(RunState("none", "x is no run directory"))


def test_silence_is_told_while_images_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "QUIET_SECONDS", 20.0)
    running = RunState("running")
    quiet = Snapshot("running", "extract", silence=30.0)
    assert "no sign of life for 0:30" in state_line("a", running, quiet, None)
    assert "no sign" not in state_line("a", running, Snapshot("running", "probe"), None)
    assert "(0:04)" in state_line("a", RunState("waiting"), Snapshot(), 4.0)


def test_the_live_screen_says_whose_shards_a_run_waits_for() -> None:
    waits = RunState("running", waits=(1,))
    line = state_line("a", waits, Snapshot("running", "extract"), None)
    assert line == "● a: measuring, waits for shards of rank 1"
    stopped = RunState("unfinished", measured=1, planned=2, waits=(1, 3))
    assert advice(stopped).startswith("stopped at 50 %, waits for shards of ranks 1 and 3 · r ")


# The screens.


def place(app: TuiprobeApp) -> str:
    return str(app.screen.query_one("#place", Static).content)


def whole(app: TuiprobeApp) -> str:
    """Returns the sentence below the panels of a run that ended."""
    return str(app.screen.query_one("#warning", Static).content)


def about(app: TuiprobeApp) -> str:
    found = app.screen.query("#runs-title")
    return str(found.first(Static).content) if found else ""


async def go(pilot: Pilot[None], app: TuiprobeApp, to: type) -> None:
    await until(pilot, lambda: isinstance(app.screen, to))


@pytest.mark.asyncio
async def test_live_and_runs_say_the_same_of_a_killed_run(tmp_path: Path) -> None:
    run = plan(live_run(tmp_path / "runs" / "killed"), published=6)
    run.at("lock").write_text(f"process 1 on {os.uname().nodename}\n")
    here(run.path, "extract")
    app = TuiprobeApp(runs=tmp_path / "runs", open_run=run.path)
    async with app.run_test(size=(120, 40)) as pilot:
        with run.locked():
            await until(pilot, lambda: "● killed: measuring" in place(app))
        await until(pilot, lambda: "◐ killed: stopped at 60 % · r resumes" in place(app))
        await pilot.press("R")
        await go(pilot, app, RunsScreen)
        await until(pilot, lambda: "◐ killed: stopped at 60 % · r resumes" in about(app))
        table = app.screen.query_one(RunTable)
        assert "◐ unfinished" in table.render_line(1).text
        assert "60 %" in table.render_line(1).text


@pytest.mark.asyncio
@pytest.mark.slow
async def test_a_run_that_goes_on_opens_live_whatever_results_it_has(tmp_path: Path) -> None:
    run = plan(tmp_path / "again", published=6)
    write_run(run.path, report(partial=True), pictures=False)
    app = TuiprobeApp(runs=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        app.push_screen(RunsScreen(tmp_path))
        with run.locked():
            await until(pilot, lambda: "● again: running 60 %" in about(app))
            await pilot.press("enter")
            await go(pilot, app, LiveScreen)
            await pilot.press("escape")
            await go(pilot, app, RunsScreen)
        await until(pilot, lambda: "◐ again: stopped at 60 %" in about(app))
        await pilot.press("enter")
        await go(pilot, app, ResultsScreen)
        await until(pilot, lambda: "◐ stopped at 60 %, r resumes" in place(app))


@pytest.mark.asyncio
async def test_failed_runs_are_listed_with_their_whole_reason(tmp_path: Path) -> None:
    reason = "/data/photos was moved: " + "put it back or give another --data, " * 6 + "please"
    run = plan(tmp_path / "broken", published=1)
    run.spec_file.write_json({"model": "open_clip:RN50-quickgelu/openai", "data": "imagefolder:x"})
    here(run.path, "failed", message=reason)
    app = TuiprobeApp(runs=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(RunsScreen(tmp_path))
        await until(pilot, lambda: reason in about(app))
        line = app.screen.query_one(RunTable).render_line(1).text
        assert "open_clip:RN50-quickgelu/openai" in line  # columns fold before a name does
        assert "✗ failed" in line
        title = app.screen.query_one("#runs-title", Static)

        def drawn() -> str:
            return " ".join(title.render_line(y).text.strip() for y in range(title.size.height))

        await until(pilot, lambda: "please · r tries again" in drawn())  # it grows with its text


@pytest.mark.asyncio
async def test_live_says_what_is_no_run(tmp_path: Path) -> None:
    app = TuiprobeApp(open_run=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "is no run directory" in place(app))
        assert "starting" not in place(app)
        await pilot.press("x", "X", "r")
        assert isinstance(app.screen, LiveScreen)


def test_open_refuses_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["open", str(tmp_path)]) == 4
    assert "is no run directory" in capsys.readouterr().err


@pytest.mark.asyncio
async def test_a_run_that_failed_before_its_plan_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "log.txt").write_text("error: no weights for x\n")
    app = TuiprobeApp(runs=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        app.push_screen(RunsScreen(tmp_path))
        await until(pilot, lambda: "failed: no weights for x" in about(app))
        await pilot.press("r")
        await until(pilot, lambda: any("M goes to the models" in n.message
                                       for n in app._notifications))  # fmt: skip
        assert isinstance(app.screen, RunsScreen)


@pytest.mark.asyncio
async def test_a_resume_that_cannot_start_is_told_whole(tmp_path: Path) -> None:
    run = plan(tmp_path / "theirs", published=1)
    run.spec_file.write_json({"model": "py:evil:build", "data": "miniature"})
    app = TuiprobeApp(runs=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        app.push_screen(RunsScreen(tmp_path))
        await until(pilot, lambda: "theirs" in about(app))
        await pilot.press("r")
        await until(pilot, lambda: any("py:evil:build runs code" in n.message
                                       and "tuiprobe --headless --model py:evil:build" in n.message
                                       for n in app._notifications))  # fmt: skip
        assert not app.engines


# With the real engine.


WORDS = ["--headless", "--data", "miniature:val", "--shard-batches", "1",
         "--batch-size", "8"]  # fmt: skip


def started(run: Path, images: int = 800) -> Engine:
    return Engine([*WORDS, "--sample", str(images), "--output", str(run)], run)


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
    await until(pilot, lambda: engine.ended() is not None, 200)
    assert engine.ended() == code, (engine.run / "log.txt").read_text()


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_kill_is_seen_and_r_resumes_from_runs_after_escape(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    app = TuiprobeApp(runs=tmp_path / "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        engine = started(run, 400)
        app.push_screen(LiveScreen(run, engine))
        await measured(run, 12)
        os.killpg(engine.pid, signal.SIGKILL)
        await ended(pilot, engine, -9)
        await until(pilot, lambda: "stopped at" in place(app))
        assert "killed by SIGKILL, so memory may have run out · r resumes" in whole(app)
        kept = sorted((run / "shards").glob("val-*"))
        percent = int(100 * state(run).measured / 400)
        stamps = [one.stat().st_mtime_ns for one in kept]
        said = state(run).words
        await pilot.press("escape")
        await go(pilot, app, ModelsScreen)
        await pilot.press("R")
        await go(pilot, app, RunsScreen)
        await until(pilot, lambda: said in about(app))
        await pilot.press("enter")
        await go(pilot, app, LiveScreen)
        await until(pilot, lambda: said in whole(app))
        await pilot.press("r")
        await until(pilot, lambda: len(app.engines) == 2)
        seen: list[int] = []

        with held(app.engines[1]):
            await until(pilot, lambda: "○ one: starting" in place(app))

        def through() -> bool:
            line = str(app.screen.query_one("#progress", Static).content)
            seen.extend(int(share) for share in re.findall(r"^val.* (\d+) %", line))
            return app.engines[1].ended() is not None

        await until(pilot, through, 200)
        assert app.engines[1].ended() == 0, (run / "log.txt").read_text()
        assert min(seen) >= percent > 0  # what was kept counts from the first frame
        await until(pilot, lambda: "✓ one: done" in place(app))
        assert [one.stat().st_mtime_ns for one in kept] == stamps
        assert [one.name for one in (tmp_path / "runs").iterdir()] == ["one"]
        await pilot.press("enter")
        await go(pilot, app, ResultsScreen)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_cancelled_run_is_partial_everywhere_and_resumes_from_results(
    tmp_path: Path,
) -> None:
    run = tmp_path / "runs" / "one"
    app = TuiprobeApp(runs=tmp_path / "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        engine = started(run, 400)
        app.push_screen(LiveScreen(run, engine))
        await measured(run, 6)
        with held(engine):
            await pilot.press("x")
            await go(pilot, app, ConfirmScreen)
            await pilot.press("enter")  # No is where the cursor is
            await go(pilot, app, LiveScreen)
            await pilot.press("x", "y")
            await go(pilot, app, LiveScreen)
        await ended(pilot, engine, 130)
        await until(pilot, lambda: "◐ one: stopped at" in place(app))
        assert "✓" not in place(app)
        said = state(run).words
        assert state(run).kind == "partial"
        assert list_runs(tmp_path / "runs")[0].status.words == said
        await pilot.press("enter")
        await go(pilot, app, ResultsScreen)
        await until(pilot, lambda: said in place(app))
        await pilot.press("r")
        await go(pilot, app, LiveScreen)
        await ended(pilot, app.engines[1], 0)
        await until(pilot, lambda: "✓ one: done" in place(app))


@pytest.mark.slow
@pytest.mark.asyncio
async def test_an_attached_screen_resumes_in_the_same_directory_and_its_own_kill_blames_nothing(
    tmp_path: Path,
) -> None:
    run = tmp_path / "runs" / "one"
    engine = started(run)  # as another program would
    app = TuiprobeApp(runs=tmp_path / "runs", open_run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        with held(engine):
            await until(pilot, lambda: "○ one: starting" in place(app))
        await measured(run, 4)
        with held(engine):
            await until(pilot, lambda: "● one: measuring" in place(app))
            engine.kill()
        await ended(pilot, engine, -9)
        await until(pilot, lambda: "◐ one: stopped at" in place(app))
        assert "killed" not in whole(app)  # it cannot know
        kept = len(list((run / "shards").iterdir()))
        await pilot.press("r")
        await until(pilot, lambda: app.engines)
        assert app.engines[0].arguments[-2:] == ("--output", str(run))
        await measured(run, kept + 1)
        assert [one.name for one in (tmp_path / "runs").iterdir()] == ["one"]
        with held(app.engines[0]):
            await pilot.press("X", "n")
            await go(pilot, app, LiveScreen)
            assert app.engines[0].ended() is None
            await pilot.press("X", "y")
            await ended(pilot, app.engines[0], -9)
        await until(pilot, lambda: "killed on request · r resumes" in whole(app))
        assert "memory" not in whole(app)
        assert not any("memory" in note.message for note in app._notifications)
