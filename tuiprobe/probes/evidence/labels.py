"""Whether labels can be those of the pictures: they are a candidate's answers, or fit no candidate.

Some rules are exact tests with a level; those that only compare are notes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuiprobe.numbers import interval, number
from tuiprobe.plaintext import joined
from tuiprobe.probes.evidence.orders import by_chance
from tuiprobe.results.doubt import Doubt
from tuiprobe.results.proportions import wilson_bounds

_Int64 = NDArray[np.int64]
_Bool = NDArray[np.bool_]

LEVEL: Final = 0.001
"""Chance that labels are called a candidate's answers where they are not."""

SAME: Final = 0.9
"""Share of equal answers, where candidates differ, from which two candidates count as one.

Labels with fewer are nobody's answers: on another mix of classes a model may be more often right.
"""

FEWEST_LABELS: Final = 20
"""Labels below which nothing is said of chance."""

ABOVE_CHANCE: Final = 0.2
"""Part of the way from guessing to always right that labels must rule out to withhold decisions."""

ANY_ABOVE: Final = 0.3
"""The same of pictures on which any of several candidates is right."""

_WIDER: Final = 3.29 / 1.96
"""Factor from a range of 95 % to one of 99.9 %."""

_USUAL: Final = 0.9
"""Share right of a candidate where no labelled pictures in distribution tell it; for a note."""


class LabelledPictures(NamedTuple):
    """Labels of some pictures, and the answers of candidates.

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
    from scipy.special import betaincinv  # late: screens show doubts and compute none

    return 1.0 if hits >= n else float(betaincinv(hits + 1, n - hits, 1 - level))


def answers_as_labels(
    labelled: LabelledPictures, known: LabelledPictures | None, names: Sequence[str]
) -> Iterator[Doubt]:
    """Yields each candidate whose answers the labels are, by an exact binomial test.

    Pictures count on which the candidate differs from another one. One that gives the same answer
    on `SAME` of the pictures on which any differ counts as the same candidate.

    Args:
        labelled: The labels.
        known: The same in distribution. Its labels say how often a candidate can be
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
            differs = (known.answers[others] != known.answers[first]).any(axis=0)
            share = upper_end(int(known.right[first, differs].sum()), int(differs.sum()))
        if equal >= SAME * n and by_chance(equal, n, share) <= LEVEL:
            limit = number(share, "share")
            why = (
                f"in distribution it is right on at most {limit} of such pictures, with 99 %"
                if known is not None
                else "no labelled pictures in distribution show how often it can be right"
            )
            yield Doubt(
                id="answers-as-labels",
                data=labelled.data,
                sentence=(
                    f"the labels of {labelled.data} are the answers of {name}: equal on "
                    f"{equal:,} of the {n:,} labelled pictures on which it differs from others; "
                    f"{why}: label pictures without seeing answers"
                ),
                withholds=known is not None,
                figures={"equal": equal, "pictures": n, "share": share},
            )


def every_answer(labelled: LabelledPictures, names: Sequence[str]) -> Iterator[Doubt]:
    """Yields each candidate that a table of labels agrees with on every row.

    It takes enough pictures on which the candidate differs from others, as if it were right on
    `_USUAL` of these.

    Args:
        labelled: All labels of the table, of pictures that candidates answer.
        names: Names of the candidates.
    """
    n = len(labelled.labels)
    for name, right, answers in zip(names, labelled.right, labelled.answers, strict=True):
        differ = int((labelled.answers != answers).any(axis=0).sum())
        if right.all() and by_chance(differ, differ, _USUAL) <= LEVEL:
            yield same_table(labelled.data, name, n)


def same_table(data: str, name: str, n: int) -> Doubt:
    """Returns the doubt that a table of labels is one of a candidate's answers.

    Args:
        data: Name of the set.
        name: Of the candidate.
        n: Rows of the table.
    """
    return Doubt(
        id="answers-as-labels",
        data=data,
        sentence=f"the labels are the answers of {name} on all {n:,} rows: give labels of people",
        withholds=True,
        figures={"equal": n, "pictures": n},
    )


