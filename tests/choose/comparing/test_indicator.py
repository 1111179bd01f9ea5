import numpy as np
import pytest
from scipy import stats

from tuiprobe.choose.comparing.indicator import CorrelatedRun, probe_indicators, spearman
from tuiprobe.results import Estimate, NotRun


def point(x, y, backbone="RN50", kind="projected", training="zero-shot"):
    nothing = NotRun(reason="not measured")
    run = CorrelatedRun(
        run="", model="", representation=kind, backbone=backbone, training=training,
        robustness=Estimate(value=y, low=None, high=None, n=9, method="planted"),
        height=nothing, kurtosis=nothing,
    )  # fmt: skip
    return run, {"kurtosis": x}


def clusters(seed, n=12):
    """Two clusters that differ in both figures and are unrelated within."""
    rng = np.random.default_rng(seed)
    low = [point(*rng.normal(0, 1, 2), "RN50", "pooled", "supervised") for _ in range(n)]  # type: ignore[call-arg]
    return low + [point(*(rng.normal(0, 1, 2) + 4), "RN50", "projected") for _ in range(n)]  # type: ignore[call-arg]


def test_two_unrelated_clusters_correlate_pooled_and_not_within():
    indicators = [probe_indicators(clusters(seed))[0] for seed in range(60)]
    assert np.mean([item.pooled.value for item in indicators]) > 0.6
    assert np.mean([item.pooled_trivial.value for item in indicators]) > 0.8
    within = np.array([item.within.value for item in indicators])
    assert abs(within.mean()) < 4 * within.std() / len(indicators) ** 0.5
    covered = sum(item.within.low < 0 < item.within.high for item in indicators)
    assert covered >= 51  # 95 % of 60, less three standard deviations
    assert len(indicators[0].strata) == 2


def test_p_values_are_uniform_without_a_relation():
    p = [probe_indicators(clusters(seed))[0].p_value for seed in range(100)]
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_a_relation_within_strata_is_found_against_the_pooled_trend():
    rng = np.random.default_rng(0)
    models = []
    for i, backbone in enumerate(("a", "b")):
        for x in rng.normal(0, 1, 15):
            models.append(point(x + 6 * i, x - 6 * i + 0.3 * rng.normal(), backbone))
    (indicator,) = probe_indicators(models)
    assert indicator.pooled.value < 0
    assert indicator.within.low > 0.5
    assert indicator.p_value < 0.01


def test_spearman_equals_scipys_with_ties():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 4, 30).astype(float), rng.normal(size=30)
    assert spearman(x, y).value == pytest.approx(stats.spearmanr(x, y).statistic)


def test_intervals_cover_the_correlation():
    rng, hit = np.random.default_rng(0), 0
    rho = 0.6
    truth = 6 / np.pi * np.arcsin(rho / 2)
    for _ in range(200):
        x, y = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], 25).T
        correlation = spearman(x, y)
        hit += correlation.low <= truth <= correlation.high
    assert 180 <= hit <= 198


def test_small_strata_and_constant_signatures_are_not_run():
    (indicator,) = probe_indicators([point(i, i) for i in range(7)])
    assert indicator.within == NotRun(reason="no stratum of 8 models in which both vary")
    assert indicator.p_value is None
    (flat,) = probe_indicators([point(1.0, i) for i in range(9)])
    assert "the same for all" in flat.strata[0].correlation.reason
    assert probe_indicators([]) == ()


def test_a_perfect_relation_has_an_interval():
    (indicator,) = probe_indicators([point(i, i) for i in range(10)])
    assert indicator.within.value == pytest.approx(1)
    assert indicator.within.low > 0.9
    assert indicator.p_value < 0.001
