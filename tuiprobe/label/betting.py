"""Bets against hypotheses about two candidates, settled picture by picture.

For two candidates a and b the pictures on which they differ stand in a queue, in one random order.
A bet against "over the queue, a is right at most so much more often than b" is settled along the
queue. If the hypothesis is true, the stake has a mean of at most 1 after every picture, whatever
was labelled when; so by Ville's inequality the largest stake ever reached is 1 / p or more with
a chance of at most p.
"""

from __future__ import annotations

from math import exp, inf, log
from typing import Final

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SUPPORT_WEIGHT: Final = 0.5
"""How much the candidates' own votes are used to reduce the variance; any value is valid."""

_BETS: Final = (0.3, 0.6, 0.9)
_COLUMN: Final = np.array(_BETS)[:, None]
_LEAST: Final = 1e-9
_TINIEST: Final = 1e-300  # a stake that is lost has a logarithm too


class Bet:
    """A bet against "the sum over the queue is at most this".

    Args:
        most: The sum.
        size: Pictures in the queue.

    Attributes:
        best: Log of the largest stake so far, from a stake of 1.
        logs: Log of the stake now, by the share of it that is bet.
    """

    def __init__(self, most: float, size: int) -> None:
        self.most, self.best = most, 0.0
        self.logs = (0.0,) * len(_BETS)
        self._refute(0, size)

    def settle(self, d: int, f: float, mean_left: float, total: int, left: int) -> None:
        """Settles one picture.

        Args:
            d: 1 where a is right, -1 where b is, 0 where nobody is.
            f: Support of a minus that of b on it.
            mean_left: Mean of that over this picture and all that follow.
            total: Sum of `d` over the pictures before it.
            left: Number of pictures from it on.
        """
        m = (self.most - total) / left
        z = d - SUPPORT_WEIGHT * (f - mean_left)
        low = -1 - SUPPORT_WEIGHT * (1 - mean_left)
        gain = (z - m) / max(m - low, _LEAST)
        self.logs = tuple(
            w + (log(1 + c * gain) if c * gain > -1 else -inf)
            for w, c in zip(self.logs, _BETS, strict=True)
        )
        top = max(self.logs)
        mean = sum(exp(w - top) for w in self.logs) / len(_BETS)
        self.best = max(self.best, top + log(mean))
        self._refute(total + d, left - 1)

    def _refute(self, total: int, left: int) -> None:
        """Takes note if the sum is above the hypothesis, whatever follows."""
        if self.most < total - left:
            self.best = inf


class Duel:
    """All bets about two candidates, a and b.

    Side 0 stands for "a minus b", side 1 for "b minus a".

    Args:
        queue: int64 `[n]`, pictures on which they differ, in the order of labelling.
        support: float64 `[n]`, support of a minus that of b on each.
        margin: Whole number of pictures that counts as no difference.

    Attributes:
        right: For each settled picture 1 where a is right, -1 where b is, 0 where nobody is.
        total: Sum of `right`.
        better: By side, the bet against "it is not more often right".
        near: By side, the bet against "it is further behind than the margin".
    """

    def __init__(self, queue: Ints, support: Floats, margin: int) -> None:
        self.queue, self.support = queue, support
        self.right: list[int] = []
        self.total = 0
        size = len(queue)
        self.better = (Bet(0, size), Bet(0, size))
        self.near = (Bet(-margin, size), Bet(-margin, size))
        self.sums = np.concatenate([[0.0], np.cumsum(support)])
        self._lower, self._bounded = [-float(size), -float(size)], [0, 0]

    @property
    def left(self) -> int:
        """Number of pictures that are not settled."""
        return len(self.queue) - len(self.right)

    @property
    def following(self) -> int:
        """The picture that is settled next; -1 at the end of the queue."""
        return int(self.queue[len(self.right)]) if self.left else -1

    def settle(self, d: int) -> None:
        """Settles the next picture.

        Args:
            d: 1 where a is right on it, -1 where b is, 0 where nobody is.
        """
        n, left = len(self.right), self.left
        f, mean_left = float(self.support[n]), float(self.sums[-1] - self.sums[n]) / left
        for side, sign in enumerate((1, -1)):
            for bet in (self.better[side], self.near[side]):
                bet.settle(sign * d, sign * f, sign * mean_left, sign * self.total, left)
        self.right.append(d)
        self.total += d

    def lead(self, side: int) -> float:
        """Returns an estimate of the sum over the queue."""
        size, n, sign = len(self.queue), len(self.right), 1 - 2 * side
        if not size:
            return 0.0
        expected = float(self.sums[-1])
        if not n:
            return sign * SUPPORT_WEIGHT * expected
        rest = self.total / n - SUPPORT_WEIGHT * (float(self.sums[n]) / n - expected / size)
        return sign * size * rest

    def lower(self, side: int, needed: float) -> float:
        """Returns the largest sum over the queue that was ever refuted.

        Args:
            side: The side.
            needed: Log of the stake that refutes; the same in every call.
        """
        n, sign = len(self.right), 1 - 2 * side
        if self._bounded[side] == n:
            return self._lower[side]
        d = sign * np.array(self.right, dtype=np.float64)
        left = len(self.queue) - np.arange(n)
        mean_left = sign * (self.sums[-1] - self.sums[:n]) / left
        z = d - SUPPORT_WEIGHT * (sign * self.support[:n] - mean_left)
        room = 1 + SUPPORT_WEIGHT * (1 - mean_left)
        after = np.cumsum(d)
        before, most = after - d, after + left - 1

        def beyond(total: float) -> float:
            """Returns by how much the largest stake against a sum is above what refutes it."""
            settled = int(np.count_nonzero(most >= total))  # sums beyond `most` are impossible
            if not settled:
                return -needed
            m = (total - before[:settled]) / left[:settled]
            gain = (z[:settled] - m) / np.maximum(m + room[:settled], _LEAST)
            logs = np.cumsum(np.log(np.maximum(1 + _COLUMN * gain, _TINIEST)), axis=1)
            top = logs.max(axis=0)
            return float((top + np.log(np.exp(logs - top).mean(axis=0))).max()) - needed

        low = max(self._lower[side], sign * self.total - self.left)
        if beyond(low + _LEAST) >= 0:
            from scipy.optimize import brentq  # late: readers of reports need no bounds

            low = float(brentq(beyond, low + _LEAST, len(self.queue) + 1, xtol=_LEAST))
        self._lower[side], self._bounded[side] = low, n
        return low
