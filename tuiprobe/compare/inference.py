"""The difference of two figures: its interval, and the levels of several models."""

from __future__ import annotations

from math import hypot, inf
from statistics import NormalDist
from typing import Final

from tuiprobe.numbers import NORMAL_95, unit_of_difference
from tuiprobe.results import Estimate, Figure, NotRun, given

LEVEL: Final = 0.05


def difference(first: Figure, second: Figure) -> Figure:
    """Returns second minus first, with Newcombe's square-and-add interval (Zou and Donner 2008).

    >>> first = Estimate(value=3.0, low=2.7, high=3.3, n=9, method="m")
    >>> second = Estimate(value=5.0, low=4.6, high=5.4, n=8, method="m")
    >>> change = difference(first, second)
    >>> change.value, round(change.low, 6), round(change.high, 6), change.n
    (2.0, 1.5, 2.5, 8)
    """
    if not given(first):
        return NotRun(reason=f"first: {first.reason}")
    if not given(second):
        return NotRun(reason=f"second: {second.reason}")
    value, n = second.value - first.value, min(first.n, second.n)
    unit = unit_of_difference(first.unit)
    if first.low is None or first.high is None or second.low is None or second.high is None:
        method = "one of the two has none"
        return Estimate(value=value, low=None, high=None, unit=unit, n=n, method=method)
    down = hypot(second.value - second.low, first.high - first.value)
    up = hypot(second.high - second.value, first.value - first.low)
    return Estimate(value=value, low=value - down, high=value + up, unit=unit, n=n, method="MOVER")


def excludes_zero(change: Estimate) -> bool:
    """Returns whether a difference has an interval, and zero lies outside it."""
    low, high = ends_of(change)
    return low > 0 or high < 0


def best_reach(models: int) -> float:
    """Returns how many standard errors behind another one a model is not the best of several.

    The best of them is compared with at most all others, one-sided: at `LEVEL` / (models - 1). Two
    models are compared in both directions, as any two figures.

    >>> round(best_reach(2), 3), round(best_reach(4), 3), round(best_reach(10), 3)
    (1.96, 2.128, 2.539)
    """
    return NormalDist().inv_cdf(1 - LEVEL / max(models - 1, 2))


def joint_reach(models: int) -> float:
    """Returns the half-width, in standard errors, with which ranges of all pairs hold together.

    >>> round(joint_reach(2), 3), round(joint_reach(4), 3), round(joint_reach(10), 3)
    (1.96, 2.638, 3.261)
    """
    return NormalDist().inv_cdf(1 - LEVEL / (models * (models - 1)))


def reaching(change: Figure, reach: float) -> Figure:
    """Returns a difference with the ends of its 95 % interval moved to another level.

    Args:
        change: A difference, or why there is none.
        reach: Standard errors from its value to either end.
    """
    if not given(change) or change.low is None or change.high is None:
        return change
    scale, value = reach / NORMAL_95, change.value
    low, high = value - scale * (value - change.low), value + scale * (change.high - value)
    return change.model_copy(update={"low": low, "high": high})


def ends_of(change: Figure) -> tuple[float, float]:
    """Returns the ends of the interval of a difference; infinite ones without an interval."""
    if not given(change) or change.low is None or change.high is None:
        return -inf, inf
    return change.low, change.high
