"""Concepts: which directions of the representation tell that something is in the image.

Direction i encodes concept c if the average precision of the projection on it, as a score for "c is
present", is at least 0.9 on the train split, where the sign is chosen, and on the val split.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.special import gammaln

from tuiprobe.channels.array_types import Float32, Float64, Int64
from tuiprobe.inside.concepts.concept_set import FEWEST, ConceptSet, Split, split_up
from tuiprobe.inside.directions.compute import decompose
from tuiprobe.inside.directions.pruning import random_rotations, second_moment
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.probes.intervals import band, exact, mean_interval
from tuiprobe.results import Estimate, Figure, NotRun, is_known
from tuiprobe.results.base import Count, Counted, Frozen, Many, Real
from tuiprobe.results.figures import FIGURES, Fig
from tuiprobe.results.report import ProbeResult
from tuiprobe.results.section import TopImage
from tuiprobe.stats import average_precision

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


CURVE = tuple(hundredths / 100 for hundredths in range(50, 100))


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of one set of D directions.

    Attributes:
        curve: [len(CURVE)], unique concepts by threshold.
        unique: Number of concepts at AP >= 0.9.
        rarefied: The rarefied number of unique concepts.
        per_direction: [D], concepts each direction encodes.
        categories: [G], unique concepts by category.
    """

    curve: Float64
    unique: float
    rarefied: float
    per_direction: Float64
    categories: Float64


def rarefy(encoders: npt.NDArray[Any], directions: int, drawn: int) -> float:
    """Returns the unique concepts expected in m of D directions: sum_c 1 - C(D-k_c, m) / C(D, m).

    Args:
        encoders: [K], k_c, directions that encode each concept.
        directions: D.
        drawn: m.

    >>> rarefy(np.array([4, 1, 0]), 4, 4), round(rarefy(np.array([4, 1, 0]), 4, 1), 6)
    (2.0, 1.25)
    """
    k = np.asarray(encoders, dtype=np.float64)
    spare = directions - k
    possible = spare >= drawn
    spare = np.where(possible, spare, drawn)

    def choose(n: npt.ArrayLike) -> Any:
        return gammaln(np.asarray(n) + 1) - gammaln(np.asarray(n) - drawn + 1)

    none = np.where(possible, np.exp(choose(spare) - choose(float(directions))), 0.0)
    return float((1 - none).sum())


@dataclass(frozen=True, eq=False)
class Tested:
    """The concepts that are tested, and the size that counts are rarefied to.

    Attributes:
        categories: Names of the G categories.
        groups: [K], category of each concept.
        rarefied_to: m, directions of the smallest family.
    """

    categories: Sequence[str]
    groups: Int64
    rarefied_to: int

    def count(self, confirmed: Float64) -> Counts:
        """Counts what one set of directions encodes.

        Args:
            confirmed: [D, K], the lower AP of both splits.
        """
        best = confirmed.max(axis=0)
        encodes = confirmed >= THRESHOLD
        groups = self.groups[encodes.any(axis=0)]
        return Counts(
            curve=np.array([(best >= threshold).sum() for threshold in CURVE], dtype=np.float64),
            unique=float(groups.size),
            rarefied=rarefy(encodes.sum(axis=0), confirmed.shape[0], self.rarefied_to),
            per_direction=encodes.sum(axis=1).astype(np.float64),
            categories=np.bincount(groups, minlength=len(self.categories)).astype(np.float64),
        )

    def family(
        self,
        family: Family,
        directions: int,
        counts: Sequence[Counts],
        encoded: tuple[str, ...] = (),
        over_random: Figure | None = None,
    ) -> DirectionFamily:
        """Builds the result of one family from one count, or from one count per seed.

        Args:
            family: Which.
            directions: D.
            counts: One count, or one per seed.
            encoded: Names of the concepts encoded.
            over_random: Excess over random directions; None for these themselves.
        """
        tried, per = self.groups.size, np.concatenate([each.per_direction for each in counts])

        def over_seeds(values: Sequence[float]) -> Figure:
            return exact(values[0], tried, "count") if len(values) == 1 else band(values, tried)

        polysemanticity = mean_interval(float(per.sum()), float((per**2).sum()), per.size, low=0)
        if is_known(polysemanticity):
            method = {"method": "jackknife over directions"}
            polysemanticity = polysemanticity.model_copy(update=method)
        return DirectionFamily(
            family=family,
            directions=directions,
            unique=over_seeds([each.unique for each in counts]),
            rarefied=over_seeds([each.rarefied for each in counts]),
            rarefied_to=self.rarefied_to,
            polysemanticity=polysemanticity,
            curve=tuple(
                ConceptPoint(threshold=at, concepts=over_seeds([each.curve[j] for each in counts]))
                for j, at in enumerate(CURVE)
            ),
            categories=tuple(
                CategoryCount(
                    category=name,
                    concepts=over_seeds([each.categories[g] for each in counts]),
                    tried=int((self.groups == g).sum()),
                )
                for g, name in enumerate(self.categories)
            ),
            encoded=encoded,
            excess=over_random,
        )


