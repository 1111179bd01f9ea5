"""Writes and reads `concepts.safetensors`: the labels of the concept set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from tuiprobe.run.arrays import Arrays, write_arrays
from tuiprobe.run.checked_arrays import CheckedArrays
from tuiprobe.run.directory import RunDir


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
        shares=scipy.sparse.csr_array((shares, *_places(checked, n, k, shares.size)), shape=(n, k)),
        annotated=checked.shaped("annotated", "u1", n, g) != 0,
        train=checked.shaped("train", "u1", n) != 0,
        category_of=_below(checked, "category_of", checked.shaped("category_of", "i8", k), g),
        names=names,
        categories=categories,
        digest=checked.metadata.get("digest", ""),
        images=checked.metadata.get("images", ""),
    )


def _places(
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
