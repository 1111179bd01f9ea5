"""Whether values can mean what they should: answers that are missing, vectors rescaled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tuiprobe.numbers import number
from tuiprobe.probes.evidence.orders import by_chance
from tuiprobe.results.doubt import Doubt
from tuiprobe.results.proportions import many_empty

_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]

LEVEL: Final = 0.001
"""Chance that a head is said to be fitted to other lengths where it is not, over all of them."""

LEAST_GAIN: Final = 0.1
"""Share of pictures that must be right more often with other lengths."""

FURTHEST: Final = 0.01
"""How far the mean probability of a class may be from its share of the labels, beyond 2 errors."""

_LENGTHS: Final = tuple(2.0**k for k in range(1, 9))
_UNIT: Final = 5e-3  # rounding of float16
_MOST_LOOKED_AT: Final = 5000
_ROWS: Final = 1024


def no_answers(data: str, n: int, empty: int, model: str = "") -> Iterator[Doubt]:
    """Yields a doubt if `many_empty` pictures of a set have no answer.

    Args:
        data: Name of the set.
        n: Its pictures.
        empty: Those without an answer.
        model: Whose answers they are; empty where only one model is spoken of.
    """
    if many_empty(empty, n):
        of = f" of {model}" if model else ""
        yield Doubt(
            id="no-answer",
            data=data,
            sentence=(
                f"{empty:,} of {n:,} pictures of {data} have no answer{of}: they may all be "
                "wrong or all be right, and the range of the accuracy contains both cases; "
                "give their answers"
            ),
            withholds=True,
            figures={"empty": empty, "pictures": n},
        )


def other_lengths(
    data: str, features: _Float32, weight: _Float32, bias: _Float32, labels: _Int64
) -> Iterator[Doubt]:
    """Yields a doubt if, by labels, a head was fitted to vectors of other lengths.

    Vectors of length 1 are looked at with greater lengths, others with length 1. The bias of a head
    counts for more the shorter the vectors are. It withholds where the mean probability of a class
    is further than `FURTHEST` from its share of the labels, and half as far with another length: a
    penalty that is too large brings a gain too, but keeps these shares.

    Args:
        data: Name of the set.
        features: float32 `[n, C]`, stored vectors other than zero.
        weight: float32 `[K, C]`.
        bias: float32 `[K]`.
        labels: int64 `[n]`, the row of each.
    """
    if len(labels) > _MOST_LOOKED_AT:
        chosen = np.random.default_rng(0).choice(len(labels), _MOST_LOOKED_AT, replace=False)
        features, labels = features[chosen], labels[chosen]
    norms = np.linalg.norm(features, axis=1)
    unit = bool(np.all(np.abs(norms - 1) <= _UNIT))
    factors = np.array([np.full(len(norms), length) for length in (1.0, *_LENGTHS)])
    if not unit:
        factors = np.array([np.ones(len(norms)), 1 / norms])
    right, shares = _by_lengths(features, weight, bias, labels, factors)
    tried = len(factors) - 1
    best = 1 + int(right[1:].sum(axis=1).argmax())
    gained, lost = int((right[best] & ~right[0]).sum()), int((right[0] & ~right[best]).sum())
    if tried * by_chance(gained, gained + lost, 0.5) > LEVEL:
        return
    before, after = float(right[0].mean()), float(right[best].mean())
    if after - before < LEAST_GAIN:
        return
    n, counts = len(labels), np.bincount(labels, minlength=len(bias))
    error = np.sqrt(2 * (counts + 1) * (n - counts + 1) / (n + 2) ** 2 / n)  # in the fit and here
    off = (np.abs(shares - counts / n) / (FURTHEST + 2 * error)).max(axis=1)
    way = f"{_LENGTHS[best - 1]:g} times as long" if unit else "divided by their length"
    remedy = "the vectors before they were normalised" if unit else "normalised vectors"
    yield Doubt(
        id="other-lengths",
        data=data,
        sentence=f"with the vectors of {data} {way} {number(after, 'share')} would be right, not "
        f"{number(before, 'share')}: the head was fitted to vectors of other lengths, or with too "
        f"large a penalty; give {remedy}, or fit a head to these by --head probe",
        withholds=bool(off[0] > 1 and off[1:].min() < off[0] / 2),
        figures={"right": before, "right_rescaled": after, "pictures": len(labels)},
    )


def _by_lengths(
    features: _Float32, weight: _Float32, bias: _Float32, labels: _Int64, factors: _Float64
) -> tuple[NDArray[np.bool_], _Float64]:
    """Returns which answers are right with vectors of some lengths, and mean shares of the classes.

    The shares are softmax probabilities, or the scores of a regression on one-hot labels, which sum
    to 1 for any vector.

    Args:
        features: float32 `[n, C]`.
        weight: float32 `[K, C]`.
        bias: float32 `[K]`.
        labels: int64 `[n]`.
        factors: float64 `[L, n]`, what each vector is multiplied by.

    Returns:
        bool `[L, n]` and float64 `[L, K]`.
    """
    from scipy.special import softmax  # late: screens show doubts and compute none

    largest = max(float(np.abs(weight).max()), 1e-30)
    regression = np.abs(weight.sum(axis=0)).max() < 1e-3 * largest and abs(bias.sum() - 1) < 1e-3
    right = np.zeros(factors.shape, dtype=np.bool_)
    shares = np.zeros((len(factors), len(bias)))
    for start in range(0, len(labels), _ROWS):
        span = slice(start, start + _ROWS)
        products = features[span] @ weight.T
        for row, factor in enumerate(factors):
            scores = products * factor[span, None] + bias
            right[row, span] = scores.argmax(axis=1) == labels[span]
            shares[row] += (scores if regression else softmax(scores, axis=1)).sum(axis=0)
    return right, shares / len(labels)
