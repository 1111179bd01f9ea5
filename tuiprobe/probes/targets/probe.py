"""The probe of images without labels."""

from __future__ import annotations

from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.targets.compute import Images, estimate_targets
from tuiprobe.probes.targets.describe import describe
from tuiprobe.probes.targets.result import HEADLINE, Targets, TargetSet
from tuiprobe.results import NotRun
from tuiprobe.results.figures import Fig, named_figures
from tuiprobe.results.headlines import TARGET
from tuiprobe.results.section import NamedFigure, Section
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.head_file import read_class_names

UNCALIBRATED = Fig(
    "target.uncalibrated", "average confidence, not calibrated", "average-confidence",
    role="estimate",
)  # fmt: skip

Inputs = tuple[HeadArrays, Images]


class ExpectedAccuracy(Probe[Inputs, Targets]):
    """Accuracy expected on images without labels, with the error of such estimates."""

    id = "targets"
    title = BUILT_IN["targets"].title
    block = "your images"
    Result = Targets

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs | NotRun:
        """Reads head, target sets, and the labelled sets that estimates rest on."""
        if not run.targets:
            planned = [record.name for record in run.plan.sets if record.target]
            if planned:
                reason = f"no image of {' or '.join(planned)} was measured yet"
                return NotRun(reason=reason, remedy="the same command resumes the run")
            remedy = "pass --target SOURCE; it needs no labels"
            return NotRun(reason="no target set", remedy=remedy)
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
        """Names the quoted estimate of every target set, and what is declared."""
        quoted = [_quoted(target) for target in result.targets]
        first = [f"target.{HEADLINE}.scaled"]  # it is the quoted one
        others = [figure for figure in named_figures(result) if figure.id not in first]
        return Named(figures=(*quoted, *others))


def _quoted(target: TargetSet) -> NamedFigure:
    # What nothing validates ranks no models: it has another id and no rank.
    fig = TARGET if target.scaled else UNCALIBRATED
    return fig.named(
        target.headline,
        target.data,
        target.place,
        classes=len(target.predicted),
        of_classes=target.head_classes,
    )
