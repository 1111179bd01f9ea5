"""The probe of nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.content import prose, table
from tuiprobe.probes.neighbours.compute import (
    LabelledRows,
    NeighbourAccuracy,
    Neighbours,
    classify,
)
from tuiprobe.probes.protocol import Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Inapplicable, NotRun, given
from tuiprobe.results.figures import columns
from tuiprobe.results.section import Code, Section, Value

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
        if not run.images[0].labelled:
            return NotRun(reason=f"{run.images[0].name} has no labels")
        classes = {record.name: tuple(record.classes) for record in run.sets}
        sets = []
        for data in run.images:
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
            if given(shift.accuracy):
                headline += [", ", shift.accuracy, " on ", Code(code=shift.data)]
        accuracy, clause = first.accuracy, ""
        if given(accuracy):
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
