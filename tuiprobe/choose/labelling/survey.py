"""Labels of random pictures: the answers of candidates, and the accuracies that follow.

`StratifiedSample` is the survey of one run; `contest.py` has that of several runs. Each is computed
from the labels alone: the sample of a block of pictures is what is labelled before the first gap in
an order that follows from the pictures, so nobody can choose it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from typing import Final, Literal, NamedTuple

import numpy as np

from tuiprobe.choose.labelling.betting import Bools, Floats, Ints
from tuiprobe.numbers import ends
from tuiprobe.probes.base.strata import (
    CLOSE_ENOUGH,
    FEWEST,
    STRATA,
    by_confidence,
    stratified_half_width,
)
from tuiprobe.results import Estimate, Figure, NotRun
from tuiprobe.results.base import PROVEN

SurveyEvidence = Literal["sample", "proof", "open"]

METHODS: Final[dict[SurveyEvidence, str]] = {
    "sample": "labels of random pictures; 95 % at the decision; cut to what labels prove",
    "proof": PROVEN,
}

_EQUAL: Final = 1e-9  # ranges that differ by less are equally wide

NOBODY: Final = -1
"""Label of a picture on which no candidate is right."""

NOT_SURE: Final = -2
"""Label of a picture of which it is not known who is right."""

WIDEST: Final = 0.25
"""Half the width of a range above which no accuracy is stated."""

AGAIN_AFTER: Final = 4
"""Answers after which a skipped picture is asked again."""


@dataclass(frozen=True, eq=False)
class Pool:
    """What the candidates answer on the same pictures.

    Attributes:
        answers: int64 `[M, N]`, number of a class.
        confidences: float64 `[M, N]` in (0, 1].
        order: int64 `[N]`, the pictures in a random order.
        other: int64 `[N]`, the pictures in another random order.
    """

    answers: Ints
    confidences: Floats
    order: Ints
    other: Ints

    @property
    def candidates(self) -> int:
        """M."""
        return len(self.answers)

    @property
    def pictures(self) -> int:
        """N."""
        return int(self.answers.shape[1])

    def of_candidate(self, candidate: int) -> Pool:
        """Returns the pool of one of the candidates."""
        return replace(
            self, answers=self.answers[[candidate]], confidences=self.confidences[[candidate]]
        )

    @cached_property
    def support(self) -> Floats:
        """Share of all confidence that stands behind each answer, float64 `[M, N]`."""
        same = self.answers[:, None] == self.answers[None]
        return np.asarray((same * self.confidences[None]).sum(1) / self.confidences.sum(0))

    def agreed(self, candidates: Bools) -> Bools:
        """Returns the pictures on which some candidates give equal answers, bool `[N]`."""
        some = self.answers[candidates]
        return np.asarray((some == some[:1]).all(axis=0))


@dataclass(frozen=True)
class LabelledAccuracy:
    """The accuracy of a candidate on all N pictures, as far as labels tell.

    Attributes:
        value: From 0 to 1; None for a proof, which has a range alone unless it is exact, and where
            nothing is stated.
        low: Lower end of the range.
        high: Upper end.
        labels: Labels that it rests on; pictures of the sample where nothing is stated.
        evidence: `sample` for an estimate from random pictures, `proof` for what labels prove, or
            `open` where neither leaves out enough to be stated.
        right: On how many labelled pictures it is right.
        sure: Labelled pictures of which it is known whether it is.
    """

    value: float | None
    low: float
    high: float
    labels: int
    evidence: SurveyEvidence
    right: int
    sure: int

    @property
    def half(self) -> float:
        """Distance from the value, or from the middle of a proof, to the end farther away."""
        middle = (self.low + self.high) / 2 if self.value is None else self.value
        return max(middle - self.low, self.high - middle)

    @property
    def known(self) -> bool:
        """Whether the accuracy can be stated: its range is narrow enough."""
        return self.evidence != "open"

    @property
    def figure(self) -> Figure:
        """The accuracy as a figure of a report, or what labels prove in words.

        The value of a proof is the middle of its range, and is not shown.
        """
        middle = (self.low + self.high) / 2
        if not self.known:
            if not self.sure:
                return NotRun(reason="no labels")
            counts = f"right on {self.right:,} of {self.sure:,} labelled pictures"
            drawn = "" if self.labels else ", which were not drawn at random"
            proven = ends(middle, self.low, self.high, "share", outward=True)
            return NotRun(reason=f"{counts}{drawn}: that proves {proven} %")
        return Estimate(
            value=middle if self.value is None else self.value, low=self.low, high=self.high,
            unit="share", n=self.labels, method=METHODS[self.evidence],
        )  # fmt: skip

    def sentence(self) -> str:
        """Returns the accuracy with its range, or what labels prove in words."""
        figure = self.figure
        if isinstance(figure, NotRun):
            return figure.reason
        counts = f", right on {self.right:,} of {self.sure:,} labelled"
        return figure.with_interval() + (counts if self.value is None else "")


class SampledRange(NamedTuple):
    """The range of an accuracy by samples alone: its ends, and the pictures of all samples."""

    low: float
    high: float
    labels: int


class BlockSample(NamedTuple):
    """The labelled pictures of a block that are random within it.

    Attributes:
        block: int64 `[N_g]`, its pictures.
        pictures: int64 `[n_g]`, those of the sample.
        labels: int64 `[n_g]`, their labels; `NOT_SURE` too where one was listed and not answered.
    """

    block: Ints
    pictures: Ints
    labels: Ints

    def right(self, pool: Pool, unsure: bool) -> Bools:
        """Returns on which pictures of the sample each candidate is right, bool `[M, n_g]`.

        Args:
            pool: The pool.
            unsure: Whether all are right where that is not known; else nobody is.
        """
        right = pool.answers[:, self.pictures] == self.labels
        return np.asarray(right | (unsure & (self.labels == NOT_SURE)))


class Survey:
    """The labels of the pictures of a pool.

    Args:
        pool: What the candidates answer.

    Attributes:
        labels: Class by picture, in the order of labelling; `NOBODY` where none is right,
            `NOT_SURE` where that is not known.
        skipped: Pictures that were skipped, in the order of skipping, with the number of labels at
            that moment.
        right: int64 `[M]`, on how many labelled pictures each candidate is right.
        sure: Number of labelled pictures of which it is known who is right.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.labels: dict[int, int] = {}
        self.skipped: dict[int, int] = {}
        self.right = np.zeros(pool.candidates, dtype=np.int64)
        self.sure = 0
        self._labels = np.full(pool.pictures, NOT_SURE, dtype=np.int64)
        self._unlabelled = np.ones(pool.pictures, dtype=bool)

    def add(self, picture: int, label: int) -> None:
        """Adds the label of a picture that has none.

        Args:
            picture: Its index in the pool.
            label: Number of a class, `NOBODY` or `NOT_SURE`.
        """
        self.labels[picture] = self._labels[picture] = label
        self._unlabelled[picture] = False
        if label != NOT_SURE:
            self.right += self.pool.answers[:, picture] == label
            self.sure += 1

    def skip(self, picture: int) -> None:
        """Records that a picture was skipped for the first time; the second time it is unsure."""
        self.skipped.setdefault(picture, len(self.labels))

    @property
    def asked_again(self) -> list[int]:
        """The skipped pictures that have no label yet, the earliest first."""
        return [picture for picture in self.skipped if picture not in self.labels]

    def due(self, labels: int) -> int | None:
        """Returns the earliest skipped picture after which enough others were answered.

        Args:
            labels: How many labels there are.
        """
        again = self.asked_again
        late = (picture for picture in again if labels - self.skipped[picture] >= AGAIN_AFTER)
        return next(late, None)

    def unseen(self, sequence: Ints, of: Bools | None = None) -> Iterator[int]:
        """Yields the pictures of a sequence that have no label and were not skipped.

        Args:
            sequence: int64 `[n]`, pictures.
            of: bool `[N]`, restricts them; None for all.
        """
        waiting = self._unlabelled if of is None else self._unlabelled & of
        left: list[int] = sequence[waiting[sequence]].tolist()
        yield from (picture for picture in left if picture not in self.skipped)

    def samples(self, blocks: Ints) -> list[BlockSample]:
        """Returns the sample of each block of pictures.

        The sample is what precedes the block's first unlabelled picture in either order. A picture
        that was listed and not answered belongs to the sample as an unknown one: to leave out the
        hardest pictures would favour models that are good at the others.

        Args:
            blocks: int64 `[N]`, the block of each picture.
        """
        samples = []
        for block in np.unique(blocks):
            sampled = np.zeros(self.pool.pictures, dtype=bool)
            for order in (self.pool.order, self.pool.other):
                sampled[self._before_gap(order[blocks[order] == block])] = True
            pictures = np.flatnonzero(sampled)
            samples.append(
                BlockSample(np.flatnonzero(blocks == block), pictures, self._labels[pictures])
            )
        return samples

    def _before_gap(self, sequence: Ints) -> Ints:
        """Returns the pictures up to the first unlabelled one, which is in it if it was skipped."""
        gaps = np.flatnonzero(self._unlabelled[sequence])
        end = int(gaps[0]) if len(gaps) else len(sequence)
        skipped = len(gaps) > 0 and int(sequence[end]) in self.skipped
        return sequence[: end + skipped]

    def narrower(self, sampled: SampledRange) -> bool:
        """Returns whether the range by samples is narrower than what labels prove.

        Args:
            sampled: Of the leader, which chooses one kind of evidence for all candidates.
        """
        proven = 1 - self.sure / self.pool.pictures
        return sampled.labels > 0 and sampled.high - sampled.low < proven - _EQUAL

    def stated(self, ranges: Sequence[SampledRange], by_samples: bool) -> list[LabelledAccuracy]:
        """Returns the accuracy of each candidate, all by the same kind of evidence.

        A range by samples is cut to what labels prove, and its middle clipped into that. A proof
        has no value, unless it is exact.

        Args:
            ranges: By samples, of each candidate.
            by_samples: Whether these are stated; else what labels prove.
        """
        size, sure, stated = self.pool.pictures, self.sure, []
        for right, (low, high, labels) in zip(self.right.tolist(), ranges, strict=True):
            least, most = right / size, (right + size - sure) / size
            evidence: SurveyEvidence = "open"
            value = None
            if by_samples and labels and high - low <= 2 * WIDEST:
                evidence, value = "sample", min(max((low + high) / 2, least), most)
                if low <= most and high >= least:
                    least, most = max(low, least), min(high, most)
            elif not by_samples and most - least <= 2 * WIDEST:
                evidence, value = "proof", least if least == most else None
                labels = sure
            stated.append(LabelledAccuracy(value, least, most, labels, evidence, right, sure))
        return stated

    def sampled_ranges(self) -> list[SampledRange]:
        """Returns the range of each candidate's accuracy by samples alone."""
        raise NotImplementedError

    @property
    def leader(self) -> int:
        """The candidate that is ahead, of several the first."""
        return 0

    def accuracies(self) -> list[LabelledAccuracy]:
        """Returns the accuracy of each candidate."""
        ranges = self.sampled_ranges()
        return self.stated(ranges, self.narrower(ranges[self.leader]))


