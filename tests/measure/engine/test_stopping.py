"""Signals at every stage: an exit code, a sentence, nobody left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.measure.engine.conftest import shard_files, small_job, until
from tests.prepared import Before, Forked, Prepared
from tuiprobe.measure.engine.stopping import Interrupted, catching_signals, stop_signals

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc"),
]

RESUMABLE = "finished measurements are saved, and the same command resumes"
TWO = ["--model", "py:tests.measure.engine.faulty:healthy"]
GRACE_SECONDS = 2
"""How long a process that hangs is given in these tests."""


def children_of(process: Forked) -> list[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(child) for child in listed.read_text().split()]


def until_printed(process: Forked, words: str) -> None:
    until(lambda: words in process.stderr, process)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


Start = Callable[..., Forked]


@pytest.fixture
def start(prepared: Prepared, one_red: Path, tmp_path: Path) -> Iterator[Start]:
    """Returns a function that starts a run; what lives on is killed after the test."""
    runs: list[Forked] = []

    def run(
        *more: str, fault: str = "", slow: str = "", workers: int = 2, before: Before = ()
    ) -> Forked:
        process = prepared.start(
            *small_job(one_red, tmp_path / "run", *more, model="faulty", workers=workers),
            cwd=tmp_path,
            env={"FAULT": fault},
            session=True,
            before=[("tests.hooks:stage_hangs", [slow, GRACE_SECONDS]), *before],
        )
        runs.append(process)
        return runs[-1]

    yield run
    for process in runs:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize(
    ("number", "stage", "more"),
    [
        (signal.SIGTERM, "load", []),
        (signal.SIGINT, "merge_set", []),
        (signal.SIGTERM, "make_report", TWO),
        pytest.param(signal.SIGINT, "load", [], marks=pytest.mark.nightly),
        pytest.param(signal.SIGTERM, "preflight", [], marks=pytest.mark.nightly),
        pytest.param(signal.SIGTERM, "merge_set", [], marks=pytest.mark.nightly),
        pytest.param(signal.SIGINT, "make_report", [], marks=pytest.mark.nightly),
        pytest.param(signal.SIGTERM, "load", TWO, marks=pytest.mark.nightly),
    ],
)
def test_a_signal_outside_the_images_ends_the_run_at_once(number, stage, more, start, tmp_path):
    run = start(*more, fault=f"{stage}:hang", slow=stage, workers=0)
    until_printed(run, f"at {stage}")
    run.send_signal(number)
    assert run.wait(120) == 130
    assert f"stopped by {number.name}; {RESUMABLE}" in run.stderr
    assert "Traceback" not in run.stderr
    again = start(*more, workers=0)
    assert again.wait(120) == 0, again.stderr  # no lock is left


BY_DAY = {
    "tuiprobe.show.cli.output": signal.SIGTERM,
    "typer": signal.SIGINT,
    "numpy": signal.SIGHUP,
}


@pytest.mark.parametrize(
    ("imported", "number"),
    [
        pytest.param(name, number, marks=() if number == day else pytest.mark.nightly)
        for name, day in BY_DAY.items()
        for number in BY_DAY.values()
    ],
)
def test_a_signal_while_libraries_are_imported_ends_the_program(
    number: signal.Signals, imported: str, one_red: Path, tmp_path: Path
) -> None:
    words = small_job(one_red, tmp_path / "run", workers=0)
    python = [sys.executable, "-X", "importtime", "-m", "tuiprobe"]
    process = subprocess.Popen([*python, *map(str, words)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any(line.split()[-1] == imported for line in process.stderr)
    process.send_signal(number)
    rest = process.communicate(timeout=120)[1]
    # Rarely Python ends itself by SIGINT, which shells report as 130 too.
    codes = (130, -number) if number == signal.SIGINT else (130,)
    assert process.returncode in codes
    assert "Traceback" not in rest
    assert not (tmp_path / "run").exists()


def test_a_signal_after_the_last_line_changes_nothing(one_red: Path, tmp_path: Path) -> None:
    words = small_job(one_red, tmp_path / "run", workers=0)
    program = (
        "import atexit, sys, time; from tuiprobe.__main__ import main; "
        "atexit.register(time.sleep, 1); sys.argv[0] = 'tuiprobe'; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert any(line.startswith("report") for line in process.stderr)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        process.send_signal(number)
    rest = process.communicate(timeout=120)[1]
    assert (process.returncode, rest) == (0, "")


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_stops_the_run_with_a_partial_report(ignored, start, tmp_path):
    hook = "tests.hooks:ignore_hangups" if ignored else "tests.hooks:heed_hangups"
    run = start(fault="forward:doze", before=[(hook, [])])
    until_printed(run, "at forward")
    os.kill(run.pid, signal.SIGHUP)
    assert run.wait(120) == (0 if ignored else 130), run.stderr  # nohup
    assert json.loads((tmp_path / "run/results.json").read_text())["partial"] is not ignored


def test_workers_that_hang_do_not_keep_a_stop_waiting(start: Start) -> None:
    run = start(fault="decode:hang")
    until_printed(run, "at decode")
    workers = children_of(run)
    assert workers
    os.killpg(run.pid, signal.SIGTERM)
    assert run.wait(120) == 130, run.stderr
    assert f"stopped by SIGTERM; {RESUMABLE}" in run.stderr
    assert gone(workers, 120)


@pytest.mark.parametrize("place", ["decode", "forward"])
def test_a_process_that_hangs_is_ended_after_a_while(place: str, start: Start) -> None:
    run = start(fault=f"{place}:hang", workers=0 if place == "decode" else 2)
    until_printed(run, f"at {place}")
    workers = children_of(run)
    run.send_signal(signal.SIGINT)
    assert run.wait(120) == 130
    assert f"the run did not stop within seconds; {RESUMABLE}" in run.stderr
    assert gone(workers, 120)


def test_a_second_signal_ends_a_process_that_hangs_at_once(start: Start) -> None:
    run = start(fault="decode:hang", workers=0)
    until_printed(run, "at decode")
    run.send_signal(signal.SIGTERM)
    run.send_signal(signal.SIGTERM)  # as `timeout` and torchrun do: the same request
    time.sleep(0.7)
    assert run.poll() is None
    run.send_signal(signal.SIGINT)
    assert run.wait(120) == 130
    assert f"stopped at once by a second SIGINT; {RESUMABLE}" in run.stderr


def test_a_second_signal_ends_a_partial_report_at_once(start: Start, tmp_path: Path) -> None:
    run = start(fault="forward:doze", slow="merge_set")
    until_printed(run, "at forward")
    assert list((tmp_path / "run" / "shards").iterdir())
    run.send_signal(signal.SIGTERM)
    until_printed(run, "at merge_set")
    time.sleep(GRACE_SECONDS + 1)
    assert run.poll() is None
    run.send_signal(signal.SIGTERM)
    assert run.wait(120) == 130


def test_no_decoding_process_outlives_a_killed_engine_which_starts_again_at_once(start):
    for _ in range(2):
        run = start(fault="decode:hang")
        until_printed(run, "at decode")  # that is, it holds the lock
        workers = children_of(run)
        assert workers
        run.kill()
        run.wait()
    assert start().wait(120) == 0
    assert gone(workers, 120)


def of_group(process: Path, group: int) -> bool:
    try:
        return process.name.isdecimal() and os.getsid(int(process.name)) == group
    except OSError:
        return False


def launch(data: Path, log: Path, fault: str) -> subprocess.Popen[bytes]:
    """Starts two ranks by torchrun, in a session of their own."""
    job = small_job(data, log.parent / "run", "--batch-size", "2", model="faulty", workers=2)
    with log.open("wb") as file:
        return subprocess.Popen(
            [
                sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
                "2", "--no-python", sys.executable, "-m", "tuiprobe", *job,
            ],
            stdout=subprocess.DEVNULL,
            stderr=file,
            env={**os.environ, "FAULT": fault},
            start_new_session=True,
        )  # fmt: skip


def test_ranks_end_when_their_torchrun_is_killed_outright(one_red: Path, tmp_path: Path) -> None:
    launcher = launch(one_red, tmp_path / "log", "encode:doze")
    end = time.monotonic() + 120
    while not shard_files(tmp_path / "run"):
        assert launcher.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < end
        time.sleep(0.2)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    assert len(children) == 2
    launcher.kill()
    launcher.wait()
    assert gone([int(child) for child in children], 120)
    assert json.loads((tmp_path / "run/results.json").read_text())["partial"]  # nothing is lost


@pytest.mark.nightly  # by day `test_endings.py` has the code of an error
def test_ranks_that_fail_end_with_their_launcher(one_red: Path, tmp_path: Path) -> None:
    launcher = launch(one_red, tmp_path / "log", "forward:RuntimeError")
    assert launcher.wait(180) == 1
    log = (tmp_path / "log").read_text()
    assert "the run failed with RuntimeError" in log
    assert "exitcode  : 5" in log
    assert gone([int(p.name) for p in Path("/proc").iterdir() if of_group(p, launcher.pid)], 120)


def ask(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # the handler runs between two steps of the interpreter


def test_from_python_a_request_waits_for_the_next_check_and_none_is_lost() -> None:
    """Python's own handler of Ctrl-C is back afterwards; shells take it from what they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with catching_signals() as signals:
        with catching_signals() as inner:
            assert inner is signals is stop_signals()
        with pytest.raises(Interrupted, match="SIGTERM"):
            ask(signal.SIGTERM)  # at once, where nothing is measured
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
    with catching_signals() as signals, signals.deferred():
        ask(signal.SIGINT)
        with pytest.raises(Interrupted, match="SIGINT"):
            signals.check()
        ask(signal.SIGINT)  # passed on by somebody: the same request
        time.sleep(0.6)
        with pytest.raises(Interrupted):
            ask(signal.SIGINT)
    with catching_signals() as signals:
        waiting = signals.deferred()
        waiting.__enter__()
        ask(signal.SIGTERM)
        with pytest.raises(Interrupted, match="SIGTERM"):
            waiting.__exit__(None, None, None)
