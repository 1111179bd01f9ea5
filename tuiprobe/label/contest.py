"""The contest of several candidates: which picture to label next, and what the labels say."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, permutations
from math import ceil, inf, log
from typing import Final, Literal

import numpy as np

from tuiprobe.label.betting import Duel
from tuiprobe.label.survey import NOT_SURE, LabelledAccuracy, Pool, Survey, block_accuracies

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
        asked: Number of candidates that were asked about on these pictures, in a question that was
            not the first one; 0 for the first one, which costs only its own candidates.

    Attributes:
        dropped: bool `[M]`.
        stage: int64 `[N]`: -1 where the surviving candidates differ, 0 where all agreed from the
            start, k where they came to agree at the k-th label that dropped a candidate.
        drops: Number of such labels.
        verdict: What is decided.
        winner: The candidate that it is about; None if it is about none.
        needed: Log of the stake that drops a candidate.
        bounding: Log of the stake that bounds a difference.
    """

    def __init__(self, pool: Pool, asked: int = 0) -> None:
        super().__init__(pool)
        count = pool.candidates
        self.bounding = log((asked or count) * ((asked or count) - 1) / ALPHA)
        self.needed = self.bounding if asked else log((count - 1) / ALPHA)
        self.dropped = np.zeros(count, dtype=bool)
        self.stage = np.where(pool.agreed(~self.dropped), 0, -1)
        self.drops = 0
        self.verdict: Verdict = "open"
        self.winner: int | None = None
        self.duels: dict[tuple[int, int], Duel] = {}
        self._unknown = np.zeros((count, count), dtype=np.int64)
        for a, b in permutations(range(count), 2):
            queue = pool.order[pool.answers[a, pool.order] != pool.answers[b, pool.order]]
            self.duels[a, b] = Duel(queue, (pool.support[a] - pool.support[b])[queue])
            self._unknown[a, b] = len(queue)
        self._decide()

    @property
    def survivors(self) -> list[int]:
        """Candidates that are not dropped."""
        return np.flatnonzero(~self.dropped).tolist()

    def upcoming(self, count: int = 1, narrow: bool = False) -> list[int]:
        """Returns the pictures to label next, as if no candidate were dropped meanwhile.

        Args:
            count: At most so many.
            narrow: Whether to narrow the bounds of differences once the best is known.
        """
        order, other = self.pool.order, self.pool.other
        if narrow and self.verdict == "best":
            every = (iter(self.waiting(order, self.stage != 0)),) * 2
        else:
            differ = self.waiting(order, self.stage == -1)
            agreed = self.waiting(other, self.stage >= 0)
            every = chain(differ, self.waiting(other)), chain(agreed, differ, self.waiting(other))
        return self._in_turns(count, *every)

    def _in_turns(self, count: int, most: Iterator[int], fifth: Iterator[int]) -> list[int]:
        """Returns pictures of two sequences, every fifth one of the second."""
        pictures: dict[int, None] = {}
        while len(pictures) < count:
            turn = (len(self.labels) + len(pictures)) % _AGREED_EVERY == _AGREED_EVERY - 1
            following = (picture for picture in (fifth if turn else most) if picture not in pictures)
            picture = next(following, None)
            if picture is None:
                break
            pictures[picture] = None
        return list(pictures)

    def add(self, picture: int, label: int) -> None:
        """Adds the label of a picture; decides what follows.

        Args:
            picture: Its place in the pool.
            label: Number of a class, `NOBODY` or `NOT_SURE`.
        """
        super().add(picture, label)
        if label != NOT_SURE:
            answers = self.pool.answers[:, picture]
            self._unknown -= answers[:, None] != answers[None]
        right: dict[int, list[int]] = {}
        for (a, b), duel in self.duels.items():
            if duel.following == picture:
                while (at := duel.following) in self.labels:
                    if at not in right:
                        right[at] = (self.pool.answers[:, at] == self.labels[at]).tolist()
                    unsure = self.labels[at] == NOT_SURE
                    duel.settle(-1 if unsure else right[at][a] - right[at][b])
        self._decide()

    def _decide(self) -> None:
        count = self.pool.candidates
        dropped = np.zeros(count, dtype=bool)
        for a, b in self.duels:
            dropped[b] |= self.stake(a, b) >= self.needed
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
            if all(self.stake(a, b, -margin) >= self.needed for b in survivors if b != a)
        ]
        tied = all(self.proven(survivors[0], b) == (0, 0) for b in survivors[1:])
        self.verdict, self.winner = "open", None
        if contradictory:
            self.verdict = "contradictory"
        elif len(survivors) == 1:
            self.verdict, self.winner = "best", survivors[0]
        elif tied and len(self.labels) == self.pool.pictures:
            self.verdict = "equal"
        elif near:
            self.verdict, self.winner = "within", max(near, key=self._lead)

    def proven(self, a: int, b: int) -> tuple[int, int]:
        """Returns the least and the most by which a can be right more often than b."""
        difference, unknown = int(self.right[a] - self.right[b]), int(self._unknown[a, b])
        return difference - unknown, difference + unknown

    def stake(self, a: int, b: int, most: int = 0) -> float:
        """Returns the log of the largest stake against "a is right at most so much more often".

        It is infinite where labels prove that to be false, and minus infinity where they prove it.

        Args:
            a: A candidate.
            b: Another one.
            most: By how many pictures at most.
        """
        least, largest = self.proven(a, b)
        if least > most:
            return inf
        return -inf if largest <= most else self.duels[a, b].stake(most)

    def lead(self, a: int, b: int) -> float:
        """Returns an estimate of the accuracy of a minus that of b on all pictures."""
        lead = (self.duels[a, b].lead() - self.duels[b, a].lead()) / 2
        return float(np.clip(lead, *self.proven(a, b))) / self.pool.pictures

    def _lead(self, a: int) -> float:
        return sum(self.duels[a, b].lead() for b in self.survivors if b != a) / self.pool.pictures

    @property
    def leader(self) -> int:
        """The surviving candidate that is ahead, of several the first."""
        ahead = [
            a
            for a in self.survivors
            if all(self.proven(b, a)[0] <= 0 for b in range(self.pool.candidates) if b != a)
        ]
        return max(ahead, key=self._lead)

    def bounds(self, a: int, b: int) -> tuple[float, float]:
        """Returns bounds of the accuracy of a minus that of b on all pictures.

        All bounds of all pairs hold together, at all times, with 95 %.
        """
        duels = self.duels[a, b], self.duels[b, a]
        low, high = (duel.lower(self.bounding) for duel in duels)
        ends = np.clip([low, -high], *self.proven(a, b)) / self.pool.pictures
        return float(ends[0]), float(ends[1])

    @property
    def progress(self) -> float:
        """How close the leader's closest rival is to being dropped, from 0 to 1; 1 drops it."""
        return min(max(self._closest[1] / self.needed, 0.0), 1.0)

    @property
    def labels_left(self) -> int | None:
        """About how many more labels the decision takes; None while that is not known."""
        rival, stake = self._closest
        if stake < _TOO_EARLY or stake >= self.needed:
            return None
        return ceil(self.duels[self.leader, rival].settled * (self.needed / stake - 1))

    @property
    def _closest(self) -> tuple[int, float]:
        """The leader's closest surviving rival, and the log of the stake against it.

        All others are rivals where none survives.
        """
        leader, every = self.leader, range(self.pool.candidates)
        rivals = [b for b in self.survivors if b != leader] or [b for b in every if b != leader]
        return min(((b, self.stake(leader, b)) for b in rivals), key=lambda rival: rival[1])

    def accuracies(self) -> list[LabelledAccuracy]:
        """Returns the accuracy of each candidate, from blocks of equal stage as of now."""
        return block_accuracies(self, self.stage)