def are_related(answers: _Int64, labels: _Int64) -> bool:
    """Returns whether labels depend on answers, by Pearson's statistic in 999 random orders.

    Args:
        answers: int64 `[n]`, a class each; below 0 for none.
        labels: int64 `[n]`; below 0 where it is none of these.
    """
    _, rows = np.unique(answers, return_inverse=True)
    _, columns = np.unique(labels, return_inverse=True)
    shape = int(rows.max()) + 1, int(columns.max()) + 1
    products = np.outer(np.bincount(rows), np.bincount(columns)).ravel()
    rng = np.random.default_rng(0)

    def statistic(columns: _Int64) -> float:
        counts = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1])
        return float((counts.astype(np.float64) ** 2 / products).sum())

    observed = statistic(columns)
    return all(statistic(rng.permutation(columns)) < observed for _ in range(999))


def found_by_any(labelled: LabelledPictures, classes: int) -> tuple[int, int, float]:
    """Returns on how many labelled pictures any candidate is right, of how many, and by guessing.

    Pictures on which candidates give every class are left out: one of them is always right.

    Args:
        labelled: The labels.
        classes: Classes that may be answered.
    """
    answers = np.sort(labelled.answers, axis=0)
    different = 1 + (np.diff(answers, axis=0) != 0).sum(axis=0)
    counted = np.asarray(different < classes)
    right = int((np.asarray(labelled.right.any(axis=0)) & counted).sum())
    share = float(different[counted].mean()) / classes if counted.any() else 0.0
    return right, int(counted.sum()), share


def at_chance(
    data: str,
    share: tuple[float, float, float],
    n: int,
    classes: int,
    why: str,
    found: tuple[int, int, float] = (0, 0, 0.0),
    related: Callable[[], bool] = lambda: False,
) -> Iterator[Doubt]:
    """Yields a doubt if the share of right answers is that of guessing, or below.

    It withholds where that range holds the share of guessing, and labels rule out with 99.9 % that
    the best candidate is `ABOVE_CHANCE` of the way from guessing to always right, or that any
    of several candidates is right on `ANY_ABOVE` of the way.

    Args:
        data: Name of the set.
        share: Share of right answers of the best candidate, with the ends of its range. A range
            that is certain of these pictures is no narrower here than one for pictures like these.
        n: LabelledPictures pictures.
        classes: Classes that may be answered.
        why: What may be wrong, or what to do.
        found: Labelled pictures on which any of several candidates is right, all of them, and the
            share by guessing; see `found_by_any`.
        related: Returns whether labels depend on answers, as those of a model that is a class off
            do; see `are_related`.
    """
    if not n or classes < 2:
        return
    chance, value = 1 / classes, share[0]
    real, any_real = (
        of + way * (1 - of) for of, way in ((chance, ABOVE_CHANCE), (found[2], ANY_ABOVE))
    )
    ends = wilson_bounds(value * n, n), wilson_bounds(value * n, n, _WIDER)
    low, high = min(share[1], float(ends[0][0])), max(share[2], float(ends[0][1]))
    highest = max(float(ends[1][1]), value + _WIDER * (high - value))
    if low > chance:
        return
    none_real = highest < real or upper_end(*found[:2], LEVEL) < any_real
    where, between = "below" if high < chance else "at", interval(value, low, high, "share")
    yield Doubt(
        id="at-chance",
        case=where,
        data=data,
        sentence=f"{data} is {where} chance: {between} right, where guessing among "
        f"{classes:,} classes gives {number(chance, 'share')}: {why}",
        withholds=where == "at" and n >= FEWEST_LABELS and none_real and not related(),
        figures={"right": value, "chance": chance, "pictures": n},
    )


CHECK_HEAD: Final = (
    "see whether the weights of the head were loaded, and what preprocess makes of a picture"
)
"""What to do where a model gives one answer to all."""


def one_answer(
    data: str, answers: _Int64, labels: _Int64 | None, names: Sequence[str], why: str
) -> Iterator[Doubt]:
    """Yields a doubt if every image of a set of several classes gets the same answer.

    Without labels it says that the set may have one class.

    Args:
        data: Name of the set.
        answers: int64 `[n]`, rows of the head.
        labels: int64 `[n]`.
        names: Name of each row; empty for numbers.
        why: What may be wrong, or what to do.
    """
    n = len(answers)
    if n < FEWEST_LABELS or (answers != answers[0]).any():
        return
    if labels is None:
        why = f"if they show several classes, {why}"
    elif (labels == labels[0]).all():
        return
    row = int(answers[0])
    name = names[row] if row < len(names) else str(row)
    yield Doubt(
        id="one-answer",
        data=data,
        sentence=f"all {n:,} images of {data} get one answer, {joined([name])}: {why}",
        figures={"pictures": n},
    )
