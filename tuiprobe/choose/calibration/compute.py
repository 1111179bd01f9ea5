"""Calibration errors of labelled sets, and how accuracy changes by class (docs/targets.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np

from tuiprobe.channels.array_types import Int64
from tuiprobe.measure.arrays.head_arrays import SetFeatures, answered_right, answers_of
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.measure.run.head_file import class_name
from tuiprobe.probes.base.confidence import (
    UNKNOWN_SCALE,
    Confidences,
    CrossFitted,
    Logits,
    cross_fit,
    ece,
    equal_mass_bins,
    on_classes_of,
    scale_known,
)
from tuiprobe.probes.intervals import newcombe
from tuiprobe.results import Figure, NotRun, is_known
from tuiprobe.results.base import Count, Frozen, Many, Points, Real, Share
from tuiprobe.results.figures import FIGURES, Fig
from tuiprobe.results.proportions import wilson
from tuiprobe.results.report import ProbeResult
from tuiprobe.results.section import AnsweredImage


class Bin(Frozen):
    """Images of similar confidence: their mean confidence and their accuracy."""

    confidence: Real
    accuracy: Share


class SetCalibration(Frozen):
    """Calibration of one labelled set.

    Attributes:
        data: Name of the set.
        before: Expected calibration error at the scale of the head.
        after: After temperature scaling: cross-fitted in distribution; on shifts at the
            in-distribution temperature.
        gap_before: Mean confidence less accuracy at the scale of the head.
        gap: The same after temperature scaling.
        bins: What `after` rests on.
        bins_before: What `before` rests on.
    """

    data: str
    before: Annotated[
        Points,
        Fig("ece.before", "calibration error before temperature scaling", "ece"),
    ]
    after: Annotated[Points, Fig("ece", "calibration error", "ece")]
    gap_before: Real | None = None
    gap: Real | None = None
    bins: Many[Bin] = ()
    bins_before: Many[Bin] = ()


class ClassChange(Frozen):
    """Accuracy of one class in distribution and on a shift.

    Attributes:
        name: Name of the class.
        first: In distribution, with the answers that the shift allows.
        shift: On the shift.
        change: Newcombe's interval.
        taken_for: The wrong class that most of its images on the shift got; empty
            where none was.
        taken: Number of those images.
    """

    name: str
    first: Share
    shift: Share
    change: Points
    taken_for: str = ""
    taken: Count = 0


class ShiftNotCompared(NotRun):
    """Why classes are not compared on a shift."""

    data: str


class ShiftClasses(Frozen):
    """Accuracy by class between the in-distribution set and one shift.

    Attributes:
        data: Name of the shift.
        compared: Classes with images in both.
        fell: Classes whose interval of change lies below 0.
        worst: The classes that fell most by the upper end of the interval, worst first.
    """

    data: str
    compared: Count = 0
    fell: Count = 0
    worst: Many[ClassChange] = ()


class Calibration(ProbeResult):
    """Calibration of the head, and accuracy by class.

    Attributes:
        data: The in-distribution set.
        temperature: Fitted to it, relative to the scale of the head's logits.
        sets: In-distribution first.
        classes: One entry per labelled shift.
        pictured: Set of `wrong`: the shift of the worst class, or the only labelled set.
        wrong: Wrong answers to images of that class, or of that set, most sure first.
    """

    probe: ClassVar[str] = "calibration"

    data: str
    temperature: Annotated[Figure, Fig("temperature", "temperature", "temperature")]
    sets: Annotated[Many[SetCalibration], FIGURES]
    classes: Many[ShiftClasses | ShiftNotCompared] = ()
    pictured: str = ""
    wrong: Many[AnsweredImage] = ()

    @property
    def compared(self) -> list[ShiftClasses]:
        """The shifts on which classes are compared."""
        return [shift for shift in self.classes if isinstance(shift, ShiftClasses)]

    @property
    def worst(self) -> ShiftClasses | None:
        """The shift with the class that fell most."""
        fallen = [shift for shift in self.compared if shift.worst and shift.fell]

        def high(shift: ShiftClasses) -> float:
            change = shift.worst[0].change
            return (is_known(change) and change.high) or 0.0

        return min(fallen, key=high, default=None)


WORST = 20
"""Classes that are listed for each shift."""

PICTURES = 8
"""Wrong answers that are shown."""


def probe_calibration(
    head: HeadArrays,
    sets: Sequence[SetFeatures],
    names: Sequence[str],
    ids_and_paths: Mapping[str, tuple[Int64, Mapping[int, str]]] | None = None,
) -> Calibration:
    """Computes calibration of every labelled set, and accuracy by class on every labelled shift.

    Args:
        head: The head.
        sets: The in-distribution set first.
        names: Class name of each row of the head.
        ids_and_paths: Sample id of each image, int64 [n], and its path, by set; none shown without.

    Raises:
        DataError: If the first set has no labels, or a label has no row of the head.
    """
    id_set, *others = sets
    answers_of(id_set, head.weight.shape[0])  # refuses labels without a row
    shifts = [images for images in others if images.labels is not None]
    source = cross_fit(head, id_set, id_set)
    temperature: Figure = source if isinstance(source, NotRun) else source.temperature
    if isinstance(temperature, NotRun):
        source = temperature  # scores at a scale that nobody fitted are not scaled ones
    result = Calibration(
        data=id_set.name,
        temperature=temperature,
        sets=tuple(_calibrated(head, images, id_set, source) for images in (id_set, *shifts)),
        classes=tuple(_by_class(head, id_set, images, names) for images in shifts),
    )
    worst = result.worst
    pictured = next((images for images in shifts if worst and images.name == worst.data), id_set)
    if (worst is None and shifts) or pictured.name not in (ids_and_paths or {}):
        return result
    logits = Logits(head, pictured)
    scores = logits.confidences(1.0 if isinstance(source, NotRun) else source.pooled)
    wrong = _wrong_answers(logits, scores, names, None if worst is None else worst.worst[0].name)
    ids, paths = (ids_and_paths or {})[pictured.name]
    shown = tuple(
        AnsweredImage(
            sample_id=int(ids[row]),
            path=paths.get(int(ids[row])),
            answer=answer,
            confidence=float(scores.confidence[row]),
        )
        for row, answer in wrong
    )
    return result.model_copy(update={"pictured": pictured.name, "wrong": shown})


def _calibrated(
    head: HeadArrays, images: SetFeatures, id_set: SetFeatures, source: CrossFitted | NotRun
) -> SetCalibration:
    """Computes the calibration of a set at the scale of the head, and after temperature scaling."""
    logits = Logits(head, images)
    plain = logits.confidences() if scale_known(head) else UNKNOWN_SCALE
    scaled: Confidences | NotRun
    if isinstance(source, NotRun):
        scaled = source
    else:
        scaled = source.scores if images is id_set else logits.confidences(source.pooled)
    before, gap_before, bins_before = _calibration(plain)
    after, gap, bins = _calibration(scaled)
    return SetCalibration(
        data=images.name,
        before=before,
        after=after,
        gap_before=gap_before,
        gap=gap,
        bins=bins,
        bins_before=bins_before,
    )


def _wrong_answers(
    logits: Logits, scores: Confidences, names: Sequence[str], name: str | None
) -> list[tuple[int, str]]:
    """Returns indices of wrongly answered images and their answers, most sure first.

    Args:
        logits: Of a labelled set.
        scores: Its confidences.
        names: Class name of each row of the head.
        name: Of the class that the images are of; None for any.
    """
    classes, at = np.unique(logits.classes, return_index=True)
    called = [class_name(names, int(row)) for row in logits.rows[at]]
    labels = np.searchsorted(classes, np.asarray(logits.set.labels))
    answers = np.searchsorted(classes, scores.answer)
    is_class = np.array([name in (None, each) for each in called])
    mistakes = np.flatnonzero(is_class[labels] & (answers != labels))
    surest = mistakes[np.argsort(-scores.confidence[mistakes], kind="stable")][:PICTURES]
    return [(int(row), called[answers[row]]) for row in surest]


def _calibration(
    scores: Confidences | NotRun,
) -> tuple[Figure, float | None, tuple[Bin, ...]]:
    """Returns the calibration error, confidence less accuracy, and the bins that both rest on."""
    if isinstance(scores, NotRun):
        return scores, None, ()
    assert scores.right is not None  # the caller passes labelled sets
    bins = equal_mass_bins(scores.confidence, scores.right)
    error = ece(scores.confidence, scores.right)
    gap = float((scores.confidence - scores.right).mean()) if is_known(error) else None
    return (
        error,
        gap,
        tuple(
            Bin(confidence=float(c), accuracy=wilson(round(float(a) * int(n)), int(n)))
            for c, a, n in zip(*bins, strict=True)
        ),
    )


def _by_class(
    head: HeadArrays, id_set: SetFeatures, images: SetFeatures, names: Sequence[str]
) -> ShiftClasses | ShiftNotCompared:
    rows = head.weight.shape[0]
    source = on_classes_of(rows, id_set, images)
    if isinstance(source, NotRun):
        return ShiftNotCompared(data=images.name, **dict(source))
    mask = images.classes_of_rows(rows)
    classes, at = np.unique(mask[mask >= 0], return_index=True)
    called = [class_name(names, int(row)) for row in np.flatnonzero(mask >= 0)[at]]
    id_counts, shift_counts = (_counts(head, some, classes) for some in (source, images))
    compared = [c for c, counts in enumerate(zip(id_counts, shift_counts, strict=True))
                if all(n for _, n in counts)]  # fmt: skip
    if not compared:
        return ShiftNotCompared(data=images.name, reason="no class has images in both sets")
    changes = [newcombe(id_counts[c], shift_counts[c], source.reach) for c in compared]
    # Newcombe's interval always has both ends.
    ends = np.array([(change.low, change.high) for change in changes], dtype=np.float64)
    answers, labels = Logits(head, images).confidences().answer, np.asarray(images.labels)
    worst = []
    for i in np.lexsort((ends.mean(axis=1), ends[:, 1]))[:WORST]:
        c = compared[i]
        wrong, counts = np.unique(
            answers[(labels == classes[c]) & (answers != classes[c])], return_counts=True
        )
        most_common = wrong[counts.argmax()] if wrong.size else None
        worst.append(
            ClassChange(
                name=called[c],
                first=wilson(id_counts[c][0], id_counts[c][1], source.reach),
                shift=wilson(*shift_counts[c]),
                change=changes[i],
                taken_for=""
                if most_common is None
                else called[int(np.searchsorted(classes, most_common))],
                taken=int(counts.max(initial=0)),
            )
        )
    return ShiftClasses(
        data=images.name,
        compared=len(changes),
        fell=int((ends[:, 1] < 0).sum()),
        worst=tuple(worst),
    )


def _counts(head: HeadArrays, images: SetFeatures, classes: Int64) -> list[tuple[int, int]]:
    """Returns right answers and images of each class."""
    column = np.searchsorted(classes, np.asarray(images.labels))
    right = answered_right(head, images) & images.features.any(axis=1)
    counts = (np.bincount(column[kind], minlength=classes.size) for kind in (right, slice(None)))
    return list(zip(*(count.tolist() for count in counts), strict=True))
