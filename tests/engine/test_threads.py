"""The same bits from any number of processes and threads, by real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.prepared import Prepared
from tuiprobe.results.report import Report
from tuiprobe.run.arrays import read_arrays
from tuiprobe.run.directory import RunDir

IMAGES = 400
"""So many that BLAS divides its products between threads."""

JOB = (
    "-m", "tuiprobe", "--headless", "--data", "miniature:val", "--sample", str(IMAGES),
    "--threads", "1", "--workers", "0", "--templates", "templates.txt",
)  # fmt: skip


def start(folder: Path, output: str, *, ranks: int = 0, threads: str) -> Path:
    """Runs the program, by torchrun where ranks are asked for; its heads are built anew."""
    cache = str(folder / f"cache-{output}")
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "XDG_CACHE_HOME": cache}
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        if ranks
        else []
    )
    done = subprocess.run(
        [sys.executable, *launcher, *JOB, "--output", output],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / output


def found_in(run: Path) -> str:
    return Report.read(run / "results.json").without_timings().to_json()


@pytest.mark.slow
def test_ranks_and_threads_change_no_bit(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "templates.txt").write_text("a photo of a {}.\nart of a {}.\n")
    alone = start(tmp_path, "alone", threads="2")
    expected = found_in(alone)
    head, _ = read_arrays(RunDir(alone).head_file)
    shared = start(tmp_path, "ranks3", ranks=3, threads="1")  # tests of resuming run two
    assert found_in(shared) == expected
    theirs, _ = read_arrays(RunDir(shared).head_file)
    assert all(np.array_equal(head[name], theirs[name]) for name in head | theirs)
    again = prepared.run("reprobe", alone, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert found_in(alone) == expected
