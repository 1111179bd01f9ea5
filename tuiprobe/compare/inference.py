"""The difference of two figures: interval, p, correction for several tests, and power."""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, hypot, sqrt
from statistics import NormalDist
from typing import Final

from tuiprobe.numbers import NORMAL_95, unit_of_difference
from tuiprobe.results import Estimate, Figure, NotRun, given

LEVEL: Final = 0.05
POWER: Final = 0.8
"""Chance of telling two runs apart for which the smallest difference is given."""


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
    return (
        change.low is not None and change.high is not None and (change.low > 0 or change.high < 0)
    )


def p_value(change: Estimate) -> float | None:
    """Returns the two-sided p of a difference being zero, from its interval; None without one.

    The end on the side of zero lies 1.96 standard errors away, so p is below .05 exactly where the
    interval excludes zero.

    >>> round(p_value(Estimate(value=1.0, low=0.0, high=2.0, n=9, method="m")), 9)
    0.05
    """
    if change.low is None or change.high is None:
        return None
    if not change.value:
        return 1.0
    reach = change.value - change.low if change.value > 0 else change.high - change.value
    return erfc(NORMAL_95 * abs(change.value) / reach / sqrt(2)) if reach else 0.0


def holm(values: Sequence[float]) -> list[float]:
    """Returns Holm's adjusted p of each of several tests (Holm 1979).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    adjusted, largest = [1.0] * len(values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, (len(values) - rank) * values[i])
        adjusted[i] = min(1.0, largest)
    return adjusted


def detectable(change: Estimate, tests: int = 1) -> float | None:
    """Returns the smallest true difference that `POWER` of such samples would detect.

    None if the measured one has no interval.

    Args:
        change: A measured difference; its interval says how precisely it is known.
        tests: Number of differences that are tested together.

    >>> round(detectable(Estimate(value=0.1, low=0.08, high=0.12, n=9, method="m")), 4)
    0.0286
    """
    if change.low is None or change.high is None:
        return None
    error = (change.high - change.low) / 2 / NORMAL_95
    normal = NormalDist()
    return error * (normal.inv_cdf(1 - LEVEL / 2 / tests) + normal.inv_cdf(POWER))
