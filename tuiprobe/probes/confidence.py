"""Probabilities of a linear head: logits, temperature scaling, entropy and calibration error.

Everything is computed in blocks of 2,048 images, so memory does not grow with images times classes
unless the caller asks for the whole matrix.

Sources: temperature scaling, Guo et al. 2017 (arXiv 1706.04599); equal-mass bins and the debiased
calibration error, Kumar et al. 2019 (arXiv 1909.10155).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import exp, log
from typing import NamedTuple

import numpy as np
from scipy import special

from tuiprobe.probes.heads import ROWS, SetFeatures
from tuiprobe.probes.inputs import Bool, Float32, Float64, Int64
from tuiprobe.results import Estimate, Figure, NotRun
from tuiprobe.results.base import NORMAL_95
from tuiprobe.run.checked_arrays import HeadArrays

BINS = 15
UNKNOWN_SCALE = NotRun(reason="logit scale unknown")
"""What stands for a figure of uncalibrated probabilities where the head does not tell its scale."""

KEPT_VALUES = 1 << 26
"""Logits that are kept between passes (256 MiB); more are computed again in each."""

WIDEST = 1e4
"""Temperatures are searched within this factor of the spread of the logits."""

FIRST = 2048
"""Images of the first, coarse fit of a temperature."""

_STEPS = 60
_CLOSE = 1e-6
_EDGE = 1e-3

Blocks = Callable[[], Iterator[tuple[slice, Float32]]]


def scale_known(head: HeadArrays) -> bool:
    """Returns whether the head tells what its logits are multiplied by before the softmax."""
    return not head.normalize or head.logit_scale is not None


def allowed(head: HeadArrays, one: SetFeatures) -> Int64:
    """Returns the numbers of the head's rows that may answer for a set, int64 [K']."""
    if one.answers is None:
        return np.arange(head.weight.shape[0])
    return np.flatnonzero(np.asarray(one.answers) >= 0)


def classes_of(head: HeadArrays, one: SetFeatures) -> Int64:
    """Returns the class of each row that may answer, int64 [K']."""
    rows = allowed(head, one)
    return rows if one.answers is None else np.asarray(one.answers, dtype=np.int64)[rows]


def logits(features: Float32, head: HeadArrays, rows: Int64) -> Float32:
    """Returns the logits of some rows of a head, float32 [n, K'], computed in blocks.

    Args:
        features: [n, C], finite. Rows of zeros have no direction; a zero-shot head gives them the
            bias alone.
        head: The head. Where a zero-shot head does not tell its scale, logits are cosines.
        rows: Numbers of the rows that may answer, [K'].
    """
    found = np.empty((features.shape[0], len(rows)), dtype=np.float32)
    for place, block in logit_blocks(features, head, rows):
        found[place] = block
    return found


def logit_blocks(
    features: Float32, head: HeadArrays, rows: Int64
) -> Iterator[tuple[slice, Float32]]:
    """Yields what `logits` returns in blocks of 2,048 images, each with its place."""
    weight = np.ascontiguousarray(head.weight[rows].T)
    bias = None if head.bias is None else head.bias[rows]
    for start in range(0, features.shape[0], ROWS):
        block = features[start : start + ROWS]
        if head.normalize:
            norms = np.linalg.norm(block, axis=1, keepdims=True)
            block = np.divide(block, norms, out=np.zeros_like(block), where=norms > 0)
        found = block @ weight
        if head.normalize:
            if head.logit_scale is not None:
                found *= np.float32(head.logit_scale)
            found += np.float32(head.logit_bias)
        if bias is not None:
            found += bias
        yield slice(start, start + block.shape[0]), found


def spread(values: Float32) -> Float64:
    """Returns the standard deviation of each image's logits over the rows, float64 [n]."""
    found = np.empty(values.shape[0])
    for start in range(0, values.shape[0], ROWS):
        found[start : start + ROWS] = values[start : start + ROWS].std(axis=1, dtype=np.float64)
    return found


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
    found = _softmax(values, temperature)
    named, place = np.unique(classes, return_inverse=True)
    if named.size == classes.size and (np.diff(classes) > 0).all():
        return found
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(named.size))
    return np.asarray(np.add.reduceat(found[:, order], starts, axis=1))