def excess(count: float, random: Sequence[float], tried: int, how: str = "") -> Figure:
    """Returns a count minus that of random directions, with the range over their draws.

    Args:
        count: The count.
        random: That of each draw of random directions.
        tried: Concepts.
        how: What was done to both counts.
    """
    low, high = np.quantile(random, [0.025, 0.975])
    return Estimate(
        value=count - float(np.mean(random)),
        low=count - float(high),
        high=count - float(low),
        n=int(tried),
        method=f"band over {len(random)} draws of random directions{how}; images held fixed",
    )


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
        index: Its rank by singular value, or by variance for principal components.
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
        prevalence: AP is given for.
        excess: Unique concepts of W minus those of random directions of its row space: the
            headline; without a head, see `excess` of the channels.
        excess_centred: The same for W minus its mean row.
        families: Families of directions.
        top: The concepts that the leading directions of `top_of` separate best.
        top_of: The family of `top`: principal components where there is no head.
        not_finite: Images left out because their representation is not finite.
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
    prevalence: Real
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
    digest: str | None = None
    random_space: Literal["rows of the head", "representation"] = "rows of the head"


TOP_DIRECTIONS, TOP_CONCEPTS, EXEMPLARS = 64, 5, 4


def probe_concepts(
    head: HeadArrays | NotRun, concepts: ConceptSet, seed: int = 0
) -> Concepts | NotRun:
    """Counts the unique concepts of every family of directions, and of random directions.

    Args:
        head: Whose singular vectors are probed, and whose row space random directions come from.
            Without one, random directions come from the full space of the representation.
        concepts: Images, what is in them, and their representations; images whose representation
            is not finite are left out.
        seed: Seed of random directions.

    Returns:
        `NotRun` where no concept has 30 positives and 30 negatives in both splits.
    """
    if not isinstance(head, NotRun) and not head.weight.any():
        head = NotRun(reason="the head is all zero")
    splits, usable = split_up(concepts)
    if not usable.size:
        return NotRun(reason=_why_none(concepts, splits))
    bases, space = _bases(None if isinstance(head, NotRun) else head, splits[0].features)
    fewest = min(basis.shape[1] for basis in bases.values())
    tested = Tested(concepts.categories, np.asarray(concepts.category_of)[usable], fewest)
    names = np.asarray(concepts.names, dtype=object)[usable]
    random = [
        tested.count(precision_of(np.asarray(space @ turn), splits).confirmed)
        for turn in random_rotations(space.shape[1], seed)
    ]
    lead: Family = "principal components" if isinstance(head, NotRun) else OF_HEAD
    families = []
    over_random: dict[Family, Figure] = {}
    top: tuple[DirectionConcepts, ...] = ()
    for name, basis in bases.items():
        precision = precision_of(basis, splits)
        counts = tested.count(precision.confirmed)
        encoded = names[(precision.confirmed >= THRESHOLD).any(axis=0)]
        rarefied = excess(
            counts.rarefied, [each.rarefied for each in random], usable.size, ", both rarefied"
        )
        families.append(
            tested.family(name, basis.shape[1], [counts], tuple(encoded), over_random=rarefied)
        )
        over_random[name] = excess(counts.unique, [each.unique for each in random], usable.size)
        if name == lead:
            top = _top(precision, concepts, usable, basis)
    families.append(tested.family(RANDOM, space.shape[1], random))
    equal_rows = NotRun(reason="all rows of the head are alike")
    missing = head if isinstance(head, NotRun) else equal_rows
    return Concepts(
        data=concepts.name,
        train=splits[0].features.shape[0],
        val=splits[1].features.shape[0],
        not_finite=int((~concepts.finite).sum()),
        tried=int(usable.size),
        left_out=len(concepts.names) - int(usable.size),
        threshold=THRESHOLD,
        prevalence=PREVALENCE,
        digest=concepts.digest,
        random_space="representation" if isinstance(head, NotRun) else "rows of the head",
        excess=over_random.get(OF_HEAD, missing),
        excess_centred=over_random.get(OF_CENTRED_HEAD, missing),
        families=tuple(families),
        top_of=lead,
        top=top,
    )


