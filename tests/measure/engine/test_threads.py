"""The same bits from any number of processes and threads."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.prepared import Prepared
from tuiprobe.measure.run.arrays import read_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.results.report import Report

IMAGES = 400
"""So many that BLAS divides its products between threads."""

JOB = (
    "--headless", "--data", "miniature:val", "--sample", str(IMAGES),
    "--threads", "1", "--workers", "0", "--templates", "templates.txt",
)  # fmt: skip


def by_two_threads(folder: Path) -> Path:
    """Runs the program as it starts by itself, whose libraries read the number of their threads."""
    done = subprocess.run(
        [sys.executable, "-m", "tuiprobe", *JOB, "--output", "alone"],
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "2", "XDG_CACHE_HOME": str(folder)},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "alone"


def by_three_ranks(prepared: Prepared, folder: Path) -> Path:
    """Runs it as three ranks at once, each with one thread; the head is built anew."""
    env = {"WORLD_SIZE": "3", "XDG_CACHE_HOME": str(folder / "cache")}
    ranks = [
        prepared.start(
            *JOB, "--output", "ranks3", cwd=folder,
            env={**env, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(3)
    ]  # fmt: skip
    for rank in ranks:
        assert rank.wait() == 0, rank.stderr
    return folder / "ranks3"


def found_in(run: Path) -> str:
    return Report.read(run / "results.json").without_timings().to_json()


@pytest.mark.slow
def test_ranks_and_threads_change_no_bit(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "templates.txt").write_text("a photo of a {}.\nart of a {}.\n")
    alone = by_two_threads(tmp_path)
    expected = found_in(alone)
    head, _ = read_arrays(RunDir(alone).head_file)
    shared = by_three_ranks(prepared, tmp_path)
    assert found_in(shared) == expected
    theirs, _ = read_arrays(RunDir(shared).head_file)
    assert all(np.array_equal(head[name], theirs[name]) for name in head | theirs)
    again = prepared.run("reprobe", alone, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert found_in(alone) == expected
