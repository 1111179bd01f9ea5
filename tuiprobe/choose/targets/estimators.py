"""Estimators of accuracy on images without labels, and how far off they may be.

- ATC, average thresholded confidence (Garg et al. 2022, arXiv 2201.04234): the threshold below
  which as many in-distribution images lie as are wrong; the share of the set's images above it.
- Difference of confidences (Guillory et al. 2021, arXiv 2107.03315): in-distribution accuracy less
  the fall in mean confidence.

Both take probabilities at temperatures that were fitted to the other half of the in-distribution
set (`tuiprobe.probes.base.confidence`); what the halves give is averaged.

An estimate predicts a drop, s - ATC, from the accuracy s in distribution. On natural shifts the
drop that is measured is larger on average: its ratio to the predicted one is `k`. It is fitted to
the run's labelled shifts, and pulled towards `PRIOR_K`, which stands alone where there is no
labelled shift. `benchmarks/estimates.py` recomputes the constants and their coverage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import hypot
from typing import Final, Literal, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from tuiprobe.channels.array_types import Bool, Float64
from tuiprobe.numbers import NORMAL_95
from tuiprobe.probes.base.confidence import Confidences, CrossFitted, Logits
from tuiprobe.probes.intervals import around_draws
from tuiprobe.results import Estimate, Figure

Estimator = Literal["atc_entropy", "difference"]

HEADLINE: Final[Estimator] = "atc_entropy"
"""Fixed before any data were seen."""

ESTIMATORS: Final[dict[Estimator, str]] = {
    "atc_entropy": "ATC by entropy",
    "difference": "difference of confidences",
}
"""What people call each estimator."""


DRAWS = 1000


CELLS = 1024
"""Groups of neighbouring scores that images are drawn by; where fewer scores differ, each one."""


SEED = 21


Thresholds: TypeAlias = tuple[Float64, Float64, Float64, Bool]
"""Of each draw: the ends of the cell that holds the threshold, the part of it that lies below the
threshold, and whether every score does; [B] each."""

_DRAWN = WeakKeyDictionary[CrossFitted, tuple[list[Thresholds], np.random.Generator]]()
"""Thresholds of both halves, which are the same for all sets under one class mask."""


def estimates(
    source: CrossFitted, target: Logits
) -> tuple[Mapping[Estimator, Figure], Confidences]:
    """Returns the accuracy by each estimator, and the confidences that it rests on.

    Args:
        source: In-distribution images under the set's class mask.
        target: The set's logits; labels are not looked at.

    Returns:
        Figures by estimator; confidence and entropy at the mean of the two halves.
    """
    first, second = (target.confidences(temperature) for temperature in source.halves)
    confidence = (first.confidence + second.confidence) / 2
    entropy = (first.entropy + second.entropy) / 2
    figures: dict[Estimator, Figure] = {
        # Each half, and the scores of the set at the temperature of the other half.
        "atc_entropy": _thresholded_with_interval(source, [-second.entropy, -first.entropy]),
        "difference": _difference(source, confidence),
    }
    return figures, Confidences(first.answer, confidence, entropy)


def thresholded(scores: Float64, right: Bool, others: Float64) -> float:
    """Returns the share of other scores that average thresholded confidence takes for right.

    Scores tied at the threshold count in part, so that in-distribution scores give exactly their
    accuracy.

    >>> right = np.array([False, True, True, True])
    >>> thresholded(np.array([0.2, 0.4, 0.6, 0.8]), right, np.array([0.1, 0.3, 0.5, 0.9]))
    0.5
    """
    cells = _Cells(scores, right, most=scores.size)
    wrong = np.array([float((~right).sum())])
    thresholds = cells.thresholds(cells.counts.sum(axis=0)[None].astype(float), wrong)
    return 1 - float(_below(thresholds, others)[0])


def _thresholded_with_interval(source: CrossFitted, others: Sequence[Float64]) -> Estimate:
    """Returns the mean over the halves with its bootstrap interval.

    Args:
        source: In-distribution images.
        others: The set's scores, [m], for each half.
    """
    halves = [
        (-source.scores.entropy[half], source.right[half])
        for half in (~source.second, source.second)
    ]
    value = float(np.mean([thresholded(*h, o) for h, o in zip(halves, others, strict=True)]))
    if source not in _DRAWN:
        rng = np.random.default_rng(SEED)
        _DRAWN[source] = [_Cells(*half, most=CELLS).drawn(rng) for half in halves], rng
    drawn_thresholds, rng = deepcopy(_DRAWN[source])
    below = np.zeros(DRAWS)
    for thresholds, scores in zip(drawn_thresholds, others, strict=True):
        below += _below(thresholds, scores) / len(halves)
    n = others[0].size
    # At a fixed threshold, the number of drawn images below it is binomial. One image is added on
    # either side, so that a few images that all lie on one side do not count as certain.
    drawn = 1 - rng.binomial(n, (n * np.clip(below, 0, 1) + 1) / (n + 2)) / n
    return around_draws(value, drawn, n, "bootstrap over both sets, thresholds refitted")


class _Cells:
    """In-distribution scores in ascending cells.

    Args:
        scores: [n], in-distribution.
        right: [n].
        most: Number of cells at most.
    """

    def __init__(self, scores: Float64, right: Bool, most: int) -> None:
        values, inverse = np.unique(scores, return_inverse=True)
        cell = np.arange(values.size) * min(most, values.size) // values.size
        first = np.flatnonzero(np.diff(cell, prepend=-1))
        last = np.append(first[1:], values.size) - 1
        self._lowest, self._highest = values[first], values[last]
        self.counts = np.stack(
            [np.bincount(cell[inverse[kind]], minlength=first.size) for kind in (right, ~right)]
        )

    def thresholds(self, weights: Float64, wrong: Float64) -> Thresholds:
        """Returns the threshold of each draw.

        Args:
            weights: [B, cells], images of each draw.
            wrong: [B], wrong answers of each draw.
        """
        total = weights.cumsum(axis=1)
        at = (total <= wrong[:, None]).sum(axis=1)
        inside = np.minimum(at, weights.shape[1] - 1)
        draw = np.arange(len(weights))
        in_cell = weights[draw, inside]
        part = (wrong - (total[draw, inside] - in_cell)) / np.maximum(in_cell, 1)
        return self._lowest[inside], self._highest[inside], part, at == weights.shape[1]

    def drawn(self, rng: np.random.Generator) -> Thresholds:
        """Returns `thresholds` of `DRAWS` draws of in-distribution images."""
        counts = self.counts.ravel()
        weights = (
            rng.multinomial(counts.sum(), counts / counts.sum(), size=DRAWS)
            .astype(float)
            .reshape(DRAWS, 2, -1)
        )
        return self.thresholds(weights.sum(axis=1), weights[:, 1].sum(axis=1))


def _below(thresholds: Thresholds, others: Float64) -> Float64:
    """Returns the share of other scores [m] below each threshold, [B]."""
    lowest, highest, part, every = thresholds
    ranked = np.sort(others)
    under = np.searchsorted(ranked, lowest, side="left") / others.size
    within = np.searchsorted(ranked, highest, side="right") / others.size
    return np.where(every, 1.0, under + part * (within - under))


def _difference(source: CrossFitted, confidence: Float64) -> Figure:
    gap = source.right - source.scores.confidence
    value = float(gap.mean() + confidence.mean())
    variance = float(gap.var() / gap.size + confidence.var() / confidence.size)
    half = NORMAL_95 * variance**0.5
    value = min(1.0, max(0.0, value))
    return Estimate(
        value=value,
        low=max(0.0, value - half),
        high=min(1.0, value + half),
        n=confidence.size,
        method="normal error of both sets",
    )


PRIOR_K: Final = 1.35
"""`k` of ATC by entropy without labelled shifts."""
PRIOR_K_DIFFERENCE: Final = 2.0
"""`k` of the difference of confidences without labelled shifts."""
PRIOR_WEIGHT: Final = 0.005
"""Weight of the prior, in squared accuracy: a shift that was predicted to lose 7 points."""
LEAST_K: Final = 0.25
MOST_K: Final = 4.0

FLOOR: Final = 0.05
SLOPE: Final = 0.1
"""Half of an 80 % range grows with the scaled drop: `FLOOR + SLOPE * drop`, times one of these."""
WITH_SHIFTS: Final = 1.34
WITHOUT_SHIFTS: Final = 2.8
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
    """Expected and measured accuracy of a labelled set, as shares.

    Attributes:
        data: Name of the set.
        id_accuracy: Accuracy in distribution, under the set's class mask.
        expected: Accuracy that the estimator expects.
        measured: Accuracy by the labels.
        chance: One over the classes that may be answered.
    """

    data: str
    id_accuracy: float
    expected: float
    measured: float
    chance: float = 0.0


def fit_scale(shifts: Sequence[ShiftEstimate], prior: float = PRIOR_K) -> float:
    """Returns `k`: the measured drops over the predicted ones, by least squares with a prior.

    >>> fit_scale([])
    1.35
    >>> round(fit_scale([ShiftEstimate("sketch", 0.9, 0.8, 0.7)]), 3)
    1.783
    """
    products = sum((s.id_accuracy - s.expected) * (s.id_accuracy - s.measured) for s in shifts)
    squares = sum((s.id_accuracy - s.expected) ** 2 for s in shifts)
    k = (products + PRIOR_WEIGHT * prior) / (squares + PRIOR_WEIGHT)
    return min(max(k, LEAST_K), MOST_K)


def scaled_by(k: float, id_accuracy: float, expected: float, chance: float = 0.0) -> float:
    """Returns the scaled estimate, a share that is at least that of answers by chance.

    >>> round(scaled_by(1.5, 0.9, 0.8), 3), scaled_by(4.0, 0.9, 0.6, 0.25)
    (0.75, 0.25)
    """
    return min(max(id_accuracy - k * (id_accuracy - expected), chance), 1.0)


def left_out_errors(shifts: Sequence[ShiftEstimate], prior: float = PRIOR_K) -> list[float]:
    """Returns estimate less measured accuracy of each shift, with the `k` of the others."""
    errors = []
    for at, shift in enumerate(shifts):
        k = fit_scale([*shifts[:at], *shifts[at + 1 :]], prior)
        value = scaled_by(k, shift.id_accuracy, shift.expected, shift.chance)
        errors.append(value - shift.measured)
    return errors


def half_width(drop: float, errors: Sequence[float] = ()) -> float:
    """Returns half the 80 % range around a scaled estimate, in accuracy.

    Args:
        drop: The scaled drop, `k` times the predicted one.
        errors: Errors of the left-out shifts; none where the run has no labelled shift.

    >>> round(half_width(0.2), 4), round(half_width(0.2, [0.1, -0.1]), 4)
    (0.196, 0.16)
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
