"""Counting concepts: unique ones, by threshold and category, rarefied, and their excess."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from tuiprobe.probes.inputs import Float64, Int64
from tuiprobe.probes.intervals import band, exact, mean_interval
from tuiprobe.results import Estimate, Figure, given
from tuiprobe.results.base import Count, Counted, Frozen, Many, Real
from tuiprobe.results.figures import Fig

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
        if given(polysemanticity):
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


def excess(own: float, random: Sequence[float], tried: int, how: str = "") -> Figure:
    """Returns a count minus that of random directions, with the range over their draws.

    Args:
        own: The count.
        random: That of each draw of random directions.
        tried: Concepts.
        how: What was done to both counts.
    """
    low, high = np.quantile(random, [0.025, 0.975])
    return Estimate(
        value=own - float(np.mean(random)),
        low=own - float(high),
        high=own - float(low),
        n=int(tried),
        method=f"band over {len(random)} draws of random directions{how}; images held fixed",
    )
