"""The probe of images without labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.targets import TITLE
from tuiprobe.probes.targets.compute import Images, estimate_targets
from tuiprobe.probes.targets.describe import ESTIMATORS, describe
from tuiprobe.probes.targets.result import HEADLINE, Targets
from tuiprobe.results import NotRun
from tuiprobe.results.headlines import TARGET, TARGET_ERROR
from tuiprobe.results.section import NamedFigure, Section
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.head_file import read_class_names


@dataclass(frozen=True)
class Inputs:
    """Head and sets."""

    head: HeadArrays
    images: Images


class ExpectedAccuracy(Probe[Inputs, Targets]):
    """Accuracy expected on images without labels, with the error of such estimates."""

    id = "targets"
    title = TITLE
    block = "your images"
    Result = Targets

    def inputs(self, run: RunReader, options: Options, found: Found) -> Inputs | NotRun:
        """Reads head, target sets, and the labelled sets that estimates rest on."""
        if not run.targets:
            option = "--target-embeddings FILE" if run.spec.embeddings else "--target SOURCE"
            return NotRun(reason="no target set", remedy=f"pass {option}; it needs no labels")
        if isinstance(run.head, str):
            return NotRun(reason=run.head)
        first, *shifts = run.head_sets
        names = read_class_names(run.directory)
        return Inputs(run.head, Images(first, shifts, run.target_sets, names))

    def compute(self, inputs: Inputs, options: Options) -> Targets:
        """Estimates accuracy on targets and labelled shifts."""
        return estimate_targets(inputs.head, inputs.images)

    def describe(self, result: Targets, subject: Subject) -> Section:
        """Describes every estimate, and what it was worth on labelled shifts."""
        return describe(result, subject)

    def named(self, result: Targets) -> Named:
        """Names the estimates of every target set and the errors of the estimators."""
        return Named(figures=(*_of_targets(result), *_errors(result)))


def _of_targets(result: Targets) -> Iterator[NamedFigure]:
    for one in result.targets:
        # What nothing validates ranks no models: it has another id and no rank.
        place = "estimate" if one.expected else "not validated"
        yield NamedFigure(
            id="target" if one.expected else "target.uncalibrated",
            name="estimated accuracy" if one.expected else "average confidence, not calibrated",
            data=one.data,
            place=place,
            figure=one.headline,
            headline=TARGET if one.expected else None,
            role="estimate",
        )
        others = [
            *((f"target.{each.estimator}", ESTIMATORS[each.estimator], each.accuracy)
              for each in one.expected if each.estimator != HEADLINE),
            ("target.less_confident", "share less confident", one.less_confident),
            ("target.dispersion", "dispersion", one.dispersion),
        ]  # fmt: skip
        for id, name, figure in others:
            yield NamedFigure(
                id=id, name=name, data=one.data, place=place, figure=figure, role="estimate"
            )


def _errors(result: Targets) -> Iterator[NamedFigure]:
    for one in result.errors:
        headline = one.estimator == HEADLINE
        yield NamedFigure(
            id=TARGET_ERROR if headline else f"{TARGET_ERROR}.{one.estimator}",
            name=f"mean absolute error of {ESTIMATORS[one.estimator]}",
            data=result.data,
            place="labelled shifts",
            figure=one.mean_absolute,
            role="estimate",
        )
