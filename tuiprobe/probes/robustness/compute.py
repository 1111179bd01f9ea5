"""Accuracies under shift, and effective robustness against published baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from tuiprobe.catalog.accuracies import ModelAccuracies
from tuiprobe.catalog.baselines import (
    BASELINES,
    Line,
    effective_robustness,
    line_covariance,
    logit,
    mean_of,
)
from tuiprobe.errors import DataError
from tuiprobe.numbers import NORMAL_95
from tuiprobe.probes.confidence import Logits, mean_confidence
from tuiprobe.probes.crossfit import ONE_CLASS, on_classes_of
from tuiprobe.probes.heads import (
    SetFeatures,
    answers_of,
    hits,
    hits_among_all,
    top_hits,
    usable_images,
)
from tuiprobe.probes.inputs import Int64
from tuiprobe.probes.intervals import wilson
from tuiprobe.probes.robustness.result import (
    BaselineModel,
    BaselineModels,
    BaselineNotRun,
    EffectiveRobustness,
    OwnNames,
    Robustness,
    SetAccuracy,
)
from tuiprobe.results import Estimate, Figure, NotRun, given
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.head_file import OUTSIDE

TOP = 5
Axis = Literal["imagenet", "val", "own classes"]


@dataclass(frozen=True, eq=False)
class Baseline:
    """A fitted line and the models it was fitted to.

    Attributes:
        line: The fit.
        models: Rows of the fit, for the percentile; their `imagenet` is x on this axis.
        axis: What x is.
    """

    line: Line
    models: Sequence[ModelAccuracies]
    axis: Axis = "imagenet"


NO_BASELINE = NotRun(reason="no baseline was given")


@dataclass(frozen=True, eq=False)
class Baselines:
    """All lines to compare with.

    Attributes:
        lines: In the order of the report.
        not_run: Lines that could not be fitted.
        nothing: Why there is none at all.
    """

    lines: Sequence[Baseline] = ()
    not_run: Sequence[BaselineNotRun] = ()
    nothing: NotRun = NO_BASELINE


def probe_robustness(
    head: HeadArrays,
    sets: Sequence[SetFeatures],
    shifts: Mapping[str, str],
    baselines: Baselines,
    own_names: Mapping[str, HeadArrays | NotRun] | None = None,
) -> Robustness:
    """Computes accuracies of all labelled sets, and effective robustness by every baseline.

    Args:
        head: The linear head.
        sets: The in-distribution set first, of images with a finite representation; one that is
            zero counts as wrong.
        shifts: Published name (`imagenet_r`) by set name, for sets that are one.
        baselines: Baselines to compare with; the caller chooses those that belong to the sets.
        own_names: The head of a shift's own class names, row by label, or why there is none, by set
            name.

    Raises:
        DataError: The first set has no labels, or a label no row of the head answers for.
    """
    if not sets:
        raise DataError("robustness takes an in-distribution set")
    first = sets[0]
    answers_of(first, head.weight.shape[0])
    labelled = [images for images in sets if images.labels is not None]
    accuracies = tuple(
        _accuracy(head, first, images, shifts.get(images.name)) for images in labelled
    )
    effective: tuple[EffectiveRobustness, ...] | NotRun = baselines.nothing
    if baselines.lines:
        effective = tuple(_effective(baseline, accuracies) for baseline in baselines.lines)
    own_heads = own_names or {}
    alternatives = []
    for images in labelled:
        own = own_heads.get(images.name)
        if isinstance(own, NotRun):
            alternative = OwnNames(data=images.name, head="", accuracy=own)
            alternatives.append(alternative)
        elif own is not None:
            plain = replace(images, answers=None)
            accuracy = _accuracy(own, plain, plain, shifts.get(images.name))
            alternatives.append(OwnNames(data=images.name, head=own.source, accuracy=accuracy))
    return Robustness(
        data=first.name,
        accuracies=accuracies,
        mean_shift=mean_accuracy(accuracies[1:]),
        effective=effective,
        not_run=tuple(baselines.not_run),
        confidence=mean_confidence(head, Logits(head, usable_images(first)).confidences()),
        own_names=tuple(alternatives),
        baseline_models=_baseline_models(baselines),
    )


def _baseline_models(baselines: Baselines) -> tuple[BaselineModels, ...]:
    """Returns the models of each baseline that readers find in no published table."""
    kept: dict[str, BaselineModels] = {}
    for baseline in baselines.lines:
        name = baseline.line.baseline
        if name in BASELINES or name in kept or baseline.axis == "own classes":
            continue
        models = [
            BaselineModel(
                name=row.label,
                x=row.imagenet,
                shifts={shift: value for shift, value in row.shifts.items() if value is not None},
            )
            for row in baseline.models
            if row.imagenet is not None
        ]
        kept[name] = BaselineModels(baseline=name, models=tuple(models))
    return tuple(kept.values())


def _accuracy(
    head: HeadArrays, first: SetFeatures, images: SetFeatures, shift: str | None
) -> SetAccuracy:
    rows, n = head.weight.shape[0], images.features.shape[0]
    answers, usable = answers_of(images, rows), usable_images(images)
    of_set = replace(usable, answers=_of_the_set(usable.classes_of_rows(rows)))
    set_classes = int(np.unique(answers[answers < OUTSIDE]).size)
    classes = int(np.unique(answers).size)
    among_all: Figure = NotRun(reason="every class of the head may answer")
    among_set: Figure = NotRun(reason="top-1 is that among the classes of the set")
    top1: Figure = NotRun(reason="no image with a finite representation")
    top5: Figure = NotRun(reason=f"{classes} classes: five answers would be nearly all")
    if n:
        top1 = wilson(hits(usable.features, head, usable), n) if classes > 1 else ONE_CLASS
        if answers.size < rows:
            among_all = wilson(hits_among_all(head, usable), n)
        if set_classes < classes and set_classes > 1:
            among_set = wilson(hits(usable.features, head, of_set), n)
    if classes > TOP:
        top5 = wilson(top_hits(head, usable, TOP), n) if n else top1
    return SetAccuracy(
        data=images.name,
        shift=shift,
        images=n,
        classes=classes,
        head_classes=rows,
        top1=top1,
        top1_all=among_all,
        top1_set=among_set,
        set_classes=set_classes if given(among_set) else 0,
        top5=top5,
        id_own_classes=_on_own_classes(head, first, images),
    )


def _of_the_set(answers: Int64) -> Int64:
    """Returns the classes of the rows of a head without rows that stand for no class of a set."""
    return np.where(answers < OUTSIDE, answers, -1)


def _on_own_classes(head: HeadArrays, first: SetFeatures, images: SetFeatures) -> Figure:
    """Computes in-distribution accuracy on the classes of a shift, with the answers it allows."""
    if images is first:
        return NotRun(reason="this is the in-distribution set")
    rows = head.weight.shape[0]
    answers = images.classes_of_rows(rows)
    if np.unique(answers[answers >= 0]).size == rows:
        return NotRun(reason="the set has all classes: this is the plain accuracy")
    own = on_classes_of(rows, first, images)
    if isinstance(own, NotRun):
        return own
    if np.unique(answers_of(own, rows)).size == 1:
        return ONE_CLASS
    usable = usable_images(own)
    return wilson(hits(usable.features, head, usable), own.features.shape[0])


def mean_accuracy(accuracies: Sequence[SetAccuracy]) -> Figure:
    """Returns the mean top-1 over shifts, with the binomial error of each (delta method)."""
    tops = [accuracy.top1 for accuracy in accuracies if given(accuracy.top1)]
    if not tops:
        return NotRun(reason="no labelled shift was measured")
    mean = float(np.mean([top.value for top in tops]))
    # p is shrunk towards 1/2, so that an accuracy of 0 or 1 does not count as certain.
    pulled = [(top.value * top.n + 2) / (top.n + 4) for top in tops]
    variance = sum(p * (1 - p) / top.n for p, top in zip(pulled, tops, strict=True))
    half = NORMAL_95 * variance**0.5 / len(tops)
    return Estimate(
        value=mean,
        low=max(0.0, mean - half),
        high=min(1.0, mean + half),
        n=sum(top.n for top in tops),
        method=f"binomial, mean of {len(tops)} sets",
    )


def _effective(baseline: Baseline, accuracies: Sequence[SetAccuracy]) -> EffectiveRobustness:
    """Returns the effective robustness by one line; its figures say why where there is none."""
    line = baseline.line
    measured = _measured(baseline, accuracies)
    fields: dict[str, Any]
    if isinstance(measured, NotRun):
        fields = dict.fromkeys(("value", "prediction", "percentile"), measured)
        fields |= {"above": None, "extrapolated": None}
    else:
        x, tops = measured
        images = {shift: top.n for shift, top in tops.items()} | {"imagenet": x.n}
        shifts = {shift: top.value for shift, top in tops.items()}
        er, n = effective_robustness(line, x.value, shifts, images), sum(images.values())
        assert er is not None  # every accuracy is known
        fields = {
            name: Estimate(value=er.value, low=low, high=high, n=n, method=method)
            for name, (low, high), method in (
                ("value", er.precision, "precision: binomial, line bootstrapped by family"),
                ("prediction", er.prediction, "prediction: adds the scatter of baseline models"),
            )
        }
        models = [
            (row.imagenet, mean)
            for row in baseline.models
            if row.imagenet is not None and (mean := mean_of(line.target, row.shifts)) is not None
        ]
        fields |= {
            "above": er.above,
            "extrapolated": er.extrapolated,
            "percentile": _percentile(line, models, x.value, er.mean),
            "nearest": min((abs(own - x.value) for own, _ in models), default=None),
        }
    return EffectiveRobustness(
        baseline=line.baseline,
        target=line.target,
        axis=baseline.axis,
        models=line.n,
        left_out=line.left_out,
        slope=line.a,
        intercept=line.b,
        r2=line.r2,
        covariance=line_covariance(line),
        **fields,
    )


def _measured(
    baseline: Baseline, accuracies: Sequence[SetAccuracy]
) -> tuple[Estimate, dict[str, Estimate]] | NotRun:
    """Returns x and the accuracy of each shift of the target; or why there is no comparison."""
    target = baseline.line.target
    by_shift = {row.shift: row for row in accuracies[1:]}
    missing = [shift for shift in target if shift not in by_shift]
    if missing:
        return NotRun(reason=f"{', '.join(missing)} not measured")
    x = accuracies[0].top1
    if baseline.axis == "own classes":
        x = by_shift[target[0]].id_own_classes  # lines on this axis are of one shift
    if not given(x):
        return NotRun(reason=f"no in-distribution accuracy on this axis: {x.reason}")
    tops = {shift: top for shift in target if given(top := by_shift[shift].top1)}
    if len(tops) < len(target):
        return NotRun(reason="a shift has no images")
    if not 0 < x.value < 1:
        reason = f"in-distribution accuracy is {x.value:g}, where the logit is infinite"
        return NotRun(reason=reason)
    return x, tops


def _percentile(line: Line, models: Sequence[tuple[float, float]], x: float, mean: float) -> Figure:
    """Returns the share of the baseline's models whose logit residual is lower than this one's."""
    if not 0 < mean < 1:
        return NotRun(reason="a mean accuracy of 0 or 1 has no logit")
    ours = logit(mean) - line.a * logit(x) - line.b
    residuals = [
        logit(theirs) - line.a * logit(own) - line.b
        for own, theirs in models
        if 0 < theirs < 1 and 0 < own < 1
    ]
    return wilson(sum(residual < ours for residual in residuals), len(residuals))
