"""Labels for one run alone: its accuracy on the pictures, from strata of its confidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Final

import numpy as np

from tuiprobe.label.contest import Accuracy, Ints, Pool
from tuiprobe.numbers import NORMAL_95

STRATA: Final = 5
CLOSE_ENOUGH: Final = 0.05
"""Half-width at which enough is labelled."""

FEWEST: Final = 25
"""Labels before which nothing is said to be enough."""


@dataclass(eq=False)
class Alone:
    """One candidate whose accuracy is wanted.

    Attributes:
        pool: The answers of the candidate.
        labels: Class by picture, in the order of labelling.
    """

    pool: Pool
    labels: dict[int, int]

    @cached_property
    def strata(self) -> list[Ints]:
        """Five equal parts of the pictures by confidence, each in the order of labelling."""
        place = np.empty(self.pool.pictures, dtype=np.int64)
        place[self.pool.orders[0]] = np.arange(self.pool.pictures)
        ranked = np.argsort(self.pool.confidences[0], kind="stable")
        return [part[np.argsort(place[part])] for part in np.array_split(ranked, STRATA)]

    def following(self) -> int | None:
        """Returns the picture to label next: the strata take turns; None if all are labelled."""
        waiting = [[i for i in part.tolist() if i not in self.labels] for part in self.strata]
        left = [
            (len(part) - len(rest), n)
            for n, (part, rest) in enumerate(zip(self.strata, waiting, strict=True))
            if rest
        ]
        return waiting[min(left)[1]][0] if left else None

    def accuracy(self) -> Accuracy | None:
        """Returns the accuracy on all pictures; None before each stratum has a label."""
        estimate = variance = 0.0
        for part in self.strata:
            some = [i for i in part.tolist() if i in self.labels]
            n, size = len(some), len(part)
            if not size:
                continue
            if not n:
                return None
            hits = sum(int(self.pool.answers[0, i]) == self.labels[i] for i in some)
            weight, p = size / self.pool.pictures, (hits + 1) / (n + 2)
            estimate += weight * hits / n
            variance += weight**2 * p * (1 - p) / n * (1 - n / size)
        wide = NORMAL_95 + 2.4 / max(len(self.labels) - STRATA, 2)
        return Accuracy(estimate, wide * sqrt(variance))

    @property
    def enough(self) -> bool:
        """Whether the accuracy is known to 5 points."""
        known = self.accuracy()
        close = known is not None and known.half <= CLOSE_ENOUGH
        return close and len(self.labels) >= FEWEST
