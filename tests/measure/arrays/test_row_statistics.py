import numpy as np
import pytest
from hypothesis import given as with_any
from hypothesis import settings
from hypothesis import strategies as st
from scipy import stats

from tests.probes.planted import shares
from tuiprobe.inside.outliers.moments import moments
from tuiprobe.measure.arrays.row_statistics import (
    has_kurtosis,
    kurtosis_and_slope,
    shares_and_kurtosis,
)


@settings(max_examples=40, deadline=None)
@with_any(
    n=st.integers(1, 7),
    channels=st.integers(2, 40),
    scale=st.sampled_from([1e-12, 1.0, 1e12]),
    offset=st.sampled_from([0.0, 1.0, 1e3]),
    seed=st.integers(0, 99),
)
def test_row_kurtosis_equals_scipys(n, channels, scale, offset, seed):
    h = scale * (np.random.default_rng(seed).standard_normal((n, channels)) + offset)
    s, kurtosis = shares_and_kurtosis(h)
    np.testing.assert_allclose(kurtosis, stats.kurtosis(h, axis=1, fisher=False), rtol=1e-8)
    np.testing.assert_allclose(s, shares(h), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(kurtosis_and_slope(h)[0], kurtosis, rtol=1e-8)


def test_slope_is_the_derivative():
    h = np.random.default_rng(0).standard_normal((4, 9))
    slope = kurtosis_and_slope(h)[1]
    step = 1e-6
    for c in range(9):
        moved = h.copy()
        moved[:, c] += step
        rise = (kurtosis_and_slope(moved)[0] - kurtosis_and_slope(h)[0]).sum() / step
        assert slope[c] == pytest.approx(rise, abs=1e-4)


def test_usable_rows_are_finite_and_not_constant():
    rows = np.array([[1, 2], [0.1, 0.1], [np.nan, 1], [1, np.inf]], dtype=np.float32)
    assert has_kurtosis(rows).tolist() == [True, False, False, False]


def test_moments_equal_straightforward_numpy():
    rng = np.random.default_rng(0)
    h = (rng.standard_normal((300, 24)) * rng.gamma(1, 1, 24) + rng.normal(0, 2, 24)).astype("f4")
    result, x = moments(h), h.astype(np.float64)
    centred = stats.kurtosis(x - x.mean(0), axis=1, fisher=False)
    assert result.centred_kurtosis.value == pytest.approx(centred.mean(), rel=1e-7)
    np.testing.assert_allclose(result.square, (x**2).sum(0))
    rest = x - x.mean(0)
    unit = rest / np.linalg.norm(rest, axis=1, keepdims=True)
    pairs = (unit @ unit.T)[~np.eye(300, dtype=bool)]
    assert result.centred_cosine.value == pytest.approx(pairs.mean())
