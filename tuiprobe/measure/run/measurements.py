"""The measured arrays of a run: merged features and statistics; and the labels of the concept set.

A checksum shows that a file is unchanged, not that an engine wrote it: what is read here has the
type, shape and range that the probes rely on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.measure.run.arrays import Arrays, CheckedArrays, write_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.records import SetRecord, TapRecord
from tuiprobe.measure.run.samples import SampleRecord

ROW_SAMPLE = "row_sample"
"""Field of the statistics that holds sampled rows of an inner tap, float32 `[m, C]`."""

_PER_CHANNEL = {
    "count": "i8", "mean": "f8", "var": "f8", "skewness": "f8", "kurtosis": "f8", "min": "f8",
    "max": "f8", "nonfinite": "i8", "share_sum": "f8", "leading_count": "i8",
}  # fmt: skip
_PER_IMAGE = {"sample_ids": "i8", "sample_kurtosis": "f8", "sample_self_share": "f8"}
_SINGLE = {"share_square_sum": "f8", "rows": "i8", "degenerate": "i8"}
_PER_SHARD = {"shard_share_square_sum": "f8", "shard_images": "i8", "shard_kurtosis_sum": "f8"}


def write_features(
    directory: RunDir, name: str, key: str, features: NDArray[Any], ids: NDArray[Any]
) -> None:
    """Publishes the final representations of a set.

    Args:
        directory: The run directory.
        name: Name of the set.
        key: Key of the run.
        features: float32 `[n, C]`.
        ids: int64 `[n]`, their sample ids.
    """
    write_arrays(directory.features_file(name), {"features": features, "ids": ids}, {"key": key})


def read_features(
    directory: RunDir, record: SetRecord, channels: int, samples: Mapping[int, SampleRecord]
) -> Arrays:
    """Returns `features` and `ids` of a set, as `write_features` takes them.

    Raises:
        DamagedFileError: If an image is repeated or not in the sample list, or an array is invalid.
    """
    checked = CheckedArrays.of_run(directory, directory.features_file(record.name))
    features = checked.in_range("features", "f4", None, channels)
    ids = _read_ids(checked, "ids", samples, bool(record.classes), len(features))
    return {"features": features, "ids": ids}


def _read_ids(
    checked: CheckedArrays,
    name: str,
    samples: Mapping[int, SampleRecord],
    labelled: bool,
    length: int | None,
) -> NDArray[Any]:
    ids = checked.ids(name, samples, length)
    if not ids.size or ids.min() < 0 or len(np.unique(ids)) != len(ids):
        raise checked.damaged(f"{name} is empty, or holds an image twice")
    if labelled and any(samples[i].label is None for i in ids.tolist()):
        raise checked.damaged(f"{name} names an image that has no label in samples.jsonl")
    return ids


def write_statistics(directory: RunDir, key: str, sets: Mapping[str, Arrays]) -> None:
    """Publishes the merged statistics of all sets: arrays `<tap>/<field>` by set."""
    arrays = {f"{name}/{field}": a for name, of_set in sets.items() for field, a in of_set.items()}
    write_arrays(directory.statistics_file, arrays, {"key": key})


def tap_statistics(
    statistics: CheckedArrays,
    record: SetRecord,
    tap: TapRecord,
    samples: Mapping[int, SampleRecord],
    images: int | None,
) -> Arrays:
    """Checks and returns the statistics of one set at one tap.

    Args:
        statistics: The arrays that `write_statistics` wrote.
        record: The set; where it has classes, every image must have a label.
        tap: The tap; gives the width.
        samples: Samples of the set, by id.
        images: Number of representations of the set; None at inner taps.

    Returns:
        Arrays by name, as `tuiprobe.measure.arrays.tap_arrays.flatten_summary` gives them.

    Raises:
        DamagedFileError: If an array is missing or invalid.
    """
    checked, width = statistics.below(f"{record.name}/{tap.name}/"), tap.channels
    ids = _read_ids(checked, "sample_ids", samples, bool(record.classes), images)
    shards = len(checked.in_range("shard_share_sum", "f8", None, width))
    for kinds, shape in (
        (_PER_CHANNEL, (width,)), (_PER_IMAGE, (len(ids),)), (_SINGLE, ()),
        (_PER_SHARD, (shards,)),
    ):  # fmt: skip
        for name, kind in kinds.items():
            (checked.counts if kind == "i8" else checked.in_range)(name, kind, *shape)
    leading = checked.in_range("sample_leading", "i4", len(ids))
    if leading.min() < -1 or leading.max() >= width:
        raise checked.damaged(f"sample_leading names a channel that {width} channels do not have")
    checked.counts("norm_histogram", "i8", None)
    for end in ("largest", "smallest"):
        shape = checked.in_range(f"{end}_values", "f4", width, None).shape
        checked.ids(f"{end}_sample_ids", samples, *shape)
        positions = checked.in_range(f"{end}_positions", "i4", *shape)
        if positions.size and positions.min() < -1:
            raise checked.damaged(f"{end}_positions holds what is no position")
    if images is None:
        checked.in_range(ROW_SAMPLE, "f4", None, width)
    return checked.arrays


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of all images of the concept set.

    Attributes:
        ids: int64 `[n]`, sample ids.
        shares: sparse float32 `[n, K]`, share of an image that shows a concept.
        annotated: bool `[n, G]`, images annotated for each category.
        train: bool `[n]`, images of the split that selects directions.
        category_of: int64 `[K]`, category index of each concept.
        names: Names of the K concepts.
        categories: Names of the G categories.
        digest: Digest of the tables behind the labels.
        images: Digest of the images that were labelled.
    """

    ids: NDArray[np.int64]
    shares: Any
    annotated: NDArray[np.bool_]
    train: NDArray[np.bool_]
    category_of: NDArray[np.int64]
    names: tuple[str, ...]
    categories: tuple[str, ...]
    digest: str
    images: str = ""


