"""The estimate that is quoted, scaled and with its range: once for results and for running runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from tuiprobe.probes.confidence import UNKNOWN_SCALE, Logits, scale_known
from tuiprobe.probes.crossfit import CrossFitted, cross_fit
from tuiprobe.probes.heads import SetFeatures, answers_of
from tuiprobe.probes.intervals import bootstrap_mean
from tuiprobe.probes.targets.estimators import by_entropy, mean_thresholded, with_interval
from tuiprobe.probes.targets.result import HEADLINE, Estimator, ScaledEstimate
from tuiprobe.probes.targets.scaling import (
    PRIOR_K,
    PRIOR_K_DIFFERENCE,
    ShiftEstimate,
    fit_scale,
    half_width,
    left_out_errors,
    scaled,
)
from tuiprobe.results import Estimate, Figure, NotRun, given
from tuiprobe.run.checked_arrays import HeadArrays

PRIORS: Final[Mapping[Estimator, float]] = {HEADLINE: PRIOR_K, "difference": PRIOR_K_DIFFERENCE}
"""The estimators that are scaled, each with its `k` where there is no labelled shift."""

FEW_WRONG: Final = 50
"""Wrong answers in distribution below which the threshold of confidence is mostly noise."""

NO_IMAGE: Final = NotRun(reason="no image with a finite representation")


def headline_estimates(
    head: HeadArrays,
    first: SetFeatures,
    shifts: Sequence[SetFeatures],
    targets: Sequence[SetFeatures],
) -> dict[str, tuple[Figure, bool]]:
    """Returns the headline of every target set as `estimate_targets` has it, and nothing else.

    It takes a fraction of the time, so a run can show it while it measures.

    Args:
        head: The head.
        first: The in-distribution set.
        shifts: Its shifts; those without labels are passed over.
        targets: Sets without labels.

    Returns:
        By name of the set: the estimate, and whether it is calibrated. If not, it is the mean
        confidence.

    Raises:
        DataError: If a label of a labelled set has no row of the head.
    """
    fitted = cached_fits(head, first)
    checks = [check for shift in shifts if (check := _check(head, shift, fitted)) is not None]
    headlines: dict[str, tuple[Figure, bool]] = {}
    for target in targets:
        source, logits = fitted(target), Logits(head, target)
        if not target.features.shape[0]:
            headlines[target.name] = NO_IMAGE, False
        elif isinstance(source, NotRun):
            headlines[target.name] = mean_confidence(head, logits), False
        else:
            raw = with_interval(by_entropy(source, logits))
            headlines[target.name] = scale(HEADLINE, source, raw, checks).accuracy, True
    return headlines


def _check(
    head: HeadArrays, shift: SetFeatures, fitted: Callable[[SetFeatures], CrossFitted | NotRun]
) -> ShiftEstimate | None:
    """Returns a labelled shift with what is expected of it; None if it has no images or labels."""
    if not is_labelled(head, shift) or not shift.features.shape[0]:
        return None
    source, logits = fitted(shift), Logits(head, shift)
    if isinstance(source, NotRun):
        return None
    right = logits.confidences().right
    assert right is not None  # it is labelled
    expected = mean_thresholded(by_entropy(source, logits))
    return ShiftEstimate(shift.name, float(source.right.mean()), expected, float(right.mean()))


def is_labelled(head: HeadArrays, images: SetFeatures) -> bool:
    """Returns whether a set has labels.

    Raises:
        DataError: If a label has no row of the head.
    """
    if images.labels is None:
        return False
    answers_of(images, head.weight.shape[0])
    return True


def cached_fits(
    head: HeadArrays, first: SetFeatures
) -> Callable[[SetFeatures], CrossFitted | NotRun]:
    """Returns a function that cross-fits once per class mask, and keeps the last two."""
    kept: dict[bytes, CrossFitted | NotRun] = {}

    def fitted(images: SetFeatures) -> CrossFitted | NotRun:
        answers = images.answers
        key = b"" if answers is None else np.asarray(answers, dtype=np.int64).tobytes()
        if key not in kept:
            if len(kept) > 1:
                kept.pop(list(kept)[-1])
            kept[key] = cross_fit(head, first, images)
        return kept[key]

    return fitted


def mean_confidence(head: HeadArrays, logits: Logits) -> Figure:
    """Returns the mean confidence, which stands where nothing can be calibrated."""
    if not scale_known(head):
        return UNKNOWN_SCALE
    mean = bootstrap_mean(logits.confidences().confidence)
    return mean.model_copy(update={"unit": "share"}) if given(mean) else mean


def few_wrong(source: CrossFitted, shifts: Sequence[ShiftEstimate]) -> bool:
    """Returns whether too few answers are wrong in distribution, and no labelled shift helps."""
    return not shifts and int((~source.right).sum()) < FEW_WRONG


def scale(
    estimator: Estimator, source: CrossFitted, expected: Estimate, shifts: Sequence[ShiftEstimate],
    few: bool | None = None,
) -> ScaledEstimate:  # fmt: skip
    """Scales an estimate by labelled shifts, and gives it its 80 % range.

    Args:
        estimator: Which estimate it is.
        source: In-distribution images under the class mask of the set.
        expected: The estimate as it stands.
        shifts: The labelled shifts.
        few: Whether wrong answers are too few to scale by; None to decide it by `few_wrong`.
    """
    prior, own = PRIORS[estimator], float(source.right.mean())
    k = fit_scale(shifts, prior)
    half = half_width(k * (own - expected.value), left_out_errors(shifts, prior))
    if few_wrong(source, shifts) if few is None else few:
        wrong = int((~source.right).sum())
        k, method = 1.0, f"80 % range; not scaled: {wrong} wrong answers in distribution"
    elif shifts:
        method = f"80 % range; drop scaled by k of {len(shifts)} labelled shifts"
    else:
        method = "80 % range; drop scaled by k of published shifts"
    value = scaled(own, expected.value, k)
    # Of a few images the sampling interval is the wider one.
    low, high = (value if end is None else scaled(own, end, k)
                 for end in (expected.low, expected.high))  # fmt: skip
    low, high = max(min(value - half, low), 0.0), min(max(value + half, high), 1.0)
    accuracy = Estimate(value=value, low=low, high=high, unit="share", n=expected.n, method=method)
    return ScaledEstimate(estimator=estimator, accuracy=accuracy, k=k, half=half)
