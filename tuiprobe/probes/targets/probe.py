"""The probe of images without labels."""

from __future__ import annotations

from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.targets import TITLE
from tuiprobe.probes.targets.compute import Images, estimate_targets
from tuiprobe.probes.targets.describe import ESTIMATORS, describe
from tuiprobe.probes.targets.result import Targets, TargetSet
from tuiprobe.results import NotRun
from tuiprobe.results.accuracy import EVIDENCE
from tuiprobe.results.headlines import TARGET, TARGET_ERROR
from tuiprobe.results.section import NamedFigure, Section
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.head_file import read_class_names

Inputs = tuple[HeadArrays, Images]


class ExpectedAccuracy(Probe[Inputs, Targets]):
    """Accuracy expected on images without labels, with the error of such estimates."""

    id = "targets"
    title = TITLE
    block = "your images"
    Result = Targets

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs | NotRun:
        """Reads head, target sets, and the labelled sets that estimates rest on."""
        if not run.targets:
            planned = [record.name for record in run.plan.sets if record.target]
            if planned:
                reason = f"no image of {' or '.join(planned)} was measured yet"
                return NotRun(reason=reason, remedy="the same command resumes the run")
            option = "--target-embeddings FILE" if run.spec.embeddings else "--target SOURCE"
            return NotRun(reason="no target set", remedy=f"pass {option}; it needs no labels")
        if isinstance(run.head, NotRun):
            return run.head
        first, *shifts = run.head_sets
        names = read_class_names(run.directory)
        listed = {
            target.name: (run.features(target.name)["ids"], run.paths(target.name))
            for target in run.target_sets
        }
        return run.head, Images(first, shifts, run.target_sets, names, listed)

    def compute(self, inputs: Inputs, options: Options) -> Targets:
        """Estimates accuracy on targets and labelled shifts."""
        return estimate_targets(*inputs)

    def describe(self, result: Targets, subject: Subject) -> Section:
        """Describes every estimate, and what it was worth on labelled shifts."""
        return describe(result)

    def named(self, result: Targets) -> Named:
        """Names the estimates of every target set and the errors of the estimators."""
        figures = [figure for target in result.targets for figure in _estimates(target)]
        errors = [
            (TARGET_ERROR, "mean absolute error of the estimate", result.left_out.mean_absolute),
            *((f"{TARGET_ERROR}.{error.estimator}",
               f"mean absolute error of {ESTIMATORS[error.estimator]}", error.mean_absolute)
              for error in result.errors),
        ]  # fmt: skip
        figures += [
            NamedFigure(id=id, name=name, data=result.data, place="labelled shifts", figure=figure,
                        role="estimate")
            for id, name, figure in errors
        ]  # fmt: skip
        return Named(figures=tuple(figures))


def _estimates(target: TargetSet) -> list[NamedFigure]:
    # What nothing validates ranks no models: it has another id and no rank.
    place = "estimate" if target.scaled else "not validated"
    figures = [
        ("target", "estimated accuracy", target.headline)
        if target.scaled
        else ("target.uncalibrated", "average confidence, not calibrated", target.headline),
        *((f"target.{scaled.estimator}.scaled", f"{ESTIMATORS[scaled.estimator]}, scaled",
           scaled.accuracy) for scaled in target.scaled[1:]),
        *((f"target.{expected.estimator}", ESTIMATORS[expected.estimator], expected.accuracy)
          for expected in target.expected),
        ("target.less_confident", "share less confident", target.less_confident),
        ("target.dispersion", "dispersion", target.dispersion),
    ]  # fmt: skip
    classes, of_classes = len(target.predicted), target.head_classes
    return [
        NamedFigure(id=id, name=name, data=target.data, place=place, figure=figure,
                    headline=TARGET if id == "target" else None, role="estimate",
                    classes=classes if id in EVIDENCE else 0,
                    of_classes=of_classes if id in EVIDENCE else 0)
        for id, name, figure in figures
    ]  # fmt: skip
