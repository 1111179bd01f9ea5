"""Labels for one run alone: its accuracy on the pictures, from strata of its confidence.

The range has 95 % at the planned end: when it is at most 5 points to either side. It does not hold
at every moment for someone who watches and stops at will.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final, Literal

import numpy as np

from tuiprobe.label.answers import Draw, LabelledAccuracy, Pool, half_width
from tuiprobe.label.betting import Ints
from tuiprobe.label.files import How

STRATA: Final = 5
CLOSE_ENOUGH: Final = 0.05
"""Half the width of the range at which enough is labelled."""

FEWEST: Final = 25
"""Labels before which nothing is said to be enough."""


class Alone:
    """One candidate whose accuracy is asked for.

    Args:
        pool: The answers of the candidate.

    Attributes:
        labels: Class by picture, in the order of labelling.
        drawn: Pictures among them that were drawn from the strata.
        known: Pictures among them that were labelled before the first of those: a block of their
            own.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.labels: dict[int, int] = {}
        self.drawn: list[int] = []
        self.known: list[int] = []

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

    def upcoming(self, count: int = 1) -> list[Draw]:
        """Returns the pictures to label next; the strata take turns.

        Args:
            count: At most so many.
        """
        unlabelled = np.ones(self.pool.pictures, dtype=bool)
        unlabelled[list(self.labels)] = False
        stage, drawn = self.stage, np.array(self.drawn, dtype=np.int64)
        turns = [
            (int((stage[drawn] == number).sum()) + turn, number, picture)
            for number, part in enumerate(self.strata)
            for turn, picture in enumerate(part[unlabelled[part]][:count].tolist())
        ]
        return [Draw(picture, "stratum") for _, _, picture in sorted(turns)[:count]]

    def add(self, picture: int, label: int, how: How) -> None:
        """Adds the label of a picture; arguments as for `Contest.add`."""
        self.labels[picture] = label
        if how != "outside":
            self.drawn.append(picture)
        elif not self.drawn:
            self.known.append(picture)

    def undo(self) -> None:
        """Takes the last label back."""
        picture, _ = self.labels.popitem()
        for pictures in (self.drawn, self.known):
            if pictures[-1:] == [picture]:
                pictures.pop()

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
        half = half_width(len(hits) - STRATA, 2, variance)
        return [LabelledAccuracy(estimate, half, len(hits))]

    @property
    def verdict(self) -> Literal["open", "enough"]:
        """Whether the accuracy is known to 5 points."""
        close = any(accuracy.half <= CLOSE_ENOUGH for accuracy in self.accuracies())
        return "enough" if close and len(self.labels) >= FEWEST else "open"
