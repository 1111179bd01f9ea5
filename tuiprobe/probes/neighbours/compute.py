"""Classifies images by the labels of their nearest in-distribution images.

The twenty nearest by cosine vote; of classes with equal votes, the one of the larger summed cosine
wins (as in Caron et al. 2021, arXiv 2104.14294, without their weights). In distribution every image
is left out of its own vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuiprobe.probes.inputs import Float32, Int64
from tuiprobe.probes.neighbours.result import NeighbourAccuracy, Neighbours
from tuiprobe.probes.proportions import wilson
from tuiprobe.probes.rows import unit_rows
from tuiprobe.results import NotRun

K = 20
MOST_AMONG = 50_000
"""In-distribution images among which neighbours are looked for; more are sampled."""
MOST_CLASSIFIED = 10_000
"""Images of a set that are classified; more are sampled."""

_VALUES = 1 << 24  # cosines at once, 64 MiB
_FEW = NotRun(reason=f"fewer than {K + 1} in-distribution images of its classes")
_OTHER = NotRun(reason="it has classes that the in-distribution set has not")


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Representations of a labelled set.

    Attributes:
        name: Name of the set.
        rows: float32 [n, C], finite.
        labels: int64 [n], places in `classes`.
        classes: Names of its classes.
    """

    name: str
    rows: Float32
    labels: Int64
    classes: tuple[str, ...]


def classify(sets: Sequence[LabelledRows], seed: int) -> Neighbours:
    """Returns the accuracy of every set by its nearest in-distribution images.

    Args:
        sets: The labelled sets, the in-distribution one first.
        seed: Seed of samples of large sets.
    """
    rng = np.random.default_rng(seed)
    first = sets[0]
    kept = _sample(len(first.rows), MOST_AMONG, rng)
    unit, labels = unit_rows(first.rows[kept]), first.labels[kept]
    asked = _sample(len(kept), MOST_CLASSIFIED, rng)
    right = _votes(unit[asked], unit, labels, own=asked) == labels[asked]
    few = len(kept) <= K
    found = [
        NeighbourAccuracy(
            data=first.name,
            classes=len(first.classes),
            among=len(kept),
            accuracy=_FEW if few else wilson(int(right.sum()), right.size),
        )
    ]
    found += [_shift(one, first.classes, unit, labels, rng) for one in sets[1:]]
    return Neighbours(k=K, sets=tuple(found))


def _shift(
    one: LabelledRows,
    classes: tuple[str, ...],
    unit: Float32,
    labels: Int64,
    rng: np.random.Generator,
) -> NeighbourAccuracy:
    place = {name: number for number, name in enumerate(classes)}
    if not set(one.classes) <= place.keys():
        return NeighbourAccuracy(data=one.name, classes=len(one.classes), among=0, accuracy=_OTHER)
    own = np.array([place[name] for name in one.classes], dtype=np.int64)
    of_classes = np.isin(labels, own)
    among = int(of_classes.sum())
    if among <= K:
        return NeighbourAccuracy(
            data=one.name, classes=len(one.classes), among=among, accuracy=_FEW
        )
    asked = _sample(len(one.rows), MOST_CLASSIFIED, rng)
    said = _votes(unit_rows(one.rows[asked]), unit[of_classes], labels[of_classes])
    right = said == own[one.labels[asked]]
    return NeighbourAccuracy(
        data=one.name,
        classes=len(one.classes),
        among=among,
        accuracy=wilson(int(right.sum()), right.size),
    )


def _sample(count: int, most: int, rng: np.random.Generator) -> Int64:
    if count <= most:
        return np.arange(count)
    return np.sort(rng.choice(count, most, replace=False))


def _votes(asked: Float32, among: Float32, labels: Int64, own: Int64 | None = None) -> Int64:
    """Returns the class that the nearest rows vote for, int64 [n].

    Args:
        asked: [n, C], of length 1.
        among: [m, C], likewise, more than `K` rows.
        labels: [m].
        own: [n], the row of `among` that each row is, which does not vote; None if it is none.
    """
    answers = np.zeros(len(asked), dtype=np.int64)
    if len(among) <= K:
        return answers
    named, place = np.unique(labels, return_inverse=True)
    step = max(1, _VALUES // len(among))
    for start in range(0, len(asked), step):
        block = slice(start, min(start + step, len(asked)))
        cosines = asked[block] @ among.T
        lines = np.arange(len(cosines))
        if own is not None:
            cosines[lines, own[block]] = -2
        nearest = np.argpartition(-cosines, K - 1, axis=1)[:, :K]
        # One vote each; summed cosines, at most K, decide between equal votes alone.
        weights = 1 + cosines[lines[:, None], nearest] / (2 * K)
        votes = np.zeros((len(cosines), named.size))
        np.add.at(votes, (lines[:, None], place[nearest]), weights)
        answers[block] = named[votes.argmax(axis=1)]
    return answers
