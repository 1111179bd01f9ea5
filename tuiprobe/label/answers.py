"""What candidates answer on the same pictures, and what a picture was labelled as."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Final, NamedTuple

import numpy as np

from tuiprobe.label.betting import SUPPORT_WEIGHT, Bools, Floats, Ints
from tuiprobe.label.files import How
from tuiprobe.numbers import NORMAL_95, interval

NOBODY: Final = -1
"""Label of a picture on which no candidate is right."""


class Draw(NamedTuple):
    """A picture to label, by its place in the pool, and how it was drawn."""

    picture: int
    how: How


@dataclass(frozen=True, eq=False)
class Pool:
    """What the candidates answer on the same pictures, in the order of the pictures' ids.

    Attributes:
        answers: int64 `[M, N]`, number of a class.
        confidences: float64 `[M, N]` in (0, 1].
        seed: Seed of the order of labelling.
    """

    answers: Ints
    confidences: Floats
    seed: int = 0

    @property
    def candidates(self) -> int:
        """M."""
        return len(self.answers)

    @property
    def pictures(self) -> int:
        """N."""
        return int(self.answers.shape[1])

    @cached_property
    def orders(self) -> tuple[Ints, Ints]:
        """Two random orders: of pictures on which candidates differ, and of others."""
        draws = np.random.default_rng(self.seed)
        return draws.permutation(self.pictures), draws.permutation(self.pictures)

    @cached_property
    def support(self) -> Floats:
        """Share of all confidence that stands behind each answer, float64 `[M, N]`."""
        same = self.answers[:, None] == self.answers[None]
        return np.asarray((same * self.confidences[None]).sum(1) / self.confidences.sum(0))

    def agreed(self, candidates: Bools) -> Bools:
        """Returns on which pictures some candidates all answer alike, bool `[N]`."""
        some = self.answers[candidates]
        return np.asarray((some == some[:1]).all(axis=0))


@dataclass(frozen=True)
class LabelledAccuracy:
    """The accuracy of a candidate on all N pictures, from labelled ones of known selection.

    The range has 95 % for a number of labels that was planned, not while watching.

    Attributes:
        estimate: From 0 to 1, or slightly beyond: it is no share of counted pictures.
        half: Half the width of the range.
        labels: Labels that it rests on.
    """

    estimate: float
    half: float
    labels: int

    @property
    def share(self) -> float:
        """The estimate, from 0 to 1."""
        return max(min(self.estimate, 1.0), 0.0)

    @property
    def low(self) -> float:
        """Lower end of the range, at least 0."""
        return min(max(self.estimate - self.half, 0.0), 1.0)

    @property
    def high(self) -> float:
        """Upper end of the range, at most 1."""
        return max(min(self.estimate + self.half, 1.0), 0.0)

    def text(self) -> str:
        """Returns share and range as people read them: `58 % (46 to 70)`."""
        return interval(self.share, self.low, self.high, "share")

    @property
    def tells(self) -> bool:
        """Whether its range leaves anything out."""
        return self.low > 0 or self.high < 1


def block_accuracies(
    right: Floats, expected: Floats, blocks: Ints, sampled: Ints, known: Ints
) -> list[LabelledAccuracy]:
    """Returns accuracies from blocks of pictures within which the labelled ones were random.

    Args:
        right: float64 `[M, n + k]`, 1 where a candidate is right, on `sampled` and on `known`.
        expected: float64 `[M, N]`, a guess at `right` without labels; it reduces the variance, and
            stands for a block without labels.
        blocks: int64 `[N]`, the block of each picture.
        sampled: int64 `[n]`, pictures that were drawn at random within their blocks.
        known: int64 `[k]`, pictures labelled before the first draw: a block of their own.
    """
    size, guess = expected.shape[1], expected[:, sampled]
    unknown = np.ones(size, dtype=bool)
    unknown[known] = False
    estimate = right[:, len(sampled) :].sum(axis=1) / size
    variance = np.zeros(len(right))
    for block in np.unique(blocks):
        inside, mine = (blocks == block) & unknown, blocks[sampled] == block
        count, n = int(inside.sum()), int(mine.sum())
        if not count:
            continue
        weight, mean = count / size, expected @ inside / count
        if not n:
            estimate += weight * mean
            variance += weight**2 * 0.25
            continue
        rest = (right[:, : len(sampled)] - SUPPORT_WEIGHT * guess)[:, mine]
        estimate += weight * (rest.mean(axis=1) + SUPPORT_WEIGHT * mean)
        spread = (((rest - rest.mean(axis=1, keepdims=True)) ** 2).sum(axis=1) + 0.5) / n
        variance += weight**2 * np.minimum(0.25, spread) / n * (1 - n / count)
    labels = len(sampled) + len(known)
    return [
        LabelledAccuracy(float(value), half_width(labels - 2, 1, float(square)), labels)
        for value, square in zip(estimate, variance, strict=True)
    ]


def half_width(spare: int, least: int, variance: float) -> float:
    """Returns half the width of a 95 % range, wider where few labels estimate the variance."""
    return (NORMAL_95 + 2.4 / max(spare, least)) * sqrt(variance)
