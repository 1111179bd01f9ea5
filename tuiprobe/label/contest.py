"""The contest of several candidates: which picture to label next, and what the labels say."""

from __future__ import annotations

from itertools import permutations
from math import ceil, log
from typing import Final, Literal

import numpy as np

from tuiprobe.label.betting import Duel
from tuiprobe.label.files import How
from tuiprobe.label.survey import Draw, LabelledAccuracy, Pool, Survey, block_accuracies

ALPHA: Final = 0.05
"""Chance that the best candidate is dropped, or that a winner is named wrongly."""

MARGIN: Final = 0.02
"""Share of the pictures that counts as no difference: "within 2 points of the best"."""

_AGREED_EVERY: Final = 5  # every fifth picture is one on which the candidates agree
_TOO_EARLY: Final = 0.5  # log of a stake from which no number of labels is guessed

MARGIN_POINTS: Final = f"{100 * MARGIN:g} points"

Verdict = Literal["open", "best", "within", "equal", "contradictory", "enough"]
"""What labels decide; `enough` is for one run alone."""

UNDECIDED: Final = ("open", "contradictory")
"""Verdicts that are no decision."""


def forecast(more: int | None, left: int) -> str:
    """Returns how many more labels the next decision takes, in words; empty if it is not known.

    >>> forecast(30, 100), forecast(100, 100), forecast(None, 100)
    ('roughly 30 more', 'at most 100 more', '')
    """
    return "" if more is None else f"{'roughly' if more < left else 'at most'} {more:,} more"


