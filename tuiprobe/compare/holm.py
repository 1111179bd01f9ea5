"""Which of several figures differ (Holm's correction), and how small a difference could show."""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, sqrt
from statistics import NormalDist
from typing import Final

from tuiprobe.numbers import NORMAL_95
from tuiprobe.results import Estimate

LEVEL: Final = 0.05
POWER: Final = 0.8
"""Chance of telling two runs apart that the smallest difference is said for."""


def p_value(one: Estimate) -> float | None:
    """Returns the two-sided p of a difference being zero, from its interval; None without one.

    The end on the side of zero lies 1.96 standard errors away, so p is below .05 exactly where the
    interval excludes zero.

    >>> round(p_value(Estimate(value=1.0, low=0.0, high=2.0, n=9, method="m")), 9)
    0.05
    """
    if one.low is None or one.high is None:
        return None
    reach = one.value - one.low if one.value > 0 else one.high - one.value
    if not one.value:
        return 1.0
    return erfc(NORMAL_95 * abs(one.value) / reach / sqrt(2)) if reach else 0.0


def holm(values: Sequence[float]) -> list[float]:
    """Returns Holm's adjusted p of each of several tests (Holm 1979).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    adjusted, largest = [1.0] * len(values), 0.0
    for place, i in enumerate(order):
        largest = max(largest, (len(values) - place) * values[i])
        adjusted[i] = min(1.0, largest)
    return adjusted


def detectable(difference: Estimate, tests: int = 1) -> float | None:
    """Returns the smallest true difference that would be told apart in `POWER` of such samples.

    Args:
        difference: One that was measured; its interval says how precisely. None without.
        tests: Number of differences that are tested together.

    >>> round(detectable(Estimate(value=0.1, low=0.08, high=0.12, n=9, method="m")), 4)
    0.0286
    """
    if difference.low is None or difference.high is None:
        return None
    error = (difference.high - difference.low) / 2 / NORMAL_95
    normal = NormalDist()
    return error * (normal.inv_cdf(1 - LEVEL / 2 / tests) + normal.inv_cdf(POWER))
