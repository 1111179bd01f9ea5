"""Result types of the concept probe (definitions: docs/directions.md)."""

from typing import Literal

from tuiprobe.results.base import Figure, Frozen

Family = Literal[
    "singular vectors of W",
    "singular vectors of centred W",
    "channels",
    "principal components",
    "random directions",
]


class ConceptPoint(Frozen):
    """Unique concepts at one threshold of average precision."""

    threshold: float
    concepts: Figure


class CategoryCount(Frozen):
    """Unique concepts of one category at AP >= 0.9, out of those that could be tried."""

    category: str
    concepts: Figure
    tried: int


class DirectionFamily(Frozen):
    """What one family of directions encodes.

    Attributes:
        family: which directions.
        directions: how many.
        unique: concepts encoded by at least one direction, at AP >= 0.9.
        rarefied: that number expected for `rarefied_to` directions drawn at random from these.
        rarefied_to: directions of the smallest family.
        polysemanticity: mean number of concepts a direction encodes.
        curve: unique concepts over thresholds.
        categories: unique concepts by category.
        encoded: names of the concepts encoded; empty for random directions.
    """

    family: Family
    directions: int
    unique: Figure
    rarefied: Figure
    rarefied_to: int
    polysemanticity: Figure
    curve: tuple[ConceptPoint, ...]
    categories: tuple[CategoryCount, ...]
    encoded: tuple[str, ...]


class EncodedConcept(Frozen):
    """How well one direction tells one concept.

    Attributes:
        name: of the concept.
        category: of the concept.
        train: average precision on the split that chose the sign.
        val: average precision on the other split, with that sign.
        sign: 1 or -1.
    """

    name: str
    category: str
    train: float
    val: float
    sign: int


class DirectionConcepts(Frozen):
    """The concepts a singular vector of W tells best; `index` is its place by singular value."""

    index: int
    concepts: tuple[EncodedConcept, ...]


class Concepts(Frozen):
    """The concept probe.

    Attributes:
        data: concept set.
        train: images of the split that chooses signs.
        val: images of the split that confirms.
        tried: concepts with enough positives and negatives in both splits.
        left_out: the others.
        threshold: of average precision.
        prevalence: AP is calibrated to; None for the images as they are.
        negatives: `annotated` for the concept's category, or `all`.
        excess: unique concepts of W less those of random directions of its row space: the headline.
        excess_centred: the same for W minus its mean row.
        families: of directions.
        top: what the leading singular vectors of W tell best.
    """

    data: str
    train: int
    val: int
    tried: int
    left_out: int
    threshold: float
    prevalence: float | None
    negatives: Literal["annotated", "all"]
    excess: Figure
    excess_centred: Figure
    families: tuple[DirectionFamily, ...]
    top: tuple[DirectionConcepts, ...]
