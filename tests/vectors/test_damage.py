"""Readers of a run of vectors trust none of its files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.measure.engine.fake_run import vouch
from tests.vectors.conftest import Run, planted
from tuiprobe.errors import DataError
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.run.arrays import read_arrays, write_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.samples import read_samples
from tuiprobe.measure.run.verify import verify
from tuiprobe.show.cli.app import run_cli


@pytest.fixture
def run(tmp_path: Path, measure: Run) -> RunDir:
    """Returns a finished run of vectors with labels."""
    np.save(tmp_path / "x.npy", planted(200, 8))
    (tmp_path / "labels.txt").write_text("ant\nbee\n" * 100)
    return measure(tmp_path / "x.npy", labels=str(tmp_path / "labels.txt")).directory


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("rows", np.array([5, 4], np.int64)),
        ("rows", np.arange(200, 400)),
        ("rows", np.zeros((2, 2), np.int64)),
        ("rows", np.zeros(200, np.float32)),
        ("labels", np.full(200, -1, np.int64)),
        ("labels", np.zeros(3, np.int64)),
    ],
)
def test_names_and_labels_are_checked(run: RunDir, name: str, array: np.ndarray) -> None:
    arrays, metadata = read_arrays(run.rows_file("rows"))
    write_arrays(run.rows_file("rows"), {**arrays, name: array}, metadata)
    assert run_cli(["verify", str(run.path)]) == DataError.exit_code
    vouch(run)
    with pytest.raises(DamagedFileError, match="damaged"):
        read_samples(run)
    assert run_cli(["reprobe", str(run.path)]) == DataError.exit_code


@pytest.mark.parametrize("changes", [{"shards": 2**50}, {"found": 2**50, "planned": 2**50}])
def test_what_a_plan_claims_costs_nothing(run: RunDir, changes: dict[str, Any]) -> None:
    plan = json.loads(run.plan_file.read_text())
    plan["sets"][0] |= changes
    run.plan_file.write_json(plan)
    vouch(run)
    result = {finding.file: finding.state for finding in verify(run)}
    assert result["shards/rows-*"] == "damaged"


@pytest.mark.parametrize("path", ["/dev/zero", "a\0b"])
@pytest.mark.slow
def test_a_named_file_is_never_opened(run: RunDir, path: str) -> None:
    plan = json.loads(run.plan_file.read_text())
    plan["sets"][0]["files"][0]["path"] = path
    run.plan_file.write_json(plan)
    vouch(run)
    assert run_cli(["verify", str(run.path)]) == 0
    assert run_cli(["reprobe", str(run.path)]) == 0