def _softmax(values: Float32, temperature: float | Float64) -> Float64:
    column = np.reshape(np.asarray(temperature, dtype=np.float64), (-1, 1))
    scaled = values - values.max(axis=1, keepdims=True)
    scaled = np.exp((scaled / column).astype(np.float32)).astype(np.float64)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return np.asarray(scaled)


@dataclass(frozen=True, eq=False)
class Confidences:
    """What a head says of each image of a set.

    Attributes:
        answer: int64 [n], the class of the highest row.
        confidence: float64 [n], the probability of that class.
        entropy: float64 [n], of the probabilities of the classes, in nats.
        right: bool [n], whether the answer is the label; None without labels. An image whose
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
        one: The set; images with a finite representation.
    """

    def __init__(self, head: HeadArrays, one: SetFeatures) -> None:
        self.set = one
        self.rows = allowed(head, one)
        self.classes = classes_of(head, one)
        self._head = head
        small = one.features.shape[0] * len(self.rows) <= KEPT_VALUES
        self._kept = list(self._computed()) if small else None

    def blocks(self) -> Iterator[tuple[slice, Float32]]:
        """Yields blocks of logits less the highest of each image, with their places; read only."""
        yield from self._computed() if self._kept is None else self._kept

    def _computed(self) -> Iterator[tuple[slice, Float32]]:
        return _from_highest(logit_blocks(self.set.features, self._head, self.rows))

    def fitted(self, keep: Bool | None = None) -> Figure:
        """Returns the temperature fitted to the labels; see `temperature`.

        Args:
            keep: [n], the images to fit to; None for all.
        """
        truth = self.set.labels
        if truth is None:
            return NotRun(reason=f"{self.set.name} has no labels")
        return _fitted(self.blocks, np.asarray(truth), self.classes, keep)

    def confidences(self, temperature: float | Float64 = 1.0) -> Confidences:
        """Returns answer, confidence and entropy of each image.

        Args:
            temperature: One, or one per image [n].
        """
        n = self.set.features.shape[0]
        each = np.broadcast_to(np.asarray(temperature, dtype=np.float64), (n,))
        answer, confidence, entropy = np.zeros(n, dtype=np.int64), np.zeros(n), np.zeros(n)
        named = np.unique(self.classes)
        for place, block in self.blocks():
            found = probabilities(block, each[place], self.classes)
            answer[place] = self.classes[block.argmax(axis=1)]
            column = np.searchsorted(named, answer[place])
            confidence[place] = found[np.arange(len(found)), column]
            entropy[place] = special.entr(found).sum(axis=1)
        right = None
        if self.set.labels is not None:
            right = (answer == self.set.labels) & self.set.features.any(axis=1)
        return Confidences(answer, confidence, entropy, right)

    def mean_spread(self) -> float:
        """Returns the mean over the images of the standard deviation of their logits."""
        total = sum(float(spread(block).sum()) for _, block in self.blocks())
        return total / max(1, len(self.set.features))


def temperature(values: Float32, labels: Int64, classes: Int64 | None = None) -> Figure:
    """Returns the temperature that minimises the negative log-likelihood of the labels.

    Args:
        values: [n, K'], logits.
        labels: [n], classes.
        classes: [K'], the class of each row; None where it is its number.

    Returns:
        The temperature with its interval (sandwich variance of log T). Without interval where it
        ends at the edge of the search; `NotRun` if every answer is right, since the likelihood
        then rises for ever.
    """
    rows = np.arange(values.shape[1]) if classes is None else classes
    places = [slice(start, start + ROWS) for start in range(0, values.shape[0], ROWS)]

    def blocks() -> Iterator[tuple[slice, Float32]]:
        return _from_highest((place, values[place].copy()) for place in places)

    return _fitted(blocks, labels, rows, None)


