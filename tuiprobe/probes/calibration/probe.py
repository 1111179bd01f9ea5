"""The probe of calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tuiprobe.probes.calibration import TITLE
from tuiprobe.probes.calibration.compute import probe_calibration
from tuiprobe.probes.calibration.describe import describe
from tuiprobe.probes.calibration.result import Calibration
from tuiprobe.probes.heads import SetFeatures
from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun
from tuiprobe.results.section import NamedFigure, Section
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.head_file import read_class_names


@dataclass(frozen=True)
class Inputs:
    """Head, sets, and the class name of each row of the head."""

    head: HeadArrays
    sets: list[SetFeatures]
    names: tuple[str, ...]


class CalibrationOfTheHead(Probe[Inputs, Calibration]):
    """Calibration before and after temperature scaling, and accuracy by class."""

    id = "calibration"
    title = TITLE
    block = "how sure"
    Result = Calibration

    def inputs(self, run: RunReader, options: Options, found: Found) -> Inputs | NotRun:
        """Reads head and labelled sets."""
        if isinstance(run.head, str):
            return NotRun(reason=run.head)
        first = run.head_sets[0]
        if first.labels is None:
            return NotRun(reason=first.unmatched or f"{first.name} has no labels")
        return Inputs(run.head, run.head_sets, read_class_names(run.directory))

    def compute(self, inputs: Inputs, options: Options) -> Calibration:
        """Computes calibration errors and accuracy by class."""
        return probe_calibration(inputs.head, inputs.sets, inputs.names)

    def describe(self, result: Calibration, subject: Subject) -> Section:
        """Describes calibration of every set, and the classes that lost most."""
        return describe(result)

    def named(self, result: Calibration) -> Named:
        """Names temperature and calibration errors."""
        return Named(figures=tuple(_figures(result)))


def _figures(result: Calibration) -> Iterator[NamedFigure]:
    yield NamedFigure(
        id="temperature",
        name="temperature",
        data=result.data,
        place="calibration",
        figure=result.temperature,
    )
    for one in result.sets:
        for id, name, figure in (
            ("ece", "calibration error", one.after),
            ("ece.before", "calibration error before temperature scaling", one.before),
        ):
            yield NamedFigure(id=id, name=name, data=one.data, place="calibration", figure=figure)
