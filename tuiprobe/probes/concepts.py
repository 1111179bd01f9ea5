"""Concepts: which directions of the representation tell that something is in the image.

Direction i encodes concept c if the average precision of the projection on it, as a score for "c is
present", is at least 0.9 on the train split, where the sign is chosen, and on the val split.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse

from tuiprobe.errors import DataError
from tuiprobe.probes.concept_counts import THRESHOLD, Counts, count, excess, family_of
from tuiprobe.probes.directions import decompose
from tuiprobe.probes.heads import HeadArrays
from tuiprobe.probes.inputs import Float32, Float64, Int64
from tuiprobe.probes.pruning import falling_eigenvectors, random_rotations, second_moment
from tuiprobe.results import (
    Concepts,
    DirectionConcepts,
    EncodedConcept,
    NotRun,
)
from tuiprobe.results.concepts import Family
from tuiprobe.stats import average_precision

Bool = npt.NDArray[np.bool_]
FEWEST = 30
PREVALENCE = 0.5
TOP_DIRECTIONS, TOP_CONCEPTS = 16, 5


@dataclass(frozen=True, eq=False)
class ConceptSet:
    """Images with concepts, and their final representations.

    Attributes:
        name: of the set.
        features: float32 [n, C].
        presence: [n, K], sparse or dense; which concept is in which image.
        names: K names.
        categories: G names.
        category_of: int [K].
        annotated: bool [n, G], images annotated for each category.
        train: bool [n], the split that chooses; the others confirm.
    """

    name: str
    features: Float32
    presence: Any
    names: Sequence[str]
    categories: Sequence[str]
    category_of: Int64
    annotated: Bool
    train: Bool


@dataclass(frozen=True, eq=False)
class _Split:
    features: Float32
    presence: Any
    candidates: tuple[Bool, Int64]


@dataclass(frozen=True, eq=False)
class _Told:
    """AP on both splits with the sign of the better one on train, each [D, K]."""

    train: Float64
    val: Float64
    sign: npt.NDArray[np.int8]

    @property
    def confirmed(self) -> Float64:
        return np.minimum(self.train, self.val)


def probe_concepts(
    head: HeadArrays,
    concepts: ConceptSet,
    *,
    negatives: Literal["annotated", "all"] = "annotated",
    prevalence: float | None = PREVALENCE,
    seed: int = 0,
) -> Concepts | NotRun:
    """Unique concepts of every family of directions, beside random directions.

    Args:
        head: whose singular vectors are probed, and whose row space random directions come from.
        concepts: images, what is in them, and their representations; images whose representation
            is not finite are left out.
        negatives: which images without the concept count.
        prevalence: AP is calibrated to this share of positives; None for images as they are.
        seed: of the random directions.

    Returns:
        `NotRun` where no concept has 30 positives and 30 negatives in both splits.

    Raises:
        DataError: shapes that do not fit together.
    """
    _check(head, concepts)
    splits, kept = _splits(concepts, negatives)
    if not kept.size:
        return NotRun(reason=f"no concept has {FEWEST} positives and {FEWEST} negatives per split")
    weight = head.weight.astype(np.float64)
    v = decompose(weight)[2].astype(np.float32)
    centred = decompose(weight - weight.mean(axis=0))[2].astype(np.float32)
    mean = splits[0].features.mean(axis=0, dtype=np.float64)
    spread = second_moment(splits[0].features) - np.outer(mean, mean)
    axes = falling_eigenvectors(spread)[:, : v.shape[1]].astype(np.float32)
    bases: list[tuple[Family, Float32]] = [
        ("singular vectors of W", v),
        ("singular vectors of centred W", centred),
        ("channels", np.eye(weight.shape[1], dtype=np.float32)),
        ("principal components", axes),
    ]
    bases = [(family, basis) for family, basis in bases if basis.shape[1]]
    fewest = min(basis.shape[1] for _, basis in bases)
    names = [concepts.names[k] for k in kept]
    groups = np.asarray(concepts.category_of)[kept]
    counts: dict[str, Counts] = {}
    families = []
    top: tuple[DirectionConcepts, ...] = ()
    for family, basis in bases:
        told = _tell(basis, splits, prevalence)
        counts[family] = count(told.confirmed, groups, len(concepts.categories), fewest)
        hit = np.flatnonzero((told.confirmed >= THRESHOLD).any(axis=0))
        families.append(
            family_of(
                family,
                basis.shape[1],
                [counts[family]],
                concepts.categories,
                groups,
                fewest,
                tuple(names[k] for k in hit),
            )
        )
        if family == "singular vectors of W":
            top = _top(told, names, [concepts.categories[g] for g in groups])
    random = [
        count(_tell(basis, splits, prevalence).confirmed, groups, len(concepts.categories), fewest)
        for basis in _random_bases(v, seed)
    ]
    families.append(
        family_of("random directions", v.shape[1], random, concepts.categories, groups, fewest, ())
    )
    return Concepts(
        data=concepts.name,
        train=splits[0].features.shape[0],
        val=splits[1].features.shape[0],
        tried=int(kept.size),
        left_out=len(concepts.names) - int(kept.size),
        threshold=THRESHOLD,
        prevalence=prevalence,
        negatives=negatives,
        excess=excess(counts["singular vectors of W"], random, kept.size),
        excess_centred=excess(counts["singular vectors of centred W"], random, kept.size)
        if "singular vectors of centred W" in counts
        else NotRun(reason="all rows of the head are alike"),
        families=tuple(families),
        top=top,
    )


def _check(head: HeadArrays, concepts: ConceptSet) -> None:
    n, count = concepts.features.shape[0], len(concepts.names)
    shapes = {
        "features": (concepts.features.shape, (n, head.weight.shape[1])),
        "presence": (tuple(concepts.presence.shape), (n, count)),
        "category_of": (np.shape(concepts.category_of), (count,)),
        "annotated": (concepts.annotated.shape, (n, len(concepts.categories))),
        "train": (concepts.train.shape, (n,)),
    }
    for name, (found, wanted) in shapes.items():
        if found != wanted:
            raise DataError(f"{concepts.name}: {name} has shape {found}, not {wanted}")


def _splits(concepts: ConceptSet, negatives: str) -> tuple[tuple[_Split, _Split], Int64]:
    """Both splits, reduced to the concepts that can be tried, and which those are."""
    presence = scipy.sparse.csr_array(concepts.presence != 0)
    annotated = concepts.annotated
    if negatives == "all":
        annotated = np.ones_like(annotated)
    finite = np.isfinite(concepts.features).all(axis=1)
    group_of = np.asarray(concepts.category_of, dtype=np.int64)
    enough = np.ones(len(concepts.names), dtype=np.bool_)
    rows = [np.flatnonzero(finite & side) for side in (concepts.train, ~concepts.train)]
    for some in rows:
        inside = presence[some].tocoo()
        valid = annotated[some][inside.row, group_of[inside.col]]
        positives = np.bincount(inside.col[valid], minlength=enough.size)
        total = annotated[some].sum(axis=0)[group_of]
        enough &= (positives >= FEWEST) & (total - positives >= FEWEST)
    kept = np.flatnonzero(enough)
    train, val = (
        _Split(
            features=np.ascontiguousarray(concepts.features[some], dtype=np.float32),
            presence=presence[some][:, kept],
            candidates=(annotated[some], group_of[kept]),
        )
        for some in rows
    )
    return (train, val), kept


def _tell(basis: Float32, splits: tuple[_Split, _Split], prevalence: float | None) -> _Told:
    """AP of every direction for every concept.

    Args:
        basis: [C, D].
        splits: train and val.
        prevalence: see `average_precision`.
    """
    both = []
    for split in splits:
        scores = split.features @ basis
        up = average_precision(scores, split.presence, split.candidates, prevalence)
        np.negative(scores, out=scores)
        down = average_precision(scores, split.presence, split.candidates, prevalence)
        both.append((up, down))
    (up, down), (val_up, val_down) = both
    positive = up >= down
    return _Told(
        train=np.where(positive, up, down),
        val=np.where(positive, val_up, val_down),
        sign=np.where(positive, 1, -1).astype(np.int8),
    )


def _random_bases(v: Float32, seed: int) -> Iterator[Float32]:
    for turn in random_rotations(v.shape[1], seed):
        yield np.asarray(v @ turn)


def _top(
    told: _Told, names: Sequence[str], categories: Sequence[str]
) -> tuple[DirectionConcepts, ...]:
    confirmed = told.confirmed
    found = []
    for i in range(min(TOP_DIRECTIONS, confirmed.shape[0])):
        best = np.argsort(-confirmed[i], kind="stable")[:TOP_CONCEPTS]
        found.append(
            DirectionConcepts(
                index=i,
                concepts=tuple(
                    EncodedConcept(
                        name=names[k],
                        category=categories[k],
                        train=float(told.train[i, k]),
                        val=float(told.val[i, k]),
                        sign=int(told.sign[i, k]),
                    )
                    for k in best
                ),
            )
        )
    return tuple(found)
