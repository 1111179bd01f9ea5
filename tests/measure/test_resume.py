"""Killed, interrupted, resumed, shared out: the figures are those of one undisturbed run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.measure.conftest import Run, job
from tests.prepared import Forked, Prepared
from tuiprobe.run.directory import RunDir
from tuiprobe.run.ranks import read_records

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


def as_ranks(
    prepared: Prepared, arguments: list, world: int, folder: Path, lease: float = 60.0
) -> list[Forked]:
    return [
        prepared.start(
            *arguments,
            cwd=folder,
            env={"RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank)},
            before=[("tests.hooks:leases_last", [lease])],
        )
        for rank in range(world)
    ]


def test_four_ranks_give_what_one_gives(
    prepared: Prepared, undisturbed: dict, small_checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "ranks"
    arguments = job(small_checkpoint, pictures, directory, "--layers", "layer*")
    ranks = as_ranks(prepared, arguments, 4, tmp_path)
    assert [process.wait() for process in ranks] == [0] * 4, [one.stderr for one in ranks]
    assert results(directory) == undisturbed
    assert len(list(directory.glob("events-*.jsonl"))) == 4
    assert sum(bool(one.stdout) for one in ranks) == 1  # one of them merges
    told = [line for one in ranks[1:] for line in one.stderr.splitlines()]
    assert all(line.startswith(("rank ", "report")) for line in told), told


def test_a_rank_that_is_killed_is_named_and_the_other_measures_its_shards(
    prepared: Prepared, undisturbed: dict, small_checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "ranks"
    arguments = job(small_checkpoint, pictures, directory, "--layers", "layer*")
    left, killed = as_ranks(prepared, arguments, 2, tmp_path)
    stop_within_a_shard(RunDir(directory), 1, killed)  # so the other one has to ask after it
    killed.kill()
    assert left.wait() == 0, left.stderr
    assert results(directory) == undisturbed
    assert "has ended before its shards were measured" in left.stderr
    assert "rank 0 takes over shards of rank 1" in left.stderr


def stop_within_a_shard(run: RunDir, number: int, process: Forked) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        process.send_signal(signal.SIGSTOP)
        record = read_records(run).get(number)
        if record and record.shard and not run.shard_file(*record.shard).exists():
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    raise AssertionError(process.stderr)


def test_a_rank_that_hangs_loses_its_lease_and_changes_nothing_when_it_comes_back(
    prepared: Prepared, undisturbed: dict, small_checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "ranks"
    arguments = job(small_checkpoint, pictures, directory, "--layers", "layer*")
    left, hung = as_ranks(prepared, arguments, 2, tmp_path, lease=1.0)
    stop_within_a_shard(RunDir(directory), 1, hung)
    assert left.wait() == 0, left.stderr
    assert "has shown no sign of life for" in left.stderr
    assert results(directory) == undisturbed
    written = (directory / "results.json").stat().st_mtime_ns
    hung.send_signal(signal.SIGCONT)
    assert hung.wait() == 0, hung.stderr
    assert (directory / "results.json").stat().st_mtime_ns == written
    assert results(directory) == undisturbed


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