@dataclass(frozen=True, eq=False)
class Precision:
    """Average precision of D directions for K concepts on both splits, each [D, K].

    The sign of a direction is that of the better precision on train.
    """

    train: Float64
    val: Float64
    sign: npt.NDArray[np.int8]

    @property
    def confirmed(self) -> Float64:
        """The lower of both."""
        return np.minimum(self.train, self.val)


def precision_of(basis: Float32, splits: tuple[Split, Split]) -> Precision:
    """Computes the average precision of every direction for every concept.

    It is calibrated to `PREVALENCE` from all negatives.

    Args:
        basis: [C, D].
        splits: Train and val.
    """

    def of(scores: Float32, split: Split) -> Float64:
        count = sum(batch.concepts.size for batch in split.batches)
        precision = np.empty((scores.shape[1], count))
        for batch in split.batches:
            precision[:, batch.concepts] = average_precision(
                scores, batch.presence, (batch.mask, batch.group_of), PREVALENCE
            )
        return precision

    both = []
    for split in splits:
        scores = split.features @ basis
        up = of(scores, split)
        np.negative(scores, out=scores)
        both.append((up, of(scores, split)))
    (up, down), (val_up, val_down) = both
    positive = up >= down
    return Precision(
        train=np.where(positive, up, down),
        val=np.where(positive, val_up, val_down),
        sign=np.where(positive, 1, -1).astype(np.int8),
    )


def _why_none(concepts: ConceptSet, splits: tuple[Split, Split]) -> str:
    train, val = (split.features.shape[0] for split in splits)
    if concepts.features.shape[0] and not train + val:
        return f"no image of {concepts.name} has a finite representation"
    return (
        f"no concept of {concepts.name} has {FEWEST} positives and {FEWEST} negatives in each "
        f"split ({train:,} images of train, {val:,} of val)"
    )


def _bases(head: HeadArrays | None, train: Float32) -> tuple[dict[Family, Float32], Float32]:
    """Returns the directions [C, D] of all but the random family, and the space of the latter."""
    channels = np.eye(train.shape[1], dtype=np.float32)
    bases: dict[Family, Float32] = {}
    space = channels
    if head is not None:
        weight = head.weight.astype(np.float64)
        space = bases[OF_HEAD] = decompose(weight)[2].astype(np.float32)
        centred = decompose(weight - weight.mean(axis=0))[2]
        bases[OF_CENTRED_HEAD] = centred.astype(np.float32)
    bases["channels"] = channels
    axes = _principal_axes(train)[:, : space.shape[1]]
    bases["principal components"] = axes.astype(np.float32)
    return {family: basis for family, basis in bases.items() if basis.shape[1]}, space


def _principal_axes(x: Float32) -> Float64:
    """Returns the principal directions of the rows as columns, largest variance first."""
    mean = x.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(second_moment(x) - np.outer(mean, mean))
    # The moment is a sum of float32 products: what is below their rounding is not a direction.
    floor = np.finfo(np.float32).eps * (values[-1] + float(mean @ mean))
    spanned = min(int((values > floor).sum()), x.shape[0] - 1)
    return np.asarray(vectors[:, ::-1][:, :spanned])


def _top(
    precision: Precision, concepts: ConceptSet, usable: Int64, basis: Float32
) -> tuple[DirectionConcepts, ...]:
    """Returns the concepts of the leading directions, and the images at both of their ends."""
    rows = np.flatnonzero(concepts.finite)
    along = concepts.features[rows] @ basis[:, :TOP_DIRECTIONS]

    def images(order: Int64, direction: int) -> tuple[TopImage, ...]:
        return tuple(
            TopImage(
                sample_id=int(concepts.ids[rows[j]]),
                path=concepts.paths[rows[j]],
                value=float(along[j, direction]),
                position=0,
            )
            for j in order[:EXEMPLARS]
        )

    confirmed, top = precision.confirmed, []
    for i in range(along.shape[1]):
        order = np.argsort(-along[:, i], kind="stable")
        best = np.argsort(-confirmed[i], kind="stable")[:TOP_CONCEPTS]
        top.append(
            DirectionConcepts(
                index=i,
                concepts=tuple(
                    EncodedConcept(
                        name=concepts.names[usable[k]],
                        category=concepts.categories[concepts.category_of[usable[k]]],
                        train=float(precision.train[i, k]),
                        val=float(precision.val[i, k]),
                        sign=int(precision.sign[i, k]),
                    )
                    for k in best
                ),
                largest=images(order, i),
                smallest=images(order[::-1], i),
            )
        )
    return tuple(top)
