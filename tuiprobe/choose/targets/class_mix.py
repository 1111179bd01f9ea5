"""How many answers can be right if a set has the classes of the labels in distribution.

If the classes of a set are as frequent as among these labels, answers that are much more often of
some classes must be wrong: accuracy is at most 1 - TV, where TV is the total variation distance
between the shares of the classes among the answers and among the labels of the same images.

Those labels are unknown, so the shares of a labelled sample stand for them, and the noise of both
samples is subtracted. The mean of the distance of two samples of one mix is bounded by Jensen's
inequality, its deviation by McDiarmid's; the excess of one to three classes by Hoeffding's
inequality with a union over all these sets. Each of the two holds with 97.5 %. With the mean noise
in place of these terms the bound lay below the accuracy of good models in half of the cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, log, sqrt
from typing import Annotated, Final, NamedTuple

import numpy as np

from tuiprobe.channels.array_types import Int64
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.probes.base.confidence import Logits, on_classes_of
from tuiprobe.probes.intervals import exact
from tuiprobe.results import NotRun
from tuiprobe.results.base import Count, Frozen, Many, Real, Share
from tuiprobe.results.figures import Fig

MISSED: Final = 0.025
"""Chance that each of the two parts of the bound is too low."""

NO_ANSWER: Final = "no answer"
"""The class of images whose representation is zero, which count as wrong."""

MOST_NAMED: Final = 3
"""Classes whose excess is bounded together, and named."""


class MixBound(NamedTuple):
    """The largest accuracy that agrees with an unchanged mix of classes.

    Attributes:
        most_right: A share, with 95 % confidence; 1 where the mix excludes nothing.
        carriers: int64 [1 to 3], the classes whose share among the answers exceeds that among the
            labels most, largest excess first; as many as exclude most.
    """

    most_right: float
    carriers: Int64


def bound_accuracy(labels: Int64, answers: Int64) -> MixBound:
    """Bounds the accuracy on a set whose classes are as frequent as among labels.

    Args:
        labels: int64 [K], labels of each class in distribution, K >= 2; not all 0.
        answers: int64 [K], answers of each class on the set; not all 0.

    >>> bound = bound_accuracy(np.full(5, 200), np.array([920, 20, 20, 20, 20]))
    >>> round(bound.most_right, 3), bound.carriers.tolist()
    (0.36, [0])
    """
    first, n = int(labels.sum()), int(answers.sum())
    noise = 1 / n + 1 / first
    excess = answers / n - labels / first
    distance = abs(excess).sum() / 2
    distance -= sqrt((excess.size - 1) * noise) / 2 + sqrt(log(1 / MISSED) / 2 * noise)
    order = np.argsort(-excess, kind="stable")[: min(MOST_NAMED, excess.size - 1)]
    sets = MOST_NAMED * np.array([comb(excess.size, m + 1) for m in range(order.size)])
    together = excess[order].cumsum() - np.sqrt(np.log(sets / MISSED) / 2 * noise)
    wrong = max(float(distance), float(together.max()), 0.0)
    return MixBound(1 - wrong, order[: int(together.argmax()) + 1])


class ClassShares(Frozen):
    """How frequent a class is.

    Attributes:
        name: Its name.
        answers: Share of the answers on the set.
        labels: Share of the labels in distribution, of those whose class may be answered.
    """

    name: str
    answers: Real
    labels: Real


class ClassMix(Frozen):
    """How many answers can be right if classes are as frequent as in distribution.

    Attributes:
        most_right: The bound, with 95 % confidence; n counts images of the set.
        labels: Labels in distribution that it is computed from.
        carriers: The one to three classes that carry the difference, largest first.
    """

    most_right: Annotated[
        Share, Fig("most_right", "most that can be right if classes are as frequent as in "
                   "distribution", "class-mix", role="estimate")
    ]  # fmt: skip
    labels: Count
    carriers: Many[ClassShares]


def class_mix(
    id_set: SetFeatures, logits: Logits, answers: Int64, names: Sequence[str]
) -> ClassMix | NotRun:
    """Compares the classes of the answers on a set with those of the labels in distribution.

    Args:
        id_set: The in-distribution set.
        logits: Of the set, under its class mask.
        answers: int64 [n >= 1], the classes that are answered on it.
        names: Name of each class, by ascending class.
    """
    labelled = on_classes_of(logits.head.weight.shape[0], id_set, logits.set)
    if isinstance(labelled, NotRun):
        return labelled
    labels, classes = np.asarray(labelled.labels), np.unique(logits.classes)
    if not labels.size or classes.size < 2:
        return NotRun(reason=f"no labels of {id_set.name} of two classes that may be answered")
    answered = np.searchsorted(classes, answers)
    answered[~logits.set.features.any(axis=1)] = classes.size
    names = [*names, NO_ANSWER]
    kinds = max(classes.size, int(answered.max()) + 1)
    of_labels = np.bincount(np.searchsorted(classes, labels), minlength=kinds)
    of_answers = np.bincount(answered, minlength=kinds)
    bound = bound_accuracy(of_labels, of_answers)
    return ClassMix(
        most_right=exact(
            bound.most_right, answers.size, "95 % bound if classes are as in distribution"
        ),
        labels=labels.size,
        carriers=tuple(
            ClassShares(
                name=names[i],
                answers=float(of_answers[i] / answers.size),
                labels=float(of_labels[i] / labels.size),
            )
            for i in bound.carriers
        ),
    )
