"""The file of the head, which may come from a stranger."""

from pathlib import Path

import numpy as np
import pytest

from tests.measure.engine.fake_run import FakeSet, write_run
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.run.arrays import read_arrays, write_arrays
from tuiprobe.measure.run.head_file import read_head


def test_a_logit_scale_that_no_engine_writes_is_refused(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    run = write_run(tmp_path / "run", {"val": FakeSet(rows, None)}, np.eye(3, 4))
    arrays, metadata = read_arrays(run.head_file)
    for name, value in (
        ("logit_scale", np.array([0], np.float32)),
        ("logit_scale", np.array([np.nan], np.float32)),
        ("logit_scale", np.array([1, 2], np.float32)),
        ("logit_scale", np.array([1], np.float64)),
        ("logit_bias", np.array([np.inf], np.float32)),
    ):
        write_arrays(run.head_file, {**arrays, name: value}, metadata)
        with pytest.raises(DamagedFileError, match=name):
            read_head(run)
    write_arrays(run.head_file, {**arrays, "logit_scale": np.array([2], np.float32)}, metadata)
    assert read_head(run).head.logit_scale == 2.0
