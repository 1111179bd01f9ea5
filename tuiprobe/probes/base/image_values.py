"""Values of single images, for comparing two runs on the same images."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuiprobe.errors import DataError
from tuiprobe.measure.arrays.head_arrays import (
    SetFeatures,
    answered_right,
    finite_and_nonzero,
    right_counted,
    usable_images,
)
from tuiprobe.measure.arrays.row_statistics import blocks, has_kurtosis, shares_and_kurtosis
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.measure.run.per_image import (
    Answers,
    ConfidenceColumn,
    ImageValues,
    SetValues,
    list_digest,
)
from tuiprobe.probes.base.confidence import (
    ONE_CLASS,
    Confidences,
    CrossFitted,
    Logits,
    cross_fit,
    one_class,
    scale_known,
)
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun, SetSummary, is_known
from tuiprobe.results.section import PerImage

NO_CONFIDENCES: Final = NotRun(
    reason="the answers have no confidences",
    remedy="give a column confidence, or one of probabilities for each class",
)


def image_values(run: RunReader, *, fitted: bool = False) -> ImageValues:
    """Returns the values of single images of a run whose shards are merged.

    Correct answers of the labelled sets, kurtosis and largest softmax probability of every set
    of images, and in distribution the right answers of a head fitted to the labels. Images whose
    representation is not finite are not among them; one whose representation has length 0 in
    float32 is wrong, and has no confidence.

    Args:
        run: A run whose shards are merged.
        fitted: Whether a head was fitted to the labels by now, whose answers are then among them.
    """
    data, temperatures = {data.name: data for data in run.data}, Temperatures(run)
    id_name = run.id_and_shifts[0].name if fitted else None
    return {
        images.name: _of_set(run, data[images.name], images, temperatures, images.name == id_name)
        for images in run.answered_sets
    }


def _of_set(
    run: RunReader,
    data: SetSummary,
    features: SetFeatures,
    temperatures: Temperatures,
    fitted: bool,
) -> SetValues:
    ids = np.asarray(features.ids)
    order, samples = np.argsort(ids), run.samples[features.name]
    answers_only = run.plan.model.representation == "none"
    values: dict[PerImage, NDArray[Any]] = {} if answers_only else {"kurtosis": _kurtosis(features)}
    answers = None
    if isinstance(run.head, HeadArrays):
        counted = finite_and_nonzero(features)
        known = usable_images(features)  # as accuracies do: every bit of the logits is theirs
        with suppress(DataError):  # no labels, or one that no row answers for: no accuracy either
            right = answered_right(run.head, known)
            values["correct"] = np.zeros(len(ids), dtype=bool)
            values["correct"][counted] = right
        if (features.classes_of_rows(len(run.head.weight)) >= 0).any():
            logits = Logits(run.head, known)
            temperature = temperatures.of(features) if has_confidence(run) else None
            answers = _answers(logits, features, temperature, order, run)
            if scale_known(run.head):
                values["confidence"] = np.full(len(ids), np.nan)
                values["confidence"][counted] = logits.confidences().confidence
                answers = replace(answers, uncalibrated=values["confidence"][order])
    if fitted:
        values |= _fitted_right(run, ids, values)
    contents = run.measured.sets[features.name].contents or ""
    records = [samples[i] for i in ids[order].tolist()]
    return SetValues(
        samples=list_digest(records, contents, data.source),
        contents=contents,
        ids=ids[order],
        values={kind: array[order] for kind, array in values.items()},
        answers=answers,
    )


def _fitted_right(
    run: RunReader, ids: NDArray[np.int64], values: dict[PerImage, NDArray[Any]]
) -> dict[PerImage, NDArray[Any]]:
    """Returns which of the images with these ids a head fitted to the labels answers rightly."""
    if isinstance(run.fitted_to_labels, NotRun):
        return {}
    head, images = run.fitted_to_labels
    if head is run.head:
        return {"linear": values["correct"]} if "correct" in values else {}
    right = dict(zip(np.asarray(images.ids).tolist(), right_counted(head, images), strict=True))
    return {"linear": np.array([right.get(id, np.nan) for id in ids.tolist()])}


def has_confidence(run: RunReader) -> bool:
    """Returns whether answers have a probability; those of a table may have none."""
    no_table = run.plan.model.representation != "none"
    return isinstance(run.head, HeadArrays) and (no_table or scale_known(run.head))


class RankedAnswers(NamedTuple):
    """The confidences that order the images of a set, as `predictions.csv` has them.

    Attributes:
        column: Which of its columns they are.
        temperature: What logits were divided by before the softmax.
        scores: Of the images with a finite representation other than zero.
    """

    column: ConfidenceColumn
    temperature: float
    scores: Confidences


def ranked_answers(
    run: RunReader, images: SetFeatures, temperatures: Temperatures
) -> RankedAnswers | NotRun:
    """Returns the answers of a set with the confidences that order them.

    The uncalibrated confidence orders them, else the calibrated one.

    Args:
        run: A run with a head.
        images: One of its sets.
        temperatures: Of the run.
    """
    assert isinstance(run.head, HeadArrays)
    if not has_confidence(run):
        return NO_CONFIDENCES
    if one_class(images, len(run.head.weight)):
        return ONE_CLASS
    temperature = 1.0 if scale_known(run.head) else temperatures.of(images)
    if temperature is None:
        return NotRun(reason="its scale is not known, and no temperature could be fitted")
    scores = Logits(run.head, usable_images(images)).confidences(temperature)
    column: ConfidenceColumn = "confidence" if scale_known(run.head) else "calibrated"
    return RankedAnswers(column, temperature, scores)


def _kurtosis(features: SetFeatures) -> NDArray[np.float64]:
    kurtosis, counts = np.full(len(features.features), np.nan), has_kurtosis(features.features)
    for span, block in blocks(features.features):  # where all values are equal there is none
        mask = counts[span]
        if mask.any():
            kurtosis[span][mask] = shares_and_kurtosis(block[mask])[1]
    return kurtosis


class Temperatures:
    """Temperatures fitted in distribution, once for each set of classes that may answer.

    Args:
        run: The run.
    """

    def __init__(self, run: RunReader) -> None:
        self._run = run
        self._by_classes: dict[bytes, float | None] = {}

    def of(self, images: SetFeatures) -> float | None:
        """Returns the temperature for the classes of a set."""
        run, head = self._run, self._run.head
        if not isinstance(head, HeadArrays) or not run.head_sets:
            return None
        key = images.classes_of_rows(len(head.weight)).tobytes()
        if key not in self._by_classes:
            fitted = cross_fit(head, run.head_sets[0], images)
            known = fitted.temperature if isinstance(fitted, CrossFitted) else fitted
            self._by_classes[key] = known.value if is_known(known) else None
        return self._by_classes[key]


def _answers(
    logits: Logits,
    images: SetFeatures,
    temperature: float | None,
    order: NDArray[np.int64],
    run: RunReader,
) -> Answers:
    """Returns the answers of the head on the images of a set, in another order.

    Args:
        logits: Of the images whose representation has a length.
        images: All images.
        temperature: Of the probabilities.
        order: Indices of the images, in the order that is wanted.
        run: Their run.
    """
    table = run.plan.model.representation == "none"
    usable, n = np.flatnonzero(finite_and_nonzero(images)), len(images.features)
    numbers, first = np.unique(logits.classes, return_index=True)
    rows = logits.rows[first].astype(np.int32)  # the first row of each class
    answer, second, truth = (np.full(n, -1, dtype=np.int32) for _ in range(3))
    confidence = np.full(n, np.nan)
    scores = logits.confidences(1.0 if temperature is None else temperature)
    answer[usable] = rows[np.searchsorted(numbers, scores.answer)]
    if has_confidence(run):
        confidence[usable] = scores.confidence
    for span, block in logits.blocks():
        answered = logits.classes == scores.answer[span, None]
        others = np.where(answered, -np.inf, block)
        next_row = np.searchsorted(numbers, logits.classes[others.argmax(axis=1)])
        none = answered.all(axis=1)
        if table:  # it does not distinguish equal classes
            none |= (others == others.max(axis=1, keepdims=True)).sum(axis=1) > 1
        second[usable[span]] = np.where(none, -1, rows[next_row])
    if images.labels is not None:
        at = np.searchsorted(numbers, images.labels).clip(max=numbers.size - 1)
        truth = np.where(numbers[at] == images.labels, rows[at], -1).astype(np.int32)
    answers = Answers(
        rows, answer[order], second[order], truth[order], confidence[order], images.reach
    )
    return replace(answers, temperature=temperature)
