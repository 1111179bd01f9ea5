"""The probe of nearest neighbours: classifies images by the labels of their nearest images.

The twenty nearest by cosine vote; of classes with equal votes, the one of the larger summed cosine
wins (as in Caron et al. 2021, arXiv 2104.14294, without their weights). In distribution every image
is left out of its own vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.base.inputs import Float32, Int64
from tuiprobe.probes.base.row_statistics import unit_rows
from tuiprobe.probes.content import prose, table
from tuiprobe.probes.intervals import wilson
from tuiprobe.probes.protocol import Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Figure, Inapplicable, NotRun, is_known
from tuiprobe.results.base import Count, Frozen, Many, Share
from tuiprobe.results.figures import FIGURES, Fig, columns
from tuiprobe.results.report import ProbeResult
from tuiprobe.results.section import Code, Section, Value


class NeighbourAccuracy(Frozen):
    """Accuracy of one set.

    Attributes:
        data: Name of the set.
        classes: Classes that may be answered: those of the set.
        among: In-distribution images of these classes, among which neighbours are looked for.
        accuracy: Share of images whose neighbours vote for their class.
    """

    data: str
    classes: Count
    among: Count
    accuracy: Annotated[Share, Fig("knn", "accuracy by nearest neighbours")]


class Neighbours(ProbeResult):
    """Accuracy by nearest neighbours.

    Attributes:
        k: Neighbours that vote.
        sets: The labelled sets, the in-distribution one first.
    """

    probe: ClassVar[str] = "neighbours"

    k: Count
    sets: Annotated[Many[NeighbourAccuracy], FIGURES]


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
    first, *shifts = sets
    sampled = _sample(len(first.rows), MOST_AMONG, rng)
    unit, labels = unit_rows(first.rows[sampled]), first.labels[sampled]
    queries = _sample(len(sampled), MOST_CLASSIFIED, rng)
    accuracy: Figure = _FEW
    if len(sampled) > K:
        right = _votes(unit[queries], unit, labels, self_rows=queries) == labels[queries]
        accuracy = wilson(int(right.sum()), right.size)
    number_of = {name: number for number, name in enumerate(first.classes)}
    rows = [(first, len(sampled), accuracy)]
    for shift in shifts:
        if not set(shift.classes) <= number_of.keys():
            rows.append((shift, 0, _OTHER))
            continue
        numbers = np.array([number_of[name] for name in shift.classes], dtype=np.int64)
        allowed = np.isin(labels, numbers)
        among = int(allowed.sum())
        if among <= K:
            rows.append((shift, among, _FEW))
            continue
        queries = _sample(len(shift.rows), MOST_CLASSIFIED, rng)
        answers = _votes(unit_rows(shift.rows[queries]), unit[allowed], labels[allowed])
        right = answers == numbers[shift.labels[queries]]
        rows.append((shift, among, wilson(int(right.sum()), right.size)))
    return Neighbours(
        k=K,
        sets=tuple(
            NeighbourAccuracy(
                data=data.name, classes=len(data.classes), among=among, accuracy=accuracy
            )
            for data, among, accuracy in rows
        ),
    )


def _sample(count: int, most: int, rng: np.random.Generator) -> Int64:
    if count <= most:
        return np.arange(count)
    return np.sort(rng.choice(count, most, replace=False))


def _votes(
    queries: Float32, among: Float32, labels: Int64, self_rows: Int64 | None = None
) -> Int64:
    """Returns the class that the nearest rows vote for, int64 [n].

    Args:
        queries: [n, C], of length 1.
        among: [m, C], likewise, more than `K` rows.
        labels: [m].
        self_rows: [n], each query's own row of `among`, which does not vote; None without any.
    """
    answers = np.zeros(len(queries), dtype=np.int64)
    classes, inverse = np.unique(labels, return_inverse=True)
    step = max(1, _VALUES // len(among))
    for start in range(0, len(queries), step):
        block = slice(start, min(start + step, len(queries)))
        cosines = queries[block] @ among.T
        lines = np.arange(len(cosines))
        if self_rows is not None:
            cosines[lines, self_rows[block]] = -2
        nearest = np.argpartition(-cosines, K - 1, axis=1)[:, :K]
        # One vote each; summed cosines, at most K, decide between equal votes alone.
        weights = 1 + cosines[lines[:, None], nearest] / (2 * K)
        votes = np.zeros((len(cosines), classes.size))
        np.add.at(votes, (lines[:, None], inverse[nearest]), weights)
        answers[block] = classes[votes.argmax(axis=1)]
    return answers


NOTE = (
    "An image gets the class that most of its {k} nearest labelled images have, by cosine between "
    "representations; in distribution, images other than itself. No head is fitted, so this says "
    "how far classes lie apart, not what a head would reach."
)


@dataclass(frozen=True)
class Inputs:
    """Labelled representations, and the seed of samples."""

    sets: tuple[LabelledRows, ...]
    seed: int


class AccuracyOfNeighbours(Probe[Inputs, Neighbours]):
    """Accuracy by the labels of the nearest in-distribution images."""

    id = "neighbours"
    title = BUILT_IN["neighbours"].title
    block = "shifts"
    Result = Neighbours

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs | NotRun:
        """Reads labelled representations of encoders whose head, if any, was fitted here."""
        if not isinstance(run.head, NotRun) and run.spec.head != "probe":
            return Inapplicable(reason="the model has a head, whose accuracy is measured")
        if not run.id_and_shifts[0].labelled:
            return Inapplicable(reason=f"{run.id_and_shifts[0].name} has no labels")
        classes = {record.name: tuple(record.classes) for record in run.sets}
        sets = []
        for data in run.id_and_shifts:
            if data.labelled:
                arrays, samples = run.features(data.name), run.samples[data.name]
                labels = np.array([samples[i].label for i in arrays["ids"].tolist()], dtype="i8")
                rows = arrays["features"]
                sets.append(LabelledRows(data.name, rows, labels, classes[data.name]))
        return Inputs(tuple(sets), run.spec.seed)

    def compute(self, inputs: Inputs, options: Options) -> Neighbours:
        """Classifies every set."""
        return classify(inputs.sets, inputs.seed)

    def describe(self, result: Neighbours, subject: Subject) -> Section:
        """Describes the accuracy of every set."""
        first, *shifts = result.sets
        headline: list[Value] = [
            f"By the labels of the {result.k} nearest images, ", first.accuracy,
            " right on ", Code(code=first.data),
        ]  # fmt: skip
        for shift in shifts:
            if is_known(shift.accuracy):
                headline += [", ", shift.accuracy, " on ", Code(code=shift.data)]
        accuracy, clause = first.accuracy, ""
        if is_known(accuracy):
            clause = f"{accuracy.alone()} right by nearest neighbours"
        return Section(
            title=self.title,
            headline=(*headline, "."),
            clause=clause,
            clause_on=first.data,
            block=None if shifts or any(data.target for data in subject.data) else "your images",
            content=(
                prose(NOTE.format(k=result.k)),
                table(
                    "neighbours",
                    ["data", *columns(NeighbourAccuracy, "accuracy"), "classes",
                     ("among", "among images")],
                    [[Code(code=row.data), row.accuracy, row.classes, row.among]
                     for row in result.sets],
                    f"Accuracy by the {result.k} nearest labelled images",
                ),
            ),
        )  # fmt: skip
