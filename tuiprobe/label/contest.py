"""The contest of several candidates: which picture to label next, and what the labels say.

For every ordered pair of candidates the pictures on which they differ stand in a queue, in one
random order. A bet against "a is not more often right than b on them" is settled picture by
picture along the queue; its factor has mean one at most if that is true, whatever was labelled
when, so the largest stake ever reached exceeds 1 / p with a chance of at most p.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from math import ceil, exp, inf, log, sqrt
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tuiprobe.numbers import NORMAL_95

ALPHA: Final = 0.05
"""Chance that the best candidate is dropped, or that a winner is named wrongly."""

MARGIN: Final = 0.02
"""Share of the pictures that counts as no difference: "within 2 points of the best"."""

NOBODY: Final = -1
"""Label of a picture on which no candidate is right: none of the classes, or unsure."""

_BETS: Final = (0.3, 0.6, 0.9)
_SUPPORT: Final = 0.5  # weight of what candidates say of each other
_AGREED_EVERY: Final = 5  # every fifth picture is one on which the candidates agree
_STEPS: Final = 45  # bisections of a bound
_LEAST: Final = 1e-9
_TOO_EARLY: Final = 0.5  # log of a stake from which no number of labels is guessed

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pool:
    """What the candidates answered on the same pictures, in the order of the pictures' ids.

    Attributes:
        answers: int64 `[M, N]`, index of a class.
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
        return self.answers.shape[1]

    @cached_property
    def orders(self) -> tuple[Ints, Ints]:
        """Two random orders: of pictures that candidates differ on, and of others."""
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


class Bet:
    """A bet against "the sum over the queue is at most this", settled picture by picture.

    Args:
        most: The sum.
        size: Pictures in the queue.

    Attributes:
        best: Log of the largest stake so far, from a stake of 1.
    """

    def __init__(self, most: float, size: int) -> None:
        self.most, self.best = most, 0.0
        self._logs = [0.0] * len(_BETS)
        self._refute(0, size)

    def settle(self, d: int, f: float, mean_left: float, total: int, left: int) -> None:
        """Settles one picture.

        Args:
            d: 1 where a is right, -1 where b is, 0 where nobody is.
            f: Support of a less that of b on it.
            mean_left: Mean of the support over it and all that follow.
            total: Sum over the pictures before it.
            left: Number of pictures from it on.
        """
        m = (self.most - total) / left
        z = d - _SUPPORT * (f - mean_left)
        low = -1 - _SUPPORT * (1 - mean_left)
        gain = (z - m) / max(m - low, _LEAST)
        self._logs = [
            w + (log(1 + c * gain) if c * gain > -1 else -inf)
            for w, c in zip(self._logs, _BETS, strict=True)
        ]
        top = max(self._logs)
        mean = sum(exp(w - top) for w in self._logs) / len(_BETS)
        self.best = max(self.best, top + log(mean))
        self._refute(total + d, left - 1)

    def _refute(self, total: int, left: int) -> None:
        """Notes if the sum is above the hypothesis whatever follows."""
        if self.most < total - left:
            self.best = inf


