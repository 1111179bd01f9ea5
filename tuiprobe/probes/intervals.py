"""95 % intervals: bootstraps, jackknives, bands over seeds; in closed form those of proportions.

The unit is the image. Per-image scalars are bootstrapped; functions of several sums get a
delete-one-image jackknife where features are at hand, and a delete-one-shard jackknife where only
sums are (docs/outliers.md).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from tuiprobe.channels.array_types import Float32, Float64, Int64
from tuiprobe.numbers import NORMAL_95
from tuiprobe.results import Estimate, Figure, NotRun
from tuiprobe.results.proportions import wilson_bounds

LEVEL = 0.95


RESAMPLES = 2000


# Above this many values the bootstrap distribution of a mean comes from its exact cumulants:
# the Cornish-Fisher error is then far below the noise of 2,000 resamples.
SIMULATE_BELOW = 10_000


MIN_SHARDS = 16


SHARED_DRAWS = 1000
"""Bootstrap draws that several figures of the same rows share."""


def bootstrap_mean(values: npt.ArrayLike, seed: int = 0) -> Figure:
    """Returns the mean of per-image values with its bias-corrected accelerated bootstrap interval.

    For a mean, bias correction and acceleration both equal skewness / (6 sqrt n)
    (Efron 1987, section 4), so only the quantiles need resampling.

    Args:
        values: [n] per-image values; values that are not finite are left out.
        seed: Seed of the resampling.

    >>> figure = bootstrap_mean([1.0, 2.0, 3.0, 4.0] * 25)
    >>> figure.value, round(figure.low, 1), round(figure.high, 1)
    (2.5, 2.3, 2.7)
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    n = finite.size
    if n == 0:
        return NotRun(reason="no images")
    mean = float(finite.mean())
    if n == 1:
        return Estimate(value=mean, low=None, high=None, n=1, method="no interval: one image")
    sd = float(finite.std())
    method = "bootstrap over images (BCa)"
    if sd <= 1e-14 * abs(mean):
        return Estimate(value=mean, low=mean, high=mean, n=n, method=method)
    z = (finite - mean) / sd
    skew, excess = float((z**3).mean()), float((z**4).mean()) - 3
    tail = np.array([-NORMAL_95, NORMAL_95])
    a = skew / (6 * np.sqrt(n))
    shifted = a + (a + tail) / np.maximum(1 - a * (a + tail), 0.1)
    if n <= SIMULATE_BELOW:
        drawn = resampled_means(finite, np.random.default_rng(seed), RESAMPLES)
        low, high = np.quantile(drawn, ndtr(shifted))
    else:
        low, high = mean + sd / np.sqrt(n) * _cornish_fisher(shifted, skew, excess, n)
    return Estimate(value=mean, low=float(low), high=float(high), n=n, method=method)


@lru_cache(maxsize=4)
def draws(rows: int, seed: int) -> Float32:
    """Returns how often each row is in each bootstrap draw, float32 [SHARED_DRAWS, rows].

    >>> draws(3, 0).shape, set(draws(3, 0).sum(axis=1).tolist())
    ((1000, 3), {3.0})
    """
    counts = np.zeros((SHARED_DRAWS, rows), dtype=np.float32)
    rng = np.random.default_rng(seed)
    for number in range(SHARED_DRAWS if rows else 0):
        counts[number] = np.bincount(rng.integers(0, rows, rows), minlength=rows)
    counts.setflags(write=False)
    return counts


