"""The same results give the same bytes, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.samples import report
from tests.report.samples_head import head_results, quantisation, targets
from tests.report.strangers import stranger
from tuiprobe.report.formats import FORMATS
from tuiprobe.results import Report
from tuiprobe.run.directory import RunDir
from tuiprobe.run.glance import write_results


def full() -> Report:
    found = report(**head_results() | {"targets": targets(), "quantisation": quantisation()})
    return found.model_copy(update={"parts": (*found.parts, stranger())})


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    write_results(run, full())
    every = [word for name in FORMATS for word in ("--format", name)]
    written = []
    for seed in ("1", "2"):
        to = tmp_path / seed
        arguments = ["report", str(run.path), *every, "--to", str(to)]
        subprocess.run(
            [sys.executable, "-m", "tuiprobe", *arguments],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        )
        found = sorted(path for path in to.rglob("*") if path.is_file())
        written.append({path.relative_to(to): path.read_bytes() for path in found})
    assert written[0] == written[1]
    assert len(written[0]) > 20
