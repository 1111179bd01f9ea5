"""Result types of the concept probe (definitions: docs/inside.md)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tuiprobe.results.base import Count, Counted, Figure, Frozen, Many, Real
from tuiprobe.results.figures import FIGURES, Fig
from tuiprobe.results.report import ProbeResult
from tuiprobe.results.section import TopImage

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
THRESHOLD, PREVALENCE = 0.9, 0.5
"""Average precision at which a direction encodes a concept, and the share of positives that it is
calibrated to."""


class ConceptPoint(Frozen):
    """Unique concepts at one threshold of average precision."""

    threshold: Real
    concepts: Counted


class CategoryCount(Frozen):
    """Unique concepts of one category at AP >= 0.9, out of those tested."""

    category: str
    concepts: Counted
    tried: Count


class DirectionFamily(Frozen):
    """What one family of directions encodes.

    Attributes:
        family: Which directions.
        directions: Number of directions.
        unique: Concepts encoded by at least one direction, at AP >= 0.9.
        rarefied: Unique concepts expected for `rarefied_to` directions drawn at random from these.
        rarefied_to: Directions of the smallest family.
        polysemanticity: Mean number of concepts a direction encodes.
        curve: Unique concepts over thresholds.
        categories: Unique concepts by category.
        encoded: Names of the concepts encoded; empty for random directions.
        excess: Excess over random directions, both rarefied; None for random directions.
    """

    family: Family
    directions: Count
    unique: Annotated[
        Counted, Fig("unique_concepts", "unique concepts of {self.family}", "unique-concept")
    ]
    rarefied: Counted
    rarefied_to: Count
    polysemanticity: Figure
    curve: Many[ConceptPoint]
    categories: Many[CategoryCount]
    encoded: Many[str]
    excess: Counted | None = None

    @property
    def place(self) -> str:
        """The directions."""
        return self.family


class EncodedConcept(Frozen):
    """How well one direction encodes one concept.

    Attributes:
        name: Name of the concept.
        category: Category of the concept.
        train: Average precision on the split that chose the sign.
        val: Average precision on the other split, with that sign.
        sign: 1 or -1.
    """

    name: str
    category: str
    train: Real
    val: Real
    sign: Annotated[int, Field(ge=-1, le=1)]


class DirectionConcepts(Frozen):
    """The concepts that a leading direction separates best.

    Attributes:
        index: Its place by singular value, or by variance for principal components.
        concepts: Best first.
        largest: Images with the largest projection on it, largest first.
        smallest: Images with the smallest projection on it, smallest first.
    """

    index: Count
    concepts: Many[EncodedConcept]
    largest: Many[TopImage] = ()
    smallest: Many[TopImage] = ()


class Concepts(ProbeResult):
    """The concept probe.

    Attributes:
        data: Concept set.
        train: Images of the split that chooses signs.
        val: Images of the split that confirms.
        tried: Tested concepts: those with enough positives and negatives in both splits.
        left_out: What was left out.
        threshold: Threshold of average precision.
        prevalence: AP is given for; None for the images as they are.
        negatives: `annotated` for the concept's category, or `all`.
        excess: Unique concepts of W minus those of random directions of its row space: the
            headline; without a head, see `excess` of the channels.
        excess_centred: The same for W minus its mean row.
        families: Families of directions.
        top: The concepts that the leading directions of `top_of` separate best.
        top_of: The family of `top`: principal components where there is no head.
        not_finite: Images left out because their representation is not finite.
        balance: `calibrated` to `prevalence` from all negatives, or negatives drawn by `sample`.
        share: Part of an image from which a concept counts as present.
        digest: Digest of images, splits and labels; two models are comparable if it is equal.
        random_space: Where random directions come from.
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
    excess: Annotated[
        Counted,
        Fig(
            "excess_concepts",
            "excess concepts over random directions, W",
            "unique-concept",
            role="signature",
        ),
    ]
    excess_centred: Annotated[
        Counted,
        Fig(
            "excess_concepts_centred",
            "excess concepts over random directions, centred W",
            "unique-concept",
            role="signature",
        ),
    ]
    families: Annotated[Many[DirectionFamily], FIGURES]
    top: Many[DirectionConcepts]
    top_of: Family = "singular vectors of W"
    not_finite: Count = 0
    balance: Literal["calibrated", "sample"] = "calibrated"
    share: Real | None = None
    digest: str | None = None
    random_space: Literal["rows of the head", "representation"] = "rows of the head"
