"""Killed, interrupted, resumed, shared out: the figures are those of one undisturbed run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.measure.conftest import Run, job
from tests.prepared import Forked, Prepared
from tuiprobe.run.directory import RunDir
from tuiprobe.run.status import read_status

pytestmark = pytest.mark.slow


def results(directory: Path) -> dict:
    found = json.loads((directory / "results.json").read_text())
    del found["timings"]
    return found


def wait_for_shards(directory: Path, count: int, process: Forked) -> None:
    deadline = time.monotonic() + 120
    while len(list(directory.glob("shards/*.safetensors"))) < count:
        assert time.monotonic() < deadline, "no shard was published"
        assert process.poll() is None, "the run ended too early"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def whole(
    prepared: Prepared,
    small_checkpoint: Path,
    pictures: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "whole"
    arguments = job(small_checkpoint, pictures, directory, "--layers", "layer*")
    done = prepared.run(*arguments, cwd=directory.parent)
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture
def undisturbed(whole: Path, tmp_path: Path) -> dict:
    shutil.copytree(whole, tmp_path / "whole")
    return results(whole)


def test_killed_half_way_and_started_again(
    prepared: Prepared,
    undisturbed: dict,
    small_checkpoint: Path,
    pictures: Path,
    tmp_path: Path,
    tuiprobe: Run,
) -> None:
    arguments = job(small_checkpoint, pictures, tmp_path / "killed", "--layers", "layer*")
    process = prepared.start(*arguments, cwd=tmp_path)
    wait_for_shards(tmp_path / "killed", 5, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "results.json").exists()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "killed").glob("shards/[!.]*")}
    again = tuiprobe(*arguments)
    assert again.returncode == 0, again.stderr
    assert "resuming" in again.stderr
    assert all(p.stat().st_mtime_ns == time for p, time in before.items())
    assert results(tmp_path / "killed") == undisturbed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_runs_keep_a_partial_report_and_can_be_finished(
    prepared: Prepared,
    number: signal.Signals,
    undisturbed: dict,
    small_checkpoint: Path,
    pictures: Path,
    tmp_path: Path,
    tuiprobe: Run,
) -> None:
    directory = tmp_path / "interrupted"
    arguments = job(small_checkpoint, pictures, directory, "--layers", "layer*")
    process = prepared.start(*arguments, cwd=tmp_path)
    wait_for_shards(directory, 4, process)
    process.send_signal(number)
    process.wait(60)
    said = process.stderr
    assert process.returncode == 130, said
    partial = results(directory)
    assert partial["title"].startswith("PARTIAL")
    assert 16 <= partial["data"][0]["measured"] < 96
    assert any("the same command resumes" in warning for warning in partial["warnings"])
    assert tuiprobe(*arguments).returncode == 0
    assert results(directory) == undisturbed


def test_a_cancel_file_stops_the_run(
    prepared: Prepared, small_checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "cancelled"
    process = prepared.start(*job(small_checkpoint, pictures, directory), cwd=tmp_path)
    wait_for_shards(directory, 1, process)
    (directory / "cancel").touch()
    assert process.wait(60) in (130, 0)  # 0 if it was faster than the file
    assert (directory / "results.json").exists()


def as_rank(
    prepared: Prepared, arguments: list, rank: int, world: int, folder: Path, pause: float = 0.0
) -> Forked:
    """Starts a rank that pauses for so many seconds after each shard."""
    variables = {"RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank)}
    before = [("tests.hooks:pause_after_shards", [pause])]
    return prepared.start(*arguments, cwd=folder, env=variables, before=before)


def listed(tuiprobe: Run, folder: Path) -> str:
    """Returns the line of `tuiprobe runs` about the run `ranks`."""
    done = tuiprobe("runs", "ranks", "--root", folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[1]


def test_four_ranks_give_what_one_gives(
    prepared: Prepared, undisturbed: dict, small_checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "ranks"
    arguments = job(small_checkpoint, pictures, directory, "--layers", "layer*")
    ranks = [as_rank(prepared, arguments, rank, 4, tmp_path) for rank in range(4)]
    assert [process.wait() for process in ranks] == [0] * 4, [one.stderr for one in ranks]
    assert results(directory) == undisturbed
    assert len(list(directory.glob("status/*.json"))) == 4
    assert sum(bool(one.stdout) for one in ranks) == 1  # one of them merges
    told = [line for one in ranks[1:] for line in one.stderr.splitlines()]
    assert all(line.startswith(("rank ", "run: ", "report")) for line in told), told


def test_a_rank_that_is_killed_is_missed_at_every_point_and_its_shards_are_measured_on_request(
    prepared: Prepared,
    undisturbed: dict,
    small_checkpoint: Path,
    pictures: Path,
    tmp_path: Path,
    tuiprobe: Run,
) -> None:
    directory = tmp_path / "ranks"
    arguments = job(small_checkpoint, pictures, directory, "--layers", "layer*")
    left = as_rank(prepared, arguments, 0, 2, tmp_path)
    killed = as_rank(prepared, arguments, 1, 2, tmp_path, pause=1.0)
    deadline = time.monotonic() + 120
    while not list(directory.glob("shards/*-00001.safetensors")):  # the first one of rank 1
        assert time.monotonic() < deadline, killed.stderr
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert left.wait() == 0, left.stderr
    there = len(RunDir(directory).shard_names())
    said = f"{there} of 24 shards are there; the last rank merges (waits for shards of rank 1)"
    assert f"run: {directory}; {said}" in left.stderr
    assert not left.stdout
    assert not (directory / "results.json").exists()
    assert "waits for shards of rank 1" in listed(tuiprobe, tmp_path)
    again = as_rank(prepared, arguments, 0, 2, tmp_path)
    assert again.wait() == 0, again.stderr
    assert said in again.stderr  # it measures no shards of others
    stamps = {p: p.stat().st_mtime_ns for p in directory.glob("shards/[!.]*")}
    last = as_rank(prepared, arguments, 1, 2, tmp_path)
    assert last.wait() == 0, last.stderr
    assert results(directory) == undisturbed
    assert all(path.stat().st_mtime_ns == time for path, time in stamps.items())
    assert " done " in listed(tuiprobe, tmp_path)


@pytest.mark.parametrize("world", [1, 3])
def test_another_number_of_ranks_finishes_what_a_rank_that_never_started_left(
    world: int,
    prepared: Prepared,
    undisturbed: dict,
    small_checkpoint: Path,
    pictures: Path,
    tmp_path: Path,
    tuiprobe: Run,
) -> None:
    directory = tmp_path / "ranks"
    arguments = job(small_checkpoint, pictures, directory, "--layers", "layer*")
    first = as_rank(prepared, arguments, 1, 2, tmp_path)
    assert first.wait() == 0, first.stderr
    assert "12 of 24 shards are there; the last rank merges" in first.stderr
    assert "stopped at 50 %, waits for shards of rank 0" in listed(tuiprobe, tmp_path)
    stamps = {p: p.stat().st_mtime_ns for p in directory.glob("shards/[!.]*")}
    ranks = [as_rank(prepared, arguments, rank, world, tmp_path) for rank in range(world)]
    assert [one.wait() for one in ranks] == [0] * world, [one.stderr for one in ranks]
    resumed = re.search(r"resuming: (\d+) of 96 images are done", ranks[0].stderr)
    assert resumed is not None
    assert int(resumed[1]) >= 48  # others may have measured before this rank counted
    assert results(directory) == undisturbed
    assert all(path.stat().st_mtime_ns == time for path, time in stamps.items())
    assert sum(bool(one.stdout) for one in ranks) == 1
    assert len(list(directory.glob("status/*.json"))) == world


def test_two_ranks_that_find_all_shards_at_once_merge_once(
    prepared: Prepared, undisturbed: dict, small_checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "whole"
    (directory / "results.json").unlink()
    arguments = job(small_checkpoint, pictures, directory, "--layers", "layer*")
    with RunDir(directory).locked("lock-merge"):
        ranks = [as_rank(prepared, arguments, rank, 2, tmp_path) for rank in range(2)]
        deadline = time.monotonic() + 60
        while not all(waits_to_merge(directory, rank) for rank in range(2)):
            assert time.monotonic() < deadline, [one.stderr for one in ranks]
            time.sleep(0.02)
    assert [one.wait() for one in ranks] == [0, 0], [one.stderr for one in ranks]
    assert results(directory) == undisturbed
    assert sum(bool(one.stdout) for one in ranks) == 1


def waits_to_merge(directory: Path, rank: int) -> bool:
    status = read_status(RunDir(directory), rank)
    return status is not None and status.message.startswith("another rank merges")


def test_worker_processes_change_nothing(
    undisturbed: dict, small_checkpoint: Path, pictures: Path, tmp_path: Path, tuiprobe: Run
) -> None:
    directory = tmp_path / "workers"
    done = tuiprobe(
        *job(small_checkpoint, pictures, directory, "--layers", "layer*", "--workers", "2")
    )
    assert done.returncode == 0, done.stderr
    found = results(directory)
    assert found["spec"].pop("workers") == 2
    assert undisturbed["spec"].pop("workers") == 0
    assert found == undisturbed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_keeps_what_is_measured(
    prepared: Prepared,
    number: signal.Signals,
    small_checkpoint: Path,
    pictures: Path,
    tmp_path: Path,
) -> None:
    directory = tmp_path / "group"
    arguments = job(small_checkpoint, pictures, directory, "--workers", "2")
    process = prepared.start(*arguments, cwd=tmp_path, session=True)
    wait_for_shards(directory, 2, process)
    os.killpg(process.pid, number)
    process.wait(60)
    said = process.stderr
    assert process.returncode == 130, said
    assert results(directory)["data"][0]["measured"] >= 8


def test_a_worker_that_is_killed_ends_the_run_with_a_cause(
    prepared: Prepared, small_checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "killed"
    arguments = job(small_checkpoint, pictures, directory, "--workers", "1")
    process = prepared.start(*arguments, cwd=tmp_path)
    wait_for_shards(directory, 1, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    process.wait(60)
    said = process.stderr
    assert process.returncode in (5, 0), said  # 0 if all batches were decoded already
    assert "Traceback" not in said
    assert process.returncode == 0 or "a process that decodes images died" in said


def test_ranks_do_not_race_for_a_fresh_start(
    small_checkpoint: Path, pictures: Path, tmp_path: Path, tuiprobe: Run
) -> None:
    done = tuiprobe(
        *job(small_checkpoint, pictures, tmp_path / "run", "--fresh"),
        env={"RANK": "0", "WORLD_SIZE": "2"},
    )
    assert done.returncode == 2
    assert "delete the run directory first" in done.stderr


def test_a_damaged_shard_is_measured_again(
    undisturbed: dict, small_checkpoint: Path, pictures: Path, tmp_path: Path, tuiprobe: Run
) -> None:
    directory = tmp_path / "whole"
    shard = sorted(directory.glob("shards/*"))[2]
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    again = tuiprobe(*job(small_checkpoint, pictures, directory, "--layers", "layer*"))
    assert again.returncode == 0, again.stderr
    assert "checksum does not match" in again.stderr
    assert results(directory) == undisturbed


def test_another_number_of_threads_is_not_mixed_in_silently(
    undisturbed: dict, small_checkpoint: Path, pictures: Path, tmp_path: Path, tuiprobe: Run
) -> None:
    directory = tmp_path / "whole"
    sorted(directory.glob("shards/*"))[0].unlink()
    arguments = job(small_checkpoint, pictures, directory, "--layers", "layer*")
    arguments[arguments.index("--threads") + 1] = "2"
    refused = tuiprobe(*arguments)
    assert refused.returncode == 4
    assert "threads 1 then, 2 now" in refused.stderr
    mixed = tuiprobe(*arguments, "--mix")
    assert mixed.returncode == 0, mixed.stderr
    assert any("--mix" in warning for warning in results(directory)["warnings"])


def test_another_run_is_refused_and_fresh_starts_anew(
    undisturbed: dict, small_checkpoint: Path, pictures: Path, tmp_path: Path, tuiprobe: Run
) -> None:
    directory = tmp_path / "whole"
    other = tuiprobe(*job(small_checkpoint, pictures, directory, "--sample", "20"))
    assert other.returncode == 4
    assert "holds another run" in other.stderr
    assert results(directory) == undisturbed
    fresh = tuiprobe(*job(small_checkpoint, pictures, directory, "--sample", "20", "--fresh"))
    assert fresh.returncode == 0, fresh.stderr
    assert results(directory)["data"][0]["measured"] == 20


def test_a_second_writer_is_refused(
    prepared: Prepared, small_checkpoint: Path, pictures: Path, tmp_path: Path, tuiprobe: Run
) -> None:
    arguments = job(small_checkpoint, pictures, tmp_path / "busy")
    process = prepared.start(*arguments, cwd=tmp_path)
    wait_for_shards(tmp_path / "busy", 1, process)
    process.send_signal(signal.SIGSTOP)
    second = tuiprobe(*arguments)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert second.returncode == 5
    assert f"is being written by process {process.pid} on" in second.stderr


def test_reprobing_gives_the_same_answers(undisturbed: dict, tmp_path: Path, tuiprobe: Run) -> None:
    assert tuiprobe("reprobe", tmp_path / "whole").returncode == 0
    assert results(tmp_path / "whole") == undisturbed
