"""Probabilities of a linear head: logits, temperature scaling, entropy and calibration error.

Temperatures are cross-fitted in two halves of the in-distribution set, under the classes of another
one: each half is scored with the temperature of the other, so no image is scored with a temperature
that its label has set.

Everything is computed in blocks of 2,048 images, so memory does not grow with images times classes.

Sources: temperature scaling, Guo et al. 2017 (arXiv 1706.04599); equal-mass bins and the debiased
calibration error, Kumar et al. 2019 (arXiv 1909.10155).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import special

from tuiprobe.channels.array_types import Bool, Float32, Float64, Int64
from tuiprobe.errors import DataError
from tuiprobe.measure.arrays.head_arrays import SetFeatures, logit_blocks
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.numbers import NORMAL_95
from tuiprobe.probes.base.temperature import fit_temperature, from_highest
from tuiprobe.probes.intervals import bootstrap_mean
from tuiprobe.results import Estimate, Figure, NotRun, is_known

BINS = 15
UNKNOWN_SCALE = NotRun(reason="logit scale unknown")
"""What stands for a figure of uncalibrated probabilities where the head does not tell its scale."""

CACHED_VALUES = 1 << 26
"""Logits that are cached between passes (256 MiB); more are computed again in each."""


def scale_known(head: HeadArrays) -> bool:
    """Returns whether the head tells what its logits are multiplied by before the softmax."""
    return not head.regression and (not head.normalize or head.logit_scale is not None)


def probabilities(values: Float32, temperature: float | Float64, classes: Int64) -> Float64:
    """Returns the softmax of a block of logits, with the rows of one class added.

    Args:
        values: [b, K'], logits.
        temperature: One, or one per image [b].
        classes: [K'], the class of each row.

    Returns:
        float64 [b, K''], columns by ascending class.

    >>> rows = np.log(np.array([[1, 2, 5]], dtype=np.float32))
    >>> probabilities(rows, 1.0, np.array([7, 4, 7])).round(3).tolist()
    [[0.25, 0.75]]
    """
    column = np.reshape(np.asarray(temperature, dtype=np.float64), (-1, 1))
    scaled = values - values.max(axis=1, keepdims=True)
    scaled = np.exp((scaled / column).astype(np.float32)).astype(np.float64)
    scaled /= scaled.sum(axis=1, keepdims=True)
    names, inverse = np.unique(classes, return_inverse=True)
    if names.size == classes.size and (np.diff(classes) > 0).all():
        return np.asarray(scaled)
    order = np.argsort(inverse, kind="stable")
    starts = np.searchsorted(inverse[order], np.arange(names.size))
    return np.asarray(np.add.reduceat(scaled[:, order], starts, axis=1))


@dataclass(frozen=True, eq=False)
class Confidences:
    """What a head says of each image of a set.

    Attributes:
        answer: int64 [n], the class of the highest row.
        confidence: float64 [n], the probability of that class.
        entropy: float64 [n], of the probabilities of the classes, in nats.
        right: bool [n], whether the answer is the label. An image whose
            representation is zero counts as wrong.
    """

    answer: Int64
    confidence: Float64
    entropy: Float64
    right: Bool | None = None


class Logits:
    """The logits of one set under its class mask, for several passes.

    Args:
        head: The head.
        images: The set; images with a finite representation.

    Raises:
        DataError: If no row may answer.
    """

    def __init__(self, head: HeadArrays, images: SetFeatures) -> None:
        self.head, self.set = head, images
        classes = images.classes_of_rows(head.weight.shape[0])
        self.rows = np.flatnonzero(classes >= 0)
        if not self.rows.size:
            raise DataError(f"no row of the head may answer in {images.name}")
        self.classes = classes[self.rows].astype(np.int64)
        small = images.features.shape[0] * len(self.rows) <= CACHED_VALUES
        self._cached = list(self._computed()) if small else None

    def blocks(self) -> Iterator[tuple[slice, Float32]]:
        """Yields blocks of logits less the highest of each image, with their indices; read only."""
        yield from self._computed() if self._cached is None else self._cached

    def _computed(self) -> Iterator[tuple[slice, Float32]]:
        return from_highest(logit_blocks(self.head, self.set))

    def fitted(self, counted: Bool | None = None) -> Figure:
        """Returns the temperature fitted to the labels; see `fit_temperature`.

        Args:
            counted: [n], the images to fit to; None for all.
        """
        truth = self.set.labels
        if truth is None:
            return self.set.unlabelled
        return fit_temperature(self.blocks, np.asarray(truth), self.classes, counted)

    def confidences(self, temperature: float | Float64 = 1.0) -> Confidences:
        """Returns answer, confidence and entropy of each image.

        Args:
            temperature: One, or one per image [n].
        """
        n = self.set.features.shape[0]
        each = np.broadcast_to(np.asarray(temperature, dtype=np.float64), (n,))
        answer, confidence, entropy = np.zeros(n, dtype=np.int64), np.zeros(n), np.zeros(n)
        classes = np.unique(self.classes)
        for span, block in self.blocks():
            p = probabilities(block, each[span], self.classes)
            answer[span] = self.classes[block.argmax(axis=1)]
            confidence[span] = p[np.arange(len(p)), np.searchsorted(classes, answer[span])]
            entropy[span] = special.entr(p).sum(axis=1)
        right = None
        if self.set.labels is not None:
            right = (answer == self.set.labels) & self.set.features.any(axis=1)
        return Confidences(answer, confidence, entropy, right)


def mean_confidence(head: HeadArrays, scores: Confidences) -> Figure:
    """Returns the mean confidence, not calibrated, if the head tells its logit scale."""
    mean = bootstrap_mean(scores.confidence) if scale_known(head) else UNKNOWN_SCALE
    return mean.model_copy(update={"unit": "share"}) if is_known(mean) else mean


def equal_mass_bins(confidence: Float64, correct: Bool) -> tuple[Float64, Float64, Int64]:
    """Returns mean confidence, accuracy and images of at most 15 bins of equally many images.

    Bins are in the order of confidence.
    """
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if part.size]
    return (
        np.array([confidence[part].mean() for part in parts]),
        np.array([correct[part].mean() for part in parts]),
        np.array([part.size for part in parts], dtype=np.int64),
    )


def ece(confidence: Float64, correct: Bool) -> Figure:
    """Returns the expected calibration error: equal-mass bins, debiased as by Kumar et al. 2019.

    The bias of the plug-in sum of |accuracy - confidence| is what it gains when each accuracy is
    drawn again from a normal distribution with its binomial error; that mean is known in closed
    form. The interval takes the binomial error of each bin.

    Args:
        confidence: [n], probability of the answer.
        correct: [n], whether it is right.
    """
    n = confidence.size
    if n < 2 * BINS:
        return NotRun(reason=f"{n} images: {BINS} bins take {2 * BINS}")
    means, accuracy, images = equal_mass_bins(confidence, correct)
    gap = np.abs(accuracy - means)
    error = np.sqrt(accuracy * (1 - accuracy) / images)
    share = images / n
    value = float(share @ (2 * gap - _mean_absolute(gap, error)))
    # p is shrunk towards 1/2, so that a bin without a wrong answer does not count as certain.
    pulled = (accuracy * images + 2) / (images + 4)
    variance = pulled * (1 - pulled) / images
    half = NORMAL_95 * float(np.sqrt(share**2 @ variance))
    value = max(0.0, value)
    # What a calibrated head would show in 97.5 % of draws is no evidence of an error.
    by_chance = float(share @ np.sqrt(variance * 2 / np.pi)) + half * (1 - 2 / np.pi) ** 0.5
    return Estimate(
        value=value,
        low=0.0 if float(share @ gap) <= by_chance else max(0.0, value - half),
        high=min(1.0, value + half),
        unit="points",
        n=n,
        method=f"{BINS} bins of equal mass, debiased; binomial error of each",
    )


def _mean_absolute(mean: Float64, sigma: Float64) -> Float64:
    """Returns the mean of |x| for normal x."""
    safe = np.where(sigma > 0, sigma, 1)
    ratio = mean / safe
    folded = safe * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2)
    folded += mean * special.erf(ratio / np.sqrt(2))
    return np.where(sigma > 0, folded, np.abs(mean))


MIN_LABELLED = 30
"""Labelled images below which no temperature is fitted."""

ONE_CLASS: Final = NotRun(reason="only one class may answer, so every answer would count as right")
"""Why a set of one class has neither accuracy nor confidence among its classes."""


def one_class(images: SetFeatures, rows: int) -> bool:
    """Returns whether all of K `rows` that may answer on a set are of one class."""
    answers = images.classes_of_rows(rows)
    return np.unique(answers[answers >= 0]).size == 1


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
        scores: Scores by the head of each image at the temperature of the other half.
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
    def pooled(self) -> float:
        """The temperature of all images, for sets without labels."""
        return self.temperature.value if is_known(self.temperature) else self.halves[0]


def cross_fit(head: HeadArrays, id_set: SetFeatures, images: SetFeatures) -> CrossFitted | NotRun:
    """Fits temperatures to the in-distribution images under the class mask of a set.

    Args:
        head: The head.
        id_set: The labelled in-distribution set.
        images: The set whose class mask holds.
    """
    source = on_classes_of(head.weight.shape[0], id_set, images)
    if isinstance(source, NotRun):
        return source
    if one_class(source, head.weight.shape[0]):
        return ONE_CLASS
    n = source.features.shape[0]
    if n < MIN_LABELLED:
        where = f"{n} labelled images of {id_set.name}"
        return NotRun(reason=f"{where}, {MIN_LABELLED} are needed for a temperature")
    logits, second = Logits(head, source), second_half(n)
    pooled = logits.fitted()
    if not is_known(pooled) and not scale_known(head):
        return NotRun(reason=f"{UNKNOWN_SCALE.reason}, and no temperature can be fitted: "
                             f"{pooled.reason}")  # fmt: skip
    otherwise = pooled.value if is_known(pooled) else 1.0
    halves = [logits.fitted(counted) for counted in (~second, second)]
    values = [half.value if is_known(half) else otherwise for half in halves]
    each: Float64 = np.where(second, values[0], values[1])
    return CrossFitted(logits, second, pooled, (values[0], values[1]), logits.confidences(each))


def on_classes_of(rows: int, id_set: SetFeatures, images: SetFeatures) -> SetFeatures | NotRun:
    """Returns the in-distribution images whose class another set has, with its answers.

    Args:
        rows: K, rows of the head.
        id_set: The labelled in-distribution set.
        images: The other set; its `answers` hold the class of each row that may answer.
    """
    if id_set.labels is None:
        return id_set.unlabelled
    answers = images.classes_of_rows(rows)
    theirs = id_set.classes_of_rows(rows)
    if np.array_equal(answers, theirs):
        return id_set
    used = theirs[theirs >= 0]
    if np.unique(used).size < used.size:
        return NotRun(reason="several rows answer for one in-distribution class")
    truth = np.asarray(id_set.labels)
    translated = np.full(max(used.max(initial=-1), truth.max(initial=-1)) + 1, -1)
    translated[used] = answers[theirs >= 0]
    labels = translated[truth]
    allowed = labels >= 0
    return replace(id_set.select(allowed), labels=labels[allowed], answers=answers)
