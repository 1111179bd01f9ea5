"""The same results give the same bytes, in any process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.show.report.samples import report
from tests.show.report.samples_head import head_results, targets
from tests.show.report.strangers import stranger
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.results import write_results
from tuiprobe.results import Report
from tuiprobe.show.report.formats import RENDERED, files_of


def full() -> Report:
    result = report(**head_results() | {"targets": targets()})
    return result.model_copy(update={"parts": (*result.parts, stranger())})


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    write_results(run, full())
    every = [word for name in RENDERED for word in ("--format", name)]
    subprocess.run(
        [sys.executable, "-m", "tuiprobe", "report", str(run.path), *every, "--to", str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        check=True,
        capture_output=True,
    )
    files = files_of(Report.read(run.results_file.path), run, list(RENDERED))
    for name, text in files.items():
        assert (tmp_path / name).read_bytes() == text.encode(), name
    assert len(files) > 20
