"""Result types of the concept probe (definitions: docs/concepts.md)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tuiprobe.results.base import Count, Figure, Frozen, Many, Real
from tuiprobe.results.images import TopImage
from tuiprobe.results.report import ProbeResult

Family = Literal[
    "singular vectors of W",
    "singular vectors of centred W",
    "channels",
    "principal components",
    "random directions",
]

OF_HEAD: Family = "singular vectors of W"
OF_CENTRED_HEAD: Family = "singular vectors of centred W"
RANDOM: Family = "random directions"


class ConceptPoint(Frozen):
    """Unique concepts at one threshold of average precision."""

    threshold: Real
    concepts: Figure


class CategoryCount(Frozen):
    """Unique concepts of one category at AP >= 0.9, out of those that could be tried."""

    category: str
    concepts: Figure
    tried: Count


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
        excess: over random directions, both rarefied to `rarefied_to`; None for these themselves.
    """

    family: Family
    directions: Count
    unique: Figure
    rarefied: Figure
    rarefied_to: Count
    polysemanticity: Figure
    curve: Many[ConceptPoint]
    categories: Many[CategoryCount]
    encoded: Many[str]
    excess: Figure | None = None


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
    train: Real
    val: Real
    sign: Annotated[int, Field(ge=-1, le=1)]


class DirectionConcepts(Frozen):
    """The concepts that a leading direction tells best.

    Attributes:
        index: its place by singular value, or by variance for principal components.
        concepts: best first.
        largest: images with the largest projection on it, largest first.
        smallest: images with the smallest projection on it, smallest first.
    """

    index: Count
    concepts: Many[EncodedConcept]
    largest: Many[TopImage] = ()
    smallest: Many[TopImage] = ()


class Concepts(ProbeResult):
    """The concept probe.

    Attributes:
        data: concept set.
        train: images of the split that chooses signs.
        val: images of the split that confirms.
        tried: concepts with enough positives and negatives in both splits.
        left_out: the others.
        threshold: of average precision.
        prevalence: AP is given for; None for the images as they are.
        negatives: `annotated` for the concept's category, or `all`.
        excess: unique concepts of W less those of random directions of its row space: the
            headline; without a head, see `excess` of the channels.
        excess_centred: the same for W minus its mean row.
        families: of directions.
        top: what the leading directions of `top_of` tell best.
        top_of: the family of `top`: principal components where there is no head.
        not_finite: images left out because their representation is not finite.
        balance: `calibrated` to `prevalence` from all negatives, or negatives drawn by `sample`.
        share: part of an image from which a concept counts as present.
        digest: of images, splits and labels; concept sets of two models compare where it is equal.
        random_space: where random directions come from.
    """

    probe: ClassVar[str] = "concepts"

    data: str
    train: Count
    val: Count
    tried: Count
    left_out: Count
    threshold: Real
    prevalence: Real | None
    negatives: Literal["annotated", "all"]
    excess: Figure
    excess_centred: Figure
    families: Many[DirectionFamily]
    top: Many[DirectionConcepts]
    top_of: Family = "singular vectors of W"
    not_finite: Count = 0
    balance: Literal["calibrated", "sample"] = "calibrated"
    share: Real | None = None
    digest: str | None = None
    random_space: Literal["rows of the head", "representation"] = "rows of the head"
