"""Labels of random pictures: what candidates answer there, and the accuracies that follow.

`StratifiedSample` is the survey of one run: its range has 95 % at the planned end, when it is at
most 5 points to either side. It does not hold at every moment for someone who watches and stops at
will. `contest.py` has that of several runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Final, Literal, NamedTuple

import numpy as np

from tuiprobe.label.betting import SUPPORT_WEIGHT, Bools, Floats, Ints
from tuiprobe.label.files import How
from tuiprobe.numbers import NORMAL_95
from tuiprobe.results import Estimate

METHOD: Final = "labels of pictures drawn by a plan; 95 % for a planned number of labels"

NOBODY: Final = -1
"""Label of a picture on which no candidate is right."""

STRATA: Final = 5
CLOSE_ENOUGH: Final = 0.05
"""Half the width of the range at which enough is labelled."""

FEWEST: Final = 25
"""Labels before which nothing is said to be enough."""


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
    def low(self) -> float:
        """Lower end of the range, from 0 to 1."""
        return min(max(self.estimate - self.half, 0.0), 1.0)

    @property
    def high(self) -> float:
        """Upper end of the range, from 0 to 1."""
        return min(max(self.estimate + self.half, 0.0), 1.0)

    @property
    def figure(self) -> Estimate:
        """The estimate and its range, both from 0 to 1."""
        value, n = min(max(self.estimate, 0.0), 1.0), self.labels
        return Estimate(value=value, low=self.low, high=self.high, unit="share", n=n, method=METHOD)


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
    quantile = NORMAL_95 + 2.4 / max(labels - 2, 1)  # wider where few labels estimate the variance
    return [
        LabelledAccuracy(float(value), quantile * sqrt(float(square)), labels)
        for value, square in zip(estimate, variance, strict=True)
    ]


class Survey:
    """The labels of the pictures of a pool.

    Args:
        pool: What the candidates answer.

    Attributes:
        labels: Class by picture, in the order of labelling; `NOBODY` where none is right.
        drawn: Pictures among them that this survey asked for.
        known: Pictures among them that were labelled before the first of those: a block of their
            own.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.labels: dict[int, int] = {}
        self.drawn: list[int] = []
        self.known: list[int] = []

    def add(self, picture: int, label: int, how: How) -> None:
        """Adds the label of a picture.

        Args:
            picture: Its place in the pool.
            label: Number of a class, or `NOBODY`.
            how: `outside` if this survey did not ask for it.
        """
        self.labels[picture] = label
        if how != "outside":
            self.drawn.append(picture)
        elif not self.drawn:
            self.known.append(picture)

    @property
    def unlabelled(self) -> Bools:
        """Whether each picture has no label yet, bool `[N]`."""
        without = np.ones(self.pool.pictures, dtype=bool)
        without[list(self.labels)] = False
        return without


class StratifiedSample(Survey):
    """One candidate whose accuracy is asked for."""

    @cached_property
    def strata(self) -> list[Ints]:
        """Five equal parts of the pictures by confidence, each in the order of labelling."""
        place = np.empty(self.pool.pictures, dtype=np.int64)
        place[self.pool.orders[0]] = np.arange(self.pool.pictures)
        ranked = np.argsort(self.pool.confidences[0], kind="stable")
        return [part[np.argsort(place[part])] for part in np.array_split(ranked, STRATA)]

    @property
    def stage(self) -> Ints:
        """The number of each picture's stratum, int64 `[N]`."""
        numbers = np.empty(self.pool.pictures, dtype=np.int64)
        for number, part in enumerate(self.strata):
            numbers[part] = number
        return numbers

    def upcoming(self, count: int = 1, narrow: bool = False) -> list[Draw]:
        """Returns the pictures to label next; the strata take turns.

        Args:
            count: At most so many.
            narrow: Has no meaning for one candidate; see `Contest.upcoming`.
        """
        unlabelled, stage = self.unlabelled, self.stage
        drawn = np.array(self.drawn, dtype=np.int64)
        turns = [
            (int((stage[drawn] == number).sum()) + turn, number, picture)
            for number, part in enumerate(self.strata)
            for turn, picture in enumerate(part[unlabelled[part]][:count].tolist())
        ]
        return [Draw(picture, "stratum") for _, _, picture in sorted(turns)[:count]]

    def accuracies(self) -> list[LabelledAccuracy]:
        """Returns the accuracy on all pictures; none before each stratum has a label."""
        answers, size = self.pool.answers[0], self.pool.pictures
        hits = {i: int(answers[i]) == self.labels[i] for i in (*self.drawn, *self.known)}
        drawn, known = set(self.drawn), set(self.known)
        estimate, variance = sum(hits[i] for i in known) / size, 0.0
        for part in self.strata:
            rest = [i for i in part.tolist() if i not in known]
            mine = [hits[i] for i in rest if i in drawn]
            n, count = len(mine), len(rest)
            if not count:
                continue
            if not n:
                return []
            weight, p = count / size, (sum(mine) + 1) / (n + 2)
            estimate += weight * sum(mine) / n
            variance += weight**2 * p * (1 - p) / n * (1 - n / count)
        half = (NORMAL_95 + 2.4 / max(len(hits) - STRATA, 2)) * sqrt(variance)
        return [LabelledAccuracy(estimate, half, len(hits))]

    @property
    def verdict(self) -> Literal["open", "enough"]:
        """Whether the accuracy is known to 5 points."""
        close = any(accuracy.half <= CLOSE_ENOUGH for accuracy in self.accuracies())
        return "enough" if close and len(self.labels) >= FEWEST else "open"
