"""A wall clock that jumps by hours changes no figure, no progress and no state."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.measure.engine.conftest import small_job, write_pictures
from tests.measure.engine.test_faults import content_of, figures
from tests.measure.run.test_directory import other_process_holding
from tuiprobe.measure.engine.live import LiveView
from tuiprobe.measure.engine.stopping import Interrupted
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.listing import list_runs
from tuiprobe.measure.run.locks import this_host
from tuiprobe.measure.run.view import RunView
from tuiprobe.show.cli.app import run_cli

HOUR = 3600.0
Jumping = Callable[[], None]


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> Jumping:
    """Returns a function that lets the wall clock jump by up to ten hours at every look."""
    draws, real = random.Random(3), time.time

    def jumped() -> float:
        return real() + draws.uniform(-10, 10) * HOUR

    def install() -> None:
        monkeypatch.setattr(time, "time", jumped)

    return install


def test_a_clock_that_jumps_changes_neither_figures_nor_progress(jumping, tmp_path, monkeypatch):
    data, whole, path = tmp_path / "data", RunDir(tmp_path / "whole"), tmp_path / "jumped"
    write_pictures(data, 24)
    assert run_cli(small_job(data, whole.path)) == 0
    jumping()
    displayed: list[Any] = []
    advance = LiveView.advance

    def until_half(view: LiveView, *arguments: object) -> None:
        advance(view, *arguments)  # type: ignore[arg-type]
        displayed.append(view._progress())
        if len(displayed) == 3:
            raise Interrupted("the test")

    monkeypatch.setattr(LiveView, "advance", until_half)
    assert run_cli(small_job(data, path)) == 130
    draws = random.Random(4)
    for file in path.rglob("*"):
        moment = file.stat().st_mtime + draws.uniform(-10, 10) * HOUR
        os.utime(file, (moment, moment))
    assert run_cli(small_job(data, path)) == 0
    assert figures(RunDir(path)) == figures(whole)
    assert content_of(RunDir(path)) == content_of(whole)
    assert all(
        progress["rate"] > 0 and progress["eta"] is not None and progress["eta"] < HOUR
        for progress in displayed
    )
    assert {row.state for row in list_runs(tmp_path)} == {"done"}


def written(path: Path, **fields: Any) -> RunDir:
    """Writes a run and the status of its rank."""
    path.mkdir()
    (path / "key").write_text("0" * 64)
    run = RunDir(path)
    run.status_file(0).write_json({"sequence": 1, "host": this_host(), **fields})
    return run


@pytest.mark.parametrize("back", [0.0, 5 * HOUR])
def test_a_clock_set_back_hides_no_failure(back: float, tmp_path: Path) -> None:
    begun = 1e9
    failed = written(
        tmp_path / "failed", begun=begun, time=begun + 9 - back, phase="failed", message="why"
    )
    assert RunView.read(failed).words == "failed: why"
    again = written(tmp_path / "again", begun=begun + 99 - back, phase="load")
    assert RunView.read(again).state == "unfinished"


def test_locks_and_heartbeats_know_no_clock(tmp_path, monkeypatch):
    directory = written(tmp_path / "run", begun=time.time() + 9 * HOUR)
    now = time.monotonic()
    with other_process_holding(directory, "lock"):
        for hours in (-9, 9):
            monkeypatch.setattr(time, "time", lambda hours=hours: 1e9 + hours * HOUR)
            os.utime(directory.path / "lock", (1e9 + hours * HOUR,) * 2)
            assert RunView.read(directory).state == "running"
    view, clock = None, [now]
    (directory.path / "lock").write_text("process 1 on another-host\n")
    for sequence, later, state in ((1, 0, "running"), (1, 19, "running"), (1, 21, "unfinished")):
        directory.status_file(0).write_json({"sequence": sequence, "host": "another-host"})
        moment = 1e9 + sequence * HOUR
        os.utime(directory.status_file(0).path, (moment, moment))
        clock[0] = now + later
        view = RunView.read(directory, view, live=True, now=lambda: clock[0])
        assert view.state == state
