"""Bets against hypotheses about two candidates, settled picture by picture.

For two candidates a and b the pictures on which they differ stand in a queue, in one random order.
A bet against "over the queue, a is right at most so much more often than b" is settled along the
queue. If the hypothesis is true, the stake has a mean of at most 1 after every picture, whatever
was labelled when; so by Ville's inequality the largest stake ever reached is 1 / p or more with
a chance of at most p.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from typing import Final

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SUPPORT_WEIGHT: Final = 0.5
"""How much the candidates' answers are used to reduce the variance; any value is valid."""

_BETS: Final = (0.3, 0.6, 0.9)
_LEAST: Final = 1e-9
_TINIEST: Final = 1e-300  # a stake that is lost has a logarithm too


class Duel:
    """All bets that one candidate, a, is more often right than another, b.

    Args:
        queue: int64 `[n]`, pictures on which they differ, in the order of labelling.
        support: float64 `[n]`, support of a minus that of b on each.
        hypotheses: Upper limits of the sum over the queue.

    Attributes:
        settled: Number of pictures that are settled.
        total: Over these, how much more often a is right.
        stakes: By hypothesis, the log of the largest stake so far, from a stake of 1.
    """

    def __init__(self, queue: Ints, support: Floats, hypotheses: Sequence[int]) -> None:
        self.queue, self.support, self.hypotheses = queue, support, hypotheses
        self.settled = self.total = 0
        self.stakes = [0.0] * len(hypotheses)
        self._logs = [[0.0] * len(_BETS) for _ in hypotheses]
        self._sums = np.concatenate([[0.0], np.cumsum(support)])
        # By picture: what is won, the least that can be, the total before it, pictures left.
        self._steps = np.empty((4, len(queue)))
        self._lower, self._bounded = -float(len(queue)), 0

    @property
    def left(self) -> int:
        """Number of pictures that are not settled."""
        return len(self.queue) - self.settled

    @property
    def following(self) -> int:
        """The picture that is settled next; -1 at the end of the queue."""
        return int(self.queue[self.settled]) if self.left else -1

    def settle(self, d: int) -> None:
        """Settles the next picture.

        Args:
            d: 1 if a is right, -1 if b is right or the label is unsure, 0 if both are wrong.
        """
        n, left = self.settled, self.left
        mean_left = float(self._sums[-1] - self._sums[n]) / left
        z = d - SUPPORT_WEIGHT * (float(self.support[n]) - mean_left)
        least = -1 - SUPPORT_WEIGHT * (1 - mean_left)
        self._steps[:, n] = z, least, self.total, left
        for number, (most, logs) in enumerate(zip(self.hypotheses, self._logs, strict=True)):
            m = (most - self.total) / left
            gain = (z - m) / max(m - least, _LEAST)
            for i, bet in enumerate(_BETS):
                logs[i] += log(max(1 + bet * gain, _TINIEST))
            top = max(logs)
            stake = top + log(sum(exp(each - top) for each in logs) / len(logs))
            self.stakes[number] = max(self.stakes[number], stake)
        self.settled += 1
        self.total += d

    def lead(self) -> float:
        """Returns an estimate of the sum over the queue."""
        size, n, expected = len(self.queue), self.settled, float(self._sums[-1])
        if not n:
            return SUPPORT_WEIGHT * expected
        return size * (
            self.total / n - SUPPORT_WEIGHT * (float(self._sums[n]) / n - expected / size)
        )

    def lower(self, needed: float) -> float:
        """Returns the largest sum over the queue that was ever refuted.

        Args:
            needed: Log of the stake that refutes; the same in every call.
        """
        if self._bounded == self.settled:
            return self._lower
        z, least, before, left = self._steps[:, : self.settled]
        d = np.append(before[1:], self.total) - before
        possible = before + d + left - 1
        bets = np.array(_BETS)[:, None]

        def beyond(most: float) -> float:
            """Returns by how much the largest stake against a sum is above what refutes it."""
            count = int(np.count_nonzero(possible >= most))
            m = (most - before[:count]) / left[:count]
            gain = (z[:count] - m) / np.maximum(m - least[:count], _LEAST)
            logs = np.cumsum(np.log(np.maximum(1 + bets * gain, _TINIEST)), axis=1)
            top = logs.max(axis=0)
            stakes = top + np.log(np.exp(logs - top).mean(axis=0))
            return max(float(stakes.max(initial=0.0)), 0.0) - needed

        low = max(self._lower, float(self.total - self.left))
        if beyond(low + _LEAST) >= 0:
            from scipy.optimize import brentq  # late: readers of reports need no bounds

            low = float(brentq(beyond, low + _LEAST, len(self.queue) + 1, xtol=_LEAST))
        self._lower, self._bounded = low, self.settled
        return low
