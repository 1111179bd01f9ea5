"""The offset against plain NumPy and simulation, and its null against fresh draws."""

import numpy as np
import pytest
from scipy import stats

from tests.probes.planted import gaussian
from tuiprobe.inside.outliers.compute import figures_of_rows
from tuiprobe.inside.outliers.moments import null_999


def offset(rows):
    return figures_of_rows(rows).offset


@pytest.mark.parametrize("channels", [20, 56, 150, 320, 640, 900])
@pytest.mark.slow
def test_the_null_equals_fresh_draws(channels):
    draws = 60_000
    x = np.random.default_rng(7).standard_normal((draws, channels), dtype=np.float32)
    x -= x.mean(1, keepdims=True)
    x *= x
    kurtosis = (x * x).mean(1) / x.mean(1) ** 2
    # Order-statistic interval of the .999 quantile, 5 sigma wide, since cases are many.
    half = 5 * np.sqrt(draws * 0.001)
    ranked = np.sort(kurtosis)
    low, high = (ranked[int(draws * 0.999 + side * half)] for side in (-1, 1))
    assert low < null_999(channels) < high


def test_the_null_falls_to_3():
    widths = [20, 64, 100, 512, 1000, 4096, 10_000, 65_536]
    values = [null_999(width) for width in widths]
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(3, abs=0.1)


def test_the_offset_equals_plain_numpy():
    rng = np.random.default_rng(0)
    rows = (gaussian(300, 64) * rng.gamma(3, 0.3, 64) + rng.normal(0, 2, 64)).astype(np.float32)
    result = offset(rows)
    x = rows.astype("f8")
    z = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    mu = z.mean(0)
    m2, m4 = (mu**2).mean(), (mu**4).mean()
    assert result.share.value == pytest.approx(m2)
    assert result.kurtosis.value == pytest.approx(stats.kurtosis(mu, fisher=False), rel=1e-6)
    assert result.predicted.value == pytest.approx(m4 + 6 * m2 * (1 - m2) + 3 * (1 - m2) ** 2)


def test_the_intervals_are_those_of_leaving_each_row_out():
    rows = gaussian(12, 32)
    rows[:, 3] += 6
    result = offset(rows)

    def share(x):
        z = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
        return (z.mean(0) ** 2).mean()

    x = rows.astype("f8")
    without = np.array([share(np.delete(x, i, 0)) for i in range(12)])
    half = stats.t.ppf(0.975, 11) * np.sqrt(11 / 12 * ((without - without.mean()) ** 2).sum())
    centre = 12 * share(x) - 11 * without.mean()
    assert result.share.low == pytest.approx(min(centre - half, share(x)), rel=1e-6)


@pytest.mark.parametrize("channels", [128, 512])
def test_an_offset_with_isotropic_noise_is_explained(channels):
    rng = np.random.default_rng(1)
    constant = rng.standard_normal(channels)
    constant[7] = 15
    figures = figures_of_rows(gaussian(1500, channels) + constant.astype("f4"))
    assert figures.offset.explained.value == pytest.approx(1, abs=0.05)
    assert figures.offset.predicted.value == pytest.approx(figures.kurtosis.value, rel=0.05)
    assert figures.offset.half[0] == 7
    assert figures.centred_kurtosis.value == pytest.approx(figures.basis_reference, rel=0.02)


def test_there_is_no_half_of_an_offset_that_is_noise():
    rows = gaussian(400, 64)
    assert offset(rows - rows.mean(0)).half == ()
    assert "three images" in offset(rows[:2]).share.reason
