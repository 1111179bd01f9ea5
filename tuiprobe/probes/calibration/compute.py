"""Computes calibration errors of labelled sets, and how accuracy changes by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tuiprobe.probes.calibration.result import (
    Bin,
    Calibration,
    ClassChange,
    SetCalibration,
    ShiftClasses,
)
from tuiprobe.probes.confidence import (
    UNKNOWN_SCALE,
    Confidences,
    Logits,
    ece,
    equal_mass_bins,
    scale_known,
)
from tuiprobe.probes.crossfit import cross_fit, on_classes_of
from tuiprobe.probes.heads import SetFeatures, answered_right, answers_of, class_name
from tuiprobe.probes.inputs import Bool, Int64
from tuiprobe.probes.proportions import newcombe, wilson
from tuiprobe.results import Figure, NotRun, given
from tuiprobe.run.checked_arrays import HeadArrays

WORST = 20
"""Classes that are listed for each shift."""


def probe_calibration(
    head: HeadArrays, sets: Sequence[SetFeatures], names: Sequence[str]
) -> Calibration:
    """Computes calibration of every labelled set, and accuracy by class on every labelled shift.

    Args:
        head: The head.
        sets: The in-distribution set first.
        names: Class name of each row of the head.

    Raises:
        DataError: If the first set has no labels, or a label has no row of the head.
    """
    first, *others = sets
    answers_of(first, head.weight.shape[0])
    shifts = [one for one in others if one.labels is not None]
    source = cross_fit(head, first, first)
    temperature: Figure = source if isinstance(source, NotRun) else source.temperature
    if isinstance(temperature, NotRun):
        source = temperature  # scores at a scale that nobody fitted are not scaled ones
    calibrated = []
    for one in (first, *shifts):
        found = Logits(head, one)
        scaled: Confidences | NotRun = source if isinstance(source, NotRun) else source.scores
        if one is not first and not isinstance(source, NotRun):
            scaled = found.confidences(source.whole)
        calibrated.append(_calibration(head, found, scaled))
    return Calibration(
        data=first.name,
        temperature=temperature,
        scale_known=scale_known(head),
        sets=tuple(calibrated),
        classes=tuple(_by_class(head, first, one, names) for one in shifts),
    )


def _calibration(head: HeadArrays, found: Logits, scaled: Confidences | NotRun) -> SetCalibration:
    plain: Confidences | NotRun = found.confidences() if scale_known(head) else UNKNOWN_SCALE
    return SetCalibration(
        data=found.set.name,
        before=_error(plain),
        after=_error(scaled),
        bins=_bins(scaled),
        bins_before=_bins(plain),
        spread=found.mean_spread(),
    )


def _error(said: Confidences | NotRun) -> Figure:
    if isinstance(said, NotRun):
        return said
    if said.right is None:
        return NotRun(reason="no labels")
    return ece(said.confidence, said.right)


def _bins(said: Confidences | NotRun) -> tuple[Bin, ...]:
    if isinstance(said, NotRun) or said.right is None or not said.right.size:
        return ()
    found = equal_mass_bins(said.confidence, said.right)
    return tuple(
        Bin(confidence=float(c), accuracy=wilson(round(float(a) * int(n)), int(n)))
        for c, a, n in zip(found.confidence, found.accuracy, found.images, strict=True)
    )


def _by_class(
    head: HeadArrays, first: SetFeatures, one: SetFeatures, names: Sequence[str]
) -> ShiftClasses:
    rows = head.weight.shape[0]
    source = on_classes_of(rows, first, one)
    if isinstance(source, NotRun):
        return ShiftClasses(data=one.name, reason=source.reason)
    mask = np.arange(rows) if one.answers is None else np.asarray(one.answers)
    classes, at = np.unique(mask[mask >= 0], return_index=True)
    row_of = np.flatnonzero(mask >= 0)[at]
    hits, images = _counts(head, source, classes)
    shift_hits, shift_images = _counts(head, one, classes)
    both = np.flatnonzero((images > 0) & (shift_images > 0))
    if not both.size:
        return ShiftClasses(data=one.name, reason="no class has images in both sets")
    changes = [
        ClassChange(
            name=class_name(names, int(row_of[c])),
            first=wilson(int(hits[c]), int(images[c])),
            shift=wilson(int(shift_hits[c]), int(shift_images[c])),
            change=newcombe(
                (int(hits[c]), int(images[c])), (int(shift_hits[c]), int(shift_images[c]))
            ),
        )
        for c in both
    ]
    ends = np.array([_ends(change.change) for change in changes])
    ranked = np.lexsort((ends.mean(axis=1), ends[:, 1]))[:WORST]
    answers, labels = Logits(head, one).confidences().answer, np.asarray(one.labels)
    called = {int(c): class_name(names, int(r)) for c, r in zip(classes, row_of, strict=True)}
    worst = []
    for i in ranked:
        own = int(classes[both[i]])
        worst.append(_taken(changes[i], answers[labels == own], own, called))
    return ShiftClasses(
        data=one.name,
        compared=len(changes),
        fell=int((ends[:, 1] < 0).sum()),
        rose=int((ends[:, 0] > 0).sum()),
        worst=tuple(worst),
    )


def _taken(change: ClassChange, answers: Int64, own: int, names: Mapping[int, str]) -> ClassChange:
    """Returns the change with the class that most of its images were wrongly taken for.

    Args:
        change: Of the class.
        answers: int64 [n], answers to its images on the shift.
        own: The class.
        names: Name of each class that may answer.
    """
    wrong, counts = np.unique(answers[answers != own], return_counts=True)
    if not wrong.size:
        return change
    most = int(counts.argmax())
    taken = {"taken_for": names[int(wrong[most])], "taken": int(counts[most])}
    return change.model_copy(update=taken)


def _counts(head: HeadArrays, one: SetFeatures, classes: Int64) -> tuple[Int64, Int64]:
    """Returns right answers and images of each class."""
    place = np.searchsorted(classes, np.asarray(one.labels))
    right: Bool = answered_right(one.features, head, one) & one.features.any(axis=1)
    images = np.bincount(place, minlength=classes.size)
    return np.bincount(place[right], minlength=classes.size), images


def _ends(change: Figure) -> tuple[float, float]:
    """Returns the ends of Newcombe's interval, which always has both."""
    if not given(change) or change.low is None or change.high is None:
        return 0.0, 0.0
    return change.low, change.high
