"""The probe of nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuiprobe.probes.neighbours import TITLE
from tuiprobe.probes.neighbours.compute import LabelledRows, classify
from tuiprobe.probes.neighbours.describe import describe
from tuiprobe.probes.neighbours.result import Neighbours
from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Inapplicable, NotRun
from tuiprobe.results.section import NamedFigure, Section


@dataclass(frozen=True)
class Inputs:
    """Labelled representations, and the seed of samples."""

    sets: tuple[LabelledRows, ...]
    seed: int


class AccuracyOfNeighbours(Probe[Inputs, Neighbours]):
    """Accuracy by the labels of the nearest in-distribution images."""

    id = "neighbours"
    title = TITLE
    block = "shifts"
    Result = Neighbours

    def inputs(self, run: RunReader, options: Options, found: Found) -> Inputs | NotRun:
        """Reads labelled representations of encoders whose head, if any, was fitted here."""
        if not isinstance(run.head, str) and run.spec.head != "probe":
            return Inapplicable(reason="the model has a head, whose accuracy is measured")
        sets = tuple(_rows(run))
        if not sets:
            return NotRun(reason=f"{run.images[0].name} has no labels")
        return Inputs(sets, run.spec.seed)

    def compute(self, inputs: Inputs, options: Options) -> Neighbours:
        """Classifies every set."""
        return classify(inputs.sets, inputs.seed)

    def describe(self, result: Neighbours, subject: Subject) -> Section:
        """Describes the accuracy of every set."""
        return describe(result)

    def named(self, result: Neighbours) -> Named:
        """Names the accuracy of every set."""
        return Named(
            figures=tuple(
                NamedFigure(
                    id="knn",
                    name="accuracy by nearest neighbours",
                    data=one.data,
                    place="neighbours",
                    figure=one.accuracy,
                )
                for one in result.sets
            )
        )


def _rows(run: RunReader) -> list[LabelledRows]:
    """Returns the labelled sets; none if the in-distribution set has no labels."""
    classes = {one.name: one.classes for one in run.sets}
    found: list[LabelledRows] = []
    for one in run.images:
        if not one.labelled:
            if not found:
                return []
            continue
        arrays, samples = run.features(one.name), run.samples[one.name]
        labels = np.array([samples[i].label for i in arrays["ids"].tolist()], dtype=np.int64)
        found.append(LabelledRows(one.name, arrays["features"], labels, tuple(classes[one.name])))
    return found
