"""Killed, interrupted, resumed, shared out: the figures are those of one undisturbed run."""

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Program
from tests.measure.engine.conftest import results, shard_files, small_job, until
from tests.prepared import Forked, Prepared
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.status import read_status

pytestmark = pytest.mark.slow

SHARDS = 24
SLOW = "encode:doze"
"""A fault that makes each batch, which is a shard here, take a third of a second."""


@dataclass
class Command:
    """One command, in processes of their own."""

    prepared: Prepared
    data: Path
    run: Path

    def start(self, *more: str, fault: str = "", workers: int = 0, **options: Any) -> Forked:
        arguments = small_job(self.data, self.run, *more, model="faulty", workers=workers)
        env = {"FAULT": fault, **options.pop("env", {})}
        return self.prepared.start(*arguments, cwd=self.run.parent, env=env, **options)

    def rank(self, number: int, world: int, fault: str = "") -> Forked:
        ranks = {"RANK": str(number), "WORLD_SIZE": str(world), "LOCAL_RANK": str(number)}
        return self.start(fault=fault, env=ranks)

    def end(self, *processes: Forked) -> None:
        """Waits for processes, or else runs the command alone."""
        for process in processes or (self.start(),):
            assert process.wait() == 0, process.stderr

    def stamps(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in shard_files(self.run)}


@pytest.fixture(scope="module")
def undisturbed(prepared: Prepared, pictures: Path, tmp_path_factory) -> dict[str, Any]:
    command = Command(prepared, pictures, tmp_path_factory.mktemp("whole") / "run")
    command.end()
    return results(command.run)


@pytest.fixture
def command(prepared: Prepared, pictures: Path, tmp_path: Path) -> Command:
    return Command(prepared, pictures, tmp_path / "run")


@pytest.mark.parametrize(
    "stop",
    [
        "SIGTERM to the group",
        *(pytest.param(stop, marks=pytest.mark.nightly) for stop in ("SIGINT", "cancel file")),
    ],
)
def test_interrupted_runs_keep_a_partial_report_and_can_be_finished(stop, command, undisturbed):
    process = command.start(fault=SLOW, workers=2 * ("group" in stop), session=True)
    until(lambda: len(shard_files(command.run)) >= 2, process)
    if "file" in stop:
        (command.run / "cancel").touch()
    elif "group" in stop:
        os.killpg(process.pid, signal.SIGTERM)
    else:
        process.send_signal(signal.Signals[stop])
    assert process.wait(120) == 130, process.stderr
    partial = results(command.run)
    assert partial["title"].startswith("PARTIAL")
    assert 8 <= partial["data"][0]["measured"] < 96
    assert any("the same command resumes" in warning for warning in partial["warnings"])
    command.end()
    assert results(command.run) == undisturbed


def listed(command: Command, program: Program) -> str:
    """Returns the line of `tuiprobe runs` about the run."""
    return program("runs", "run", "--root", str(command.run.parent)).out.splitlines()[1]


def test_a_rank_that_is_killed_is_missed_at_every_point_and_its_shards_are_measured_on_request(
    command, undisturbed, program
):
    killed = command.rank(1, 2, fault=SLOW)
    until(lambda: (command.run / "shards" / "pictures0-00001.safetensors").exists(), killed)
    killed.kill()
    killed.wait()
    command.end(left := command.rank(0, 2))
    there = len(shard_files(command.run))
    message = f"{there} of 24 shards are there; the last rank merges (waits for shards of rank 1)"
    assert f"run: {command.run}; {message}" in left.stderr
    assert not left.stdout
    assert not (command.run / "results.json").exists()
    assert "waits for shards of rank 1" in listed(command, program)
    command.end(again := command.rank(0, 2))
    assert message in again.stderr  # it measures no shards of others
    stamps = command.stamps()
    command.end(command.rank(1, 2))
    assert results(command.run) == undisturbed
    assert stamps.items() <= command.stamps().items()
    assert "done" in listed(command, program).split()


@pytest.mark.parametrize("world", [pytest.param(1, marks=pytest.mark.nightly), 3])
def test_another_number_of_ranks_finishes_what_a_rank_that_never_started_left(
    world, command, undisturbed, program
):
    command.end(first := command.rank(1, 2))
    assert "12 of 24 shards are there; the last rank merges" in first.stderr
    assert "stopped at 50 %, waits for shards of rank 0" in listed(command, program)
    stamps = command.stamps()
    ranks = [command.rank(number, world) for number in range(world)]
    command.end(*ranks)
    resumed = re.search(r"resuming: (\d+) of 96 images are done", ranks[0].stderr)
    assert int(resumed[1]) >= 48  # others may have measured before this rank counted
    assert results(command.run) == undisturbed
    assert stamps.items() <= command.stamps().items()
    assert sum(bool(rank.stdout) for rank in ranks) == 1
    assert len(list(command.run.glob("status/*.json"))) == world


def test_two_ranks_that_find_all_shards_at_once_merge_once(command, undisturbed):
    command.end()
    (command.run / "results.json").unlink()
    run = RunDir(command.run)

    def waits(rank: int) -> bool:
        status = read_status(run, rank)
        return status is not None and status.message.startswith("merging, unless")

    with run.locked("lock-merge"):
        ranks = [command.rank(number, 2) for number in range(2)]
        until(lambda: waits(0) and waits(1), *ranks)
    command.end(*ranks)
    assert results(command.run) == undisturbed
    assert sum(bool(process.stdout) for process in ranks) == 1


def test_a_worker_that_is_killed_ends_the_run_with_a_cause(command: Command) -> None:
    process = command.start(fault=SLOW, workers=1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until(lambda: shard_files(command.run), process)
    for child in children.read_text().split():
        os.kill(int(child), signal.SIGKILL)
    assert process.wait(120) in (5, 0), process.stderr  # 0 if all batches were decoded already
    assert "Traceback" not in process.stderr
    assert process.returncode == 0 or "a process that decodes images died" in process.stderr


def test_ranks_do_not_race_for_a_fresh_start(command: Command) -> None:
    process = command.start("--fresh", env={"RANK": "0", "WORLD_SIZE": "2"})
    assert process.wait() == 2
    assert "delete the run directory first" in process.stderr
