import numpy as np
import pytest
from hypothesis import given as with_any
from hypothesis import settings
from hypothesis import strategies as st
from scipy import stats

from tuiprobe.probes import intervals
from tuiprobe.probes.intervals import bootstrap_mean, delete_one, delete_shard, mean_interval
from tuiprobe.results.proportions import wilson, wilson_bounds


def test_bootstrap_agrees_with_scipys():
    values = np.random.default_rng(0).exponential(size=300)
    ours = bootstrap_mean(values)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    # 2,000 resamples leave about 3 % of the half-width on each end.
    assert ours.low == pytest.approx(theirs.low, abs=0.06 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.06 * width)


def test_closed_form_and_simulation_agree(monkeypatch):
    values = np.random.default_rng(0).exponential(size=9000) ** 2
    simulated = bootstrap_mean(values)
    monkeypatch.setattr(intervals, "SIMULATE_BELOW", 0)
    closed = bootstrap_mean(values)
    width = simulated.high - simulated.low
    assert closed.low == pytest.approx(simulated.low, abs=0.06 * width)
    assert closed.high == pytest.approx(simulated.high, abs=0.06 * width)


def test_bootstrap_is_seeded():
    values = np.random.default_rng(0).exponential(size=100)
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
    assert bootstrap_mean(values, seed=3) != bootstrap_mean(values, seed=4)


def test_bootstrap_of_no_one_and_equal_values():
    assert bootstrap_mean([np.nan]).reason == "no images"
    assert bootstrap_mean([2.0, np.nan]).low is None
    same = bootstrap_mean([0.1] * 7)
    assert same.low == same.high == same.value


@settings(max_examples=60, deadline=None)
@with_any(n=st.integers(1, 500), data=st.data())
def test_wilson_equals_scipys(n, data):
    hits = data.draw(st.integers(0, n))
    low, high = wilson_bounds(hits, n)
    oracle = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert float(low) == pytest.approx(oracle.low, abs=1e-12)
    assert float(high) == pytest.approx(oracle.high, abs=1e-12)
    assert wilson(hits, n).value == hits / n


def test_wilson_of_nothing_is_not_run():
    assert wilson(0, 0).reason == "no images"


def test_delete_one_of_a_mean_is_the_t_interval():
    values = np.random.default_rng(0).normal(size=40)
    without = (values.sum() - values) / 39
    ours = delete_one(values.mean(), without)
    half = stats.t.ppf(0.975, 39) * stats.sem(values)
    assert ours.low == pytest.approx(values.mean() - half)
    assert ours.high == pytest.approx(values.mean() + half)
    again = mean_interval(values.sum(), (values**2).sum(), 40)
    assert again.low == pytest.approx(ours.low)


def test_delete_shard_of_equal_shards_is_the_plain_jackknife():
    values = np.random.default_rng(0).normal(size=20)
    without = (values.sum() - values) / 19
    ours = delete_shard(values.mean(), without, np.full(20, 5))
    half = stats.t.ppf(0.975, 19) * stats.sem(values)
    assert ours.high == pytest.approx(values.mean() + half)
    assert ours.n == 100


def test_delete_shard_gives_no_interval_below_sixteen():
    figure = delete_shard(1.0, np.ones(15), np.full(15, 4))
    assert figure.low is None
    assert "15 shards" in figure.method


def test_intervals_are_cut_at_what_is_possible():
    figure = delete_one(0.99, [0.9, 1.0, 0.8, 1.0], low=0, high=1)
    assert figure.low >= 0
    assert figure.high == 1
