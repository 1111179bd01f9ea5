"""Persistence of centred rows against leaving each row out, means included."""

import numpy as np
import pytest
from scipy import stats

from tests.probes.planted import gaussian, shares
from tuiprobe.probes.outliers.persistence import centred_persistence
from tuiprobe.probes.outliers.scan import scan
from tuiprobe.probes.rows import usable


def persistence(x):
    s = shares(x - x.mean(0))
    n, channels = s.shape
    own = (s**2).sum() / n
    cross = ((s.sum(0) ** 2).sum() - (s**2).sum()) / (n * (n - 1))
    return (cross - 1 / channels) / (own - 1 / channels)


def test_leaving_a_row_out_moves_the_means_of_the_others():
    rows = gaussian(400, 24)
    rows[:130, 3] += 12
    x = rows.astype("f8")
    found = centred_persistence(rows, usable(rows), scan(rows))
    without = np.array([persistence(np.delete(x, i, 0)) for i in range(400)])
    half = stats.t.ppf(0.975, 399) * np.sqrt(399 / 400 * ((without - without.mean()) ** 2).sum())
    assert found.value == pytest.approx(persistence(x))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.05)  # means to first order
