"""Shares of images with Wilson's interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tuiprobe.numbers import NORMAL_95
from tuiprobe.results.base import Estimate, Figure, NotRun

_Float64 = npt.NDArray[np.float64]

LEFT_OUT_REACH: Final = 1.35
"""How much wider ranges are of images that a head was fitted to, each answered without it.

The share of right answers varies more about the accuracy of the head fitted to all than a binomial
share does: its standard deviation is 1.1 to 1.35 times as large (docs/heads.md).
"""

MOST_UNANSWERED: Final = 0.05
"""Share of images without an answer that count as wrong; where more have none, it is not known."""


def wilson_bounds(hits: npt.ArrayLike, n: int, reach: float = 1.0) -> tuple[_Float64, _Float64]:
    """Returns Wilson's interval for hits / n, vectorised (equals scipy's `proportion_ci`).

    Args:
        hits: Each number of hits.
        n: Number of trials.
        reach: What the normal quantile is multiplied by. Where it is not 1, at most one miss
            leaves certainty possible: the upper end is 1.

    >>> low, high = wilson_bounds([0, 35], 35)
    >>> [round(float(x), 3) for x in (*low, *high)]
    [0.0, 0.901, 0.099, 1.0]
    """
    p = np.asarray(hits, dtype=np.float64) / n
    z2 = (reach * NORMAL_95) ** 2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low, high = np.maximum(middle - half, 0), np.minimum(middle + half, 1)
    certain = p * n >= n - (reach != 1)
    return np.where(p <= 0, 0, low), np.where(certain, 1, high)


def wilson(hits: int, n: int, reach: float = 1.0, undecided: int = 0) -> Figure:
    """Returns a proportion with Wilson's interval; `NotRun` for n = 0.

    Args:
        hits: Number of hits.
        n: Number of trials.
        reach: As for `wilson_bounds`.
        undecided: Misses that predict no further trial; at the upper end they are hits.
    """
    if n == 0:
        return NotRun(reason="no images")
    low, high = wilson_bounds(hits, n, reach)[0], wilson_bounds(hits + undecided, n, reach)[1]
    method = "Wilson" if reach == 1 else f"Wilson, {reach:g} times as wide"
    return Estimate(
        value=hits / n, low=float(low), high=float(high), unit="share", n=n, method=method
    )


def share_right(right: int, n: int, unknown: int, reach: float = 1.0, undecided: int = 0) -> Figure:
    """Returns the share of right answers among n images, some of which have no answer.

    These count as wrong up to `MOST_UNANSWERED` of all, and as unknown above.

    Args:
        right: Right answers.
        n: All images.
        unknown: Those without an answer.
        reach: As for `wilson_bounds`.
        undecided: As for `wilson`.
    """
    if many_empty(unknown, n):
        return wilson_unknown(right, n, unknown, reach)
    return wilson(right, n, reach, undecided)


def many_empty(unknown: int, n: int) -> bool:
    """Returns whether so many of n images have no answer that they count as unknown."""
    return unknown > MOST_UNANSWERED * n


def wilson_unknown(hits: int, n: int, unknown: int, reach: float = 1.0) -> Figure:
    """Returns the share of hits where some trials have no result, which may be hits or misses.

    Args:
        hits: Number of hits.
        n: Number of trials.
        unknown: Those without a result.
        reach: As for `wilson_bounds`.

    Returns:
        The share of those with a result; its ends are those of no further hit, and of hits alone.

    >>> share = wilson_unknown(175, 400, 200)
    >>> [round(x, 3) for x in (share.value, share.low, share.high)]
    [0.875, 0.39, 0.957]
    """
    if unknown >= n:
        return NotRun(reason="no image has an answer")
    ends = [wilson_bounds(number, n, reach) for number in (hits, hits + unknown)]
    return Estimate(
        value=hits / (n - unknown),
        low=float(ends[0][0]),
        high=float(ends[1][1]),
        unit="share",
        n=n,
        method=f"Wilson, {unknown:,} without an answer wrong or right",
    )


def mean_share(shares: Sequence[Estimate], *, unanswered: bool = False) -> Estimate:
    """Returns the mean of shares of several sets, with the binomial error of each (delta method).

    Args:
        shares: At least one, each with its number of trials and its interval.
        unanswered: Whether many trials have no result; the ends are then the means of the ends.

    >>> mean = mean_share([wilson(90, 100), wilson(50, 100)])
    >>> [round(x, 3) for x in (mean.low, mean.value, mean.high)]
    [0.642, 0.7, 0.758]
    """
    value = float(np.mean([share.value for share in shares]))
    # p is shrunk towards 1/2, so that a share of 0 or 1 does not count as certain.
    pulled = [(share.value * share.n + 2) / (share.n + 4) for share in shares]
    variance = sum(p * (1 - p) / share.n for p, share in zip(pulled, shares, strict=True))
    half = NORMAL_95 * variance**0.5 / len(shares)
    low, high = value - half, value + half
    if unanswered:
        ends = np.array([(share.low, share.high) for share in shares], dtype=np.float64)
        low, high = map(float, ends.mean(axis=0))
    return Estimate(
        value=value,
        low=max(0.0, low),
        high=min(1.0, high),
        unit="share",
        n=sum(share.n for share in shares),
        method=f"binomial, mean of {len(shares)} sets",
    )
