"""Images with concepts as arrays, and their two splits reduced to the testable concepts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from tuiprobe.channels.array_types import Bool, Float32, Int64
from tuiprobe.measure.arrays.row_statistics import finite_images

FEWEST = 30
"""Positives and negatives that a concept takes in each split."""

MOST_GROUPS = 64
"""Groups of candidates that `average_precision` takes in one call."""


@dataclass(frozen=True, eq=False)
class ConceptSet:
    """Images with concepts, and their final representations.

    Attributes:
        name: Name of the set.
        features: float32 [n, C].
        presence: [n, K], sparse or dense; which concept is in which image.
        names: K names.
        categories: G names.
        category_of: int [K].
        annotated: bool [n, G], images annotated for each category.
        train: bool [n], the split that chooses; the others confirm.
        ids: int64 [n], sample ids.
        paths: n paths within the set.
        digest: Digest of images, splits and labels: equal digests mean equal contents.
    """

    name: str
    features: Float32
    presence: Any
    names: Sequence[str]
    categories: Sequence[str]
    category_of: Int64
    annotated: Bool
    train: Bool
    ids: Int64
    paths: Sequence[str]
    digest: str

    @property
    def finite(self) -> Bool:
        """Images whose representation is finite, [n]."""
        return finite_images(self.features)


@dataclass(frozen=True, eq=False)
class ConceptBatch:
    """Concepts whose average precision one call computes.

    Attributes:
        concepts: Indices among the tested concepts, [k].
        presence: Sparse [n, k], of the images of the split.
        mask: bool [n, groups], candidates of each group.
        group_of: int [k].
    """

    concepts: Int64
    presence: Any
    mask: Bool
    group_of: Int64


@dataclass(frozen=True, eq=False)
class Split:
    """One split: its representations, and the concepts in batches."""

    features: Float32
    batches: tuple[ConceptBatch, ...]


def split_up(concepts: ConceptSet) -> tuple[tuple[Split, Split], Int64]:
    """Returns both splits, reduced to the testable concepts, and the indices of these."""
    presence = scipy.sparse.csr_array(concepts.presence != 0)
    annotated = concepts.annotated
    group_of = np.asarray(concepts.category_of, dtype=np.int64)
    finite = concepts.finite
    rows = [np.flatnonzero(finite & side) for side in (concepts.train, ~concepts.train)]
    enough = np.ones(len(concepts.names), dtype=np.bool_)
    for split in rows:
        inside = presence[split].tocoo()
        valid = annotated[split][inside.row, group_of[inside.col]]
        positives = np.bincount(inside.col[valid], minlength=enough.size)
        total = annotated[split].sum(axis=0)[group_of]
        enough &= (positives >= FEWEST) & (total - positives >= FEWEST)
    usable = np.flatnonzero(enough)
    train, val = (
        Split(
            features=np.ascontiguousarray(concepts.features[split], dtype=np.float32),
            batches=tuple(
                _by_category(presence[split][:, usable], annotated[split], group_of[usable])
            ),
        )
        for split in rows
    )
    return (train, val), usable


def _by_category(presence: Any, annotated: Bool, group_of: Int64) -> list[ConceptBatch]:
    """Returns batches with all candidates of each concept, at most 64 categories per batch."""
    batches = []
    for first in range(0, annotated.shape[1], MOST_GROUPS):
        concepts = np.flatnonzero((group_of >= first) & (group_of < first + MOST_GROUPS))
        if concepts.size:
            batches.append(
                ConceptBatch(
                    concepts=concepts,
                    presence=presence[:, concepts],
                    mask=annotated[:, first : first + MOST_GROUPS],
                    group_of=group_of[concepts] - first,
                )
            )
    return batches
