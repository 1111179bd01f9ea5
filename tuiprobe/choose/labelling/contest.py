"""The contest of several candidates: which picture to label next, and what the labels say."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, permutations
from math import ceil, inf, log
from typing import Final, Literal

import numpy as np

from tuiprobe.choose.labelling.betting import SUPPORT_WEIGHT, Duel, Floats
from tuiprobe.choose.labelling.survey import NOT_SURE, Pool, SampledRange, Survey
from tuiprobe.numbers import NORMAL_95

ALPHA: Final = 0.05
"""Chance that the best candidate is dropped, or that a winner is named wrongly."""

MARGIN: Final = 0.02
"""Share of the pictures that counts as no difference: "within 2 points of the best"."""

_AGREED_EVERY: Final = 5  # every fifth picture is one on which the candidates agree
_WIDER: Final = 1.25  # those who stop at a decision have looked at it many times
_TOO_EARLY: Final = 0.5  # log of a stake from which no number of labels is guessed

MARGIN_POINTS: Final = f"{100 * MARGIN:g} points"

LabelVerdict = Literal["open", "best", "within", "equal", "contradictory", "enough"]
"""What labels decide; `enough` is for one run alone."""

UNDECIDED: Final = ("open", "contradictory")
"""Verdicts that are no decision."""


FINAL: Final = ("best", "equal", "contradictory", "enough")
"""Verdicts after which further labels only narrow what is known."""


class Contest(Survey):
    """Candidates and their labels, with the decisions that follow.

    Args:
        pool: The answers of two or more candidates.
        asked: Number of candidates that were asked about on these pictures, in a question that was
            not the first one; 0 for the first one, which costs only its candidates.

    Attributes:
        dropped: bool `[M]`.
        stage: int64 `[N]`: -1 where the surviving candidates differ, 0 where all agreed from the
            start, k where they came to agree at the k-th label that dropped a candidate.
        drops: Number of these labels.
        equal_answers: Whether all candidates answer alike on every picture: no label orders them.
        verdict: What is decided.
        winner: The candidate that it is about.
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
        self.verdict: LabelVerdict = "open"
        self.winner: int | None = None
        self._hypotheses = 0, -ceil(MARGIN * pool.pictures - 1e-9)
        self.duels: dict[tuple[int, int], Duel] = {}
        self._unknown = (pool.answers[:, None] != pool.answers[None]).sum(axis=2)
        self.equal_answers, most = not self._unknown.any(), int(self._unknown.max())
        self._alike = most < -self._hypotheses[1]
        self._stakes = np.zeros((len(self._hypotheses), count, count))
        for a, b in permutations(range(count), 2):
            queue = pool.order[pool.answers[a, pool.order] != pool.answers[b, pool.order]]
            sure = pool.confidences[[a, b]][:, queue]
            support = (sure[0] - sure[1]) / sure.sum(axis=0)
            if not asked:
                support = (pool.support[a] - pool.support[b])[queue]
            self.duels[a, b] = Duel(queue, support, self._hypotheses)
        self._decide()

    @property
    def survivors(self) -> list[int]:
        """Candidates that are not dropped."""
        return np.flatnonzero(~self.dropped).tolist()

    def following(self, narrow: bool = False) -> int | None:
        """Returns the picture to label next.

        A skipped picture comes back after four more answers, on a turn on which candidates differ:
        on any turn it would take the place of pictures on which they agree.

        Args:
            narrow: Whether to narrow the bounds of differences once the best is known.
        """
        labels = len(self.labels)
        agreeing = labels % _AGREED_EVERY == _AGREED_EVERY - 1
        if not agreeing and (due := self.due(labels)) is not None:
            return due
        return next(chain(self._turns(narrow)[agreeing], self.asked_again), None)

    def upcoming(self, count: int, narrow: bool = False) -> list[int]:
        """Returns the pictures of the next list, as if no candidate were dropped meanwhile.

        Skipped pictures come first.

        Args:
            count: At most so many.
            narrow: As for `following`.
        """
        turns, labels = self._turns(narrow), len(self.labels)
        pictures = dict.fromkeys(self.asked_again[:count])
        while len(pictures) < count:
            agreeing = (labels + len(pictures)) % _AGREED_EVERY == _AGREED_EVERY - 1
            picture = next((index for index in turns[agreeing] if index not in pictures), None)
            if picture is None:
                break
            pictures[picture] = None
        return list(pictures)

    def _turns(self, narrow: bool) -> tuple[Iterator[int], Iterator[int]]:
        """Returns the unseen pictures in the order of a usual turn, and of every fifth."""
        order, other = self.pool.order, self.pool.other
        if narrow and self.verdict == "best":
            disputed = self.unseen(order, self.stage != 0)
            return disputed, disputed
        differ = self.unseen(order, self.stage == -1)
        agreed = self.unseen(other, self.stage >= 0)
        return chain(differ, self.unseen(other)), chain(agreed, differ, self.unseen(other))

    def add(self, picture: int, label: int) -> None:
        """Adds the label of a picture, and drops candidates that it decides against.

        Args:
            picture: Its index in the pool.
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
                self._stakes[:, a, b] = duel.stakes
        self._decide()

    def _decide(self) -> None:
        beaten, near = (self.stakes(most) >= self.needed for most in self._hypotheses)
        dropped = np.asarray(beaten.any(axis=0))
        contradictory = bool(dropped.all())
        if contradictory:
            dropped[:] = False
        if (dropped != self.dropped).any():
            self.drops += int((dropped & ~self.dropped).any())
            came_to_agree = np.where(self.stage == -1, self.drops, self.stage)
            self.stage = np.where(self.pool.agreed(~dropped), came_to_agree, -1)
            self.dropped = dropped
        survivors = self.survivors
        near[:, self.dropped] = True
        np.fill_diagonal(near, val=True)
        # Of candidates that differ on so few pictures, answers alone show it, until all are known.
        shown = not self._alike or not (self.equal_answers or self._unknown.any())
        within = [a for a in survivors if shown and near[a].all()]
        tied = all(self.proven(survivors[0], b) == (0, 0) for b in survivors[1:])
        self.verdict, self.winner = "open", None
        if contradictory:
            self.verdict = "contradictory"
        elif len(survivors) == 1:
            self.verdict, self.winner = "best", survivors[0]
        elif tied and len(self.labels) == self.pool.pictures:
            self.verdict = "equal"
        elif within:
            self.verdict, self.winner = "within", max(within, key=self._lead)

    def proven(self, a: int, b: int) -> tuple[int, int]:
        """Returns the least and the most by which a can be right more often than b."""
        difference, unknown = int(self.right[a] - self.right[b]), int(self._unknown[a, b])
        return difference - unknown, difference + unknown

    def stakes(self, most: int = 0) -> Floats:
        """Returns logs of the largest stakes against "a has at most so many more right than b has".

        They are infinite where labels prove that to be false, and minus infinity where they prove
        it; float64 `[M, M]`, a by row.

        Args:
            most: By how many pictures at most: 0, or minus the margin.
        """
        difference = self.right[:, None] - self.right[None]
        stakes = self._stakes[self._hypotheses.index(most)]
        stakes = np.where(difference + self._unknown <= most, -inf, stakes)
        return np.asarray(np.where(difference - self._unknown > most, inf, stakes))

    def lead(self, a: int, b: int) -> float:
        """Returns an estimate of the accuracy of a minus that of b on all pictures."""
        lead = (self.duels[a, b].lead() - self.duels[b, a].lead()) / 2
        return float(np.clip(lead, *self.proven(a, b))) / self.pool.pictures

    def _lead(self, a: int) -> float:
        lead = sum(self.duels[a, b].lead() for b in self.survivors if b != a)
        return round(lead / self.pool.pictures, 12)  # the order of a sum decides no tie

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

        All bounds of all pairs hold together, at all times, with 95 %. The lower one is above the
        upper one where labels contradict each other.
        """
        low = self.duels[a, b].lower(self.bounding)
        high = -self.duels[b, a].lower(self.bounding)
        least, most = self.proven(a, b)
        if low <= high or least == most:
            low, high = max(low, least), min(high, most)
            if low > high:
                low, high = least, most
        return low / self.pool.pictures, high / self.pool.pictures

    @property
    def waiting(self) -> int:
        """Labelled pictures behind one without a label, in the order of bets of survivors."""
        ahead = np.zeros(self.pool.pictures, dtype=bool)
        for duel in map(self.duels.__getitem__, permutations(self.survivors, 2)):
            ahead[duel.queue[duel.settled :]] = True
        return int(np.count_nonzero(ahead & ~self._unlabelled))

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
        leader, every, stakes = self.leader, range(self.pool.candidates), self.stakes()
        rivals = [b for b in self.survivors if b != leader] or [b for b in every if b != leader]
        return min(((b, float(stakes[leader, b])) for b in rivals), key=lambda rival: rival[1])

    def sampled_ranges(self) -> list[SampledRange]:
        """Returns the range of each candidate's accuracy, from blocks of equal stage as of now."""
        samples, expected = self.samples(self.stage), self.pool.support
        n = sum(len(sample.pictures) for sample in samples)
        quantile, sides = _WIDER * (NORMAL_95 + 2.4 / max(n - 2, 1)), []
        for unsure, sign in ((False, -1), (True, 1)):
            value, variance = np.zeros((2, self.pool.candidates))
            for sample in samples:
                drawn, size = len(sample.pictures), len(sample.block)
                weight, mean = size / self.pool.pictures, expected[:, sample.block].mean(axis=1)
                if not drawn:
                    value += weight * mean
                    variance += weight**2 * 0.25
                    continue
                right = sample.right(self.pool, unsure)
                residual = right - SUPPORT_WEIGHT * expected[:, sample.pictures]
                value += weight * (residual.mean(axis=1) + SUPPORT_WEIGHT * mean)
                p = (right.sum(axis=1) + 2) / (drawn + 4)
                spread = np.minimum(0.25, np.maximum(residual.var(axis=1), p * (1 - p)))
                variance += weight**2 * spread / drawn * (1 - drawn / size)
            sides.append((value + sign * quantile * np.sqrt(variance)).tolist())
        return [SampledRange(low, high, n) for low, high in zip(*sides, strict=True)]
