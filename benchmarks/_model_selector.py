"""Model Selector, from the paper: Okanovic et al., AISTATS 2025 (arXiv 2410.13609)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from tuiprobe.choose.labelling.betting import Floats, Ints

_ERROR: Final = 0.45
"""How often the best model errs, in its likelihood: what its authors use for these answers."""


def model_selector(answers: Ints, labels: Ints, draws: np.random.Generator) -> Iterator[int]:
    """Yields the picture that tells most about which model is the best.

    The posterior of each model is multiplied by (1 - e) / e where it is right. Next is the picture
    whose label leaves the least entropy in the mean over all classes, taken as equally likely.

    Args:
        answers: int64 `[M, N]`.
        labels: int64 `[N]`, what is right; that of a picture is used once it was yielded.
        draws: Breaks ties.
    """
    gain = (1 - _ERROR) / _ERROR
    weights = np.full(len(answers), 1 / len(answers))
    shuffled = draws.permutation(answers.shape[1])
    classes = np.unique(answers)
    votes = np.array([answers[:, shuffled] == c for c in classes], dtype=np.float64)
    unlabelled = np.ones(len(shuffled), dtype=bool)
    while unlabelled.any():
        left = np.where(unlabelled, _entropy_left(weights, votes, gain).round(12), np.inf)
        place = int(left.argmin())
        unlabelled[place] = False
        picture = int(shuffled[place])
        yield picture
        weights = weights * np.where(answers[:, picture] == labels[picture], gain, 1.0)
        weights /= weights.sum()


def _entropy_left(weights: Floats, votes: Floats, gain: float) -> Floats:
    """Returns the mean entropy of the posterior after each picture's label, `[N]`."""
    surprise = weights * np.log(np.maximum(weights, 1e-300))
    voted, surprised = np.einsum("vm,cmn->vcn", np.stack([weights, surprise]), votes, optimize=True)
    total = 1 + (gain - 1) * voted
    after = surprise.sum() + (gain - 1) * surprised + gain * np.log(gain) * voted
    return np.asarray((np.log(total) - after / total).mean(axis=0))
