"""Whether labels, or the names of a head's rows, are right in another order than the given one.

A wrong order gives a wrong accuracy and no error. Fixed orders that mistakes lead to are tried
first; nothing is fitted to them. On the first set the classes are also matched to the rows again,
by half of the images, and judged by the other half.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tuiprobe.results.doubt import Doubt
from tuiprobe.results.proportions import wilson, wilson_bounds

_Bool = NDArray[np.bool_]
_Int64 = NDArray[np.int64]

OrderId = Literal[
    "reversed", "by name", "to name", "by number", "to number", "one up", "one down", "exchanged",
    "matched",
]  # fmt: skip
"""An order of names or labels other than the one that is used.

`by name` and `by number` sort the names of the rows, numbers in them by value; `to name` and `to
number` number the labels so. `one up` and `one down` move each row's name. `exchanged` exchanges
pairs of classes; `matched` is fitted to half of the images.
"""

ORDERS: Final[Mapping[OrderId, tuple[str, str]]] = {
    "reversed": ("in reverse order", "the order of class names (--classes)"),
    "by name": ("with class names in alphabetical order", "their order (--classes)"),
    "to name": ("with labels numbered by the alphabetical order of names", "the labels"),
    "by number": ("with class names in the order of their numbers", "their order (--classes)"),
    "to number": ("with labels numbered by the numbers in names", "the labels"),
    "one up": ("with class names one row earlier", "whether labels and --classes count from 0"),
    "one down": ("with class names one row later", "whether labels and --classes count from 0"),
    "exchanged": ("with pairs of classes exchanged", "their folders, labels and names"),
    "matched": ("with classes matched to answers by other images", "--classes and the labels"),
}
"""What is said of another order that does better, and what is to be checked."""

SORTED: Final[Collection[OrderId]] = ("reversed", "by name", "to name", "by number", "to number")
"""Orders by which no honest model is much more often right. One that is a class off may be by other
orders; then the last class has no row that finds it."""

LEAST_FOUND: Final = 0.5
"""Share of the images of each class that it changes which another order must find to withhold."""

LEAST_TO_WITHHOLD: Final = 0.25
"""What another order must gain, as a share of the images, to withhold decisions."""

FEWEST_CLASSES: Final = 4
"""Classes below which an order of names is also a confusion of classes."""

ALPHA = 0.001
"""Level of the test of a matching, and of all fixed orders of a set together."""

LEAST_PER_CLASS = 5
LEAST_GAIN = 0.2
"""What a matching of classes must gain, as a share of the images."""

ORIGINS: tuple[OrderId, ...] = ("one up", "one down")

_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, eq=False)
class LabelledAnswers:
    """What a model answers on labelled images.

    Attributes:
        name: Name of the set.
        rows: int64 `[n]`, the row of the head that answers each image, where all rows may.
        classes: int64 `[K]`, the class that each row answers for; -1 for none.
        labels: int64 `[n]`, the class of each image.
        ids: int64 `[n]`, number of each image in its set: its index in a folder or a file.
        numbered: Whether the names of its classes are numbers.
    """

    name: str
    rows: _Int64
    classes: _Int64
    labels: _Int64
    ids: _Int64
    numbered: bool = False

    @property
    def answers(self) -> _Int64:
        """The class that each image is answered as, int64 `[n]`; -1 for none."""
        return self.classes[self.rows]

    @property
    def right(self) -> _Bool:
        """Which images are right, bool `[n]`."""
        return np.asarray(self.answers == self.labels)


@dataclass(frozen=True, eq=False)
class _Trial:
    """Answers and truth under some order.

    Attributes:
        answers: int64 `[n]`, the class that each answer stands for; -1 for none.
        labels: int64 `[n]`, the class of each image; -1 where it is not known.
    """

    answers: _Int64
    labels: _Int64

    @property
    def right(self) -> _Bool:
        """Which images are right."""
        return np.asarray((self.answers == self.labels) & (self.labels >= 0))

    def chance(self) -> float:
        """Returns the share that would be right if answers and labels were independent."""
        known, size = self.labels >= 0, int(max(self.answers.max(), self.labels.max())) + 2
        answered, truth = (
            np.bincount(each[known] + 1, minlength=size)[1:] for each in (self.answers, self.labels)
        )
        return min(float(answered @ truth) / max(int(known.sum()), 1) ** 2, 1.0)


def other_orders(sets: Sequence[LabelledAnswers], names: Sequence[str]) -> tuple[Doubt, ...]:
    """Returns, for each labelled set, the order by which significantly more images are right.

    Every row of the head may answer. Sets after the first are not tested for orders of names if
    the first confirms the one that is used: a model that is wrong more often than right under a
    shift is no mistake of the user. Numbers of classes may count from another origin in each set.

    Args:
        sets: The labelled sets, the in-distribution one first.
        names: Name of each row of the head; empty for numbers.

    Returns:
        At most one doubt a set.
    """
    doubts: list[Doubt] = []
    confirmed = False
    for images in sets:
        if not len(images.labels):
            continue
        first, classes = images is sets[0], images.classes
        orders = row_orders(
            names if len(names) == len(classes) else [*map(str, range(len(classes)))]
        )
        used = _Trial(images.answers, images.labels)
        trials = {}
        for order, moved in orders.items():
            if not confirmed or (images.numbered and order in ORIGINS):
                renamed = np.where(moved >= 0, classes[moved], -1)
                trials[order] = replace(used, answers=renamed[images.rows])
        other = _best(images.name, used, trials)
        if first:
            other = _better(other, _matched(images.name, used, images.rows))
            named = dict(zip(classes.tolist(), names, strict=False))
            other = other or _exchanged(images.name, used, named)
        if other is not None:
            doubts.append(other)
        chance = 1 / max(np.unique(classes[classes >= 0]).size, 1)
        above = wilson_bounds(int(used.right.sum()), len(used.labels))[0] > chance
        confirmed = confirmed or (first and other is None and bool(above))
    return tuple(doubts)


def row_orders(names: Sequence[str]) -> dict[OrderId, _Int64]:
    """Returns, by order, the row whose name belongs to each row; -1 where there is none.

    >>> {order: rows.tolist() for order, rows in row_orders(["b", "a", "c"]).items()}
    {'reversed': [2, 1, 0], 'by name': [1, 0, 2], 'one up': [1, 2, -1], 'one down': [-1, 0, 1]}
    """
    indices = np.arange(len(names))
    by_name, by_number = (
        np.array(sorted(range(len(names)), key=key), dtype=np.int64)
        for key in (lambda i: names[i], lambda i: _natural(names[i]))
    )
    up, down = indices + 1, indices - 1
    up[-1:] = -1
    orders: dict[OrderId, _Int64] = {
        "reversed": indices[::-1], "by name": by_name, "to name": np.argsort(by_name),
        "by number": by_number, "to number": np.argsort(by_number), "one up": up, "one down": down,
    }  # fmt: skip
    distinct = {indices.tobytes()}
    chosen: dict[OrderId, _Int64] = {}
    for order, rows in orders.items():
        if rows.tobytes() not in distinct:
            distinct.add(rows.tobytes())
            chosen[order] = rows
    return chosen


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Returns a key by which numbers in names sort by value."""
    parts = filter(None, _DIGITS.split(name))
    return [(p.isdecimal(), int(p[:18]) if p.isdecimal() else 0, p) for p in parts]


