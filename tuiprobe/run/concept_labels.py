"""Reads `concepts.safetensors`: the labels of the concept set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from tuiprobe.files import DamagedFileError, parse_json
from tuiprobe.run.arrays import read_own_arrays
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
    """

    ids: NDArray[np.int64]
    shares: Any
    annotated: NDArray[np.bool_]
    train: NDArray[np.bool_]
    category_of: NDArray[np.int64]
    names: tuple[str, ...]
    categories: tuple[str, ...]
    digest: str


def read_labels(directory: RunDir) -> Labels:
    """Reads the labels that `write_labels` wrote.

    Raises:
        DamagedFileError: If the file is missing or damaged; names the array.
    """
    path = directory.concepts_file
    arrays, metadata = read_own_arrays(directory, path)
    try:
        names, categories = parse_json(metadata["names"]), parse_json(metadata["categories"])
        n, k, g = len(arrays["ids"]), len(names), len(categories)
        category_of = arrays["category_of"]
        for name, fits in {
            "category_of": category_of.shape == (k,) and _within(category_of, g),
            "indptr": arrays["indptr"].shape == (n + 1,),
            "indices": _within(arrays["indices"], k),
            "shares": bool(np.isfinite(arrays["shares"]).all()),
            "annotated": arrays["annotated"].shape == (n, g),
            "train": arrays["train"].shape == (n,),
        }.items():
            if not fits:
                raise DamagedFileError(f"{path} is damaged: {name} does not fit the rest")
        rows = (arrays["shares"], arrays["indices"], arrays["indptr"])
        return Labels(
            ids=arrays["ids"],
            shares=scipy.sparse.csr_array(rows, shape=(n, k)),
            annotated=arrays["annotated"] != 0,
            train=arrays["train"] != 0,
            category_of=category_of,
            names=tuple(str(name) for name in names),
            categories=tuple(str(name) for name in categories),
            digest=metadata["digest"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from error


def _within(numbers: NDArray[Any], end: int) -> bool:
    return not numbers.size or bool(numbers.min() >= 0 and numbers.max() < end)
