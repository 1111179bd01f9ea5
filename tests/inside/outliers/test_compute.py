import json
import warnings

import numpy as np
import pytest

from tests.probes import planted
from tests.probes.planted import final, inner
from tuiprobe.inside.outliers.compute import probe_outliers
from tuiprobe.inside.outliers.result import Outcome
from tuiprobe.results import NotRun, is_known


def test_inner_taps_follow_the_definitions():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((640, 5, 64)).astype(np.float32)
    x[:, :, 9] += 15
    result = probe_outliers(inner(x))
    s = planted.shares(x.astype(np.float64)).mean(1)
    assert result.kurtosis.value == pytest.approx(planted.kurtosis(x.astype("f8")).mean())
    n, pairs = 640, s @ s.T
    cross = (pairs.sum() - np.trace(pairs)) / (n * (n - 1))
    p = (cross - 1 / 64) / (np.trace(pairs) / n - 1 / 64)
    assert result.persistence.value.value == pytest.approx(p)
    assert "20 shards" in result.persistence.value.method
    assert [c.channel for c in result.outlier_channels] == [9]
    assert result.heights.sampled
    assert result.heights.columns is None
    assert "sample" in result.centred_kurtosis.method
    assert not result.final


def test_top_images_carry_ids_paths_and_both_ends():
    h = planted.persistent(1, n=60, channels=32)
    h[11, 5], h[23, 5] = 99, -99
    result = probe_outliers(final(h), paths={11: "a/b.jpg"})
    ends = next(row for row in result.top_images if row.channel == 5)
    assert (ends.largest[0].sample_id, ends.largest[0].path) == (11, "a/b.jpg")
    assert (ends.smallest[0].sample_id, ends.smallest[0].path) == (23, None)
    assert ends.smallest[0].value == -99


DEGENERATE = {
    "no images": np.zeros((0, 32)),
    "one image": planted.gaussian(1, 32),
    "two images": planted.gaussian(2, 32),
    "constant rows": np.full((40, 32), 0.1),
    "equal images": np.tile(planted.gaussian(1, 32), (40, 1)),
    "all NaN": np.full((40, 32), np.nan),
    "one channel": planted.gaussian(40, 1),
    "two channels": planted.gaussian(40, 2),
    "huge": planted.gaussian(40, 32) * 1e37,
    "tiny": planted.gaussian(40, 32) * 1e-40,
    "mostly zero": np.eye(40, 32),
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("inside", [False, True])
def test_degenerate_input_gives_reasons_and_no_warnings(case, inside):
    h = np.asarray(DEGENERATE[case], dtype=np.float32)
    tap = inner(h[:, None]) if inside and len(h) else final(h)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = probe_outliers(tap)
    json.dumps(result.model_dump(), allow_nan=False)
    assert result.outcome is Outcome.WITHHELD


def test_nan_images_are_left_out_and_counted():
    h = planted.persistent(1, n=300)
    h[7, 3] = np.nan
    h[8, 3] = np.inf
    result = probe_outliers(final(h))
    clean = probe_outliers(final(np.delete(h, [7, 8], 0)))
    assert result.degenerate == 2
    assert result.nonfinite == 2
    assert result.kurtosis == clean.kurtosis
    assert result.persistence == clean.persistence
    assert result.heights == clean.heights


def test_constant_rows_are_not_run():
    result = probe_outliers(final(DEGENERATE["constant rows"]))
    assert result.kurtosis == NotRun(reason="no images")
    assert result.degenerate == 40
    equal = probe_outliers(final(DEGENERATE["equal images"]))
    assert "alike" in equal.centred_kurtosis.reason
    assert is_known(equal.kurtosis)
