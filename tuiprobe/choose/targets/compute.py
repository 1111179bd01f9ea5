"""Computes expected accuracies of target sets, and how wrong they are on labelled shifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np

from tuiprobe.channels.array_types import Int64
from tuiprobe.choose.targets.class_mix import ClassMix, class_mix
from tuiprobe.choose.targets.estimators import (
    ESTIMATORS,
    HEADLINE,
    PRIOR_K,
    PRIOR_K_DIFFERENCE,
    Estimator,
    ShiftEstimate,
    estimates,
    fit_scale,
    half_width,
    half_width_of_few,
    left_out_errors,
    scaled_by,
)
from tuiprobe.measure.arrays.head_arrays import SetFeatures, answers_of
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.measure.run.head_file import class_name
from tuiprobe.probes.base.confidence import (
    ONE_CLASS,
    Confidences,
    CrossFitted,
    Logits,
    cross_fit,
    mean_confidence,
)
from tuiprobe.probes.base.strata import labels_needed
from tuiprobe.probes.intervals import exact
from tuiprobe.results import Estimate, Figure, NotRun, is_known
from tuiprobe.results.accuracy import Accuracy, Evidence, accuracy_from, with_bound
from tuiprobe.results.base import Count, Frozen, Many, Points, Real, Share
from tuiprobe.results.figures import FIGURES, TARGET_ERROR, Fig
from tuiprobe.results.proportions import wilson
from tuiprobe.results.report import ProbeResult
from tuiprobe.results.section import AnsweredImage


class OfEstimator(Frozen):
    """What belongs to one estimator."""

    estimator: Estimator

    @property
    def called(self) -> str:
        """What people call the estimator."""
        return ESTIMATORS[self.estimator]


class Expected(OfEstimator):
    """What one estimator expects of one set."""

    accuracy: Annotated[
        Share, Fig("{self.estimator}", "{self.called}", "estimate", role="estimate")
    ]


class ScaledEstimate(OfEstimator):
    """An estimate whose predicted drop is scaled by what labelled shifts lost.

    Attributes:
        estimator: The estimator that predicts the drop.
        accuracy: The estimate with its 80 % range, both within 0 and 1.
        k: What the predicted drop is multiplied by.
        half: Half the range before it is cut at 0 and 1, in accuracy.
    """

    accuracy: Annotated[
        Share, Fig("{self.estimator}.scaled", "{self.called}, scaled", "estimate", role="estimate")
    ]
    k: Real
    half: Real


class Predicted(Frozen):
    """How many images of a set the head puts into a class."""

    name: str
    images: Count


class TargetSet(Frozen):
    """Estimates for one set of images without labels.

    Attributes:
        data: Name of the set.
        images: Images with a finite representation.
        expected: By every estimator, as it stands.
        scaled: The headline estimate, then the second opinion.
        wrong: Wrong answers in distribution among the classes of the set, on which all rests.
        too_few_wrong: Whether they are too few to scale the estimate, and no labelled shift helps.
        uncalibrated: Average confidence at the scale of the head, where there are no labels to
            calibrate with.
        class_mix: How many answers can be right if classes are as frequent as in distribution.
        labels: Labels that would give an interval of +-5 points, drawn as `tuiprobe label` does.
        predicted: Every class that may be answered, most predicted first.
        head_classes: Classes of the head; as many as may be answered where no row is left out.
        least_sure: The images of lowest confidence, lowest first.
        common: An image of middle confidence of each of the most common answers.
    """

    data: str
    images: Count
    expected: Annotated[Many[Expected], Fig("target")] = ()
    scaled: Annotated[Many[ScaledEstimate], Fig("target")] = ()
    wrong: Count | None = None
    too_few_wrong: bool = False
    uncalibrated: Share = NotRun(reason="the estimates are calibrated")
    class_mix: Annotated[ClassMix | NotRun, Fig("target")] = NotRun(
        reason="no image with a finite representation"
    )
    labels: Count | None = None
    predicted: Many[Predicted]
    head_classes: Count = 0
    least_sure: Many[AnsweredImage] = ()
    common: Many[AnsweredImage] = ()

    @property
    def place(self) -> str:
        """Returns whether the estimates are validated."""
        return "estimate" if self.scaled else "not validated"

    def of(self, estimator: Estimator) -> Figure:
        """Returns the accuracy that an estimator expects."""
        return _of(self.expected, estimator)

    @property
    def headline(self) -> Figure:
        """The estimate that is quoted: the scaled one, or the uncalibrated confidence."""
        return self.scaled[0].accuracy if self.scaled else self.uncalibrated

    def accuracy(self) -> Accuracy | NotRun:
        """Returns the accuracy that is quoted, or the confidence that stands in its place."""
        if isinstance(self.headline, NotRun):
            return self.headline
        evidence: Evidence = "estimate" if self.scaled else "confidence"
        among = (len(self.predicted), self.head_classes)
        known = accuracy_from(self.headline, self.data, evidence, among=among)
        return with_bound(known, self.most_right)

    @property
    def most_right(self) -> Figure:
        """How many answers can be right if classes are as frequent as in distribution."""
        mix = self.class_mix
        return mix if isinstance(mix, NotRun) else mix.most_right

    @property
    def bound(self) -> ClassMix | None:
        """The bound by the mix of classes, where the estimate is above it or there is none."""
        mix, estimate = self.class_mix, self.headline
        if isinstance(mix, NotRun) or isinstance(mix.most_right, NotRun):
            return None
        least = estimate.value if self.scaled and not isinstance(estimate, NotRun) else 1.0
        return mix if mix.most_right.value < least else None

    @property
    def opinions_differ(self) -> bool:
        """Whether the second opinion lies outside the range of the estimate."""
        if len(self.scaled) < 2:
            return False
        first, second = (opinion.accuracy for opinion in self.scaled[:2])
        if isinstance(first, NotRun) or isinstance(second, NotRun):
            return False
        return not (first.low or 0.0) <= second.value <= (first.high or 1.0)


class ShiftCheck(Frozen):
    """Estimates for a labelled shift, to compare with its accuracy.

    Attributes:
        data: Name of the set.
        measured: Accuracy, with Wilson's interval.
        expected: By every estimator; the reason where there is none.
        own: Accuracy in distribution among the classes of the set.
        left_out: Estimate less measured accuracy, scaled by the other shifts alone.
        classes: Classes that may be answered.
    """

    data: str
    measured: Share
    expected: Many[Expected] | NotRun
    own: Share
    left_out: Points
    classes: Count

    def of(self, estimator: Estimator) -> Figure:
        """Returns the accuracy that an estimator expects."""
        if isinstance(self.expected, NotRun):
            return self.expected
        return _of(self.expected, estimator)


class LeftOut(Frozen):
    """How wrong the scaled estimate was on each labelled shift, left out and estimated.

    Attributes:
        shifts: Labelled shifts.
        too_high: Shifts whose estimate was above the measured accuracy.
        mean_absolute: Mean absolute error; n counts shifts.
        worst: The error of largest magnitude, with its sign.
        worst_on: The shift that has it.
    """

    shifts: Count
    too_high: Count
    mean_absolute: Annotated[Points, TARGET_ERROR]
    worst: Points
    worst_on: str = ""


class Targets(ProbeResult):
    """Accuracy expected on images without labels.

    Attributes:
        data: The in-distribution set.
        basis: Whether the estimates rest on a labelled in-distribution set, or why not.
        temperature: Fitted to all images in distribution.
        targets: In the order of the run.
        checks: The same estimators on every labelled shift.
        left_out: Errors of the scaled estimate.
    """

    probe: ClassVar[str] = "targets"
    place: ClassVar[str] = "labelled shifts"

    data: str
    basis: Literal["calibrated", "not validated"]
    temperature: Figure
    targets: Annotated[Many[TargetSet], FIGURES]
    checks: Many[ShiftCheck] = ()
    left_out: Annotated[LeftOut, FIGURES]


def _of(expected: Many[Expected], estimator: Estimator) -> Figure:
    for figure in expected:
        if figure.estimator == estimator:
            return figure.accuracy
    return NotRun(reason="no labelled in-distribution set to calibrate with")


PRIORS: Final[Mapping[Estimator, float]] = {HEADLINE: PRIOR_K, "difference": PRIOR_K_DIFFERENCE}
"""The estimators that are scaled, each with its `k` where there is no labelled shift."""

FEW_WRONG: Final = 50
"""Wrong answers in distribution below which the threshold of confidence is mostly noise."""

LEAST_SURE: Final = 8
COMMON: Final = 4
"""Images of each kind that are shown."""

NO_IMAGE: Final = NotRun(reason="no image with a finite representation")
NO_SHIFT: Final = NotRun(reason="unknown: no labelled shift in this run")


@dataclass(frozen=True, eq=False)
class Images:
    """The sets of a run, and what its classes are called.

    Attributes:
        id_set: The in-distribution set.
        shifts: Its shifts; those without labels are passed over.
        targets: Sets without labels.
        names: Class name of each row of the head.
        ids_and_paths: Sample id of each image, int64 [n], and its path, by name of the target set.
        no_confidences: Why answers have no confidences, so that nothing is estimated from them.
    """

    id_set: SetFeatures
    shifts: Sequence[SetFeatures]
    targets: Sequence[SetFeatures]
    names: Sequence[str] = ()
    ids_and_paths: Mapping[str, tuple[Int64, Mapping[int, str | None]]] = field(
        default_factory=dict
    )
    no_confidences: NotRun | None = None


def estimate_targets(head: HeadArrays, images: Images) -> Targets:
    """Estimates accuracy on every target set and, as a check, on every labelled shift.

    Args:
        head: The head.
        images: The sets.

    Raises:
        DataError: If a label of a labelled set has no row of the head.
    """
    fits: dict[bytes, CrossFitted | NotRun] = {}

    def fitted(masked: SetFeatures) -> CrossFitted | NotRun:
        """Cross-fits once per class mask; the first fit and the last one are kept."""
        if images.no_confidences is not None:
            return images.no_confidences
        answers = masked.answers
        key = b"" if answers is None else np.asarray(answers, dtype=np.int64).tobytes()
        if key not in fits:
            if len(fits) > 1:
                fits.popitem()
            fits[key] = cross_fit(head, images.id_set, masked)
        return fits[key]

    labelled = [shift for shift in images.shifts if shift.labels is not None]
    for shift in labelled:
        answers_of(shift, head.weight.shape[0])  # refuses labels without a row
    checks, left_out = _left_out([_check(head, shift, fitted(shift)) for shift in labelled])
    shifts = {name: shift_estimates(checks, name) for name in PRIORS}
    targets = tuple(
        _target(head, target, fitted(target), shifts, images) for target in images.targets
    )
    of_id_set = fitted(images.id_set)
    return Targets(
        data=images.id_set.name,
        basis="calibrated" if any(target.expected for target in targets) else "not validated",
        temperature=of_id_set if isinstance(of_id_set, NotRun) else of_id_set.temperature,
        targets=targets,
        checks=checks,
        left_out=left_out,
    )


def _check(head: HeadArrays, shift: SetFeatures, source: CrossFitted | NotRun) -> ShiftCheck:
    logits = Logits(head, shift)
    right = logits.confidences().right
    assert right is not None  # the caller passes labelled sets
    measured, classes = wilson(int(right.sum()), right.size), np.unique(logits.classes).size
    if isinstance(source, NotRun) or not right.size:
        why = source if isinstance(source, NotRun) else NO_IMAGE
        return ShiftCheck(
            data=shift.name,
            measured=ONE_CLASS if why is ONE_CLASS else measured,
            expected=why,
            own=why,
            left_out=why,
            classes=classes,
        )
    return ShiftCheck(
        data=shift.name,
        measured=measured,
        expected=_expected(estimates(source, logits)[0]),
        own=wilson(int(source.right.sum()), source.right.size),
        left_out=NO_SHIFT,
        classes=classes,
    )


def _expected(figures: Mapping[Estimator, Figure]) -> tuple[Expected, ...]:
    return tuple(Expected(estimator=name, accuracy=figure) for name, figure in figures.items())


def shift_estimates(checks: Sequence[ShiftCheck], estimator: Estimator) -> list[ShiftEstimate]:
    """Returns the labelled shifts for which an estimator has a value."""
    return [
        ShiftEstimate(
            check.data, id_accuracy.value, expected.value, measured.value, 1 / check.classes
        )
        for check in checks
        if is_known(id_accuracy := check.own) and is_known(expected := check.of(estimator))
        if is_known(measured := check.measured)
    ]


def _left_out(checks: Sequence[ShiftCheck]) -> tuple[tuple[ShiftCheck, ...], LeftOut]:
    """Returns the checks with the error of each, scaled by the others, and these errors."""
    shifts = shift_estimates(checks, HEADLINE)
    if not shifts:
        return tuple(checks), LeftOut(shifts=0, too_high=0, mean_absolute=NO_SHIFT, worst=NO_SHIFT)
    errors = {s.data: e for s, e in zip(shifts, left_out_errors(shifts), strict=True)}
    method = "no interval: one labelled shift, estimated from the others"
    with_errors = tuple(
        check.model_copy(update={"left_out": exact(errors[check.data], 1, method, "points")})
        if check.data in errors
        else check
        for check in checks
    )
    n = len(errors)
    method = f"no interval: {n} labelled shifts, each estimated from the others"
    worst = max(errors, key=lambda name: abs(errors[name]))
    return with_errors, LeftOut(
        shifts=n,
        too_high=sum(error > 0 for error in errors.values()),
        mean_absolute=exact(float(np.mean([abs(error) for error in errors.values()])), n, method),
        worst=exact(errors[worst], n, method),
        worst_on=worst,
    )


def _target(
    head: HeadArrays,
    target: SetFeatures,
    source: CrossFitted | NotRun,
    shifts: Mapping[Estimator, Sequence[ShiftEstimate]],
    images: Images,
) -> TargetSet:
    logits = Logits(head, target)
    scores = logits.confidences()
    n = scores.answer.size
    fields: dict[str, Any]
    if not n:
        fields = {"uncalibrated": NO_IMAGE}
    elif isinstance(source, NotRun):
        value = mean_confidence(head, scores)
        fields = {
            "uncalibrated": images.no_confidences or value,
            "labels": labels_needed(scores.confidence, value.value) if is_known(value) else None,
        }
    else:
        expected, scores = estimates(source, logits)
        wrong = int((~source.right).sum())
        few = wrong < FEW_WRONG and not shifts[HEADLINE]
        chance = 1 / np.unique(logits.classes).size
        scaled = tuple(
            _scale(name, source, raw, shifts[name], (few, chance))
            for name in PRIORS
            if is_known(raw := expected[name])
        )
        first = scaled[0].accuracy
        fields = {
            "expected": _expected(expected),
            "scaled": scaled,
            "wrong": wrong,
            "too_few_wrong": few,
            "labels": labels_needed(scores.confidence, first.value) if is_known(first) else None,
        }
    if n:
        names = _class_names(logits, images.names)
        fields["class_mix"] = class_mix(images.id_set, logits, scores.answer, names)
    return TargetSet(data=target.name, images=n, **fields, **_answers(logits, scores, images))


def _scale(
    estimator: Estimator,
    source: CrossFitted,
    expected: Estimate,
    shifts: Sequence[ShiftEstimate],
    limits: tuple[bool, float],
) -> ScaledEstimate:
    """Scales an estimate by labelled shifts, and gives it its 80 % range.

    Args:
        estimator: Which estimate it is.
        source: In-distribution images under the class mask of the set.
        expected: The estimate as it stands.
        shifts: The labelled shifts.
        limits: Whether wrong answers are too few to scale by, and the least value: one over the
            classes that may be answered.
    """
    few, chance = limits
    prior, id_accuracy = PRIORS[estimator], float(source.right.mean())
    k = fit_scale(shifts, prior)
    half = half_width(k * (id_accuracy - expected.value), left_out_errors(shifts, prior))
    if few:
        wrong = int((~source.right).sum())
        half = half_width_of_few(prior * (id_accuracy - expected.value), wrong)
        k, method = 1.0, f"80 % range; not scaled: {wrong} wrong answers in distribution"
    elif shifts:
        method = f"80 % range; drop scaled by k of {len(shifts)} labelled shifts"
    else:
        method = "80 % range; drop scaled by k of published shifts"
    value = scaled_by(k, id_accuracy, expected.value, chance)
    # Of a few images the sampling interval is the wider one.
    low, high = (value if end is None else scaled_by(k, id_accuracy, end)
                 for end in (expected.low, expected.high))  # fmt: skip
    low, high = max(min(value - half, low), 0.0), min(max(value + half, high), 1.0)
    accuracy = Estimate(value=value, low=low, high=high, unit="share", n=expected.n, method=method)
    return ScaledEstimate(estimator=estimator, accuracy=accuracy, k=k, half=half)


def _class_names(logits: Logits, names: Sequence[str]) -> list[str]:
    """Returns the name of each class that may be answered, by ascending class."""
    _, at = np.unique(logits.classes, return_index=True)
    return [class_name(names, int(row)) for row in logits.rows[at]]


def _answers(logits: Logits, scores: Confidences, images: Images) -> dict[str, Any]:
    """Returns how often each class is answered, most frequent first, and the pictures shown.

    Ties are in the order of the head. Pictures are the least sure images, and one of middle
    confidence for each of the most common answers.
    """
    classes, at = np.unique(logits.classes, return_index=True)
    rows = logits.rows[at]
    names = _class_names(logits, images.names)
    column = np.searchsorted(classes, scores.answer)
    counts = np.bincount(column, minlength=classes.size)
    predicted = tuple(
        Predicted(name=names[i], images=int(counts[i])) for i in np.lexsort((rows, -counts))
    )
    head_rows = len(logits.head.weight)
    fields: dict[str, Any] = {
        "predicted": predicted,
        "head_classes": head_rows if logits.rows.size < head_rows else classes.size,
    }
    if logits.set.name not in images.ids_and_paths:
        return fields
    ids, paths = images.ids_and_paths[logits.set.name]

    def picture(i: int) -> AnsweredImage:
        return AnsweredImage(
            sample_id=int(ids[i]),
            path=paths.get(int(ids[i])),
            answer=names[column[i]],
            confidence=float(scores.confidence[i]),
        )

    surest_last = np.lexsort((ids, scores.confidence))
    common = np.argsort(-counts, kind="stable")[:COMMON]
    groups = [surest_last[column[surest_last] == answer] for answer in common]
    return fields | {
        "least_sure": tuple(picture(int(i)) for i in surest_last[:LEAST_SURE]),
        "common": tuple(picture(int(group[group.size // 2])) for group in groups if group.size),
    }
