"""Accuracies under shift, and effective robustness against published baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from tuiprobe.catalog.accuracies import ModelAccuracies
from tuiprobe.catalog.effective_robustness import (
    BASELINES,
    Line,
    effective_robustness,
    line_covariance,
    mean_of,
)
from tuiprobe.errors import DataError
from tuiprobe.measure.arrays.head_arrays import (
    SetFeatures,
    answered_rows,
    answers_of,
    hits,
    top_hits,
    usable_images,
)
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.measure.run.head_file import OUTSIDE
from tuiprobe.probes.base.confidence import (
    ONE_CLASS,
    Logits,
    mean_confidence,
    on_classes_of,
    one_class,
)
from tuiprobe.results import Estimate, Figure, NotRun, is_known
from tuiprobe.results.base import ByName, Count, Frozen, Many, Points, Real, Share
from tuiprobe.results.figures import EFFECTIVE, FIGURES, MEAN_SHIFT, Fig
from tuiprobe.results.proportions import many_empty, mean_share, share_right
from tuiprobe.results.report import ProbeResult
from tuiprobe.results.set_accuracy import SetAccuracy


class EffectiveRobustness(Frozen):
    """Shift accuracy minus what a baseline predicts at this in-distribution accuracy.

    Attributes:
        baseline: Name of the set of models that the line was fitted to.
        target: The shifts whose mean is predicted.
        axis: What x is: `imagenet` (full validation set), `val` (the miniature's), or `own classes`
            of the shift.
        models: fitted.
        left_out: Models left out for an accuracy of 0 or 1.
        slope: The factor a of sigmoid(a logit(x) + b).
        intercept: The constant b.
        r2: Coefficient of determination of the fit, in logit space.
        covariance: Variance of the slope, covariance, variance of the intercept.
        value: ER with its precision interval: binomial error and the line's.
        prediction: ER with the prediction interval, which adds the scatter of single models.
        above: Whether the model is above the baseline, that is outside the prediction interval.
        extrapolated: Whether no baseline model reaches this in-distribution accuracy.
        nearest: Distance of the nearest baseline model in in-distribution accuracy.
    """

    baseline: str
    target: Many[str]
    axis: str
    models: Count
    left_out: Count
    slope: Real
    intercept: Real
    r2: Real
    covariance: tuple[Real, Real, Real] = (0.0, 0.0, 0.0)
    value: Annotated[
        Points,
        Fig(name="{outer}", heading="above models of equal accuracy, sampling"),
    ]
    prediction: Annotated[
        Points,
        Fig("prediction", "{outer}, prediction interval", heading="with model spread"),
    ]
    above: bool | None
    extrapolated: bool | None
    nearest: Real | None = None

    @property
    def data(self) -> str:
        """Names it among those of other baselines and shifts."""
        return f"{self.baseline}: {', '.join(self.target)}"

    @property
    def place(self) -> str:
        """Names the axis."""
        return f"robustness by {self.axis}"


class BaselineModel(Frozen):
    """A model that a line was fitted to.

    Attributes:
        name: What its table calls it.
        x: In-distribution accuracy.
        shifts: Accuracy by shift; shifts without a figure are left out.
    """

    name: str
    x: Real
    shifts: ByName[Real]


class BaselineModels(Frozen):
    """The models of a baseline that does not ship as a table of published models."""

    baseline: str
    models: Many[BaselineModel]


class ShiftNames(Frozen):
    """A shift answered by a zero-shot head of the shift's class names only, as an alternative.

    Attributes:
        data: Name of the set.
        head: Where the head came from.
        accuracy: Accuracy with it; the in-distribution set has no counterpart.
    """

    data: str
    head: str
    accuracy: SetAccuracy | NotRun


class Robustness(ProbeResult):
    """Accuracies and effective robustness.

    Attributes:
        data: The in-distribution set.
        accuracies: In-distribution first.
        mean_shift: Mean top-1 over the shifts measured.
        effective: One entry per baseline, target and axis; the reason where there is no baseline.
        not_run: Baselines without a line for a target.
        own_names: Shifts answered by their class names.
        confidence: Mean largest softmax probability on the in-distribution set.
        baseline_models: Models of the baselines that are no published tables: those that a source
            brings, and the user's.
    """

    probe: ClassVar[str] = "robustness"

    data: str
    accuracies: Annotated[Many[SetAccuracy], FIGURES]
    mean_shift: Annotated[Share, MEAN_SHIFT]
    effective: Annotated[Many[EffectiveRobustness] | NotRun, EFFECTIVE]
    not_run: Many[NotRun] = ()
    own_names: Many[ShiftNames] = ()
    confidence: Annotated[
        Share, Fig("confidence", "mean confidence", "average-confidence", role="predictor")
    ] = NotRun(reason="not measured")
    baseline_models: Many[BaselineModels] = ()

    def set_accuracies(self) -> tuple[SetAccuracy, ...]:
        """Returns its accuracies, in distribution first."""
        return self.accuracies

    def headlines(self) -> tuple[EffectiveRobustness, ...]:
        """Returns the first entry of each baseline: the mean over shifts if there are several."""
        if isinstance(self.effective, NotRun):
            return ()
        first: dict[str, EffectiveRobustness] = {}
        for er in self.effective:
            first.setdefault(er.baseline, er)
        return tuple(first.values())


TOP = 5
Axis = Literal["imagenet", "val", "own classes"]


@dataclass(frozen=True, eq=False)
class Baseline:
    """A fitted line and the models it was fitted to.

    Attributes:
        line: The fit.
        models: Rows of the fit; their `imagenet` is x on this axis.
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
    not_run: Sequence[NotRun] = ()
    nothing: NotRun = NO_BASELINE


def probe_robustness(
    head: HeadArrays,
    sets: Sequence[SetFeatures],
    shifts: Mapping[str, str],
    baselines: Baselines,
    shift_heads: Mapping[str, HeadArrays | NotRun] | None = None,
) -> Robustness:
    """Computes accuracies of all labelled sets, and effective robustness by every baseline.

    Args:
        head: The linear head.
        sets: The in-distribution set first, of images with a finite representation; one that is
            zero counts as wrong.
        shifts: Published name (`imagenet_r`) by set name, for sets that are one.
        baselines: Baselines to compare with; the caller chooses those that belong to the sets.
        shift_heads: By set, the head of a shift's class names, row by label, or why it is
            missing.

    Raises:
        DataError: The first set has no labels, or a label no row of the head answers for.
    """
    if not sets:
        raise DataError("robustness takes an in-distribution set")
    id_set = sets[0]
    answers_of(id_set, head.weight.shape[0])  # refuses labels without a row
    labelled = [images for images in sets if images.labels is not None]
    accuracies = tuple(
        _accuracy(head, id_set, images, shifts.get(images.name)) for images in labelled
    )
    effective: tuple[EffectiveRobustness, ...] | NotRun = baselines.nothing
    if baselines.lines:
        effective = tuple(_effective(baseline, accuracies) for baseline in baselines.lines)
    named_heads = shift_heads or {}
    alternatives = []
    for images in labelled:
        shift_head = named_heads.get(images.name)
        if isinstance(shift_head, NotRun):
            alternative = ShiftNames(data=images.name, head="", accuracy=shift_head)
            alternatives.append(alternative)
        elif shift_head is not None:
            plain = replace(images, answers=None)
            accuracy = _accuracy(shift_head, plain, plain, shifts.get(images.name))
            alternatives.append(
                ShiftNames(data=images.name, head=shift_head.source, accuracy=accuracy)
            )
    return Robustness(
        data=id_set.name,
        accuracies=accuracies,
        mean_shift=mean_accuracy(accuracies[1:]),
        effective=effective,
        not_run=tuple(baselines.not_run),
        confidence=mean_confidence(head, Logits(head, usable_images(id_set)).confidences()),
        own_names=tuple(alternatives),
        baseline_models=_baseline_models(baselines),
    )


def _baseline_models(baselines: Baselines) -> tuple[BaselineModels, ...]:
    """Returns the models of each baseline that readers find in no published table."""
    by_name: dict[str, BaselineModels] = {}
    for baseline in baselines.lines:
        name = baseline.line.baseline
        if name in BASELINES or name in by_name or baseline.axis == "own classes":
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
        by_name[name] = BaselineModels(baseline=name, models=tuple(models))
    return tuple(by_name.values())


def _accuracy(
    head: HeadArrays, first: SetFeatures, images: SetFeatures, shift: str | None
) -> SetAccuracy:
    rows, n = head.weight.shape[0], images.features.shape[0]
    answers, usable = answers_of(images, rows), usable_images(images)
    of_rows = usable.classes_of_rows(rows)
    of_set = replace(usable, answers=np.where(of_rows < OUTSIDE, of_rows, -1))
    set_classes = int(np.unique(answers[answers < OUTSIDE]).size)
    classes = int(np.unique(answers).size)
    among_all: Figure = NotRun(reason="every class of the head may answer")
    among_set: Figure = NotRun(reason="top-1 is that among the classes of the set")
    top1: Figure = NotRun(reason="no image with a finite representation")
    top5: Figure = NotRun(reason=f"{classes} classes: five answers would be nearly all")
    if n:
        top1 = _share_right(hits(head, usable), n, usable) if classes > 1 else ONE_CLASS
        if answers.size < rows:
            right = of_rows[answered_rows(head, usable)] == usable.labels
            among_all = _share_right(int(right.sum()), n, usable)
        if set_classes < classes and set_classes > 1:
            among_set = _share_right(hits(head, of_set), n, usable)
    if classes > TOP:
        top5 = _top5(head, usable, n) if n else top1
    counts = np.bincount(np.asarray(images.labels), minlength=1)
    return SetAccuracy(
        data=images.name,
        shift=shift,
        images=n,
        classes=classes,
        head_classes=rows,
        top1=top1,
        top1_all=among_all,
        top1_set=among_set,
        set_classes=set_classes if is_known(among_set) else 0,
        top5=top5,
        id_own_classes=_on_shift_classes(head, first, images),
        left_out=images.left_out is not None,
        labels=int((counts > 0).sum()),
        largest=float(counts.max() / max(n, 1)),
        unanswered=n - len(usable.features),
    )


def _share_right(right: int, n: int, usable: SetFeatures) -> Figure:
    unknown = n - len(usable.features)
    return share_right(right, n, unknown, usable.reach, usable.unanswerable)


def _top5(head: HeadArrays, usable: SetFeatures, n: int) -> Figure:
    """Computes top-5 of `n` images; `usable` are those with a representation other than zero."""
    right, tied = top_hits(head, usable, TOP)
    if not tied:
        return _share_right(right, n, usable)
    return NotRun(
        reason=(
            f"the first five answers are not known on {tied:,} of {n:,} images, where classes "
            "tie for the fifth place"
        ),
        remedy="a table of answers needs a probability for every class, not rounded",
    )


def _on_shift_classes(head: HeadArrays, first: SetFeatures, images: SetFeatures) -> Figure:
    """Computes in-distribution accuracy on the classes of a shift, with the answers it allows."""
    if images is first:
        return NotRun(reason="this is the in-distribution set")
    rows = head.weight.shape[0]
    answers = images.classes_of_rows(rows)
    if np.unique(answers[answers >= 0]).size == rows:
        return NotRun(reason="the set has all classes: this is the plain accuracy")
    source = on_classes_of(rows, first, images)
    if isinstance(source, NotRun):
        return source
    if one_class(source, rows):
        return ONE_CLASS
    usable = usable_images(source)
    return _share_right(hits(head, usable), source.features.shape[0], usable)


def mean_accuracy(accuracies: Sequence[SetAccuracy]) -> Figure:
    """Returns the mean top-1 over shifts."""
    tops = [accuracy.top1 for accuracy in accuracies if is_known(accuracy.top1)]
    if not tops:
        return NotRun(reason="no labelled shift was measured")
    many = any(many_empty(each.unanswered, each.images) for each in accuracies)
    return mean_share(tops, unanswered=many)


def _effective(baseline: Baseline, accuracies: Sequence[SetAccuracy]) -> EffectiveRobustness:
    """Returns the effective robustness by one line; its figures say why where there is none."""
    line = baseline.line
    measured = _measured(baseline, accuracies)
    fields: dict[str, Any]
    if isinstance(measured, NotRun):
        fields = {"value": measured, "prediction": measured, "above": None, "extrapolated": None}
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
        near = (
            abs(row.imagenet - x.value)
            for row in baseline.models
            if row.imagenet is not None and mean_of(line.target, row.shifts) is not None
        )
        fields |= {
            "above": er.above,
            "extrapolated": er.extrapolated,
            "nearest": min(near, default=None),
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
    if not is_known(x):
        return NotRun(reason=f"no in-distribution accuracy on this axis: {x.reason}")
    tops = {shift: top for shift in target if is_known(top := by_shift[shift].top1)}
    if len(tops) < len(target):
        return NotRun(reason="a shift has no images")
    if not 0 < x.value < 1:
        reason = f"in-distribution accuracy is {x.value:g}, where the logit is infinite"
        return NotRun(reason=reason)
    return x, tops
