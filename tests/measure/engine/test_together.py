"""Several encoders over one stream of images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.measure.engine.conftest import measured, shard_files
from tests.measure.engine.test_extract import BROKEN, OPTIONS, write_numbers
from tuiprobe.errors import DataError
from tuiprobe.files import Entry
from tuiprobe.measure.engine.extract import Extraction
from tuiprobe.measure.run.arrays import read_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.status import Event
from tuiprobe.measure.run.view import RunView
from tuiprobe.probes.run import run
from tuiprobe.request import RunRequest, make_spec
from tuiprobe.show.report import read_report


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    return write_numbers(tmp_path / "val")


@pytest.fixture
def alone(numbers: Path, tmp_path: Path) -> Path:
    return measured(numbers, tmp_path / "alone", **OPTIONS).directory.path


def together(numbers: Path, *changes: dict[str, Any], listen: Any = lambda event: None) -> list:
    requests = []
    for more in changes:
        options = {**OPTIONS, "threads": 1, "workers": 0, **more}
        model = f"py:tests.measure.engine.{options.pop('model')}:{options.pop('build', 'build')}"
        spec = make_spec(model, f"imagefolder:{numbers}", options)
        requests.append(RunRequest(spec=spec, runs=numbers.parent / "runs"))
    ends: dict[int, Any] = {}

    def failed(request: RunRequest, reason: Any) -> None:
        ends[requests.index(request)] = reason

    outcomes = iter(run(requests, listen=lambda _, event: listen(event), failed=failed))
    return [ends[i] if i in ends else next(outcomes) for i in range(len(requests))]


def same_shards(first: Path, other: Path) -> bool:
    for place in shard_files(first):
        a, b = (read_arrays(Entry(run / "shards", place.name))[0] for run in (first, other))
        if not all(np.array_equal(a[k], b[k], equal_nan=True) for k in a | b):
            return False
    return len(shard_files(first)) == len(shard_files(other)) > 0


@pytest.mark.parametrize("workers", [0, 2])
def test_each_measures_what_it_would_have_measured_alone(workers, numbers, alone):
    both = together(numbers, {"workers": workers}, {"workers": workers, "top_k": 4})
    assert same_shards(alone, both[0].directory.path)
    shard_files(both[0].directory.path)[1].unlink()
    before = {path: path.stat().st_mtime_ns for path in shard_files(both[0].directory.path)}
    again = together(numbers, {}, {"top_k": 5})  # only what is missing is measured
    assert again[0].resumed == 24
    assert before.items() <= {path: path.stat().st_mtime_ns for path in before}.items()
    assert same_shards(alone, again[0].directory.path)


def test_each_has_the_speed_of_its_own_model(numbers, monkeypatch):
    seconds, measure = [0.0], Extraction.measure

    def slow(run: Extraction, batch: Any) -> None:
        seconds[0] += 30.0 if run.job.plan.spec.top_k == 4 else 1.0
        measure(run, batch)

    monkeypatch.setattr(Extraction, "measure", slow)
    monkeypatch.setattr("time.monotonic", lambda: seconds[0])
    both = together(numbers, {}, {"top_k": 4})
    quick, other = (read_report(end.directory).timings.images_per_second for end in both)
    assert quick == pytest.approx(30 * other, rel=0.01)


def test_one_that_runs_out_of_memory_leaves_the_others_and_goes_on_alone(numbers, alone):
    events = list[Event]()
    changes: list[dict[str, Any]] = [{}, {"build": "small", "top_k": 4}]
    well, crowded = together(numbers, *changes, listen=events.append)
    assert same_shards(alone, well.directory.path)
    assert crowded.complete
    assert len(shard_files(crowded.directory.path)) == len(shard_files(alone))
    assert sum(event.kind == "skipped" for event in events) == 2 * len(BROKEN)  # each once a run


def test_one_that_is_cancelled_or_fails_does_not_stop_the_others(numbers, alone):
    def cancel(event: Event) -> None:
        if event.data.get("stage") == "extract":
            for run in (numbers.parent / "runs").iterdir():
                if '"top_k": 4' in (run / "spec.json").read_text():
                    (run / "cancel").touch()

    changes: list[dict[str, Any]] = [{"top_k": 4}, {"top_k": 5, "max_unreadable": 0.0}, {}]
    cancelled, strict, well = together(numbers, *changes, listen=cancel)
    assert not cancelled.complete
    assert strict.exit_code == DataError.exit_code
    assert same_shards(alone, well.directory.path)


def states_at_merges(numbers: Path, *changes: dict[str, Any]) -> list[list[str]]:
    """Returns how all runs of a group stand at the beginning of each merge."""
    states = list[list[str]]()

    def look(event: Event) -> None:
        if event.data.get("stage") == "merge":
            runs = (numbers.parent / "runs").iterdir()
            states.append(sorted(RunView.read(RunDir(run)).state for run in runs))

    together(numbers, *changes, listen=look)
    return states


def test_one_that_has_ended_is_done_while_others_go_on(numbers: Path) -> None:
    states = states_at_merges(numbers, {}, {"top_k": 4})
    assert states == [["running", "running"], ["done", "running"]]


def test_one_that_has_failed_says_so_while_others_go_on(numbers: Path) -> None:
    states = states_at_merges(numbers, {"max_unreadable": 0.0}, {"top_k": 4})
    assert states == [["failed", "running"]]
