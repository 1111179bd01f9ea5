"""The probe of a fitted head: what it reads, and its description."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tuiprobe.choose.linear.compute import Labelled, Linear, LinearAccuracy, linear_accuracy
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.plaintext import count_of
from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.content import heading, prose, series, table
from tuiprobe.probes.protocol import Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun, is_known
from tuiprobe.results.figures import LABELS_CURVE, columns
from tuiprobe.results.section import Chart, Code, Section, SectionContent, Text

NOTE = (
    "Ridge regression on the representation; exact copies count once. Each image is answered by a "
    "head that was fitted to the others; smaller numbers are heads fitted to random subsets, "
    "tested on the rest."
)


@dataclass(frozen=True)
class Inputs:
    """Labelled representations, and the seed of subsets."""

    labelled: Labelled
    seed: int


class FittedHead(Probe[Inputs, Linear]):
    """A head fitted to the labels, by their number, compared with the head in use."""

    id = "linear"
    title = BUILT_IN["linear"].title
    block = "shifts"
    Result = Linear

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs | NotRun:
        """Reads labelled representations, and the head in use."""
        id_set, *shifts = run.id_and_shifts
        fitted = run.fitted_to_labels
        if isinstance(fitted, NotRun):
            return fitted
        head, images = fitted
        in_use, other = head is run.head, None
        if isinstance(run.head, HeadArrays) and not in_use:
            answered = run.head_sets[0]
            order = np.argsort(ids := np.asarray(answered.ids))
            same = np.searchsorted(ids, np.asarray(images.ids), sorter=order)
            other = run.head, answered.select(order[same])
        names = {record.name: tuple(record.classes) for record in run.sets}
        row = {name: number for number, name in enumerate(names[id_set.name])}
        others = [
            _as_rows(run, data.name, names[data.name], row)
            for data in shifts
            if data.labelled and set(names[data.name]) <= row.keys() and not in_use
        ]
        record = run.plan.set_named(id_set.name)
        head_images = run.head_file.fitted
        train = head_images is not None and head_images.tested is not None
        found = (
            record.found if record.planned < record.found else len(images.features)
        )  # the rest is unreadable
        labelled = Labelled(head, images, found, others, in_use, other, train)
        return Inputs(labelled, run.spec.seed)

    def compute(self, inputs: Inputs, options: Options) -> Linear:
        """Fits the heads of the curve."""
        return linear_accuracy(inputs.labelled, inputs.seed)

    def describe(self, result: Linear, subject: Subject) -> Section:
        """Describes what the head reaches, and what more labels would bring."""
        id_set = result.sets[0]
        on = " right on the train part of " if result.train else " right on "
        headline: Text = ("A head fitted to the labels: ", id_set.accuracy, on,
                          Code(code=id_set.data), ".")  # fmt: skip
        single = len([data for data in subject.data if data.labelled]) < 2
        return Section(
            title=self.title,
            headline=headline,
            card=tuple(_card(result)),
            block="your images" if single else None,
            content=(
                prose(NOTE),
                *(prose(*line) for line in _limits(result)),
                table(
                    "linear",
                    ["data", *columns(LinearAccuracy, "accuracy"), ("images", "n")],
                    [[Code(code=row.data), row.accuracy, row.images] for row in result.sets],
                ),
                *_head_in_use(result),
                *_curve(result),
            ),
        )


def _as_rows(
    run: RunReader, name: str, classes: tuple[str, ...], row: dict[str, int]
) -> SetFeatures:
    """Returns a labelled shift with the rows of the head as labels; its classes may answer."""
    arrays, samples = run.features(name), run.samples[name]
    rows = np.array([row[name] for name in classes], dtype=np.int64)
    labels = np.array([samples[i].label for i in arrays["ids"].tolist()], dtype=np.int64)
    answers = np.full(len(row), -1, dtype=np.int64)
    answers[rows] = rows
    return SetFeatures(name, arrays["features"], rows[labels], answers)


def _card(result: Linear) -> Iterator[Text]:
    """Yields the accuracy by these labels, and by more of them."""
    worth_fitting = result.in_use or not is_known(result.difference)
    if is_known(result.difference) and (result.difference.low or 0) > 0:
        worth_fitting = True
        better = f" better on {result.data}, each image answered by a head fitted to the others."
        yield "A head fitted to these labels would be ", result.difference, better
    elif not (result.in_use or is_known(result.difference)):
        why = f"{result.difference.reason}. " if isinstance(result.difference, NotRun) else ""
        yield (f"{why}A head fitted to the labels has ", result.sets[0].accuracy,
               f" right on {result.data}: --head probe.")  # fmt: skip
    yield from _limits(result)
    gain = result.gain
    if worth_fitting and is_known(gain) and (gain.low or 0.0) > 0 and len(result.curve) > 1:
        half, overall = result.curve[-2:]
        yield (f"From {half.images:,} to {overall.images:,} labelled images a fitted head gained ",
               gain, ": more would help.")  # fmt: skip


def _limits(result: Linear) -> Iterator[Text]:
    """Yields limits of a fitted head: images that were not measured, or too few of them."""
    if not result.in_use:
        return
    if result.images < result.found and not result.train:
        yield (f"Fitted to {result.images:,} of {result.found:,} labelled images: "
               "--sample 0 takes all.",)  # fmt: skip
    if result.single:
        yield (f"{count_of(result.single, 'class', 'classes')} with one image: it counts as wrong, "
               "since no other shows its class.",)  # fmt: skip


def _head_in_use(result: Linear) -> Iterator[SectionContent]:
    if not result.in_use:
        yield prose("Fitted head minus the head in use: ", result.difference, ".")


def _curve(result: Linear) -> Iterator[SectionContent]:
    if len(result.curve) < 2:
        return
    yield heading("By number of labels")
    yield prose("Gain from half of the labels to all: ", result.gain, ".")
    yield Chart(
        id=LABELS_CURVE,
        title="Accuracy by number of labelled images",
        x_label="labelled images that a head is fitted to",
        y_label="right answers",
        y_unit="share",
        series=(
            series(
                "fitted head",
                [point.accuracy for point in result.curve],
                x=[float(point.images) for point in result.curve],
            ),
        ),
    )
    yield table(
        "labels",
        [("images", "fitted to"), ("accuracy", "right")],
        [[point.images, point.accuracy] for point in result.curve],
        "Accuracy by number of labelled images",
    )
