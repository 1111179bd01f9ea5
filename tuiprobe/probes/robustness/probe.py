"""The probe of accuracy under shift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tuiprobe.probes.heads import SetFeatures
from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.robustness import TITLE
from tuiprobe.probes.robustness.baselines import baselines_for, published_of
from tuiprobe.probes.robustness.compute import Baselines, probe_robustness
from tuiprobe.probes.robustness.describe import describe
from tuiprobe.probes.robustness.result import EffectiveRobustness, Robustness
from tuiprobe.results import NotRun, given
from tuiprobe.results.base import figures_in
from tuiprobe.results.headlines import EFFECTIVE, MEAN_SHIFT, TOP1
from tuiprobe.results.section import BaselineLine, MeanOf, NamedFigure, Section
from tuiprobe.run.checked_arrays import HeadArrays

NAMES = {
    "top1": "top-1",
    "top1_all": "top-1 among all classes of the head",
    "top5": "top-5",
    "id_own_classes": "in-distribution top-1 on the same classes",
    "mean_shift": "mean top-1 of the shifts",
    "confidence": "mean confidence",
    "value": "effective robustness",
    "prediction": "effective robustness, prediction interval",
    "percentile": "share of baseline models below",
}


@dataclass(frozen=True)
class Inputs:
    """Head, labelled representations, and the lines to compare with."""

    head: HeadArrays
    sets: list[SetFeatures]
    shifts: Mapping[str, str]
    baselines: Baselines
    own_names: Mapping[str, HeadArrays | str]


class AccuracyUnderShift(Probe[Inputs, Robustness]):
    """Accuracies on every labelled set, and effective robustness by published models."""

    id = "robustness"
    title = TITLE
    block = "shifts"
    Result = Robustness

    def inputs(self, run: RunReader, options: Options, found: Found) -> Inputs | NotRun:
        """Reads head, labels, and the baselines that belong to the sets."""
        if isinstance(run.head, str):
            return NotRun(reason=run.head)
        row = published_of(run.plan.model)
        shifts, baselines = baselines_for(
            run.sets,
            run.baseline,
            pretraining="" if row is None else row.pretraining,
        )
        return Inputs(run.head, run.head_sets, shifts, baselines, run.own_names)

    def compute(self, inputs: Inputs, options: Options) -> Robustness:
        """Computes accuracies and effective robustness."""
        return probe_robustness(
            inputs.head, inputs.sets, inputs.shifts, inputs.baselines, inputs.own_names
        )

    def describe(self, result: Robustness, subject: Subject) -> Section:
        """Describes every accuracy, and effective robustness by every baseline."""
        return describe(result, subject)

    def named(self, result: Robustness) -> Named:
        """Names accuracies of every set and effective robustness by every baseline."""
        return Named(figures=(*_accuracies(result), *_overall(result), *_effective(result)))


def _accuracies(result: Robustness) -> Iterator[NamedFigure]:
    for number, one in enumerate(result.accuracies):
        for id, figure in figures_in(one):
            first = id == "top1" and number == 0
            yield NamedFigure(
                id=id,
                name=NAMES.get(id, id),
                data=one.data,
                place="accuracy",
                figure=figure,
                headline=TOP1 if id == "top1" else None,
                role="predictor" if first else None,
                mean_of=MeanOf(values="correct", sets=(one.data,)) if id == "top1" else None,
            )


def _overall(result: Robustness) -> Iterator[NamedFigure]:
    shifts = tuple(one.data for one in result.accuracies[1:] if given(one.top1))
    mean_of = {
        "mean_shift": MeanOf(values="correct", sets=shifts),
        "confidence": MeanOf(values="confidence", sets=(result.data,)),
    }
    for id, figure in figures_in(result):
        yield NamedFigure(
            id=id,
            name=NAMES.get(id, id),
            data=result.data,
            place="robustness",
            figure=figure,
            headline=MEAN_SHIFT if id == "mean_shift" else None,
            role="predictor" if id == "confidence" else None,
            mean_of=mean_of.get(id),
        )


def _effective(result: Robustness) -> Iterator[NamedFigure]:
    if isinstance(result.effective, NotRun):
        return
    headlines = result.headlines()
    for one in result.effective:
        leading = one in headlines
        for id, figure in figures_in(one):
            yield NamedFigure(
                id=id,
                name=NAMES.get(id, id),
                data=f"{one.baseline}: {', '.join(one.target)}",
                place=f"robustness by {one.axis}",
                figure=figure,
                headline=EFFECTIVE if leading and one is headlines[0] and id == "value" else None,
                role="outcome" if leading and id == "value" else None,
                about=(one.baseline, one.axis, *one.target) if id == "value" else (),
                mean_of=_mean_of(result, one) if id == "value" else None,
            )


def _mean_of(result: Robustness, one: EffectiveRobustness) -> MeanOf | None:
    """Returns what an effective robustness is the mean of; None on axes other than all images."""
    sets = {accuracy.shift: accuracy.data for accuracy in result.accuracies}
    if one.axis == "own classes" or not set(one.target) <= sets.keys():
        return None
    line = BaselineLine(
        set=result.data, slope=one.slope, intercept=one.intercept, covariance=one.covariance
    )
    return MeanOf(values="correct", sets=tuple(sets[shift] for shift in one.target), line=line)
