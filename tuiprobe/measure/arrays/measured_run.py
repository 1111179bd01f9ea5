"""A run whose shards are merged: its records and its representations, read once and checked.

The directory is not trusted: every array has the type, the lengths and the range that readers rely
on, or reading it raises an error that names the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tuiprobe.files import DIGEST_BYTES
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.arrays.row_statistics import without_nonfinite
from tuiprobe.measure.run.arrays import Arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.measurements import read_features
from tuiprobe.measure.run.pictures import read_digests
from tuiprobe.measure.run.records import (
    Measured,
    PlanRecord,
    SetRecord,
    read_baseline,
    read_measured,
    read_plan,
    read_spec,
)
from tuiprobe.measure.run.samples import RowPaths, SampleRecord, read_samples
from tuiprobe.spec import RunSpec


def counted_once(digests: NDArray[np.uint8], labels: NDArray[np.int64] | None) -> NDArray[np.bool_]:
    """Returns which pictures count: of exact copies the first, or none if their labels differ.

    Args:
        digests: uint8 `[n, 32]`, SHA-256 of each picture.
        labels: int64 `[n]`.

    >>> digests = np.repeat([[1], [1], [2], [3], [3]], 32, axis=1).astype(np.uint8)
    >>> counted_once(digests, np.array([0, 0, 1, 1, 0])).tolist()
    [True, False, True, False, False]
    >>> counted_once(digests, None).tolist()
    [True, False, True, True, False]
    """
    keys = np.ascontiguousarray(digests[:, :8]).view("<u8")[:, 0]
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
    agrees = np.ones(len(first), dtype=np.bool_)
    if labels is not None:
        np.logical_and.at(agrees, kind, labels == labels[first][kind])
    counted = np.zeros(len(digests), dtype=np.bool_)
    counted[first[agrees]] = True
    return counted


class MeasuredRun:
    """A run whose shards are merged.

    Args:
        directory: The run directory.

    Raises:
        DamagedFileError: From any property or method, if a file is missing or damaged.
    """

    def __init__(self, directory: RunDir) -> None:
        self.directory = directory

    @cached_property
    def plan(self) -> PlanRecord:
        """What the run found when it was planned."""
        return read_plan(self.directory)

    @cached_property
    def spec(self) -> RunSpec:
        """What the user asked for."""
        return read_spec(self.directory)

    @cached_property
    def baseline(self) -> str | None:
        """The user's CSV of baseline models."""
        return read_baseline(self.directory)

    @cached_property
    def measured(self) -> Measured:
        """What the merged statistics rest on."""
        return read_measured(self.directory)

    @cached_property
    def samples(self) -> dict[str, Mapping[int, SampleRecord]]:
        """Samples of every set by id."""
        return read_samples(self.directory)

    @cached_property
    def sets(self) -> tuple[SetRecord, ...]:
        """The sets that were measured, the in-distribution one first."""
        return tuple(record for record in self.plan.sets if record.name in self.measured.sets)

    def features(self, name: str) -> Arrays:
        """Returns `features` float32 `[n, C]` and `ids` of the images of a set that are finite."""
        return self._finite[name]

    def all_features(self, name: str) -> Arrays:
        """Returns the same for all images of the set, finite or not."""
        return self._features[name]

    @cached_property
    def _features(self) -> dict[str, Arrays]:
        width, samples = self.plan.model.width, self.samples
        return {
            record.name: read_features(self.directory, record, width, samples.get(record.name, {}))
            for record in self.sets
        }

    @cached_property
    def _finite(self) -> dict[str, Arrays]:
        return {name: without_nonfinite(arrays) for name, arrays in self._features.items()}

    def images_of(self, name: str) -> SetFeatures:
        """Returns the finite images of a set by sample id; the label of one without is -1."""
        arrays, samples = self._finite[name], self.samples[name]
        order = np.argsort(arrays["ids"])
        ids = arrays["ids"][order]
        labels = [samples[i].label for i in ids.tolist()]
        known = np.array([-1 if label is None else label for label in labels], dtype=np.int64)
        return SetFeatures(name, arrays["features"][order], known, ids=ids)

    def distinct_images(self, name: str) -> SetFeatures:
        """Returns the labelled images of a set by sample id, exact copies once.

        Copies with different labels are left out: none of their labels is known to be right.
        """
        images = self.images_of(name)
        images = images.select(np.asarray(images.labels) >= 0)
        return images.select(counted_once(self.contents(images), images.labels))

    def has_digests(self, name: str) -> bool:
        """Returns whether a set is of pictures whose contents are known."""
        return bool(self._digests.get(name))

    def contents(self, images: SetFeatures) -> NDArray[np.uint8]:
        """Returns the SHA-256 of each picture of a set, or of the values of a vector, [n, 32].

        Where the shards of a run were deleted, pictures are known by their representation.
        """
        known = self._digests.get(images.name, {})
        digests = [
            bytes.fromhex(known[i]) if i in known else hashlib.sha256(row.tobytes()).digest()
            for i, row in zip(np.asarray(images.ids).tolist(), images.features, strict=True)
        ]
        return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)

    @cached_property
    def _digests(self) -> Mapping[str, Mapping[int, str]]:
        return {
            record.name: {} if record.files else read_digests(self.directory, record, partial=True)
            for record in self.sets
            if record.name != self.plan.concept_set
        }

    def paths(self, name: str) -> Mapping[int, str]:
        """Returns the path of each sample of a set by id."""
        return RowPaths(self.samples[name])