class Contest(Survey):
    """Candidates, what was labelled, and what follows from it.

    Args:
        pool: The answers of two or more candidates.

    Attributes:
        dropped: bool `[M]`.
        stage: int64 `[N]`: -1 where the surviving candidates differ, 0 where all agreed from the
            start, k where they came to agree at the k-th label that dropped a candidate.
        drops: Number of such labels.
        verdict: What is decided.
        winner: The candidate that it is about; None if it is about none.
    """

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.dropped = np.zeros(pool.candidates, dtype=bool)
        self.stage = np.where(pool.agreed(~self.dropped), 0, -1)
        self.drops = 0
        self.verdict: Verdict = "open"
        self.winner: int | None = None
        order, support = pool.orders[0], pool.support
        self.duels: dict[tuple[int, int], Duel] = {}
        for a, b in permutations(range(pool.candidates), 2):
            queue = order[pool.answers[a, order] != pool.answers[b, order]]
            self.duels[a, b] = Duel(queue, (support[a] - support[b])[queue])
        self._decide()

    @property
    def survivors(self) -> list[int]:
        """Candidates that are not dropped."""
        return np.flatnonzero(~self.dropped).tolist()

    @property
    def needed(self) -> float:
        """Log of the stake that drops a candidate."""
        return log((self.pool.candidates - 1) / ALPHA)

    def upcoming(self, count: int = 1, narrow: bool = False) -> list[Draw]:
        """Returns the pictures to label next, as if no candidate were dropped meanwhile.

        Args:
            count: At most so many.
            narrow: Whether to narrow the bounds of differences once the best is known.
        """
        (order, other), waiting = self.pool.orders, self.unlabelled
        narrow = narrow and self.verdict == "best"
        differ = self.stage != 0 if narrow else self.stage == -1
        turns = {
            "order": iter(order[(waiting & differ)[order]].tolist()),
            "other": iter(other[(waiting & (self.stage >= 0))[other]].tolist()),
            "rest": iter(other[waiting[other]].tolist()),
        }
        draws: dict[int, How] = {}
        while len(draws) < count:
            fifth = (len(self.drawn) + len(draws)) % _AGREED_EVERY == _AGREED_EVERY - 1
            names = ("order",) if narrow else ("other",) * fifth + ("order", "rest")
            following = ((name, i) for name in names for i in turns[name] if i not in draws)
            name, picture = next(following, ("", -1))
            if not name:
                break
            draws[picture] = "order" if name == "order" else "other"
        return [Draw(picture, how) for picture, how in draws.items()]

    def add(self, picture: int, label: int, how: How) -> None:
        """Adds the label of a picture; decides what follows.

        Args:
            picture: Its place in the pool.
            label: Number of a class, or `NOBODY`.
            how: `order` or `other` if this contest asked for it, else `outside`.
        """
        super().add(picture, label, how)
        right = {}
        for (a, b), duel in self.duels.items():
            if duel.following == picture:
                while (at := duel.following) in self.labels:
                    if at not in right:
                        right[at] = (self.pool.answers[:, at] == self.labels[at]).tolist()
                    duel.settle(right[at][a] - right[at][b])
        self._decide()

    def _decide(self) -> None:
        dropped = np.zeros(self.pool.candidates, dtype=bool)
        for (_, b), duel in self.duels.items():
            dropped[b] |= duel.stake(0) >= self.needed
        contradictory = bool(dropped.all())
        if contradictory:
            dropped[:] = False
        if (dropped != self.dropped).any():
            self.drops += 1
            agreed = self.pool.agreed(~dropped)
            self.stage = np.where((self.stage == -1) & agreed, self.drops, self.stage)
            self.dropped = dropped
        survivors = self.survivors
        margin = ceil(MARGIN * self.pool.pictures - 1e-9)
        near = [
            a
            for a in survivors
            if all(self.duels[a, b].stake(-margin) >= self.needed for b in survivors if b != a)
        ]
        self.verdict, self.winner = "open", None
        if contradictory:
            self.verdict = "contradictory"
        elif len(survivors) == 1:
            self.verdict, self.winner = "best", survivors[0]
        elif len(self.labels) == self.pool.pictures:
            self.verdict = "equal"  # a candidate that is ahead by one picture is the best by then
        elif near:
            self.verdict, self.winner = "within", max(near, key=self._lead)

    def better(self, a: int, b: int) -> float:
        """Returns the log of the largest stake against "a is not more often right than b"."""
        return self.duels[a, b].stake(0)

    def lead(self, a: int, b: int) -> float:
        """Returns an estimate of the accuracy of a minus that of b on all pictures."""
        return self.duels[a, b].lead() / self.pool.pictures

    def _lead(self, a: int) -> float:
        return sum(self.duels[a, b].lead() for b in self.survivors if b != a) / self.pool.pictures

    @property
    def leader(self) -> int:
        """The surviving candidate that is ahead, of several the first."""
        return max(self.survivors, key=self._lead)

    def bounds(self, a: int, b: int) -> tuple[float, float]:
        """Returns bounds of the accuracy of a minus that of b on all pictures.

        All bounds of all pairs hold together, at all times, with 95 %.
        """
        m, n = self.pool.candidates, self.pool.pictures
        needed = log(m * (m - 1) / ALPHA)
        return self.duels[a, b].lower(needed) / n, -self.duels[b, a].lower(needed) / n

    @property
    def progress(self) -> float:
        """How close the leader's closest rival is to being dropped, from 0 to 1; 1 drops it."""
        leader = self.leader
        return min(*(self.better(leader, b) / self.needed for b in self._rivals(leader)), 1.0)

    @property
    def labels_left(self) -> int | None:
        """About how many more labels the decision takes; None while that is not known."""
        leader = self.leader
        rival = min(self._rivals(leader), key=lambda b: self.better(leader, b))
        stake = self.better(leader, rival)
        if stake < _TOO_EARLY or stake >= self.needed:
            return None
        return ceil(self.duels[leader, rival].settled * (self.needed / stake - 1))

    def _rivals(self, leader: int) -> list[int]:
        """Returns the surviving candidates besides the leader, or all others if there is none."""
        rivals = [b for b in self.survivors if b != leader]
        return rivals or [b for b in range(self.pool.candidates) if b != leader]

    def accuracies(self) -> list[LabelledAccuracy]:
        """Returns the accuracy of each candidate, from blocks of equal stage as of now."""
        drawn, known = (np.array(rows, dtype=np.int64) for rows in (self.drawn, self.known))
        places = [*self.drawn, *self.known]
        labels = np.array([self.labels[place] for place in places], dtype=np.int64)
        right = (self.pool.answers[:, places] == labels).astype(np.float64)
        return block_accuracies(right, self.pool.support, self.stage, drawn, known)
