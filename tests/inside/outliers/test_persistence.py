import numpy as np
import pytest

from tests.probes.planted import gaussian, moving, persistent, shares, sparse
from tuiprobe.inside.outliers.moments import moments, persistence_of_sums
from tuiprobe.measure.arrays.tap_arrays import ShardSums
from tuiprobe.probes.intervals import delete_one


def by_definition(s):
    n, channels = s.shape
    pairs = s @ s.T
    own = np.trace(pairs) / n
    cross = (pairs.sum() - np.trace(pairs)) / (n * (n - 1))
    return (cross - 1 / channels) / (own - 1 / channels), own, cross


def of(h):
    return moments(h).persistence


def test_p_is_what_the_definition_over_all_pairs_says():
    h = sparse(3, n=90, channels=40)[0]
    p, _, cross = by_definition(shares(h.astype(np.float64)))
    result = of(h)
    assert result.value.value == pytest.approx(p)
    assert result.effective_channels.value == pytest.approx(1 / cross)


@pytest.mark.parametrize(("count", "expected"), [(1, 1.0), (4, 0.95), (16, 0.93)])
def test_planted_channels_persist_and_a_moving_tail_does_not(count, expected):
    h = persistent(count, n=400, channels=512, offset=12.0)
    assert of(h).value.value == pytest.approx(expected, abs=0.06)
    assert of(moving(n=400)).value.high < 0.01


def test_images_and_shards_agree():
    h = persistent(2, n=400, offset=6.0)
    s = shares(h.astype(np.float64))
    parts = np.array_split(s, 20)
    shards = ShardSums(
        share_sum=np.array([p.sum(0) for p in parts]),
        share_square_sum=np.array([(p**2).sum() for p in parts]),
        images=np.full(20, 20),
    )
    of_images, of_shards = of(h), persistence_of_sums(s.sum(0), float((s**2).sum()), 400, shards)
    assert of_shards.value.value == pytest.approx(of_images.value.value)
    width = of_images.value.high - of_images.value.low
    assert of_shards.value.high - of_shards.value.low == pytest.approx(width, rel=0.6)


def test_jackknife_equals_brute_force_leave_one_out():
    h = persistent(1, n=15, channels=30, offset=5.0)
    s = shares(h.astype(np.float64))
    without = np.array([by_definition(np.delete(s, i, 0))[0] for i in range(15)])
    direct = delete_one(by_definition(s)[0], without, high=1)
    assert of(h).value.low == pytest.approx(direct.low, rel=1e-9)


def test_too_little_to_tell():
    assert "two images" in of(gaussian(1, 30)).value.reason
    assert "share" in of(gaussian(9, 2)).value.reason
    alternating = np.tile([1.0, -1.0], (9, 10)).astype(np.float32)
    assert "share" in of(alternating).value.reason


def test_disjoint_channels_have_no_effective_number():
    h = np.zeros((4, 40), dtype=np.float32)
    for i in range(4):
        h[i, 2 * i], h[i, 2 * i + 1] = 1, -1
    assert "no two images" in of(h).effective_channels.reason
    assert of(h).value.value < 0
