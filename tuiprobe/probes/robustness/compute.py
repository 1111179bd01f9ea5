"""Accuracies under shift, and effective robustness against published baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import numpy as np

from tuiprobe.catalog.accuracies import Row
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
from tuiprobe.probes.confidence import UNKNOWN_SCALE, Logits, scale_known
from tuiprobe.probes.crossfit import ONE_CLASS, on_classes_of
from tuiprobe.probes.heads import (
    SetFeatures,
    answers_of,
    hits,
    hits_among_all,
    top_hits,
    usable_images,
)
from tuiprobe.probes.intervals import bootstrap_mean
from tuiprobe.probes.proportions import wilson
from tuiprobe.probes.robustness.result import (
    Accuracy,
    BaselineModel,
    BaselineModels,
    BaselineNotRun,
    EffectiveRobustness,
    OwnNames,
    Robustness,
)
from tuiprobe.results import Estimate, Figure, NotRun, given
from tuiprobe.run.checked_arrays import HeadArrays

TOP = 5
MOST_MODELS = 2000
"""Models of a baseline that a result keeps, for its picture."""

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
    models: Sequence[Row]
    axis: Axis = "imagenet"


@dataclass(frozen=True, eq=False)
class Baselines:
    """All lines to compare with.

    Attributes:
        lines: In the order of the report.
        not_run: Lines that could not be fitted.
        reason: Why there is none at all.
    """

    lines: Sequence[Baseline] = ()
    not_run: Sequence[BaselineNotRun] = ()
    reason: str = "no baseline was given"


def probe_robustness(
    head: HeadArrays,
    sets: Sequence[SetFeatures],
    shifts: Mapping[str, str],
    baselines: Baselines,
    own_names: Mapping[str, HeadArrays | str] | None = None,
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
    labelled = [one for one in sets if one.labels is not None]
    accuracies = tuple(_accuracy(head, first, one, shifts.get(one.name)) for one in labelled)
    entries: tuple[EffectiveRobustness, ...] | NotRun = NotRun(reason=baselines.reason)
    if baselines.lines:
        entries = tuple(_entry(baseline, accuracies) for baseline in baselines.lines)
    return Robustness(
        data=first.name,
        accuracies=accuracies,
        mean_shift=mean_accuracy(accuracies[1:]),
        effective=entries,
        not_run=tuple(baselines.not_run),
        confidence=mean_confidence(head, first),
        own_names=_own_names(labelled, shifts, own_names or {}),
        baseline_models=_baseline_models(baselines),
    )


def _baseline_models(baselines: Baselines) -> tuple[BaselineModels, ...]:
    """Returns the models of each baseline that readers find in no published table."""
    found: dict[str, BaselineModels] = {}
    for one in baselines.lines:
        name = one.line.baseline
        if name in BASELINES or name in found or one.axis == "own classes":
            continue
        models = (row for row in one.models if row.imagenet is not None)
        kept = tuple(_baseline_model(row) for row in islice(models, MOST_MODELS))
        found[name] = BaselineModels(baseline=name, models=kept)
    return tuple(found.values())


def _baseline_model(row: Row) -> BaselineModel:
    shifts = {name: value for name, value in row.shifts.items() if value is not None}
    name = f"{row.model}, {row.tag}" if row.tag else row.model
    return BaselineModel(name=name, x=row.imagenet or 0.0, shifts=shifts)


def _own_names(
    labelled: Sequence[SetFeatures],
    shifts: Mapping[str, str],
    heads: Mapping[str, HeadArrays | str],
) -> tuple[OwnNames, ...]:
    found = []
    for one in labelled:
        if one.name not in heads:
            continue
        head, plain = heads[one.name], replace(one, answers=None)
        if isinstance(head, str):
            found.append(OwnNames(data=one.name, head="", accuracy=NotRun(reason=head)))
            continue
        accuracy = _accuracy(head, plain, plain, shifts.get(one.name))
        found.append(OwnNames(data=one.name, head=head.source, accuracy=accuracy))
    return tuple(found)


def _accuracy(
    head: HeadArrays, first: SetFeatures, one: SetFeatures, shift: str | None
) -> Accuracy:
    rows, n = head.weight.shape[0], one.features.shape[0]
    answers, usable = answers_of(one, rows), usable_images(one)
    classes = int(np.unique(answers).size)
    among_all: Figure = NotRun(reason="every class of the head may answer")
    top1: Figure = NotRun(reason="no image with a finite representation")
    top5: Figure = NotRun(reason=f"{classes} classes: five answers would be nearly all")
    if n:
        top1 = wilson(hits(usable.features, head, usable), n) if classes > 1 else ONE_CLASS
        if answers.size < rows:
            among_all = wilson(hits_among_all(head, usable), n)
    if classes > TOP:
        top5 = wilson(top_hits(head, usable, TOP), n) if n else top1
    return Accuracy(
        data=one.name,
        shift=shift,
        images=n,
        classes=classes,
        head_classes=rows,
        top1=top1,
        top1_all=among_all,
        top5=top5,
        id_own_classes=_on_own_classes(head, first, one),
    )


def _on_own_classes(head: HeadArrays, first: SetFeatures, one: SetFeatures) -> Figure:
    """Computes in-distribution accuracy on the classes of a shift, with the answers it allows."""
    if one is first:
        return NotRun(reason="this is the in-distribution set")
    rows = head.weight.shape[0]
    answers = np.arange(rows) if one.answers is None else np.asarray(one.answers)
    if np.unique(answers[answers >= 0]).size == rows:
        return NotRun(reason="the set has all classes: this is the plain accuracy")
    own = on_classes_of(rows, first, one)
    if isinstance(own, NotRun):
        return own
    if np.unique(answers_of(own, rows)).size == 1:
        return ONE_CLASS
    usable = usable_images(own)
    return wilson(hits(usable.features, head, usable), own.features.shape[0])


def mean_confidence(head: HeadArrays, one: SetFeatures) -> Figure:
    """Returns the mean over the images of the probability of the answer, not calibrated.

    Args:
        head: The linear head; there is no figure where it does not tell its logit scale.
        one: Representations; labels are not looked at.
    """
    usable = usable_images(one)
    if usable.features.shape[0] == 0:
        return NotRun(reason="no image with a finite representation")
    if not scale_known(head):
        return UNKNOWN_SCALE
    return bootstrap_mean(Logits(head, usable).confidences().confidence)


def mean_accuracy(accuracies: Sequence[Accuracy]) -> Figure:
    """Returns the mean top-1 over shifts, with the binomial error of each (delta method)."""
    tops = [one.top1 for one in accuracies if given(one.top1)]
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


def _entry(baseline: Baseline, accuracies: Sequence[Accuracy]) -> EffectiveRobustness:
    line = baseline.line
    value, prediction, percentile, above, extrapolated, nearest = _measured(baseline, accuracies)
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
        value=value,
        prediction=prediction,
        above=above,
        percentile=percentile,
        extrapolated=extrapolated,
        nearest=nearest,
    )


_Measured = tuple[Figure, Figure, Figure, bool | None, bool | None, float | None]


def _measured(baseline: Baseline, accuracies: Sequence[Accuracy]) -> _Measured:
    line = baseline.line
    by_shift = {one.shift: one for one in accuracies[1:] if one.shift is not None}
    missing = [shift for shift in line.target if shift not in by_shift]
    if missing:
        return _nothing(f"{', '.join(missing)} not measured")
    if baseline.axis == "own classes" and len(line.target) != 1:
        return _nothing("classes differ between shifts: one x for several is not defined")
    x = accuracies[0].top1
    if baseline.axis == "own classes":
        x = by_shift[line.target[0]].id_own_classes
    if not given(x):
        return _nothing(f"no in-distribution accuracy on this axis: {x.reason}")
    tops = {shift: by_shift[shift].top1 for shift in line.target}
    values = {shift: top.value for shift, top in tops.items() if given(top)}
    if len(values) < len(tops):
        return _nothing("a shift has no images")
    if not 0 < x.value < 1:
        return _nothing(f"in-distribution accuracy is {x.value:g}, where the logit is infinite")
    images = {shift: top.n for shift, top in tops.items() if given(top)} | {"imagenet": x.n}
    found = effective_robustness(line, x.value, values, images)
    if found is None:
        return _nothing("an accuracy is missing")
    mean = mean_of(line.target, values)
    precision, prediction = (
        Estimate(value=found.value, low=ends[0], high=ends[1], n=sum(images.values()), method=how)
        for ends, how in (
            (found.precision, "precision: binomial, line bootstrapped by family"),
            (found.prediction, "prediction: adds the scatter of baseline models"),
        )
    )
    percentile = _percentile(baseline, x.value, mean)
    distances = [
        abs(row.imagenet - x.value)
        for row in baseline.models
        if row.imagenet is not None and mean_of(line.target, row.shifts) is not None
    ]
    nearest = min(distances, default=None)
    return precision, prediction, percentile, found.above, found.extrapolated, nearest


def _nothing(reason: str) -> _Measured:
    why = NotRun(reason=reason)
    return why, why, why, None, None, None


def _percentile(baseline: Baseline, x: float, mean: float | None) -> Figure:
    """Returns the share of the baseline's models whose logit residual is lower than this one's."""
    if mean is None or not 0 < mean < 1:
        return NotRun(reason="a mean accuracy of 0 or 1 has no logit")
    line = baseline.line
    ours = logit(mean) - line.a * logit(x) - line.b
    residuals = []
    for row in baseline.models:
        theirs = mean_of(line.target, row.shifts)
        if theirs is None or row.imagenet is None:
            continue
        if 0 < theirs < 1 and 0 < row.imagenet < 1:
            residuals.append(logit(theirs) - line.a * logit(row.imagenet) - line.b)
    below = int((np.array(residuals) < ours).sum())
    return wilson(below, len(residuals)) if residuals else NotRun(reason="no models were given")
