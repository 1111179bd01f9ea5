"""Whatever is raised or hangs in a run, it ends within seconds, with a cause and an exit code."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.measure.engine.conftest import small_job
from tuiprobe.errors import RunError
from tuiprobe.measure.engine import stopping
from tuiprobe.measure.engine import workers as reading
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.show.cli.app import run_cli

pytestmark = pytest.mark.slow

SECONDS = 240  # a bound for a machine that does other things too; it is done in two

Probe = Callable[..., int]


@pytest.fixture
def probe(one_red: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Probe:
    """Returns a function that runs a faulty model and gives the exit code."""

    def run(fault: str, *more: str, workers: int = 2) -> int:
        monkeypatch.setenv("FAULT", fault)
        started = time.monotonic()
        place = tmp_path / "run"
        code = run_cli(small_job(one_red, place, *more, model="faulty", workers=workers))
        assert time.monotonic() - started < SECONDS
        assert not multiprocessing.active_children()
        return code

    return run


@pytest.mark.parametrize(("error", "workers"), [("RuntimeError", 2), ("BaseException", 0)])
def test_an_error_of_the_model_ends_the_run(error, workers, probe, tmp_path, capsys):
    assert probe(f"forward:{error}", workers=workers) == 5
    err = capsys.readouterr().err
    message = f"error: the run failed with {error}: forward failed on purpose (faulty.py, line "
    assert message in err
    assert "Traceback" not in err
    status = json.loads((tmp_path / "run" / "status" / "0.json").read_text())
    assert status["phase"] == status["messages"][-1]["kind"] == "failed"
    assert f"failed with {error}" in status["message"]
    with RunDir(tmp_path / "run").locked():
        pass  # nobody holds the lock
    assert probe("", workers=workers) == 0  # and what was measured is taken up
    assert "resuming" in capsys.readouterr().err


def test_one_model_that_fails_does_not_end_the_others(probe, tmp_path, capsys):
    other = ("--model", "py:tests.measure.engine.faulty:healthy", "--debug")
    assert probe("forward:RuntimeError", *other) == 5
    err = capsys.readouterr().err
    assert err.count("error: ") == 1
    assert "in forward" in err  # --debug shows the traceback
    assert "RuntimeError: forward failed on purpose" in err
    (results,) = (tmp_path / "run").glob("*/results.json")
    assert results.parent.name.startswith("py-tests.measure.engine.faulty-healthy")


@pytest.mark.parametrize(
    ("error", "code", "workers"),
    [("OSError", 4, 2), ("MemoryError", 5, 0), ("ZeroDivisionError", 5, 2)],
)
def test_an_error_while_decoding_names_the_image(error, code, workers, probe, capsys):
    assert probe(f"decode:{error}", workers=workers) == code
    err = capsys.readouterr().err
    what = "preprocess failed on" if error == "ZeroDivisionError" else "cannot read"
    assert f"error: {what} class0/red.png of photos: {error}: decode failed" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "more",
    [
        [],
        pytest.param(
            ["--model", "py:tests.measure.engine.faulty:healthy"], marks=pytest.mark.nightly
        ),
    ],
)
def test_decoding_that_hangs_ends_the_run_and_names_the_image(more, probe, monkeypatch, capsys):
    monkeypatch.setattr(stopping, "STALL_SECONDS", 2.0)
    assert probe("decode:hang", *more) == 4
    err = capsys.readouterr().err
    assert "reading class0/red.png of photos has made no progress for 2 s" in err


def test_slow_images_are_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch may take longer than the time without any progress."""
    monkeypatch.setattr(stopping, "STALL_SECONDS", 1.0)

    def read(place: int) -> int:
        time.sleep(0.2)
        return place

    source = reading.Source([range(10)], read, list, str)
    with reading.reading_ahead(source, 1) as batches:
        assert list(batches) == [list(range(10))]


def test_a_process_that_was_suspended_has_not_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    timer = stopping.StallTimer()
    now += 24 * 3600  # stopped by the scheduler, and continued
    assert not timer.expired()
    for _ in range(int(stopping.STALL_SECONDS)):
        now += 1
        last = timer.expired()
    assert last
    timer.restart()
    assert not timer.expired()


def test_what_reads_ahead_ends_with_the_block() -> None:
    source = reading.Source([[place] for place in range(100)], int, list, str)
    with reading.reading_ahead(source, 2) as batches:
        assert next(batches) == [0]
        assert len(multiprocessing.active_children()) == 2
    assert not multiprocessing.active_children()


def test_a_worker_that_dies_is_named_by_its_signal() -> None:
    def read(place: int) -> int:
        if place == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return place

    source = reading.Source([[place] for place in range(6)], read, list, str)
    taken: list[list[int]] = []
    with (
        pytest.raises(RunError, match="a process that decodes images died by SIGKILL"),
        reading.reading_ahead(source, 2) as batches,
    ):
        taken.extend(batches)
    assert taken == [[0], [1], [2]]
    assert not multiprocessing.active_children()


def test_a_batch_that_cannot_be_sent_ends_in_one_sentence() -> None:
    source = reading.Source([[0]], int, lambda items: lambda: items, str)
    with (
        pytest.raises(RunError, match="cannot read a batch of images: "),
        reading.reading_ahead(source, 1) as batches,
    ):
        list(batches)