def around_draws(value: float, drawn: Float64, n: int, method: str) -> Estimate:
    """Returns a value with the middle 95 % of its draws, stretched to hold the value."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(
        value=value, low=min(float(low), value), high=max(float(high), value), n=n, method=method
    )


def band(values: Sequence[float] | Float64, n: int, unit: str = "none") -> Estimate:
    """Returns the mean over seeds with the middle 95 % of them.

    Args:
        values: One per seed.
        n: Units that each rests on.
        unit: What they count.
    """
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(
        value=float(np.mean(values)),
        low=float(low),
        high=float(high),
        unit=unit,
        n=n,
        method=f"band over {len(values)} seeds",
    )


def resampled_means(values: Float64, rng: np.random.Generator, draws: int) -> Float64:
    """Returns the means of bootstrap draws of the images.

    Args:
        values: [..., n]; a draw takes the same images in each row.
        rng: Source of the draws.
        draws: How many.

    Returns:
        [..., draws].
    """
    n = values.shape[-1]
    rows = max(1, 200_000 // n)  # resamples drawn at once: bounds memory, keeps small n fast
    means = [
        values[..., rng.integers(0, n, (min(rows, draws - at), n), dtype=np.uint32)].mean(-1)
        for at in range(0, draws, rows)
    ]
    return np.concatenate(means, axis=-1)


def _cornish_fisher(z: Float64, skew: float, excess: float, n: int) -> Float64:
    """Returns quantiles of the standardised mean of n draws from data with these cumulants."""
    g, k = skew / np.sqrt(n), excess / n
    bent = z + (z**2 - 1) * g / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * g**2 / 36
    return np.asarray(bent, dtype=np.float64)


def delete_one(
    value: float,
    without: npt.ArrayLike,
    *,
    low: float = -np.inf,
    high: float = np.inf,
) -> Figure:
    """Returns the delete-one-image jackknife: t interval with n - 1 degrees of freedom.

    The interval is around the bias-corrected estimate, and stretched to hold `value`.

    Args:
        value: The estimate from all n images.
        without: [n], the estimate with image i left out.
        low: Smallest value possible, where the interval is cut.
        high: Largest value possible.
    """
    left_out = np.asarray(without, dtype=np.float64)
    n = left_out.size
    variance = (n - 1) / n * float(((left_out - left_out.mean()) ** 2).sum())
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * np.sqrt(variance)
    centre = n * value - (n - 1) * float(left_out.mean())
    return _interval(value, centre, half, n, "jackknife over images", low, high)


def mean_interval(
    total: float, squares: float, n: int, *, low: float = -np.inf, high: float = np.inf
) -> Figure:
    """Returns the mean and interval that `delete_one` gives, from sums instead of the n values.

    Args:
        total: Sum of the values.
        squares: Sum of their squares.
        n: Number of values.
        low: Smallest value possible.
        high: Largest value possible.

    >>> round(mean_interval(6.0, 14.0, 3).high, 6) == round(delete_one(2.0, [2.5, 2, 1.5]).high, 6)
    True
    """
    if n == 0:
        return NotRun(reason="no images")
    if n == 1:
        return exact(total, 1, "no interval: one image")
    variance = max(0.0, squares / n - (total / n) ** 2) / (n - 1)
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * float(np.sqrt(variance))
    return _interval(total / n, total / n, half, n, "jackknife over images", low, high)


def delete_shard(
    value: float,
    without: npt.ArrayLike,
    images: Int64,
    *,
    low: float = -np.inf,
    high: float = np.inf,
) -> Figure:
    """Returns the delete-one-shard jackknife for shards of unequal size (Busing et al. 1999).

    Args:
        value: The estimate from all shards.
        without: [J], the estimate with shard j left out.
        images: [J], images in each shard, all positive.
        low: Smallest value possible.
        high: Largest value possible.

    Returns:
        The estimate; without interval below 16 shards, where t intervals are not to be trusted.
    """
    left_out = np.asarray(without, dtype=np.float64)
    shards, n = left_out.size, int(images.sum())
    if shards < MIN_SHARDS:
        method = f"no interval: {shards} shards, {MIN_SHARDS} are needed"
        return Estimate(value=value, low=None, high=None, n=n, method=method)
    h = n / images
    centre = shards * value - float(((1 - 1 / h) * left_out).sum())
    pseudo = h * value - (h - 1) * left_out
    variance = float(((pseudo - centre) ** 2 / (h - 1)).sum()) / shards
    half = float(stdtrit(shards - 1, (1 + LEVEL) / 2)) * np.sqrt(variance)
    return _interval(value, centre, half, n, f"jackknife over {shards} shards", low, high)


def _interval(
    value: float, centre: float, half: float, n: int, method: str, low: float, high: float
) -> Estimate:
    ends = max(low, centre - half), min(high, centre + half)
    ends = min(ends[0], value), max(ends[1], value)
    return Estimate(value=value, low=float(ends[0]), high=float(ends[1]), n=n, method=method)


def exact(value: float, n: int, method: str, unit: str = "none") -> Estimate:
    """Returns a figure without an interval: it is exact, or `method` gives the reason."""
    return Estimate(value=float(value), low=None, high=None, unit=unit, n=n, method=method)


def newcombe(first: tuple[int, int], second: tuple[int, int], reach: float = 1.0) -> Estimate:
    """Returns the difference of two independent proportions, second minus first (Newcombe 1998).

    Args:
        first: Hits and images, at least one image.
        second: Hits and images, at least one image.
        reach: That of the first, as for `wilson_bounds`.

    >>> change = newcombe((56, 70), (48, 80))
    >>> round(change.value, 3), round(change.low, 4), round(change.high, 4)
    (-0.2, -0.3339, -0.0524)
    """
    (hits, n), (others, m) = first, second
    p, q = hits / n, others / m
    ends, theirs = wilson_bounds([hits], n, reach), wilson_bounds([others], m)
    low, high = (float(end[0]) for end in ends)
    their_low, their_high = (float(end[0]) for end in theirs)
    value = q - p
    return Estimate(
        value=value,
        low=max(-1.0, value - float(np.hypot(q - their_low, high - p))),
        high=min(1.0, value + float(np.hypot(their_high - q, p - low))),
        unit="points",
        n=n + m,
        method=f"Newcombe, {n:,} and {m:,} images",
    )


def paired_difference(gained: int, lost: int, n: int, reach: float = NORMAL_95) -> Estimate:
    """Returns the difference of two proportions on the same images, (gained - lost) / n.

    Wald's interval with one image added to either kind of change (Bonett and Price 2012), which
    covers well down to small samples; stretched to hold the difference itself.

    Args:
        gained: Images that only the first is right on.
        lost: Images that only the second is right on.
        n: Images.
        reach: Standard errors from the middle to either end.

    >>> change = paired_difference(gained=2, lost=12, n=100)
    >>> round(change.value, 3), round(change.low, 3), round(change.high, 3)
    (-0.1, -0.173, -0.024)
    """
    value = (gained - lost) / n
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = reach * float(np.sqrt(max(0.0, up + down - (up - down) ** 2) / (n + 2)))
    low, high = max(-1.0, up - down - half), min(1.0, up - down + half)
    return Estimate(
        value=value,
        low=min(low, value),
        high=max(high, value),
        unit="points",
        n=n,
        method="paired, Bonett-Price",
    )
