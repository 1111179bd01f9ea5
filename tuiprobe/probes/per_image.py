"""Keeps what is known of single images, for comparing two runs on the same images."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.errors import DataError
from tuiprobe.probes.confidence import Logits, scale_known
from tuiprobe.probes.heads import SetFeatures, answered_right, usable_images
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.rows import blocks, shares_and_kurtosis, usable
from tuiprobe.results import DataSet
from tuiprobe.results.section import PerImage
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.per_image import ImageValues, SetValues, list_digest


def image_values(run: RunReader) -> ImageValues:
    """Returns what is kept of single images of a run whose shards are merged.

    Correct answers of the labelled sets, kurtosis and largest softmax probability of every set
    of images. Images whose representation is not finite are not among them.
    """
    data = {data.name: data for data in run.data}
    return {images.name: _of_set(run, data[images.name], images) for images in run.answered_sets}


def _of_set(run: RunReader, data: DataSet, features: SetFeatures) -> SetValues:
    ids = run.features(features.name)["ids"]
    order, samples = np.argsort(ids), run.samples[features.name]
    kurtosis, counts = np.full(len(ids), np.nan), usable(features.features)
    for place, block in blocks(features.features):  # where all values are equal there is none
        kept = counts[place]
        if kept.any():
            kurtosis[place][kept] = shares_and_kurtosis(block[kept])[1]
    values: dict[PerImage, NDArray[Any]] = {"kurtosis": kurtosis}
    if isinstance(run.head, HeadArrays):
        values |= _answers(run.head, features)
    contents = run.measured.sets[features.name].contents or ""
    listed = [samples[i] for i in ids[order].tolist()]
    return SetValues(
        samples=list_digest(listed, contents, data.source),
        contents=contents,
        ids=ids[order],
        values={kind: array[order] for kind, array in values.items()},
    )


def _answers(head: HeadArrays, features: SetFeatures) -> dict[PerImage, NDArray[Any]]:
    """Returns correct answers, if labelled, and confidence, if the scale of the logits is known.

    An image whose representation has length 0 in float32 is wrong, and has no confidence.
    """
    values: dict[PerImage, NDArray[Any]] = {}
    kept = usable_images(features)  # as accuracies do, so that every bit of the logits is theirs
    pointing = np.linalg.norm(features.features, axis=1) > 0
    with suppress(DataError):  # no labels, or one that no row answers for: no accuracy either
        right = answered_right(kept.features, head, kept)
        values["correct"] = np.zeros(len(pointing), dtype=bool)
        values["correct"][pointing] = right
    if scale_known(head) and (features.classes_of_rows(len(head.weight)) >= 0).any():
        values["confidence"] = np.full(len(pointing), np.nan)
        values["confidence"][pointing] = Logits(head, kept).confidences().confidence
    return values