class Walk:
    """The bets of one ordered pair along its queue.

    Args:
        queue: int64 `[n]`, pictures on which a and b differ, in the order of labelling.
        support: float64 `[n]`, support of a less that of b on each.
        margin: Whole number of pictures that counts as no difference.

    Attributes:
        right: What was seen so far: 1 where a was right, -1 where b was, 0 where nobody.
        better: The bet against "a is not more often right than b".
        near: The bet against "a is further behind b than the margin".
        lower: Largest sum over the queue that was refuted.
    """

    def __init__(self, queue: Ints, support: Floats, margin: int) -> None:
        self.queue, self.support = queue, support
        self.right: list[int] = []
        self.total = 0
        self.better, self.near = Bet(0, len(queue)), Bet(-margin, len(queue))
        self.lower = -float(len(queue))
        before = np.concatenate([[0.0], np.cumsum(support)])
        self.support_sum = before  # over the first pictures
        left = np.arange(len(queue), 0, -1)
        self._mean_left = (before[-1] - before[:-1]) / left

    @property
    def left(self) -> int:
        """Number of pictures that are not settled."""
        return len(self.queue) - len(self.right)

    @property
    def following(self) -> int | None:
        """The picture that is settled next; None at the end of the queue."""
        return int(self.queue[len(self.right)]) if self.left else None

    def settle(self, d: int) -> None:
        """Settles the next picture; see `Bet.settle`."""
        n = len(self.right)
        f, mean_left = float(self.support[n]), float(self._mean_left[n])
        for bet in (self.better, self.near):
            bet.settle(d, f, mean_left, self.total, self.left)
        self.right.append(d)
        self.total += d

    def lead(self) -> float:
        """Returns an estimate of the mean of `right` over the queue; 0 for an empty queue."""
        size, n = len(self.queue), len(self.right)
        if not size:
            return 0.0
        expected = self.support_sum[-1] / size
        if not n:
            return float(_SUPPORT * expected)
        return float(self.total / n - _SUPPORT * (self.support_sum[n] / n - expected))

    def raise_lower(self, needed: float) -> None:
        """Raises `lower` to the largest sum that the last picture refutes.

        Args:
            needed: Log of the stake that refutes.
        """
        low = max(self.lower, float(self.total - self.left))
        high = float(self.total + self.left)
        if high > low and self._stake(low + _LEAST) >= needed:
            for _ in range(_STEPS):
                middle = (low + high) / 2
                low, high = (middle, high) if self._stake(middle) >= needed else (low, middle)
        self.lower = low

    def _stake(self, most: float) -> float:
        """Returns log of the stake of a bet against a sum, after the last settled picture."""
        n = len(self.right)
        d = np.array(self.right, dtype=np.float64)
        left, mean_left = len(self.queue) - np.arange(n), self._mean_left[:n]
        m = (most - (np.cumsum(d) - d)) / left
        if (m < -1).any():
            return inf
        z = d - _SUPPORT * (self.support[:n] - mean_left)
        gain = (z - m) / np.maximum(m + 1 + _SUPPORT * (1 - mean_left), _LEAST)
        with np.errstate(divide="ignore"):
            logs = np.log(np.maximum(1 + np.outer(_BETS, gain), 0)).sum(axis=1)
        top = float(logs.max())
        return top + log(float(np.exp(logs - top).mean()))


Verdict = Literal["open", "best", "within", "equal", "contradictory"]


@dataclass(frozen=True)
class Accuracy:
    """The accuracy of a candidate on all N pictures, for a number of labels planned ahead."""

    estimate: float
    half: float


