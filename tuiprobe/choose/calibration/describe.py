"""The probe of calibration: what it reads, and its description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tuiprobe.channels.array_types import Int64
from tuiprobe.choose.calibration.compute import Bin, Calibration, SetCalibration, probe_calibration
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.numbers import number
from tuiprobe.plaintext import count_of
from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.base.confidence import ONE_CLASS, one_class
from tuiprobe.probes.content import answered, heading, prose, series, table
from tuiprobe.probes.protocol import Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Figure, NotRun, is_known
from tuiprobe.results.figures import columns
from tuiprobe.results.section import (
    Chart,
    Code,
    Section,
    SectionContent,
    Series,
    SeriesRole,
    Strip,
    Text,
)

BY_CHANCE: Final = (
    "Classes are ordered by the upper end of the interval of their change. Without any change, "
    "about 2.5 % of classes would count as fallen."
)


LISTED_CLASSES: Final = 20
"""Classes that a page lists."""


RIGHT: Final = 0.01
"""Gap up to which confidence is called right."""


@dataclass(frozen=True)
class Inputs:
    """Head, sets, class name of each row of the head, and ids and paths of the images by set."""

    head: HeadArrays
    sets: list[SetFeatures]
    names: tuple[str, ...]
    ids_and_paths: Mapping[str, tuple[Int64, Mapping[int, str]]]


class CalibrationOfTheHead(Probe[Inputs, Calibration]):
    """Calibration before and after temperature scaling, and accuracy by class."""

    id = "calibration"
    title = BUILT_IN["calibration"].title
    block = "how sure"
    Result = Calibration

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs | NotRun:
        """Reads head and labelled sets."""
        head = run.labelled_head
        if isinstance(head, NotRun):
            return head
        if one_class(run.head_sets[0], len(head.weight)):
            return ONE_CLASS
        ids_and_paths = {
            images.name: (np.asarray(images.ids), run.paths(images.name))
            for images in run.head_sets
        }
        return Inputs(head, run.head_sets, run.head_file.classes, ids_and_paths)

    def compute(self, inputs: Inputs, options: Options) -> Calibration:
        """Computes calibration errors and accuracy by class."""
        return probe_calibration(inputs.head, inputs.sets, inputs.names, inputs.ids_and_paths)

    def describe(self, result: Calibration, subject: Subject) -> Section:
        """Describes calibration of every set, then the classes that lost most."""
        label = f"Calibration error on {result.data} after temperature scaling: "
        return Section(
            title=self.title,
            headline=(label, result.sets[0].after, "."),
            card=(*_confidence_line(result), *_worst_class_line(result)),
            pictures=("wrong",) if result.wrong else (),
            content=(
                *_errors(result),
                *_reliability(result),
                *_wrong(result),
                *_classes(result),
            ),
        )


def _confidence_line(result: Calibration) -> Iterator[Text]:
    """Yields how far confidence is off in distribution and over the shifts, before and after."""
    id_set, *shifts = result.sets
    sets = f"on {id_set.data}", f"over {count_of(len(shifts), 'shift')}"
    id_before, shifts_before = id_set.gap_before, _mean([row.gap_before for row in shifts])
    id_after, shifts_after = id_set.gap, _mean([row.gap for row in shifts])
    before = _gaps((id_before, shifts_before), sets)
    after = _gaps((id_after, shifts_after), sets, bare="points" in before)
    if before and after and before != after:
        yield (f"Confidence is on average {before}; after temperature scaling {after}.",)
    elif before or after:
        scaled = "" if before else " after temperature scaling"
        yield (f"Confidence{scaled} is on average {before or after}.",)


def _mean(gaps: Sequence[float | None]) -> float | None:
    known = [gap for gap in gaps if gap is not None]
    return float(np.mean(known)) if known else None


def _gaps(gaps: Sequence[float | None], sets: Sequence[str], bare: bool = False) -> str:
    """Returns by how much confidence is too high or too low on each set; empty if unknown.

    Args:
        gaps: Mean confidence less accuracy.
        sets: Of each gap.
        bare: Whether the unit was named before; else the first number has it.
    """
    words = []
    for gap, where in zip(gaps, sets, strict=True):
        if gap is not None and abs(gap) < RIGHT:
            words.append(f"right {where}")
        elif gap is not None:
            amount = number(abs(gap), "points", bare=bare)
            words.append(f"{amount} too {'high' if gap > 0 else 'low'} {where}")
            bare = True
    return ", ".join(words)


def _worst_class_line(result: Calibration) -> Iterator[Text]:
    """Yields the accuracy of the class that falls most, and the commonest answer."""
    shift = result.worst
    if shift is None:
        return
    fallen = [each for each in result.compared if each.worst and each.fell]
    worst, compared = shift.worst[0], sum(shift.compared for shift in fallen)
    if not is_known(worst.shift):
        return
    images = worst.shift.n
    right = round(worst.shift.value * images)
    line = f"{worst.name} on {shift.data}, {right:,} of {images:,} right"
    if worst.taken_for:
        count = "all" if worst.taken == images else f"{worst.taken:,}"
        line += f", {count} called {worst.taken_for}"
    yield (f"Worst class of a shift ({compared:,} tried): {line}.",)


def _errors(result: Calibration) -> Iterator[SectionContent]:
    yield prose("Temperature fitted to ", Code(code=result.data), ": ", result.temperature, ".")
    yield table(
        "calibration",
        ["data", *columns(SetCalibration, "before", "after")],
        [[Code(code=row.data), row.before, row.after] for row in result.sets],
    )


def _wrong(result: Calibration) -> Iterator[Strip]:
    """Yields the wrong answers to the worst class of a shift, or of the only labelled set."""
    if result.wrong:
        of = "" if result.worst is None else f" to {result.worst.worst[0].name}"
        yield Strip(
            id="wrong",
            title=(f"Wrong answers{of}",),
            data=result.pictured,
            ends=(answered("most sure", result.wrong),),
        )


def _reliability(result: Calibration) -> Iterator[Chart]:
    id_set, *shifts = result.sets
    lines = [
        _line(f"{id_set.data}, scaled", id_set.bins, "main"),
        _line(f"{id_set.data}, before", id_set.bins_before, "second"),
    ]
    errors = [(row.after.value, row) for row in shifts if is_known(row.after)]
    if errors:
        _, worst = max(errors, key=lambda pair: pair[0])
        lines.append(_line(f"{worst.data}, scaled (worst)", worst.bins, "third"))
    shown = [line for line in lines if line.x]
    if shown:
        calibrated = Series(name="calibrated", x=(0.0, 1.0), y=(0.0, 1.0), role="reference")
        yield Chart(
            id="reliability",
            title="Accuracy by confidence",
            x_label="confidence",
            y_label="accuracy",
            series=(calibrated, *shown),
            x_unit="share",
            y_unit="share",
            note="At most 15 bins of equally many images; below the line, confidence is too high.",
        )


def _line(name: str, bins: Sequence[Bin], role: SeriesRole) -> Series:
    x = [row.confidence for row in bins]
    return series(name, [row.accuracy for row in bins], role, x=x)


def _classes(result: Calibration) -> Iterator[SectionContent]:
    if not result.classes:
        return
    yield heading("Accuracy by class")
    yield prose(BY_CHANCE)
    for shift in result.classes:
        if isinstance(shift, NotRun):
            yield prose(Code(code=shift.data), f": not compared: {shift.reason}.")
    fallen = [(row.change, shift.data, row) for shift in result.compared for row in shift.worst]
    fallen.sort(key=lambda row: (is_known(row[0]) and row[0].high) or 0.0)
    yield table(
        "classes_fallen",
        [("data", "shift"), "class", ("first", Code(code=result.data)), ("images", "n"),
         ("shift", "on the shift"), ("shift_images", "n"), "change"],
        [
            [Code(code=data), row.name, row.first, _images(row.first), row.shift,
             _images(row.shift), change]
            for change, data, row in fallen
        ],
        "Classes that fell most",
        shown=LISTED_CLASSES,
    )  # fmt: skip


def _images(figure: Figure) -> int:
    return figure.n if is_known(figure) else 0
