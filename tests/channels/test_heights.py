"""Heights against plain loops, and at the edges of the definition."""

import numpy as np
import pytest
from hypothesis import given as with_any
from hypothesis import settings
from hypothesis import strategies as st
from scipy import stats

from tests.probes.planted import gaussian
from tuiprobe.channels.heights import (
    OUTLIER,
    centre_and_scale,
    cut_sigma,
    median_ranks,
    scan_heights,
)
from tuiprobe.inside.outliers.compute import figures_of_rows

CLOSE = 2e-5
"""Float32 sums of up to 2,048 values, relative to s."""


def height(row: np.ndarray) -> np.ndarray:
    """The definition for one row in float64."""
    x = np.asarray(row, dtype=np.float64)
    near = np.argsort(np.abs(x - np.median(x)), kind="stable")[: len(x) - len(x) // 20]
    s = x[near].std()
    if s == 0 or 2 * (x == 0).sum() > len(x):
        return np.zeros(len(x))
    return np.abs(x - np.median(x[near])) / (s / cut_sigma(len(x)))


@settings(max_examples=40, deadline=None)
@with_any(
    channels=st.integers(20, 300),
    scale=st.sampled_from([1e-12, 1.0, 1e12]),
    offset=st.sampled_from([0.0, 3.0, -100.0]),
    seed=st.integers(0, 99),
)
def test_heights_equal_a_plain_loop(channels, scale, offset, seed):
    rng = np.random.default_rng(seed)
    rows = (scale * (rng.standard_t(3, (9, channels)) + offset)).astype(np.float32)
    result = scan_heights(rows)
    truth = np.array([height(row) for row in rows])
    tolerance = CLOSE * max(1.0, abs(offset))
    np.testing.assert_allclose(result.median, np.median(truth, axis=0), rtol=2e-4, atol=tolerance)
    if not (np.abs(truth / OUTLIER - 1) < 1e-3).any():
        np.testing.assert_array_equal(result.above, (truth > OUTLIER).sum(0))


def test_energy_equals_a_plain_loop():
    rows = gaussian(200, 64) + np.float32(0.3)
    result, x = scan_heights(rows), rows.astype("f8")
    energy = x**2 / (x**2).sum(1, keepdims=True)
    np.testing.assert_allclose(result.energy, energy.sum(0), rtol=1e-5)
    np.testing.assert_allclose(result.energy_squares, (energy**2).sum(0), rtol=1e-5)


@pytest.mark.parametrize("channels", [64, 128, 512, 768, 1024])
def test_the_scale_of_a_gaussian_is_its_sigma(channels):
    s = centre_and_scale(gaussian(4000, channels))[1]
    assert s.mean() == pytest.approx(1, abs=0.006)  # 5 % of C is seldom whole


@pytest.mark.parametrize("channels", [20, 31, 48, 63])
def test_few_channels_are_corrected_by_monte_carlo(channels):
    s = centre_and_scale(gaussian(20_000, channels, seed=3))[1]
    assert s.mean() == pytest.approx(1, abs=4 * s.std() * np.sqrt(2 / 20_000))


@pytest.mark.parametrize("count", [1, 4, 16])
def test_equal_outliers_do_not_hide_each_other(count):
    rows = gaussian(50, 320)
    rows[:, :count] += 30
    result = scan_heights(rows)
    assert (result.above[:count] == 50).all()
    assert result.median[:count].min() > 20
    assert result.above[count:].sum() == 0


@settings(max_examples=30, deadline=None)
@with_any(seed=st.integers(0, 99), zeros=st.integers(0, 19))
def test_heights_do_not_depend_on_the_order_of_channels(seed, zeros):
    rng = np.random.default_rng(seed)
    rows = rng.standard_t(1.5, (3, 40)).astype(np.float32)
    rows[:, :zeros] = 0
    order = rng.permutation(40)
    plain, permuted = scan_heights(rows), scan_heights(rows[:, order])
    np.testing.assert_array_equal(plain.above[order], permuted.above)
    np.testing.assert_array_equal(plain.median[order], permuted.median)


def test_rows_without_spread_or_mostly_zero_have_no_heights():
    rows = gaussian(5, 100)
    rows[1] = 0.5
    rows[1, 3] = 9  # a constant bulk
    rows[2, :51] = 0
    rows[3, :50] = 0
    result = scan_heights(rows)
    assert result.without == 2
    sparse = np.maximum(gaussian(300, 100) - 1.8, 0)
    figures = figures_of_rows(sparse)
    assert "over half" in figures.heights.reason


def test_non_negative_rows_are_called_skewed():
    assert figures_of_rows(np.abs(gaussian(100, 64))).heights.skewed
    assert not figures_of_rows(gaussian(100, 64)).heights.skewed


def test_the_interval_of_a_median_covers_it():
    n, hits = 101, 0
    low, high = median_ranks(n) or (0, 0)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        ranked = np.sort(rng.exponential(size=n))
        hits += ranked[low] <= np.log(2) <= ranked[high]
    exact = stats.binom.cdf(high, n, 0.5) - stats.binom.cdf(low, n, 0.5)
    assert exact >= 0.95
    assert hits / 2000 == pytest.approx(exact, abs=4 * np.sqrt(0.05 / 2000))
