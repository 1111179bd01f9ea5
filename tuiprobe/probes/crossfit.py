"""Temperatures cross-fitted in two halves of the in-distribution set, under another set's classes.

No image is judged by a temperature or threshold that its own label helped to fit: each half is
scored with the temperature of the other one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tuiprobe.probes.confidence import UNKNOWN_SCALE, Confidences, Logits, scale_known
from tuiprobe.probes.heads import SetFeatures, answers_of
from tuiprobe.probes.inputs import Bool, Float64
from tuiprobe.results import Figure, NotRun, given
from tuiprobe.run.checked_arrays import HeadArrays

MIN_LABELLED = 30
"""Labelled images below which no temperature is fitted."""

ONE_CLASS: Final = NotRun(reason="only one class may answer, so every answer would count as right")
"""Why a set of one class has neither accuracy nor temperature among its own classes."""

FOLD_SEED = 20


def second_half(n: int) -> Bool:
    """Returns which of n images are in the second half of a seeded split, bool [n]."""
    return np.asarray(np.random.default_rng(FOLD_SEED).permutation(n) % 2 == 1)


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """The labelled in-distribution images under one class mask.

    Attributes:
        logits: Of the images whose class the mask allows.
        second: bool [n], the images of the second half.
        temperature: Fitted to all images; `NotRun` where no finite one fits best.
        halves: Temperatures fitted to the first and to the second half.
        scores: What the head says of each image at the temperature of the other half.
    """

    logits: Logits
    second: Bool
    temperature: Figure
    halves: tuple[float, float]
    scores: Confidences

    @property
    def right(self) -> Bool:
        """Whether each answer is right, bool [n]."""
        assert self.scores.right is not None  # `cross_fit` takes labelled sets only
        return self.scores.right

    @property
    def whole(self) -> float:
        """The temperature of all images, for sets without labels."""
        return self.temperature.value if given(self.temperature) else self.halves[0]


def cross_fit(head: HeadArrays, first: SetFeatures, images: SetFeatures) -> CrossFitted | NotRun:
    """Fits temperatures to the in-distribution images under the class mask of a set.

    Args:
        head: The head.
        first: The labelled in-distribution set.
        images: The set whose class mask holds.
    """
    source = on_classes_of(head.weight.shape[0], first, images)
    if isinstance(source, NotRun):
        return source
    if np.unique(answers_of(source, head.weight.shape[0])).size == 1:
        return ONE_CLASS
    n = source.features.shape[0]
    if n < MIN_LABELLED:
        where = f"{n} labelled images of {first.name}"
        return NotRun(reason=f"{where}, {MIN_LABELLED} are needed for a temperature")
    logits, second = Logits(head, source), second_half(n)
    whole = logits.fitted()
    if not given(whole) and not scale_known(head):
        return NotRun(reason=f"{UNKNOWN_SCALE.reason}, and no temperature can be fitted: "
                             f"{whole.reason}")  # fmt: skip
    otherwise = whole.value if given(whole) else 1.0
    halves = [logits.fitted(keep) for keep in (~second, second)]
    values = [half.value if given(half) else otherwise for half in halves]
    each: Float64 = np.where(second, values[0], values[1])
    return CrossFitted(logits, second, whole, (values[0], values[1]), logits.confidences(each))


def on_classes_of(rows: int, first: SetFeatures, images: SetFeatures) -> SetFeatures | NotRun:
    """Returns the in-distribution images whose class another set has, with its answers.

    Args:
        rows: K, rows of the head.
        first: The labelled in-distribution set.
        images: The other set; its `answers` say which rows may answer, and for which class.
    """
    if first.labels is None:
        return NotRun(reason=first.unmatched or f"{first.name} has no labels")
    answers = images.classes_of_rows(rows)
    theirs = first.classes_of_rows(rows)
    if np.array_equal(answers, theirs):
        return first
    used = theirs[theirs >= 0]
    if np.unique(used).size < used.size:
        return NotRun(reason="several rows answer for one in-distribution class")
    truth = np.asarray(first.labels)
    translated = np.full(max(used.max(initial=-1), truth.max(initial=-1)) + 1, -1)
    translated[used] = answers[theirs >= 0]
    labels = translated[truth]
    keep = labels >= 0
    return replace(first, features=first.features[keep], labels=labels[keep], answers=answers)
