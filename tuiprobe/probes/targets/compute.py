"""Computes expected accuracies of target sets, and how wrong they are on labelled shifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Final, get_args

import numpy as np

from tuiprobe.numbers import NORMAL_95
from tuiprobe.probes.confidence import (
    UNKNOWN_SCALE,
    Confidences,
    Logits,
    probabilities,
    scale_known,
)
from tuiprobe.probes.crossfit import ONE_CLASS, CrossFitted
from tuiprobe.probes.heads import SetFeatures, class_name, first_images
from tuiprobe.probes.inputs import Int64
from tuiprobe.probes.intervals import exact
from tuiprobe.probes.proportions import wilson
from tuiprobe.probes.targets.estimators import estimates
from tuiprobe.probes.targets.headline import (
    FEW_WRONG,
    NO_IMAGE,
    PRIORS,
    cached_fits,
    few_wrong,
    is_labelled,
    mean_confidence,
    scale,
)
from tuiprobe.probes.targets.result import (
    HEADLINE,
    Error,
    Estimator,
    Expected,
    LeftOut,
    Predicted,
    ShiftCheck,
    TargetPicture,
    Targets,
    TargetSet,
)
from tuiprobe.probes.targets.scaling import ShiftEstimate, left_out_errors
from tuiprobe.results import Figure, NotRun, given
from tuiprobe.run.checked_arrays import HeadArrays

HALF_WIDTH = 0.05
"""Half the interval that the stated number of labels would give."""

UNCONFIDENT = 0.05
"""Share of in-distribution images that the threshold of confidence leaves out."""

MOST_VALUES = 4096
"""Images or classes up to which singular values are computed; more images are sampled."""

LEAST_SURE: Final = 8
COMMON: Final = 4
"""Images of each kind that are shown."""

NO_SHIFT: Final = NotRun(reason="unknown: no labelled shift in this run")


@dataclass(frozen=True, eq=False)
class Images:
    """The sets of a run, and what its classes are called.

    Attributes:
        first: The in-distribution set.
        shifts: Its shifts; those without labels are passed over.
        targets: Sets without labels.
        names: Class name of each row of the head.
        listed: Sample id of each image, int64 [n], and its path, by name of the target set.
    """

    first: SetFeatures
    shifts: Sequence[SetFeatures]
    targets: Sequence[SetFeatures]
    names: Sequence[str]
    listed: Mapping[str, tuple[Int64, Mapping[int, str | None]]] = field(default_factory=dict)


def estimate_targets(head: HeadArrays, images: Images) -> Targets:
    """Estimates accuracy on every target set and, as a check, on every labelled shift.

    Args:
        head: The head.
        images: The sets.

    Raises:
        DataError: If a label of a labelled set has no row of the head.
    """
    fitted = cached_fits(head, images.first)
    labelled = [shift for shift in images.shifts if is_labelled(head, shift)]
    checks, left_out = _left_out([_check(head, shift, fitted(shift)) for shift in labelled])
    shifts = {name: shift_estimates(checks, name) for name in PRIORS}
    targets = tuple(
        _target(head, target, fitted(target), shifts, images) for target in images.targets
    )
    whole = fitted(images.first)
    return Targets(
        data=images.first.name,
        basis="calibrated" if any(target.expected for target in targets) else "not validated",
        temperature=whole if isinstance(whole, NotRun) else whole.temperature,
        targets=targets,
        checks=checks,
        errors=tuple(_error(estimator, checks) for estimator in get_args(Estimator)),
        left_out=left_out,
    )


def _check(head: HeadArrays, shift: SetFeatures, source: CrossFitted | NotRun) -> ShiftCheck:
    logits = Logits(head, shift)
    right = logits.confidences().right
    assert right is not None  # the caller passes labelled sets
    measured = wilson(int(right.sum()), right.size)
    if isinstance(source, NotRun) or not right.size:
        why = source if isinstance(source, NotRun) else NO_IMAGE
        return ShiftCheck(
            data=shift.name,
            measured=ONE_CLASS if why is ONE_CLASS else measured,
            expected=why,
            own=why,
            left_out=why,
        )
    return ShiftCheck(
        data=shift.name,
        measured=measured,
        expected=_expected(estimates(source, logits)[0]),
        own=wilson(int(source.right.sum()), source.right.size),
        left_out=NO_SHIFT,
    )


def shift_estimates(checks: Sequence[ShiftCheck], estimator: Estimator) -> list[ShiftEstimate]:
    """Returns the labelled shifts that an estimator says something of."""
    return [
        ShiftEstimate(check.data, own.value, expected.value, measured.value)
        for check in checks
        if given(own := check.own) and given(expected := check.of(estimator))
        if given(measured := check.measured)
    ]


def _left_out(checks: Sequence[ShiftCheck]) -> tuple[tuple[ShiftCheck, ...], LeftOut]:
    """Returns the checks with the error of each, scaled by the others, and these errors."""
    shifts = shift_estimates(checks, HEADLINE)
    errors = {s.data: e for s, e in zip(shifts, left_out_errors(shifts), strict=True)}
    if not errors:
        return tuple(checks), LeftOut(shifts=0, too_high=0, mean_absolute=NO_SHIFT, worst=NO_SHIFT)
    method = "no interval: one labelled shift, estimated from the others"
    with_errors = tuple(
        check.model_copy(update={"left_out": exact(errors[check.data], 1, method, "points")})
        if check.data in errors
        else check
        for check in checks
    )
    worst = max(errors, key=lambda name: abs(errors[name]))
    mean = float(np.mean([abs(error) for error in errors.values()]))
    method = f"no interval: {len(errors)} labelled shifts, each estimated from the others"
    return with_errors, LeftOut(
        shifts=len(errors),
        too_high=sum(error > 0 for error in errors.values()),
        mean_absolute=exact(mean, len(errors), method),
        worst=exact(errors[worst], len(errors), method),
        worst_on=worst,
    )


def _error(estimator: Estimator, checks: Sequence[ShiftCheck]) -> Error:
    errors = [
        (abs(expected.value - measured.value), check.data)
        for check in checks
        if given(expected := check.of(estimator)) and given(measured := check.measured)
    ]
    if not errors:
        return Error(estimator=estimator, mean_absolute=NO_SHIFT, worst=NO_SHIFT)
    worst, name = max(errors)
    method = f"no interval: {len(errors)} labelled shifts of this run"
    return Error(
        estimator=estimator,
        mean_absolute=exact(float(np.mean([e for e, _ in errors])), len(errors), method),
        worst=exact(worst, len(errors), method),
        worst_on=name,
    )


def _expected(figures: Mapping[Estimator, Figure]) -> tuple[Expected, ...]:
    return tuple(Expected(estimator=name, accuracy=figure) for name, figure in figures.items())


def _target(
    head: HeadArrays,
    target: SetFeatures,
    source: CrossFitted | NotRun,
    shifts: Mapping[Estimator, Sequence[ShiftEstimate]],
    images: Images,
) -> TargetSet:
    logits = Logits(head, target)
    plain = logits.confidences()
    n = plain.answer.size
    empty = TargetSet(
        data=target.name,
        images=n,
        uncalibrated=NO_IMAGE,
        less_confident=NO_IMAGE,
        dispersion=NO_IMAGE,
        predicted=_predicted(logits, plain, images.names),
    )
    if not n:
        return empty
    if isinstance(source, NotRun):
        value = mean_confidence(head, logits)
        known = scale_known(head)
        return empty.model_copy(
            update={
                "uncalibrated": value,
                "labels": _labels(value),
                "less_confident": NotRun(reason=source.reason),
                "dispersion": _dispersion(head, target, 1.0) if known else UNKNOWN_SCALE,
                **_pictured(logits, plain, images),
            }
        )
    expected, scores = estimates(source, logits)
    wrong, labelled = int((~source.right).sum()), source.right.size
    few = few_wrong(source, shifts[HEADLINE])
    # How many more labelled images would give enough wrong answers, at this rate.
    more = ceil(labelled * FEW_WRONG / wrong) - labelled if few and wrong else None
    threshold = float(np.quantile(source.scores.confidence, UNCONFIDENT))
    return empty.model_copy(
        update={
            "expected": _expected(expected),
            "scaled": tuple(
                scale(name, source, raw, shifts[name], few)
                for name in PRIORS
                if given(raw := expected[name])
            ),
            "wrong": wrong,
            "too_few_wrong": few,
            "more_labelled": more,
            "uncalibrated": NotRun(reason="the estimates are calibrated"),
            "labels": _labels(expected[HEADLINE]),
            "less_confident": wilson(int((scores.confidence < threshold).sum()), n),
            "dispersion": _dispersion(head, target, source.whole),
            **_pictured(logits, scores, images),
        }
    )


def _labels(estimate: Figure) -> int | None:
    """Returns how many random labels give an interval of +-5 points at an estimate.

    >>> _labels(exact(0.5, 100, "planted"))
    385
    """
    if not given(estimate):
        return None
    p = estimate.value
    return max(1, ceil(NORMAL_95**2 * p * (1 - p) / HALF_WIDTH**2))


def _dispersion(head: HeadArrays, images: SetFeatures, temperature: float) -> Figure:
    """Returns the nuclear norm of the probabilities over its largest value."""
    logits, n = Logits(head, images), images.features.shape[0]
    classes = np.unique(logits.classes).size
    if min(classes, n) > MOST_VALUES:
        few = first_images(replace(images, labels=None), MOST_VALUES, seed=0)
        logits, n = Logits(head, few), MOST_VALUES
    blocks = (probabilities(block, temperature, logits.classes) for _, block in logits.blocks())
    # The singular values come from P^T P or P P^T, whichever is smaller.
    if n < classes:
        whole = np.concatenate(list(blocks))
        gram = np.asarray(whole @ whole.T)
    else:
        gram = np.zeros((classes, classes))
        for p in blocks:
            gram += p.T @ p
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0))
    method = "no interval: orders sets under one model"
    return exact(min(1.0, float(values.sum()) / (n * min(n, classes)) ** 0.5), n, method)


def _predicted(logits: Logits, scores: Confidences, names: Sequence[str]) -> tuple[Predicted, ...]:
    """Counts the answers by class, most frequent first; ties in the order of the head."""
    classes, at = np.unique(logits.classes, return_index=True)
    counts = np.bincount(np.searchsorted(classes, scores.answer), minlength=classes.size)
    rows = logits.rows[at]
    order = np.lexsort((rows, -counts))
    return tuple(
        Predicted(name=class_name(names, int(rows[i])), images=int(counts[i])) for i in order
    )


def _pictured(
    logits: Logits, scores: Confidences, images: Images
) -> dict[str, tuple[TargetPicture, ...]]:
    """Returns the images of a set that are shown: the least sure, and the most common answers."""
    if logits.set.name not in images.listed:
        return {}
    ids, paths = images.listed[logits.set.name]
    classes, at = np.unique(logits.classes, return_index=True)
    row_of = dict(zip(classes.tolist(), logits.rows[at].tolist(), strict=True))

    def picture(i: int) -> TargetPicture:
        return TargetPicture(
            sample_id=int(ids[i]),
            path=paths.get(int(ids[i])),
            answer=class_name(images.names, row_of[int(scores.answer[i])]),
            confidence=float(scores.confidence[i]),
        )

    surest_last = np.lexsort((ids, scores.confidence))
    counts = np.bincount(np.searchsorted(classes, scores.answer), minlength=classes.size)
    common = classes[np.argsort(-counts, kind="stable")[:COMMON]]
    groups = [surest_last[scores.answer[surest_last] == answer] for answer in common]
    return {
        "least_sure": tuple(picture(int(i)) for i in surest_last[:LEAST_SURE]),
        "common": tuple(picture(int(group[group.size // 2])) for group in groups if group.size),
    }
