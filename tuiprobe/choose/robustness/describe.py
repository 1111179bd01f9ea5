"""The probe of accuracy under shift: what it reads, and its description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tuiprobe.catalog.accuracies import ZERO_SHOT
from tuiprobe.catalog.effective_robustness import SUPERVISED
from tuiprobe.choose.robustness.baselines import baselines_for, check_baseline, published_of
from tuiprobe.choose.robustness.compute import (
    Baselines,
    EffectiveRobustness,
    Robustness,
    probe_robustness,
)
from tuiprobe.choose.robustness.scatter import scatter
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.measure.run.records import SetRecord
from tuiprobe.numbers import number
from tuiprobe.plaintext import count_of
from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.content import bullets, heading, prose, table, value_or_dash
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Estimate, NotRun, is_known
from tuiprobe.results.accuracy import among_few, sentence
from tuiprobe.results.figures import EFFECTIVE, columns, named_figures
from tuiprobe.results.section import (
    BaselineLine,
    Code,
    MeanOf,
    Section,
    SectionContent,
    Strong,
    Text,
    Value,
)
from tuiprobe.results.set_accuracy import SetAccuracy

AXES = {
    "imagenet": "full validation set",
    "val": "full val",
    "own classes": "validation images of the shift's own classes",
}


BASELINE_MODELS = {
    **dict.fromkeys(SUPERVISED, "supervised models"),
    ZERO_SHOT: "zero-shot models",
    "miniature": "supervised runs",
    "own": "models of your baseline",
}
"""What the models of a baseline are called."""


FEW_PER_CLASS = 5
"""Images per class below which an accuracy says little of a head that was fitted to them."""


NEAR = 0.02
"""Distance in in-distribution accuracy up to which a model of the baseline is near."""


NOTE = (
    "Effective robustness is shift accuracy minus the baseline's prediction at the in-distribution "
    "accuracy, sigmoid(a logit(x) + b). The interval of sampling shows how well the figure is "
    "known. Only a model outside the wider interval with model spread is above the baseline."
)


@dataclass(frozen=True)
class Inputs:
    """Head, labelled representations, and the lines to compare with."""

    head: HeadArrays
    sets: list[SetFeatures]
    shifts: Mapping[str, str]
    baselines: Baselines
    shift_heads: Mapping[str, HeadArrays | NotRun]


class AccuracyUnderShift(Probe[Inputs, Robustness]):
    """Accuracies on every labelled set, and effective robustness by published models."""

    id = "robustness"
    title = BUILT_IN["robustness"].title
    block = "shifts"
    Result = Robustness

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs | NotRun:
        """Reads head, labels, and the baselines that belong to the sets."""
        head = run.labelled_head
        if isinstance(head, NotRun):
            return head
        row = published_of(run.plan.model)
        pretraining = "" if row is None else row.pretraining
        shifts, baselines = baselines_for(run.sets, run.baseline, pretraining=pretraining)
        return Inputs(
            head=head,
            sets=run.head_sets,
            shifts=shifts,
            baselines=baselines,
            shift_heads=run.shift_heads,
        )

    def check_baseline(self, sets: Sequence[SetRecord], text: str, path: str) -> str:
        """Rejects a CSV that gives no line for the shifts of a run."""
        return check_baseline(sets, text, path)

    def compute(self, inputs: Inputs, options: Options) -> Robustness:
        """Computes accuracies and effective robustness."""
        return probe_robustness(
            inputs.head, inputs.sets, inputs.shifts, inputs.baselines, inputs.shift_heads
        )

    def describe(self, result: Robustness, subject: Subject) -> Section:
        """Describes accuracy of every set, then effective robustness by every baseline."""
        charts = scatter(result, subject.model.name)
        card = tuple(_card(result, any(data.target for data in subject.data)))
        return Section(
            title=self.title,
            headline=card[0],
            clause=_clause(result),
            card=card,
            block="your images" if len(result.accuracies) == 1 else None,
            pictures=tuple(chart.id for chart in charts[:1]),
            content=(*_accuracies(result), *_effective(result), *charts),
        )

    def named(self, result: Robustness) -> Named:
        """Names what is declared; only one effective robustness of a baseline is an outcome."""
        leading = result.headlines()
        shifts = tuple(row.data for row in result.accuracies[1:] if is_known(row.top1))

        def more(of: BaseModel, field: str) -> Mapping[str, Any]:
            if isinstance(of, SetAccuracy) and field == "top1":
                return {
                    "mean_of": MeanOf(values="correct", sets=(of.data,)),
                    "classes": of.classes,
                    "of_classes": of.of_classes,
                    "role": "predictor" if of is result.accuracies[0] else None,
                }
            if isinstance(of, EffectiveRobustness) and field == "value":
                return {
                    "about": (of.baseline, of.axis, *of.target),
                    "mean_of": _mean_of(result, of),
                    "role": "outcome" if of in leading else None,
                    "headline": EFFECTIVE.headline if of is leading[0] else None,
                }
            means = {
                "mean_shift": MeanOf(values="correct", sets=shifts),
                "confidence": MeanOf(values="confidence", sets=(result.data,)),
            }
            return {"mean_of": means[field]} if field in means else {"headline": None}

        return Named(figures=tuple(named_figures(result, more)))


def _mean_of(result: Robustness, er: EffectiveRobustness) -> MeanOf | None:
    """Returns the mean that an effective robustness is; None on axes other than all images."""
    sets = {accuracy.shift: accuracy.data for accuracy in result.accuracies}
    if er.axis == "own classes" or not set(er.target) <= sets.keys():
        return None
    line = BaselineLine(
        set=result.data, slope=er.slope, intercept=er.intercept, covariance=er.covariance
    )
    return MeanOf(values="correct", sets=tuple(sets[shift] for shift in er.target), line=line)


def _clause(result: Robustness) -> str:
    """Returns the accuracy of the only labelled set, or of the first one and over its shifts."""
    id_set, *shifts = result.accuracies
    accuracy = id_set.accuracy()
    if isinstance(accuracy, NotRun):
        return ""
    if not shifts:
        return sentence(accuracy, id_set.other(), named=True)
    few = among_few(accuracy, id_set.other())
    clause = f"{id_set.top1.point()} right on {id_set.data}{few}"
    if is_known(result.mean_shift):
        clause += f", {result.mean_shift.point()} over {count_of(len(shifts), 'shift')}"
    return clause


def _card(result: Robustness, targets: bool) -> Iterator[Text]:
    """Yields the accuracies; a single labelled set among target sets is the in-distribution one.

    Args:
        result: Accuracies and effective robustness.
        targets: Whether the run has target sets.
    """
    id_set, *shifts = result.accuracies
    accuracy = id_set.accuracy()
    if isinstance(accuracy, NotRun):
        yield (f"Accuracy on {id_set.data}: ", accuracy, ".")
        return
    if not shifts:
        where = "In distribution, " if targets else ""
        yield (f"{where}{_clause(result)}", f"{_without_each(id_set)}.")
        return
    few = among_few(accuracy, id_set.other())
    line: Text = (id_set.top1, f" right on {id_set.data}{few}{_without_each(id_set)}")
    if is_known(result.mean_shift):
        each = ", ".join(
            f"{row.data} {row.top1.point(bare=True)}" for row in shifts if is_known(row.top1)
        )
        mean = f" as the mean of {count_of(len(shifts), 'labelled shift')} ({each})"
        line = (*line, ", ", result.mean_shift, mean)
    yield (*line, ".")
    among_all = [
        f"{row.data} {row.classes:,}: {row.top1.point()}, among all {row.top1_all.point()}"
        for row in shifts
        if is_known(row.top1_all)
    ]
    if among_all:
        classes = max(row.head_classes for row in result.accuracies)
        yield (f"Answers among the classes of a shift, not all {classes:,} of the head: "
               f"{'; '.join(among_all)}.",)  # fmt: skip
    for er in result.headlines()[:1]:
        if is_known(er.prediction) and is_known(id_set.top1):
            yield (_distance_to_line(er, er.prediction, id_set.top1.value),)


def _without_each(row: SetAccuracy) -> str:
    """Returns how images were answered that the head was fitted to; empty for other images."""
    if not row.left_out:
        return ""
    words = (
        f", each answered by a head fitted to the others (the largest class has "
        f"{number(row.largest, 'share', 0.0, 0.1)} of the images)"
    )
    if row.images < FEW_PER_CLASS * row.labels:
        words += f"; {row.images:,} of {row.labels:,} classes are too few to judge a head"
    return words


def _distance_to_line(er: EffectiveRobustness, prediction: Estimate, accuracy: float) -> str:
    """Describes a model's distance to models of its baseline with equal accuracy.

    Args:
        er: The distance to the line of the baseline.
        prediction: The same with the scatter of single models.
        accuracy: Accuracy in distribution.
    """
    models = f"{er.models:,} {BASELINE_MODELS.get(er.baseline, f'models of {er.baseline}')}"
    expect = f"under shift than {models} of equal accuracy lead to expect"
    if er.above:
        line = f"{prediction.point()} better {expect} ({prediction.ends()})"
    elif prediction.high is not None and prediction.high < 0:
        line = f"Worse {expect}: {prediction.with_interval(signed=True)}"
    else:
        line = f"Under shift within the scatter of {models} of equal accuracy: "
        line += prediction.with_interval(signed=True)
    if er.nearest is not None and er.nearest > NEAR:
        about = number(accuracy, "share", accuracy - 0.05, accuracy + 0.05)
        line += f"; none of them is near {about}, so this is uncertain"
    return f"{line}."


def _accuracies(result: Robustness) -> Iterator[SectionContent]:
    def cells(row: SetAccuracy, names: str) -> list[Value]:
        return [
            Code(code=row.data), row.shift or "", names, row.top1, value_or_dash(row.top1_all),
            value_or_dash(row.top1_set),
            row.top5, row.images, row.classes, row.head_classes or None,
            value_or_dash(row.id_own_classes),
        ]  # fmt: skip

    rows = [cells(row, "") for row in result.accuracies]
    for named in result.own_names:
        if isinstance(named.accuracy, NotRun):
            rows.append([Code(code=named.data), "", "its own", named.accuracy, *[None] * 7])
        else:
            rows.append(cells(named.accuracy, "its own"))
    yield table(
        "accuracies",
        ["data", "shift", "names", *columns(SetAccuracy, "top1", "top1_all", "top1_set", "top5"),
         ("images", "n"), "classes", ("head_classes", "classes of the head"),
         *columns(SetAccuracy, "id_own_classes")],
        rows,
    )  # fmt: skip
    yield prose("Mean top-1 of the shifts: ", result.mean_shift, ".")


def _effective(result: Robustness) -> Iterator[SectionContent]:
    yield heading("Effective robustness")
    if isinstance(result.effective, NotRun):
        yield prose(result.effective)
        return
    yield prose(NOTE)
    rows: list[list[Value]] = []
    for er in result.effective:
        target, axis = ", ".join(er.target), AXES.get(er.axis, er.axis)
        rows.append(
            [
                Code(code=er.baseline),
                f"mean of {target}" if len(er.target) > 1 else target,
                Strong(strong=f"{axis}, extrapolated") if er.extrapolated else axis,
                er.models,
                er.left_out,
                er.value,
                value_or_dash(er.prediction),
                {True: "yes", False: "no", None: None}[er.above],
            ]
        )
    yield table(
        "effective_robustness",
        ["baseline", "target", ("axis", "x axis"), "models", ("left_out", "left out"),
         *columns(EffectiveRobustness, "value", "prediction"), ("above", "above the baseline")],
        rows,
    )  # fmt: skip
    if result.not_run:
        yield bullets(result.not_run)
