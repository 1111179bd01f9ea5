"""95 % intervals of proportions and of their differences, in closed form."""

import numpy as np
import numpy.typing as npt

from tuiprobe.numbers import NORMAL_95
from tuiprobe.probes.inputs import Float64
from tuiprobe.results import Estimate, Figure, NotRun


def wilson_bounds(hits: npt.ArrayLike, n: int) -> tuple[Float64, Float64]:
    """Returns Wilson's interval for hits / n, vectorised (equals scipy's `proportion_ci`).

    >>> low, high = wilson_bounds([0, 35], 35)
    >>> [round(float(x), 3) for x in (*low, *high)]
    [0.0, 0.901, 0.099, 1.0]
    """
    p = np.asarray(hits, dtype=np.float64) / n
    z2 = NORMAL_95**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low, high = np.maximum(middle - half, 0), np.minimum(middle + half, 1)
    return np.where(p <= 0, 0, low), np.where(p >= 1, 1, high)


def wilson(hits: int, n: int) -> Figure:
    """Returns a proportion with Wilson's interval; `NotRun` for n = 0."""
    if n == 0:
        return NotRun(reason="no images")
    low, high = wilson_bounds(hits, n)
    return Estimate(
        value=hits / n, low=float(low), high=float(high), unit="share", n=n, method="Wilson"
    )


def newcombe(first: tuple[int, int], second: tuple[int, int]) -> Estimate:
    """Returns the difference of two independent proportions, second minus first (Newcombe 1998).

    Args:
        first: Hits and images, at least one image.
        second: Likewise.

    >>> change = newcombe((56, 70), (48, 80))
    >>> round(change.value, 3), round(change.low, 4), round(change.high, 4)
    (-0.2, -0.3339, -0.0524)
    """
    (hits, n), (others, m) = first, second
    p, q = hits / n, others / m
    ends, theirs = wilson_bounds([hits], n), wilson_bounds([others], m)
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


def paired_difference(gained: int, lost: int, n: int) -> Estimate:
    """Returns the difference of two proportions on the same images, (gained - lost) / n.

    Wald's interval with one image added to either kind of change (Bonett and Price 2012), which
    covers well down to small samples; stretched to hold the difference itself.

    >>> change = paired_difference(gained=2, lost=12, n=100)
    >>> round(change.value, 3), round(change.low, 3), round(change.high, 3)
    (-0.1, -0.173, -0.024)
    """
    value = (gained - lost) / n
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = NORMAL_95 * float(np.sqrt(max(0.0, up + down - (up - down) ** 2) / (n + 2)))
    low, high = max(-1.0, up - down - half), min(1.0, up - down + half)
    return Estimate(
        value=value,
        low=min(low, value),
        high=max(high, value),
        unit="points",
        n=n,
        method="paired, Bonett-Price",
    )
