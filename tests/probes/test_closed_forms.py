"""Distributions that probes compute by special functions, against those of scipy.stats."""

import pytest
from scipy import stats

from tuiprobe.channels.heights import median_ranks
from tuiprobe.inside.directions.compute import _expected
from tuiprobe.probes.evidence.orders import by_chance


def test_ranks_of_a_median() -> None:
    for n in (*range(1, 300), 1000, 12_345, 50_000):
        low = int(stats.binom.ppf(0.025, n, 0.5))
        assert median_ranks(n) == ((low - 1, n - low) if low >= 1 else None)


@pytest.mark.parametrize(("count", "channels"), [(1, 16), (3, 128), (40, 512), (511, 512)])
def test_length_of_a_random_direction(count: int, channels: int) -> None:
    found = _expected(count, channels)
    law = stats.beta(count / 2, (channels - count) / 2)
    assert [found.low, found.high] == pytest.approx(law.ppf([0.025, 0.975]), rel=1e-13)


@pytest.mark.parametrize("chance", [0.5, 0.1, 0.001])
def test_hits_by_chance(chance: float) -> None:
    for hits, n in ((0, 4), (1, 1), (3, 10), (60, 100), (500, 12_345)):
        expected = stats.binomtest(hits, n, chance, "greater").pvalue
        assert by_chance(hits, n, chance) == pytest.approx(expected, rel=1e-13)
