"""Which of several figures differ: Holm's correction for looking at all of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, sqrt
from typing import Final

from tuiprobe.numbers import NORMAL_95
from tuiprobe.results import Estimate

LEVEL: Final = 0.05


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