def _best(name: str, given: _Trial, trials: Mapping[OrderId, _Trial]) -> Doubt | None:
    """Returns the order with the most correct answers among those that win."""
    wins = {
        order: trial
        for order, trial in trials.items()
        if _p_of_gain(given, trial) < ALPHA / len(trials)
    }
    if not wins:
        return None
    order = max(wins, key=lambda order: int(wins[order].right.sum()))
    return _described(name, order, given, wins[order])


def _described(name: str, order: OrderId, given: _Trial, trial: _Trial, about: str = "") -> Doubt:
    """Returns the doubt that another order is right more often.

    Args:
        name: Name of the set.
        order: The order.
        given: Answers and labels as they are used.
        trial: The same by the order.
        about: The classes that are exchanged.
    """
    known = trial.labels >= 0
    before, after = int((given.right & known).sum()), int(trial.right.sum())
    n = int(known.sum())
    way, remedy = ORDERS[order]
    size = np.bincount(given.labels[known])
    found = np.bincount(given.labels[known], trial.right[known], len(size))
    other = known & (given.answers != trial.answers)
    moved = np.unique([given.answers[other], trial.answers[other]])
    moved = moved[(moved >= 0) & (moved < len(size))]
    found_all = bool((found[moved] >= LEAST_FOUND * size[moved]).all())
    return Doubt(
        id="other-order",
        case=order,
        data=name,
        sentence=f"{way}{about}, {wilson(after, n).point()} of {name} would be right, not "
        f"{wilson(before, n).point()}: check {remedy}",
        withholds=(order in SORTED or (order not in ORIGINS and found_all))
        and int(np.count_nonzero(size)) >= FEWEST_CLASSES
        and after - before >= LEAST_TO_WITHHOLD * n,
        figures={"right": before / n, "right_by_order": after / n, "pictures": n},
    )