class Contest:
    """Candidates, what was labelled, and what follows from it.

    Args:
        pool: The answers of two or more candidates.

    Attributes:
        labels: Class by picture, in the order of labelling; `NOBODY` where none was right.
        drawn: Pictures among them that this contest asked for.
        stage: int64 `[N]`: -1 where the surviving candidates differ, 0 where all agreed from the
            start, k where they came to agree at the k-th label that dropped a candidate.
        verdict: What is decided.
        winner: The candidate that it is about; None if it is about none.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.labels: dict[int, int] = {}
        self.drawn: list[int] = []
        self.dropped = np.zeros(pool.candidates, dtype=bool)
        self.verdict: Verdict = "open"
        self.winner: int | None = None
        self._drops = 0
        self.stage = np.where(pool.agreed(~self.dropped), 0, -1)
        order, support = pool.orders[0], pool.support
        margin = ceil(MARGIN * pool.pictures - _LEAST)
        self.walks = {}
        for a, b in permutations(range(pool.candidates), 2):
            queue = order[pool.answers[a, order] != pool.answers[b, order]]
            self.walks[a, b] = Walk(queue, (support[a] - support[b])[queue], margin)
        self._decide()

    @property
    def survivors(self) -> list[int]:
        """Candidates that are not dropped."""
        return np.flatnonzero(~self.dropped).tolist()

    @property
    def needed(self) -> float:
        """Log of the stake that drops a candidate."""
        return log((self.pool.candidates - 1) / ALPHA)

    def following(self, narrow: bool = False) -> int | None:
        """Returns the picture to label next; None if all are labelled.

        Args:
            narrow: Whether to narrow the bounds of differences, rather than to decide.
        """
        order, other = self.pool.orders
        if narrow:
            return self._first(order, self.stage != 0)
        if len(self.drawn) % _AGREED_EVERY == _AGREED_EVERY - 1:
            agreed = self._first(other, self.stage >= 0)
            if agreed is not None:
                return agreed
        differ = self._first(order, self.stage == -1)
        return differ if differ is not None else self._first(other, np.ones_like(self.stage, bool))

    def _first(self, order: Ints, wanted: Bools) -> int | None:
        return next((i for i in order[wanted[order]].tolist() if i not in self.labels), None)

    def add(self, picture: int, label: int, drawn: bool = True) -> None:
        """Adds the label of a picture; decides what follows.

        Args:
            picture: Its index.
            label: Index of a class, or `NOBODY`.
            drawn: Whether this contest asked for it, in its order.
        """
        self.labels[picture] = label
        if drawn:
            self.drawn.append(picture)
        for (a, b), walk in self.walks.items():
            moved = False
            while (at := walk.following) is not None and at in self.labels:
                right = self.pool.answers[[a, b], at] == self.labels[at]
                walk.settle(int(right[0]) - int(right[1]))
                moved = True
            if moved:
                walk.raise_lower(log(self.pool.candidates * (self.pool.candidates - 1) / ALPHA))
        self._decide()

    def _decide(self) -> None:
        pool, walks = self.pool, self.walks
        dropped = np.zeros(pool.candidates, dtype=bool)
        for (_, b), walk in walks.items():
            dropped[b] |= walk.better.best >= self.needed
        contradictory = bool(dropped.all())
        if contradictory:
            dropped[:] = False
        if (dropped != self.dropped).any():
            self._drops += 1
            agreed = pool.agreed(~dropped)
            self.stage[(self.stage == -1) & agreed] = self._drops
            self.dropped = dropped
        self.verdict, self.winner = self._verdict(contradictory)

    def _verdict(self, contradictory: bool) -> tuple[Verdict, int | None]:
        survivors = self.survivors
        if contradictory:
            return "contradictory", None
        if len(survivors) == 1:
            return "best", survivors[0]
        near = [
            a
            for a in survivors
            if all(self.walks[a, b].near.best >= self.needed for b in survivors if b != a)
        ]
        if near:
            return "within", max(near, key=self._lead)
        if len(self.labels) == self.pool.pictures:
            return "equal", None
        return "open", None

    def _lead(self, a: int) -> float:
        rivals = [b for b in self.survivors if b != a]
        parts = (len(self.walks[a, b].queue) * self.walks[a, b].lead() for b in rivals)
        return sum(parts) / self.pool.pictures

    @property
    def leader(self) -> int:
        """The surviving candidate that is ahead, of several the first."""
        return max(self.survivors, key=self._lead)

    def bounds(self, a: int, b: int) -> tuple[float, float]:
        """Returns bounds of accuracy of a less that of b on all pictures.

        All bounds of all pairs hold together, at all times, with 95 %.
        """
        n = self.pool.pictures
        return self.walks[a, b].lower / n, -self.walks[b, a].lower / n

    @property
    def progress(self) -> float:
        """Part of the way to the next decision, from 0 to 1, of the leader's closest rival."""
        return min(self._closest().better.best / self.needed, 1.0)

    @property
    def labels_left(self) -> int | None:
        """About how many more labels the decision takes; None while that is not known."""
        walk = self._closest()
        stake = walk.better.best
        if stake < _TOO_EARLY or stake >= self.needed:
            return None
        return ceil(len(walk.right) * (self.needed / stake - 1))

    def _closest(self) -> Walk:
        leader = self.leader
        rivals = [self.walks[leader, b] for b in self.survivors if b != leader]
        rivals = rivals or [
            self.walks[leader, b] for b in range(self.pool.candidates) if b != leader
        ]
        return min(rivals, key=lambda walk: walk.better.best)

    def accuracy(self, candidate: int) -> Accuracy:
        """Returns the accuracy of a candidate from the pictures that were drawn.

        Pictures are counted in blocks of equal stage, within which they are drawn at random.
        """
        pool, drawn = self.pool, np.array(self.drawn, dtype=np.int64)
        support = pool.support[candidate]
        labels = np.array([self.labels[i] for i in self.drawn], dtype=np.int64)
        right = (pool.answers[candidate, drawn] == labels).astype(np.float64)
        estimate = variance = 0.0
        for stage in np.unique(self.stage):
            block, mine = self.stage == stage, self.stage[drawn] == stage
            size, n, weight = int(block.sum()), int(mine.sum()), float(block.mean())
            expected = float(support[block].mean())
            if not n:
                estimate += weight * expected
                variance += weight**2 * 0.25
                continue
            rest = right[mine] - _SUPPORT * support[drawn][mine]
            estimate += weight * (float(rest.mean()) + _SUPPORT * expected)
            spread = (float(((rest - rest.mean()) ** 2).sum()) + 0.5) / n
            variance += weight**2 * min(0.25, spread) / n * (1 - n / size)
        wide = NORMAL_95 + 2.4 / max(len(drawn) - 2, 1)
        return Accuracy(estimate, wide * sqrt(variance))
