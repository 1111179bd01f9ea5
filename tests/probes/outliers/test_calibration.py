"""Coverage of every interval over 200 seeds, against the value of a large sample."""

import numpy as np
import pytest

from tests.probes.planted import shares
from tuiprobe.probes.inputs import ShardSums
from tuiprobe.probes.intervals import bootstrap_mean
from tuiprobe.probes.outliers.compute import figures_of_rows
from tuiprobe.probes.outliers.moments import moments, persistence_of_sums

pytestmark = pytest.mark.slow

SEEDS, CHANNELS, IMAGES, SHARDS = 200, 16, 400, 20
CASES = [
    "sometimes",
    *(pytest.param(name, marks=pytest.mark.nightly) for name in ("jittered", "skewed")),
]
"""15 seconds each: every change meets one, a night all of them."""


def draw(case, n, seed, channels=CHANNELS):
    rng = np.random.default_rng(seed)
    h = rng.standard_normal((n, channels))
    if case == "jittered":
        h[:, 3] += rng.normal(5, 2, n)
    elif case == "sometimes":
        h[:, 3] += 12 * (rng.random(n) < 0.3)
    elif case == "skewed":
        h[:, 3] += rng.lognormal(1, 0.6, n)
    return h.astype(np.float32)


def sums(h):
    s = shares(h.astype(np.float64))
    cuts = np.array_split(np.arange(len(h)), np.linspace(0, len(h), SHARDS + 1)[1:-1].astype(int))
    return s, ShardSums(
        share_sum=np.array([s[i].sum(0) for i in cuts]),
        share_square_sum=np.array([(s[i] ** 2).sum() for i in cuts]),
        images=np.array([len(i) for i in cuts]),
    )


def figures(h):
    rows = moments(h)
    s, shards = sums(h)
    per_shard = persistence_of_sums(s.sum(0), float((s**2).sum()), len(h), shards)
    return {
        "kurtosis": bootstrap_mean(rows.kurtosis),
        "centred": rows.centred_kurtosis,
        "P": rows.persistence.value,
        "effective": rows.persistence.effective_channels,
        "P, shards": per_shard.value,
        "effective, shards": per_shard.effective_channels,
    }


def figures_of_channels(h):
    result = figures_of_rows(h, columns=False)
    channel = next(row for row in result.heights.leading if row.channel == 3)
    return {
        "height": channel.height,
        "energy": channel.energy,
        "constant part": channel.offset,
        "offset": result.offset.share,
        "predicted": result.offset.predicted,
        "explained": result.offset.explained,
    }


def coverage(case, compute=figures, channels=CHANNELS):
    large = draw(case, 100_000, 10**6, channels)
    truth = {name: figure.value for name, figure in compute(large).items()}
    hits = dict.fromkeys(truth, 0)
    for seed in range(SEEDS):
        for name, figure in compute(draw(case, IMAGES, seed, channels)).items():
            hits[name] += figure.low <= truth[name] <= figure.high
    return {name: hit / SEEDS for name, hit in hits.items()}


@pytest.mark.parametrize("case", CASES)
def test_every_interval_covers_the_truth_in_90_to_99_percent(case):
    result = coverage(case)
    assert all(0.90 <= rate <= 0.99 for rate in result.values()), result


@pytest.mark.parametrize("case", CASES)
def test_intervals_of_channels_and_offset_cover_likewise(case):
    result = coverage(case, figures_of_channels, channels=32)
    assert all(0.90 <= rate <= 0.99 for rate in result.values()), result