def write_labels(directory: RunDir, key: str, labels: Labels) -> None:
    """Publishes the labels of the concept set."""
    arrays: Arrays = {
        "ids": labels.ids,
        "indptr": labels.shares.indptr.astype(np.int64),
        "indices": labels.shares.indices.astype(np.int32),
        "shares": labels.shares.data,
        "annotated": labels.annotated.astype(np.uint8),
        "train": labels.train.astype(np.uint8),
        "category_of": labels.category_of,
    }
    metadata = {
        "names": json.dumps(labels.names),
        "categories": json.dumps(labels.categories),
        "digest": labels.digest,
        "images": labels.images,
        "key": key,
    }
    write_arrays(directory.concepts_file, arrays, metadata)


def read_labels(directory: RunDir) -> Labels:
    """Reads the labels that `write_labels` wrote.

    Raises:
        DamagedFileError: If the file is missing or damaged; names the array.
    """
    from scipy.sparse import csr_array  # late: few readers of runs need labels of concepts

    checked = CheckedArrays.of_run(directory, directory.concepts_file)
    names, categories = checked.texts("names"), checked.texts("categories")
    k, g = len(names), len(categories)
    ids = checked.counts("ids", "i8", None)
    n = len(ids)
    shares = checked.finite("shares", "f4", None)
    if shares.min() < 0 or shares.max() > 1:
        raise checked.damaged("shares holds what is no share")
    return Labels(
        ids=ids,
        shares=csr_array((shares, *_indices(checked, n, k, shares.size)), shape=(n, k)),
        annotated=checked.shaped("annotated", "u1", n, g) != 0,
        train=checked.shaped("train", "u1", n) != 0,
        category_of=_below(checked, "category_of", checked.shaped("category_of", "i8", k), g),
        names=names,
        categories=categories,
        digest=checked.metadata.get("digest", ""),
        images=checked.metadata.get("images", ""),
    )


def _indices(
    checked: CheckedArrays, n: int, k: int, count: int
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Returns the concept of each share, and where the shares of each image begin.

    SciPy does not check the latter, and reads and writes wherever they point.
    """
    indptr = checked.shaped("indptr", "i8", n + 1)
    if indptr[0] != 0 or indptr[-1] != count or (np.diff(indptr) < 0).any():
        raise checked.damaged("indptr does not fit the rest")
    kind = "i8" if checked.holds("indices", "i8") else "i4"
    return _below(checked, "indices", checked.shaped("indices", kind, count), k), indptr


def _below(checked: CheckedArrays, name: str, numbers: NDArray[Any], end: int) -> NDArray[Any]:
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < end):
        raise checked.damaged(f"{name} does not fit the rest")
    return numbers
