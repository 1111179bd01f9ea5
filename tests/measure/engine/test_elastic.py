"""The real torchrun: a rank dies, all are started again, and the run goes on where it was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.measure.engine.conftest import results, small_job, write_pictures
from tuiprobe.show.cli.app import run_cli

pytestmark = [pytest.mark.slow, pytest.mark.nightly]


def test_a_rank_that_dies_is_started_again_by_torchrun_and_the_run_resumes(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 48)
    shared, alone = (
        small_job(tmp_path / "photos", tmp_path / name, model="faulty")
        for name in ("shared", "alone")
    )
    torchrun = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "--max-restarts", "1", "-m", "tuiprobe",
    ]  # fmt: skip
    done = subprocess.run(
        [*torchrun, *shared],
        env={
            **os.environ, "FAULT": "encode:die-once", "OMP_NUM_THREADS": "1",
            "SHARDS": str(tmp_path / "shared" / "shards"),
        },
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "SIGKILL" in done.stderr or "exitcode: -9" in done.stderr, done.stderr
    assert "resuming: " in done.stderr
    assert run_cli(alone) == 0
    assert results(tmp_path / "shared") == results(tmp_path / "alone")