def _p_of_gain(given: _Trial, trial: _Trial) -> float:
    """Returns the larger p of two one-sided exact tests that an order is right more often.

    A model that answers with few classes is right more often wherever one of them gets the name of
    a frequent class. A wrong order costs more than that: McNemar's test leaves out the class that
    gains most, and more must be right than answers and labels of these frequencies would be by
    chance.
    """
    known = trial.labels >= 0
    gained, lost = trial.right & ~given.right, given.right & ~trial.right & known
    if gained.sum() <= lost.sum():
        return 1.0
    size = int(trial.labels.max()) + 1
    gains, losses = (np.bincount(trial.labels[each], minlength=size) for each in (gained, lost))
    most = int((gains - losses).argmax())
    more, less = int(gains.sum() - gains[most]), int(losses.sum() - losses[most])
    if more <= less:
        return 1.0
    hits, n = int(trial.right.sum()), int(known.sum())
    return max(by_chance(more, more + less, 0.5), by_chance(hits, n, trial.chance()))


def by_chance(hits: int, n: int, chance: float) -> float:
    """Returns the probability of at least this many hits among n by chance.

    >>> by_chance(9, 10, 0.5)  # doctest: +ELLIPSIS
    0.0107421875...
    """
    from scipy.special import betainc  # late, as below

    return float(betainc(hits, n - hits + 1, chance)) if hits else 1.0


def _better(fixed: Doubt | None, matched: Doubt | None) -> Doubt | None:
    """Returns the fixed order, which is fitted to nothing, unless a matching gains much more.

    Labels in any other order may agree with a fixed one in a few classes.
    """
    if fixed is None or matched is None:
        return fixed or matched
    gain = matched.figures["right_by_order"] - fixed.figures["right_by_order"]
    return matched if gain > LEAST_GAIN else fixed


def _exchanged(name: str, given: _Trial, names: Mapping[int, str]) -> Doubt | None:
    """Exchanges the pairs of classes whose images each get the name of the other.

    Both must get the other label more often than theirs, each with p below `ALPHA` over all pairs.
    Nothing is fitted: a bias toward a class, or a scale that is off, does not go both ways.
    """
    known = (given.answers >= 0) & (given.labels >= 0)
    labels, answers = given.labels[known], given.answers[known]
    classes = int(max(labels.max(), answers.max())) + 1 if len(labels) else 0
    wrong, counts = np.unique(labels * classes + answers, return_counts=True)
    number = dict(zip(wrong.tolist(), counts.tolist(), strict=True))
    level = ALPHA / max(classes * (classes - 1) / 2, 1)
    other = np.arange(classes)
    for a, b in (divmod(pair, classes) for pair in number):
        if a < b and (other[a], other[b]) == (a, b):
            right = (number.get(a * classes + a, 0), number.get(b * classes + b, 0))
            wrong_ways = (number.get(a * classes + b, 0), number.get(b * classes + a, 0))
            pairs = zip(wrong_ways, right, strict=True)
            if all(m > n and by_chance(m, m + n, 0.5) < level for m, n in pairs):
                other[a], other[b] = b, a
    if bool((other == np.arange(classes)).all()):
        return None
    renamed = np.where(given.answers >= 0, other[np.clip(given.answers, 0, classes - 1)], -1)
    first = int(np.argmax(other != np.arange(classes)))
    pair = [names.get(of, str(of)) for of in (first, int(other[first]))]
    trial = replace(given, answers=renamed)
    return _described(name, "exchanged", given, trial, f" ({' and '.join(pair)})")


def _matched(name: str, given: _Trial, predicted: _Int64) -> Doubt | None:
    """Matches classes to rows by half of the images; returns it if the other half agrees."""
    labels, counts = np.unique(given.labels, return_counts=True)
    if len(labels) <= 2 or counts.min() < LEAST_PER_CLASS:
        return None
    fitted = np.random.default_rng(0).permutation(len(given.labels)) % 2 == 0
    judged = _Trial(given.answers[~fitted], given.labels[~fitted])
    if 1 - float(judged.right.mean()) < LEAST_GAIN:
        return None
    from scipy.optimize import linear_sum_assignment  # late: 0.1 s

    classes = np.searchsorted(labels, given.labels)
    counted = np.zeros((int(predicted.max()) + 1, len(labels)))
    np.add.at(counted, (predicted[fitted], classes[fitted]), 1)
    rows, columns = linear_sum_assignment(counted, maximize=True)
    renamed = np.full(len(counted), -1, dtype=np.int64)
    renamed[rows] = labels[columns]
    other = _Trial(renamed[predicted[~fitted]], judged.labels)
    gained = float(other.right.mean() - judged.right.mean())
    if gained < LEAST_GAIN or _p_of_gain(judged, other) >= ALPHA:
        return None
    return _described(name, "matched", judged, other)
