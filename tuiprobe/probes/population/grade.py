"""Does height tell effective robustness beyond accuracy? Asked of filed models only.

Effective robustness is regressed on ImageNet accuracy, and on accuracy and height; the models of
one pretraining set are predicted from those of all others. Height adds something if the second
error is smaller by more than its spread over the sets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from tuiprobe.catalog.left_out import FEWEST_FAMILIES, FEWEST_MODELS
from tuiprobe.catalog.signatures import Signature
from tuiprobe.probes.population.result import Grade
from tuiprobe.results import Estimate, NotRun

Question = tuple[str, str, str]
"""Baseline of an effective robustness, where it comes from, and its shifts."""


def grade(filed: Sequence[Signature]) -> Grade | NotRun:
    """Returns what height adds to accuracy, or why that cannot be said.

    Args:
        filed: Trained models of one kind, measured on one source of images.
    """
    usable = [
        one
        for one in filed
        if None not in (one.height, one.robustness, one.imagenet) and one.pretraining
    ]
    counts = Counter(_question(one) for one in usable)
    question = max(counts, key=lambda one: counts[one]) if counts else ("", "", "")
    kept = [one for one in usable if _question(one) == question]
    sets = sorted({one.pretraining for one in kept})
    if len(kept) < FEWEST_MODELS or len(sets) < FEWEST_FAMILIES:
        return NotRun(
            reason=f"{len(kept)} filed models of {len(sets)} pretraining sets have height, "
            "ImageNet accuracy and the same effective robustness; "
            f"{FEWEST_MODELS} of {FEWEST_FAMILIES} are needed"
        )
    y = np.array([one.robustness[0] for one in kept if one.robustness])
    alone = np.array([[1.0, one.imagenet] for one in kept if one.imagenet is not None])
    height = np.array([one.height[0] for one in kept if one.height])
    of = np.array([one.pretraining for one in kept])
    error_alone = errors_left_out(alone, y, of)
    error = errors_left_out(np.column_stack([alone, height]), y, of)
    gain = _gain(error_alone - error)
    return Grade(
        baseline=question[0],
        models=len(kept),
        sets=len(sets),
        error=float(error.mean()),
        error_alone=float(error_alone.mean()),
        gain=gain,
        better=gain.low is not None and gain.low > 0,
    )


def errors_left_out(
    design: NDArray[np.float64], y: NDArray[np.float64], of: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Returns the mean absolute error of each group, predicted by least squares on the others.

    Args:
        design: One row a model, `[n, p]`.
        y: What is predicted, `[n]`.
        of: Group of each model, `[n]`; errors come in the order of their sorted names.
    """
    found = []
    for name in np.unique(of):
        out = of == name
        beta = np.linalg.lstsq(design[~out], y[~out], rcond=None)[0]
        found.append(float(np.abs(design[out] @ beta - y[out]).mean()))
    return np.array(found)


def _gain(differences: NDArray[np.float64]) -> Estimate:
    n = differences.size
    half = float(stdtrit(n - 1, 0.975) * differences.std(ddof=1) / n**0.5)
    value = float(differences.mean())
    return Estimate(
        value=value, low=value - half, high=value + half, n=n, method="t over pretraining sets"
    )


def _question(one: Signature) -> Question:
    return one.baseline, one.robustness_from, one.shifts
