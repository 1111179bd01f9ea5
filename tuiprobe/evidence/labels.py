"""Whether labels can be those of the pictures: they are a candidate's answers, or fit no candidate.

Some rules are exact tests with a level; those that only compare are notes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv

from tuiprobe.numbers import number
from tuiprobe.plaintext import listed
from tuiprobe.results.doubt import Doubt
from tuiprobe.results.proportions import wilson, wilson_bounds

_Int64 = NDArray[np.int64]
_Bool = NDArray[np.bool_]

LEVEL: Final = 0.001
"""Chance that labels are called a candidate's answers where they are not."""

SAME: Final = 0.9
"""Share of equal answers, where candidates differ, from which two candidates count as one."""

FEWEST_LABELS: Final = 20
"""Labels below which nothing is said of chance."""

ABOVE_CHANCE: Final = 0.1
"""Share above guessing that labels must rule out for the best candidate to withhold decisions."""

_WIDER: Final = 3.29 / 1.96
"""Factor from a range of 95 % to one of 99.9 %."""

_USUAL: Final = 0.9
"""Share right of a candidate where no labelled pictures in distribution tell it; for a note."""


class LabelledPictures(NamedTuple):
    """Labels of some pictures, and what candidates answer there.

    Attributes:
        data: Name of the set.
        answers: int64 `[M, n]`, a class each; -1 for none.
        labels: int64 `[n]`, the class of each picture; below 0 where it is none of these.
    """

    data: str
    answers: _Int64
    labels: _Int64

    @property
    def right(self) -> _Bool:
        """Which candidate is right on which picture, bool `[M, n]`."""
        return np.asarray((self.answers == self.labels) & (self.labels >= 0))


def upper_end(hits: int, n: int, level: float = 0.01) -> float:
    """Returns the upper end of a share, exact and one-sided (Clopper and Pearson).

    >>> upper_end(0, 44) < 0.1, upper_end(5, 5), upper_end(0, 0)
    (True, 1.0, 1.0)
    """
    return 1.0 if hits >= n else float(betaincinv(hits + 1, n - hits, 1 - level))


def at_least(hits: int, n: int, share: float) -> float:
    """Returns the probability of at least so many hits among n.

    >>> [at_least(n, n, share) < 0.001 for n, share in ((23, 0.74), (22, 0.74), (66, 0.9))]
    [True, False, True]
    """
    return float(betainc(hits, n - hits + 1, share)) if hits else 1.0


def answers_as_labels(
    labelled: LabelledPictures, known: LabelledPictures | None, names: Sequence[str]
) -> Iterator[Doubt]:
    """Yields each candidate whose answers the labels are, by an exact binomial test.

    Pictures count on which the candidate differs from another one. One that gives the same answer
    on `SAME` of the pictures on which any differ counts as the same candidate.

    Args:
        labelled: The labels.
        known: The same in distribution; None without. Its labels say how often a candidate can be
            right; without them there is a note alone.
        names: Names of the candidates.
    """
    answers = labelled.answers
    differ = (answers != answers[:1]).any(axis=0)
    if len(answers) < 2 or not differ.any():
        return
    for first, name in enumerate(names):
        alike = (answers[:, differ] == answers[first, differ]).mean(axis=1) >= SAME
        others = np.flatnonzero(~alike)
        if not len(others):
            continue
        counted = (answers[others] != answers[first]).any(axis=0)
        n, equal = int(counted.sum()), int(labelled.right[first, counted].sum())
        share = _USUAL
        if known is not None:
            there = (known.answers[others] != known.answers[first]).any(axis=0)
            share = upper_end(int(known.right[first, there].sum()), int(there.sum()))
        if at_least(equal, n, share) <= LEVEL:
            limit = number(share, "share")
            why = (
                f"in distribution it is right on at most {limit} of such pictures, with 99 %"
                if known is not None
                else "no labelled pictures in distribution tell how often it can be"
            )
            yield Doubt(
                id="answers-as-labels",
                data=labelled.data,
                sentence=f"the labels of {labelled.data} are the answers of {name}: equal on "
                f"{equal:,} of the {n:,} labelled pictures on which it differs from others; {why}: "
                "label pictures without a look at answers",
                withholds=known is not None,
                figures={"equal": equal, "pictures": n, "share": share},
            )


def every_answer(labelled: LabelledPictures, names: Sequence[str]) -> Iterator[Doubt]:
    """Yields each candidate that a table of labels agrees with on every row.

    Args:
        labelled: All labels of the table, of pictures that candidates answer.
        names: Names of the candidates.
    """
    n = len(labelled.labels)
    for name, right, answers in zip(names, labelled.right, labelled.answers, strict=True):
        differ = int((labelled.answers != answers).any(axis=0).sum())
        if n >= FEWEST_LABELS and right.all() and (differ or len(names) == 1):
            yield Doubt(
                id="answers-as-labels",
                data=labelled.data,
                sentence=f"the labels are the answers of {name} on all {n:,} rows: give labels "
                "that people gave",
                withholds=True,
                figures={"equal": n, "pictures": n},
            )


def at_chance(
    data: str, right: int, n: int, classes: int, why: str = "check whose labels these are"
) -> Iterator[Doubt]:
    """Yields that the share of right answers is that of guessing, or below.

    It withholds where that range holds the share of guessing, and labels rule out a share that is
    `ABOVE_CHANCE` above it.

    Args:
        data: Name of the set.
        right: Right answers of the best candidate.
        n: LabelledPictures pictures.
        classes: Classes that may be answered.
        why: What may be wrong, or what to do.
    """
    if not n or classes < 2:
        return
    chance, share = 1 / classes, wilson(right, n)
    low, high = map(float, wilson_bounds(right, n))
    if low > chance:
        return
    highest = float(wilson_bounds(right, n, _WIDER)[1])
    where = "below" if high < chance else "at"
    yield Doubt(
        id="at-chance",
        case=where,
        data=data,
        sentence=f"{data} is {where} chance: {share.with_interval()} right, where guessing among "
        f"{classes:,} classes gives {number(chance, 'share')}: {why}",
        withholds=where == "at" and n >= FEWEST_LABELS and highest < chance + ABOVE_CHANCE,
        figures={"right": right / n, "chance": chance, "pictures": n},
    )


def one_answer(data: str, answers: _Int64, labels: _Int64, names: Sequence[str]) -> Iterator[Doubt]:
    """Yields that every image of a set of several classes gets the same answer.

    Args:
        data: Name of the set.
        answers: int64 `[n]`, rows of the head.
        labels: int64 `[n]`.
        names: Name of each row; empty for numbers.
    """
    n = len(answers)
    if n < FEWEST_LABELS or (labels == labels[0]).all() or (answers != answers[0]).any():
        return
    row = int(answers[0])
    name = names[row] if row < len(names) else str(row)
    yield Doubt(
        id="one-answer",
        data=data,
        sentence=f"all {n:,} images of {data} get one answer, {listed([name])}: see whether the "
        "weights of the head were loaded, and what preprocess makes of a picture",
        figures={"pictures": n},
    )
