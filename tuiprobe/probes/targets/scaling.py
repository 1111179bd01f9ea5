"""Scales a label-free estimate by what labelled shifts lost, and says how far off it may be.

An estimate without labels predicts a drop, s - ATC, from the accuracy s in distribution. On natural
shifts the drop that is measured is larger on average: its ratio to the predicted one is `k`. It is
fitted to the run's labelled shifts, and pulled towards `PRIOR_K`, which stands alone where there is
no labelled shift. `benchmarks/estimates.py` recomputes the constants and their coverage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from typing import Final

PRIOR_K: Final = 1.35
"""`k` of ATC by entropy without labelled shifts."""
PRIOR_K_DIFFERENCE: Final = 2.0
"""`k` of the difference of confidences, likewise."""
PRIOR_WEIGHT: Final = 0.005
"""Weight of the prior, in squared accuracy: a shift that was predicted to lose 7 points."""
LEAST_K: Final = 0.25
MOST_K: Final = 4.0

FLOOR: Final = 0.05
SLOPE: Final = 0.1
"""Half of an 80 % range grows with the scaled drop: `FLOOR + SLOPE * drop`, times one of these."""
WITH_SHIFTS: Final = 1.34
WITHOUT_SHIFTS: Final = 1.6
FEW_WRONG_ANSWERS: Final = 2.0
"""For an estimate that rests on few wrong answers and no labelled shift, and so is not scaled."""
NOISE: Final = 0.2
"""Over the square root of these wrong answers: how far the threshold of confidence may be off."""
LEFT_OUT: Final = 1.6
"""Half of the range is at least this many times the mean error of the left-out shifts."""
CHECKED_FROM: Final = 2
"""Labelled shifts from which on their errors widen the range."""


@dataclass(frozen=True)
class ShiftEstimate:
    """A set with labels beside what was expected of it; accuracies are shares.

    Attributes:
        data: Name of the set.
        own: Accuracy in distribution, under the set's class mask.
        expected: Accuracy that the estimator expects.
        measured: Accuracy by the labels.
    """

    data: str
    own: float
    expected: float
    measured: float


def fit_scale(shifts: Sequence[ShiftEstimate], prior: float = PRIOR_K) -> float:
    """Returns `k`: the measured drops over the predicted ones, by least squares with a prior.

    >>> fit_scale([])
    1.35
    >>> round(fit_scale([ShiftEstimate("sketch", 0.9, 0.8, 0.7)]), 3)
    1.783
    """
    products = sum((s.own - s.expected) * (s.own - s.measured) for s in shifts)
    squares = sum((s.own - s.expected) ** 2 for s in shifts)
    k = (products + PRIOR_WEIGHT * prior) / (squares + PRIOR_WEIGHT)
    return min(max(k, LEAST_K), MOST_K)


def scaled_by(k: float, own: float, expected: float) -> float:
    """Returns the scaled estimate, a share.

    >>> round(scaled_by(1.5, 0.9, 0.8), 3)
    0.75
    """
    return min(max(own - k * (own - expected), 0.0), 1.0)


def left_out_errors(shifts: Sequence[ShiftEstimate], prior: float = PRIOR_K) -> list[float]:
    """Returns estimate less measured accuracy of each shift, with the `k` of the others."""
    errors = []
    for at, shift in enumerate(shifts):
        k = fit_scale([*shifts[:at], *shifts[at + 1 :]], prior)
        errors.append(scaled_by(k, shift.own, shift.expected) - shift.measured)
    return errors


def half_width(drop: float, errors: Sequence[float] = ()) -> float:
    """Returns half the 80 % range around a scaled estimate, in accuracy.

    Args:
        drop: The scaled drop, `k` times the predicted one.
        errors: Errors of the left-out shifts; none where the run has no labelled shift.

    >>> round(half_width(0.2), 4), round(half_width(0.2, [0.1, -0.1]), 4)
    (0.112, 0.16)
    """
    half = (WITH_SHIFTS if errors else WITHOUT_SHIFTS) * (FLOOR + SLOPE * max(drop, 0.0))
    if len(errors) < CHECKED_FROM:
        return half
    mean = sum(abs(error) for error in errors) / len(errors)
    return max(half, LEFT_OUT * mean)


def half_width_of_few(drop: float, wrong: int) -> float:
    """Returns half the 80 % range around an estimate that rests on few wrong answers.

    Args:
        drop: The drop, `k` of published shifts times the predicted one.
        wrong: Wrong answers in distribution.

    >>> round(half_width_of_few(0.2, 16), 4), half_width_of_few(0.2, 0)
    (0.1487, 1.0)
    """
    if not wrong:
        return 1.0
    return hypot(FEW_WRONG_ANSWERS * (FLOOR + SLOPE * max(drop, 0.0)), NOISE / wrong**0.5)