class StratifiedSample(Survey):
    """One candidate whose accuracy is asked for."""

    @cached_property
    def strata(self) -> Ints:
        """Number of each picture's stratum: five equal parts by confidence, int64 `[N]`."""
        numbers = np.empty(self.pool.pictures, dtype=np.int64)
        for number, part in enumerate(by_confidence(self.pool.confidences[0])):
            numbers[part] = number
        return numbers

    @cached_property
    def sequence(self) -> Ints:
        """All pictures: the strata take turns, each in random order, int64 `[N]`."""
        order = self.pool.order
        numbers, turns = self.strata[order], np.empty(len(order), dtype=np.int64)
        for number in range(STRATA):
            turns[numbers == number] = np.arange(np.count_nonzero(numbers == number))
        return order[np.lexsort((numbers, turns))]

    @property
    def walk(self) -> BlockSample:
        """The pictures of `sequence` before the first one without a label, as one block.

        Each stratum has its share of them, also where labels from outside are of some strata alone.
        """
        pictures = self._before_gap(self.sequence)
        return BlockSample(self.sequence, pictures, self._labels[pictures])

    def following(self, narrow: bool = False) -> int | None:
        """Returns the picture to label next.

        Args:
            narrow: Has no meaning for one candidate; see `Contest.following`.
        """
        due = self.due(len(self.labels))
        if due is not None:
            return due
        return next(chain(self.unseen(self.sequence), self.asked_again), None)

    def upcoming(self, count: int, narrow: bool = False) -> list[int]:
        """Returns the pictures of the next list; arguments as for `Contest.upcoming`."""
        return list(islice(chain(self.asked_again, self.unseen(self.sequence)), count))

    def sampled_ranges(self) -> list[SampledRange]:
        """Returns the range of the accuracy by samples, once each stratum has one."""
        samples = self.samples(self.strata)
        drawn = np.array([len(sample.pictures) for sample in samples])
        sizes = np.array([len(sample.block) for sample in samples])
        if not drawn.all():
            return [SampledRange(0.0, 1.0, 0)]
        ends = []
        for unsure, sign in ((False, -1), (True, 1)):
            right = np.array([sample.right(self.pool, unsure).sum() for sample in samples])
            value = float(np.average(right / drawn, weights=sizes))
            ends.append(value + sign * stratified_half_width(right, drawn, sizes))
        low, high = ends
        return [SampledRange(low, high, int(drawn.sum()))]

    @property
    def verdict(self) -> Literal["open", "enough"]:
        """Whether the accuracy is known to 5 points."""
        (known,) = self.accuracies()
        close = known.known and known.half <= CLOSE_ENOUGH
        return "enough" if close and known.labels >= FEWEST else "open"
