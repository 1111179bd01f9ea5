"""Values of single images, for comparing two runs on the same images."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.errors import DataError
from tuiprobe.probes.base.confidence import CrossFitted, Logits, cross_fit, scale_known
from tuiprobe.probes.base.head_arrays import (
    SetFeatures,
    answered_right,
    finite_and_nonzero,
    usable_images,
)
from tuiprobe.probes.base.row_statistics import blocks, has_kurtosis, shares_and_kurtosis
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import SetSummary
from tuiprobe.results.section import PerImage
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.per_image import Answers, ImageValues, SetValues, list_digest


def image_values(run: RunReader) -> ImageValues:
    """Returns the values of single images of a run whose shards are merged.

    Correct answers of the labelled sets, kurtosis and largest softmax probability of every set
    of images. Images whose representation is not finite are not among them; one whose
    representation has length 0 in float32 is wrong, and has no confidence.
    """
    data, temperatures = {data.name: data for data in run.data}, _Temperatures(run)
    return {
        images.name: _of_set(run, data[images.name], images, temperatures)
        for images in run.answered_sets
    }


def _of_set(
    run: RunReader, data: SetSummary, features: SetFeatures, temperatures: _Temperatures
) -> SetValues:
    ids = np.asarray(features.ids)
    order, samples = np.argsort(ids), run.samples[features.name]
    alone = run.plan.model.representation == "none"
    values: dict[PerImage, NDArray[Any]] = {} if alone else {"kurtosis": _kurtosis(features)}
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
            if scale_known(run.head):
                values["confidence"] = np.full(len(ids), np.nan)
                values["confidence"][counted] = logits.confidences().confidence
            has_confidence = not alone or scale_known(run.head)
            temperature = temperatures.of(features) if has_confidence else None
            answers = _answers(logits, features, temperature, order, alone)
    contents = run.measured.sets[features.name].contents or ""
    listed = [samples[i] for i in ids[order].tolist()]
    return SetValues(
        samples=list_digest(listed, contents, data.source),
        contents=contents,
        ids=ids[order],
        values={kind: array[order] for kind, array in values.items()},
        answers=answers,
    )


def _kurtosis(features: SetFeatures) -> NDArray[np.float64]:
    kurtosis, counts = np.full(len(features.features), np.nan), has_kurtosis(features.features)
    for span, block in blocks(features.features):  # where all values are equal there is none
        mask = counts[span]
        if mask.any():
            kurtosis[span][mask] = shares_and_kurtosis(block[mask])[1]
    return kurtosis


class _Temperatures:
    """Temperatures fitted in distribution, once for each set of classes that may answer.

    Args:
        run: The run.
    """

    def __init__(self, run: RunReader) -> None:
        self._run = run
        self._by_classes: dict[bytes, float] = {}

    def of(self, images: SetFeatures) -> float:
        """Returns the temperature for the classes of a set; 1 where none can be fitted."""
        run, head = self._run, self._run.head
        if not isinstance(head, HeadArrays) or not run.head_sets:
            return 1.0
        key = images.classes_of_rows(len(head.weight)).tobytes()
        if key not in self._by_classes:
            fitted = cross_fit(head, run.head_sets[0], images)
            self._by_classes[key] = fitted.pooled if isinstance(fitted, CrossFitted) else 1.0
        return self._by_classes[key]


def _answers(
    logits: Logits,
    images: SetFeatures,
    temperature: float | None,
    order: NDArray[np.int64],
    alone: bool,
) -> Answers:
    """Returns the answers of the head on the images of a set, in another order.

    Args:
        logits: Of the images whose representation has a length.
        images: All images.
        temperature: Of the probabilities; None where answers have no confidences.
        order: Places of the images, in the order that is wanted.
        alone: Whether the answers are those of a table, where equal classes are not known.
    """
    places, n = np.flatnonzero(finite_and_nonzero(images)), len(images.features)
    numbers, first = np.unique(logits.classes, return_index=True)
    rows = logits.rows[first].astype(np.int32)  # the first row of each class
    answer, second, truth = (np.full(n, -1, dtype=np.int32) for _ in range(3))
    confidence = np.full(n, np.nan)
    scores = logits.confidences(1.0 if temperature is None else temperature)
    answer[places] = rows[np.searchsorted(numbers, scores.answer)]
    if temperature is not None:
        confidence[places] = scores.confidence
    for span, block in logits.blocks():
        answered = logits.classes == scores.answer[span, None]
        others = np.where(answered, -np.inf, block)
        next_row = np.searchsorted(numbers, logits.classes[others.argmax(axis=1)])
        none = answered.all(axis=1)
        if alone:
            none |= (others == others.max(axis=1, keepdims=True)).sum(axis=1) > 1
        second[places[span]] = np.where(none, -1, rows[next_row])
    if images.labels is not None:
        at = np.searchsorted(numbers, images.labels).clip(max=numbers.size - 1)
        truth = np.where(numbers[at] == images.labels, rows[at], -1).astype(np.int32)
    return Answers(
        rows, answer[order], second[order], truth[order], confidence[order], images.reach
    )