def _from_highest(
    blocks: Iterable[tuple[slice, Float32]],
) -> Iterator[tuple[slice, Float32]]:
    """Subtracts each image's highest logit in place, which changes no probability."""
    for place, block in blocks:
        block -= block.max(axis=1, keepdims=True)
        yield place, block


def _fitted(blocks: Blocks, labels: Int64, classes: Int64, keep: Bool | None) -> Figure:
    keep = np.ones(labels.size, dtype=bool) if keep is None else keep
    n = int(keep.sum())
    if n < 2:
        return NotRun(reason="a temperature takes two labelled images")
    total, wrong = 0.0, False
    for place, block in blocks():
        total += float(spread(block)[keep[place]].sum())
        answer = classes[block.argmax(axis=1)]
        wrong = wrong or bool((answer != labels[place])[keep[place]].any())
    scale = total / n
    if not wrong and np.unique(classes).size > 1:
        return NotRun(reason="every answer is right: no finite temperature fits best")
    if scale <= 0:
        method = "no interval: the logits of each image are equal"
        return Estimate(value=1.0, low=None, high=None, n=n, method=method)
    ends, at = (-log(WIDEST * scale), log(WIDEST / scale)), -log(scale)
    if n > 2 * FIRST:
        few = np.zeros_like(keep)
        few[np.flatnonzero(keep)[:: n // FIRST]] = True
        at, _ = _root(_Likelihood(blocks, labels, classes, few), ends, at, 1e-3)
    at, slopes = _root(_Likelihood(blocks, labels, classes, keep), ends, at, _CLOSE)
    value = exp(-at)
    if slopes.curve <= 0 or min(at - ends[0], ends[1] - at) < _EDGE:
        method = "negative log-likelihood; no interval: at the edge of the search"
        return Estimate(value=value, low=None, high=None, n=n, method=method)
    half = NORMAL_95 * slopes.squares**0.5 / (slopes.curve * exp(at))
    half = min(half, log(WIDEST))  # keeps the ends finite where the labels say nothing
    return Estimate(
        value=value,
        low=value * exp(-half),
        high=value * exp(half),
        n=n,
        method="negative log-likelihood, sandwich variance",
    )


class _Slopes(NamedTuple):
    """Sums over images: d NLL / d beta, its derivative, and its square; beta is 1 / T."""

    slope: float
    curve: float
    squares: float


def _root(
    likelihood: _Likelihood, ends: tuple[float, float], start: float, close: float
) -> tuple[float, _Slopes]:
    """Returns log beta where the slope is zero: Newton's method kept within a bracket."""
    low, high = ends
    at = start
    for _ in range(_STEPS):
        found = likelihood.slopes(exp(at))
        low, high = (at, high) if found.slope < 0 else (low, at)
        bend = exp(at) * found.curve + found.slope
        following = at - found.slope / bend if bend > 0 else high
        if not low < following < high:
            following = (low + high) / 2
        moved, at = abs(following - at), following
        if moved < close:
            break
    return at, found


class _Likelihood:
    """The negative log-likelihood of labels as a function of beta.

    Args:
        blocks: Logits with the highest of each image at 0.
        labels: [n].
        classes: [K'], the class of each row.
        keep: [n], the images that count.
    """

    def __init__(self, blocks: Blocks, labels: Int64, classes: Int64, keep: Bool) -> None:
        self._blocks, self._labels, self._keep = blocks, labels, keep
        self._classes = classes
        self._order = np.argsort(classes, kind="stable")
        self._single = np.unique(classes).size == classes.size

    def slopes(self, beta: float) -> _Slopes:
        """Returns the sums over images at one beta."""
        slope = curve = squares = 0.0
        for place, block in self._blocks():
            kept = self._keep[place]
            values = block if kept.all() else block[kept]
            if not len(values):
                continue
            mean, variance = _moments(np.exp(values * np.float32(beta)), values)
            theirs, within = self._of_label(values, self._labels[place][kept], beta)
            each = mean - theirs
            slope += float(each.sum())
            squares += float((each * each).sum())
            curve += float((variance - within).sum())
        return _Slopes(slope, curve, squares)

    def _of_label(
        self, values: Float32, truth: Int64, beta: float
    ) -> tuple[Float64, Float64 | float]:
        """Returns mean and variance of the logits of the label's rows."""
        if self._single:
            column = self._order[np.searchsorted(self._classes, truth, sorter=self._order)]
            return values[np.arange(len(values)), column].astype(np.float64), 0.0
        own = self._classes[None, :] == truth[:, None]
        shifted = np.where(own, values, -np.inf)
        shifted -= shifted.max(axis=1, keepdims=True)
        return _moments(np.exp(shifted * np.float32(beta)), np.where(own, values, 0))


def _moments(weights: Float32, values: Float32) -> tuple[Float64, Float64]:
    """Returns the weighted mean and variance of each row's values."""
    total = weights.sum(axis=1).astype(np.float64)
    weights *= values
    mean = weights.sum(axis=1) / total
    second = np.einsum("ij,ij->i", weights, values) / total
    return mean, np.maximum(second - mean * mean, 0)


@dataclass(frozen=True, eq=False)
class Bins:
    """Bins of equal mass, by ascending confidence.

    Attributes:
        confidence: [B], mean confidence.
        accuracy: [B], share of right answers.
        images: [B].
    """

    confidence: Float64
    accuracy: Float64
    images: Int64


def equal_mass_bins(confidence: Float64, correct: Bool, bins: int = BINS) -> Bins:
    """Returns mean confidence and accuracy of at most `bins` bins with equally many images."""
    order = np.argsort(confidence, kind="stable")
    parts = [one for one in np.array_split(order, bins) if one.size]
    return Bins(
        np.array([confidence[one].mean() for one in parts]),
        np.array([correct[one].mean() for one in parts]),
        np.array([one.size for one in parts], dtype=np.int64),
    )


def ece(confidence: Float64, correct: Bool, bins: int = BINS) -> Figure:
    """Returns the expected calibration error: equal-mass bins, debiased as by Kumar et al. 2019.

    The bias of the plug-in sum of |accuracy - confidence| is what it gains when each accuracy is
    drawn again from a normal distribution with its binomial error; that mean is known in closed
    form. The interval takes the binomial error of each bin.

    Args:
        confidence: [n], probability of the answer.
        correct: [n], whether it is right.
        bins: Number of bins.
    """
    n = confidence.size
    if n < 2 * bins:
        return NotRun(reason=f"{n} images: {bins} bins take {2 * bins}")
    found = equal_mass_bins(confidence, correct, bins)
    gap = np.abs(found.accuracy - found.confidence)
    error = np.sqrt(found.accuracy * (1 - found.accuracy) / found.images)
    share = found.images / n
    value = float(share @ (2 * gap - _mean_absolute(gap, error)))
    # p is shrunk towards 1/2, so that a bin without a wrong answer does not count as certain.
    pulled = (found.accuracy * found.images + 2) / (found.images + 4)
    variance = pulled * (1 - pulled) / found.images
    half = NORMAL_95 * float(np.sqrt(share**2 @ variance))
    value = max(0.0, value)
    # What a calibrated head would show in 97.5 % of draws is no evidence of an error.
    by_chance = float(share @ np.sqrt(variance * 2 / np.pi)) + half * (1 - 2 / np.pi) ** 0.5
    return Estimate(
        value=value,
        low=0.0 if float(share @ gap) <= by_chance else max(0.0, value - half),
        high=min(1.0, value + half),
        n=n,
        method=f"{bins} bins of equal mass, debiased; binomial error of each",
    )


def _mean_absolute(mean: Float64, sigma: Float64) -> Float64:
    """Returns the mean of |x| for normal x."""
    safe = np.where(sigma > 0, sigma, 1)
    ratio = mean / safe
    folded = safe * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2)
    folded += mean * special.erf(ratio / np.sqrt(2))
    return np.where(sigma > 0, folded, np.abs(mean))
