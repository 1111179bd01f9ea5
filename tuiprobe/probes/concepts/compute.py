"""Concepts: which directions of the representation tell that something is in the image.

Direction i encodes concept c if the average precision of the projection on it, as a score for "c is
present", is at least 0.9 on the train split, where the sign is chosen, and on the val split.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tuiprobe.probes.concepts.concept_set import (
    FEWEST,
    Balance,
    ConceptSet,
    Negatives,
    Split,
    check,
    split_up,
)
from tuiprobe.probes.concepts.counts import (
    THRESHOLD,
    Counts,
    count,
    excess,
    family_of,
    rarefied_excess,
)
from tuiprobe.probes.concepts.precision import SplitPrecision, tell
from tuiprobe.probes.concepts.result import (
    OF_CENTRED_HEAD,
    OF_HEAD,
    Concepts,
    DirectionConcepts,
    EncodedConcept,
    Family,
)
from tuiprobe.probes.directions.compute import decompose
from tuiprobe.probes.directions.pruning import random_rotations, second_moment
from tuiprobe.probes.inputs import Float32, Float64, Int64
from tuiprobe.results import Figure, NotRun
from tuiprobe.results.section import TopImage
from tuiprobe.run.checked_arrays import HeadArrays

__all__ = ["ConceptSet", "probe_concepts"]

PREVALENCE = 0.5
TOP_DIRECTIONS, TOP_CONCEPTS, EXEMPLARS = 64, 5, 4


def probe_concepts(
    head: HeadArrays | None,
    concepts: ConceptSet,
    *,
    no_head: str = "the model brings no head",
    negatives: Negatives = "annotated",
    balance: Balance = "calibrated",
    prevalence: float | None = PREVALENCE,
    seed: int = 0,
) -> Concepts | NotRun:
    """Counts the unique concepts of every family of directions, and of random directions.

    Args:
        head: Whose singular vectors are probed, and whose row space random directions come from;
            without one, random directions come from the whole space of the representation.
        concepts: Images, what is in them, and their representations; images whose representation
            is not finite are left out.
        no_head: Why there is none.
        negatives: Which images without the concept count.
        balance: `calibrated` brings AP to `prevalence` from all negatives; `sample` draws as many
            negatives as positives instead, once for each concept and split.
        prevalence: Share of positives that AP is calibrated to; None for images as they are.
        seed: Seed of random directions and draws.

    Returns:
        `NotRun` where no concept has 30 positives and 30 negatives in both splits.

    Raises:
        DataError: If shapes do not fit together.
    """
    if head is not None and not (np.isfinite(head.weight).all() and head.weight.any()):
        head, no_head = None, "the head holds values that are not finite, or is all zero"
    check(concepts, concepts.features.shape[1] if head is None else head.weight.shape[1])
    splits, kept = split_up(concepts, negatives, balance, seed)
    if not kept.size:
        return NotRun(reason=_why_none(concepts, splits))
    used = None if balance == "sample" else prevalence
    bases, space = _bases(head, splits[0].features)
    fewest = min(basis.shape[1] for _, basis in bases)
    names = [concepts.names[k] for k in kept]
    groups = np.asarray(concepts.category_of)[kept]

    def counted(told: SplitPrecision) -> Counts:
        return count(told.confirmed, groups, len(concepts.categories), fewest)

    random = [counted(tell(basis, splits, used)) for basis in _random_bases(space, seed)]
    counts: dict[str, Counts] = {}
    families = []
    top: tuple[DirectionConcepts, ...] = ()
    lead = OF_HEAD if head is not None else "principal components"
    for family, basis in bases:
        told = tell(basis, splits, used)
        counts[family] = counted(told)
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
                rarefied_excess(counts[family], random, kept.size),
            )
        )
        if family == lead:
            labels = [concepts.categories[g] for g in groups]
            top = _top(told, names, labels, _exemplars(concepts, basis))
    families.append(
        family_of(
            "random directions", space.shape[1], random, concepts.categories, groups, fewest, ()
        )
    )

    def over_random(family: Family) -> Figure:
        if head is None:
            return NotRun(reason=no_head)
        if family not in counts:
            return NotRun(reason="all rows of the head are alike")
        return excess(counts[family], random, kept.size)

    return Concepts(
        data=concepts.name,
        train=splits[0].features.shape[0],
        val=splits[1].features.shape[0],
        not_finite=int((~concepts.finite).sum()),
        tried=int(kept.size),
        left_out=len(concepts.names) - int(kept.size),
        threshold=THRESHOLD,
        prevalence=PREVALENCE if balance == "sample" else prevalence,
        balance=balance,
        negatives=negatives,
        share=concepts.share,
        digest=concepts.digest,
        random_space="representation" if head is None else "rows of the head",
        excess=over_random(OF_HEAD),
        excess_centred=over_random(OF_CENTRED_HEAD),
        families=tuple(families),
        top_of=lead,
        top=top,
    )


def _why_none(concepts: ConceptSet, splits: tuple[Split, Split]) -> str:
    train, val = (split.features.shape[0] for split in splits)
    if concepts.features.shape[0] and not train + val:
        return f"no image of {concepts.name} has a finite representation"
    return (
        f"no concept of {concepts.name} has {FEWEST} positives and {FEWEST} negatives in each "
        f"split ({train} images of train, {val} of val)"
    )


def _bases(head: HeadArrays | None, train: Float32) -> tuple[list[tuple[Family, Float32]], Float32]:
    """Returns the directions [C, D] of all but the random family, and the space of the latter."""
    channels = np.eye(train.shape[1], dtype=np.float32)
    if head is None:
        space = channels
        own: list[tuple[Family, Float32]] = []
    else:
        weight = head.weight.astype(np.float64)
        space = decompose(weight)[2].astype(np.float32)
        centred = decompose(weight - weight.mean(axis=0))[2].astype(np.float32)
        own = [(OF_HEAD, space), (OF_CENTRED_HEAD, centred)]
    axes = _principal_axes(train)[:, : space.shape[1]].astype(np.float32)
    found = [*own, ("channels", channels), ("principal components", axes)]
    return [(family, basis) for family, basis in found if basis.shape[1]], space


def _principal_axes(x: Float32) -> Float64:
    """Returns the principal directions of the rows as columns, largest variance first."""
    mean = x.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(second_moment(x) - np.outer(mean, mean))
    # The moment is a sum of float32 products: what is below their rounding is not a direction.
    floor = np.finfo(np.float32).eps * (values[-1] + float(mean @ mean))
    spanned = min(int((values > floor).sum()), x.shape[0] - 1)
    return np.asarray(vectors[:, ::-1][:, :spanned])


def _random_bases(space: Float32, seed: int) -> Iterator[Float32]:
    for turn in random_rotations(space.shape[1], seed):
        yield np.asarray(space @ turn)


Ends = tuple[tuple[TopImage, ...], tuple[TopImage, ...]]


def _exemplars(concepts: ConceptSet, basis: Float32) -> list[Ends]:
    """Returns the images at both ends of the leading directions, most extreme first."""
    if concepts.ids is None:
        return []
    rows = np.flatnonzero(concepts.finite)
    along = concepts.features[rows] @ basis[:, :TOP_DIRECTIONS]

    def images(order: Int64, direction: int) -> tuple[TopImage, ...]:
        assert concepts.ids is not None
        return tuple(
            TopImage(
                sample_id=int(concepts.ids[rows[j]]),
                path=concepts.paths[rows[j]] if concepts.paths else None,
                value=float(along[j, direction]),
                position=0,
            )
            for j in order[:EXEMPLARS]
        )

    ends = []
    for direction in range(along.shape[1]):
        order = np.argsort(-along[:, direction], kind="stable")
        ends.append((images(order, direction), images(order[::-1], direction)))
    return ends


def _top(
    told: SplitPrecision, names: Sequence[str], categories: Sequence[str], exemplars: Sequence[Ends]
) -> tuple[DirectionConcepts, ...]:
    confirmed = told.confirmed
    found = []
    for i in range(min(TOP_DIRECTIONS, confirmed.shape[0])):
        best = np.argsort(-confirmed[i], kind="stable")[:TOP_CONCEPTS]
        largest, smallest = exemplars[i] if exemplars else ((), ())
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
                largest=largest,
                smallest=smallest,
            )
        )
    return tuple(found)
