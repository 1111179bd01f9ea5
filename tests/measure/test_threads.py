"""The same bits from any number of processes and threads, by real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from tuiprobe.probes.algebra import BLAS_THREADS, fixed_threads
from tuiprobe.results.report import Report
from tuiprobe.run.arrays import read_arrays
from tuiprobe.run.directory import RunDir

IMAGES = 400
"""So many that BLAS divides its products between threads."""

JOB = (
    "tuiprobe", "--headless", "--data", "miniature:val", "--sample", str(IMAGES),
    "--threads", "1", "--workers", "0",
)  # fmt: skip


def start(folder: Path, output: str, *, ranks: int | None, threads: str) -> Path:
    """Runs the program, by torchrun where ranks are asked for; its heads are built anew."""
    cache = folder / f"cache-{output}"
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "XDG_CACHE_HOME": str(cache)}
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        if ranks
        else []
    )
    done = subprocess.run(
        [sys.executable, *launcher, "-m", *JOB, "--output", output],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / output


def reprobe(run: Path, threads: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": threads}
    command = [sys.executable, "-m", "tuiprobe", "reprobe", str(run)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=240)


def found_in(run: Path) -> str:
    return Report.read(run / "results.json").without_timings().to_json()


@pytest.mark.slow
def test_ranks_and_threads_change_no_bit(tmp_path: Path) -> None:
    alone = start(tmp_path, "alone", ranks=None, threads="2")
    expected = found_in(alone)
    head, _ = read_arrays(RunDir(alone).head_file)
    for ranks in (1, 3):  # tests of resuming run two
        shared = start(tmp_path, f"ranks{ranks}", ranks=ranks, threads="1")
        assert found_in(shared) == expected
        theirs, _ = read_arrays(RunDir(shared).head_file)
        assert all(np.array_equal(head[name], theirs[name]) for name in head | theirs)
    reprobe(alone, threads="1")
    assert found_in(alone) == expected


def test_probes_limit_the_blas_of_numpy_and_of_scipy() -> None:
    def threads() -> list[int]:
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    before = threads()
    with fixed_threads():
        assert set(threads()) == {BLAS_THREADS}
    assert threads() == before
