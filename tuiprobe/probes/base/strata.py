"""Accuracy from labels of random pictures, drawn in turn from strata of equal size by confidence.

`tuiprobe label` draws so for one run, and an estimate without labels says how many labels that
takes.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

import numpy as np

from tuiprobe.channels.array_types import Float64, Int64
from tuiprobe.numbers import NORMAL_95

STRATA: Final = 5
CLOSE_ENOUGH: Final = 0.05
"""Half the width of the interval at which enough is labelled."""
FEWEST: Final = 25
"""Labels before which nothing is said to be enough."""

_STEPS = 60


def by_confidence(confidence: Float64) -> list[Int64]:
    """Returns the indices of the pictures of each stratum, of lowest confidence first."""
    return np.array_split(np.argsort(confidence, kind="stable"), STRATA)


def stratified_half_width(right: Float64, drawn: Int64, sizes: Int64) -> float:
    """Returns half the 95 % interval of the share of all pictures that are right.

    Args:
        right: [S], drawn pictures of each stratum that are right.
        drawn: [S], drawn pictures, at least one.
        sizes: [S], pictures of each stratum; of an exhausted one nothing is uncertain.
    """
    p = (right + 1) / (drawn + 2)
    error = (sizes / sizes.sum()) ** 2 * p * (1 - p) / drawn * (1 - drawn / sizes)
    return (NORMAL_95 + 2.4 / max(int(drawn.sum()) - STRATA, 2)) * sqrt(float(error.sum()))


def labels_needed(confidence: Float64, accuracy: float) -> int:
    """Returns how many labels of these pictures give an accuracy to 5 points.

    Args:
        confidence: [N] of the model; strata are right as often as it says, all of them shifted on
            the scale of logits until they give `accuracy`.
        accuracy: Share of the pictures that are expected to be right.

    >>> labels_needed(np.full(500, 0.5), 0.5), labels_needed(np.full(20, 0.5), 0.5)
    (219, 20)
    """
    strata = [part for part in by_confidence(confidence) if part.size]
    sizes = np.array([part.size for part in strata])
    share = _shifted(np.array([confidence[part].mean() for part in strata]), sizes, accuracy)
    total = int(sizes.sum())
    for labels in range(min(FEWEST, total), total):
        each, left = divmod(labels, sizes.size)
        drawn = np.minimum(each + (np.arange(sizes.size) < left), sizes)
        if drawn.all() and stratified_half_width(share * drawn, drawn, sizes) <= CLOSE_ENOUGH:
            return labels
    return total


def _shifted(share: Float64, sizes: Int64, mean: float) -> Float64:
    """Returns shares shifted on the scale of logits so that all pictures together give a mean."""
    from scipy.special import expit, logit  # late: labels need none of it

    scores, low, high = logit(np.clip(share, 1e-6, 1 - 1e-6)), -20.0, 20.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        reached = float(np.average(expit(scores + middle), weights=sizes))
        low, high = (middle, high) if reached < mean else (low, middle)
    return np.asarray(expit(scores + low))
