"""Temperature scaling (Guo et al. 2017, arXiv 1706.04599): one number that makes a head calibrated.

The negative log-likelihood of the labels is minimised over log T by Newton's method within a
bracket, in blocks of images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import exp, log
from typing import NamedTuple

import numpy as np

from tuiprobe.channels.array_types import Bool, Float32, Float64, Int64
from tuiprobe.measure.arrays.head_arrays import LOGIT_ROWS
from tuiprobe.numbers import NORMAL_95
from tuiprobe.results import Estimate, Figure, NotRun

WIDEST = 1e4
"""Temperatures are searched within this factor of the spread of the logits."""

FIRST = 2048
"""Images of the first, coarse fit of a temperature."""

_STEPS = 60
_CLOSE = 1e-6
_EDGE = 1e-3

Blocks = Callable[[], Iterator[tuple[slice, Float32]]]


def spread(values: Float32) -> Float64:
    """Returns the standard deviation of each image's logits over the rows, float64 [n]."""
    sd = np.empty(values.shape[0])
    for start in range(0, values.shape[0], LOGIT_ROWS):
        sd[start : start + LOGIT_ROWS] = values[start : start + LOGIT_ROWS].std(
            axis=1, dtype=np.float64
        )
    return sd


def from_highest(
    blocks: Iterable[tuple[slice, Float32]],
) -> Iterator[tuple[slice, Float32]]:
    """Subtracts each image's highest logit in place, which changes no probability."""
    for span, block in blocks:
        block -= block.max(axis=1, keepdims=True)
        yield span, block


def fit_temperature(
    blocks: Blocks, labels: Int64, classes: Int64, counted: Bool | None = None
) -> Figure:
    """Returns the temperature that minimises the negative log-likelihood of the labels.

    Args:
        blocks: Yields logits with the highest of each image at 0, with their indices.
        labels: [n].
        classes: [K'], the class of each row.
        counted: [n], the images that count; None for all.

    Returns:
        The temperature with its interval (sandwich variance of log T). Without interval where it
        ends at the edge of the search; `NotRun` if every answer is right, since the likelihood
        then rises for ever.
    """
    counted = np.ones(labels.size, dtype=bool) if counted is None else counted
    n = int(counted.sum())
    if n < 2:
        return NotRun(reason="a temperature takes two labelled images")
    total, wrong = 0.0, False
    for span, block in blocks():
        total += float(spread(block)[counted[span]].sum())
        answer = classes[block.argmax(axis=1)]
        wrong = wrong or bool((answer != labels[span])[counted[span]].any())
    scale = total / n
    if not wrong and np.unique(classes).size > 1:
        return NotRun(reason="every answer is right: no finite temperature fits best")
    if scale <= 0:
        method = "no interval: the logits of each image are equal"
        return Estimate(value=1.0, low=None, high=None, n=n, method=method)
    ends, at = (-log(WIDEST * scale), log(WIDEST / scale)), -log(scale)
    if n > 2 * FIRST:
        few = np.zeros_like(counted)
        few[np.flatnonzero(counted)[:: n // FIRST]] = True
        at, _ = _root(_Likelihood(blocks, labels, classes, few), ends, at, 1e-3)
    at, slopes = _root(_Likelihood(blocks, labels, classes, counted), ends, at, _CLOSE)
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
    """Returns log beta where the slope is zero: Newton's method within a bracket."""
    low, high = ends
    at = start
    for _ in range(_STEPS):
        slopes = likelihood.slopes(exp(at))
        low, high = (at, high) if slopes.slope < 0 else (low, at)
        bend = exp(at) * slopes.curve + slopes.slope
        following = at - slopes.slope / bend if bend > 0 else high
        if not low < following < high:
            following = (low + high) / 2
        moved, at = abs(following - at), following
        if moved < close:
            break
    return at, slopes


class _Likelihood:
    """The negative log-likelihood of labels as a function of beta.

    Args:
        blocks: Logits with the highest of each image at 0.
        labels: [n].
        classes: [K'], the class of each row.
        counted: [n], the images that count.
    """

    def __init__(self, blocks: Blocks, labels: Int64, classes: Int64, counted: Bool) -> None:
        self._blocks, self._labels, self._counted = blocks, labels, counted
        self._classes = classes
        self._order = np.argsort(classes, kind="stable")
        self._single = np.unique(classes).size == classes.size

    def slopes(self, beta: float) -> _Slopes:
        """Returns the sums over images at one beta."""
        slope = curve = squares = 0.0
        for span, block in self._blocks():
            counted = self._counted[span]
            values = block if counted.all() else block[counted]
            if not len(values):
                continue
            mean, variance = _moments(np.exp(values * np.float32(beta)), values)
            of_label, within = self._of_label(values, self._labels[span][counted], beta)
            each = mean - of_label
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
        is_label = self._classes[None, :] == truth[:, None]
        shifted = np.where(is_label, values, -np.inf)
        shifted -= shifted.max(axis=1, keepdims=True)
        return _moments(np.exp(shifted * np.float32(beta)), np.where(is_label, values, 0))


def _moments(weights: Float32, values: Float32) -> tuple[Float64, Float64]:
    """Returns the weighted mean and variance of each row's values."""
    total = weights.sum(axis=1).astype(np.float64)
    weights *= values
    mean = weights.sum(axis=1) / total
    second = np.einsum("ij,ij->i", weights, values) / total
    return mean, np.maximum(second - mean * mean, 0)
