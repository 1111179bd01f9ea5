"""The probe of images without labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.targets import TITLE
from tuiprobe.probes.targets.compute import Images, estimate_targets
from tuiprobe.probes.targets.describe import ESTIMATORS, describe
from tuiprobe.probes.targets.result import Targets
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
            planned = [one.name for one in run.plan.sets if one.target]
            if planned:
                reason = f"no image of {' or '.join(planned)} was measured yet"
                return NotRun(reason=reason, remedy="the same command resumes the run")
            option = "--target-embeddings FILE" if run.spec.embeddings else "--target SOURCE"
            return NotRun(reason="no target set", remedy=f"pass {option}; it needs no labels")
        if isinstance(run.head, str):
            return NotRun(reason=run.head)
        first, *shifts = run.head_sets
        names = read_class_names(run.directory)
        listed = {
            one.name: (run.features(one.name)["ids"], run.paths(one.name))
            for one in run.target_sets
        }
        return Inputs(run.head, Images(first, shifts, run.target_sets, names, listed))

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
        place = "estimate" if one.scaled else "not validated"
        yield NamedFigure(
            id="target" if one.scaled else "target.uncalibrated",
            name="estimated accuracy" if one.scaled else "average confidence, not calibrated",
            data=one.data,
            place=place,
            figure=one.headline,
            headline=TARGET if one.scaled else None,
            role="estimate",
        )
        others = [
            *((f"target.{each.estimator}.scaled", f"{ESTIMATORS[each.estimator]}, scaled",
               each.accuracy) for each in one.scaled[1:]),
            *((f"target.{each.estimator}", ESTIMATORS[each.estimator], each.accuracy)
              for each in one.expected),
            ("target.less_confident", "share less confident", one.less_confident),
            ("target.dispersion", "dispersion", one.dispersion),
        ]  # fmt: skip
        for id, name, figure in others:
            yield NamedFigure(
                id=id, name=name, data=one.data, place=place, figure=figure, role="estimate"
            )


def _errors(result: Targets) -> Iterator[NamedFigure]:
    errors = [
        (TARGET_ERROR, "mean absolute error of the estimate", result.left_out.mean_absolute),
        *((f"{TARGET_ERROR}.{one.estimator}",
           f"mean absolute error of {ESTIMATORS[one.estimator]}", one.mean_absolute)
          for one in result.errors),
    ]  # fmt: skip
    for id, name, figure in errors:
        yield NamedFigure(
            id=id, name=name, data=result.data, place="labelled shifts", figure=figure,
            role="estimate",
        )  # fmt: skip
