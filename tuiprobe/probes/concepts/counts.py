"""Counting concepts: unique ones, by threshold and category, rarefied, and their excess."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from tuiprobe.probes.concepts.result import CategoryCount, ConceptPoint, DirectionFamily, Family
from tuiprobe.probes.inputs import Float64, Int64
from tuiprobe.probes.intervals import exact, mean_interval
from tuiprobe.results import Estimate, Figure, NotRun

THRESHOLD = 0.9
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


def count(confirmed: Float64, groups: Int64, categories: int, rarefied_to: int) -> Counts:
    """Counts of one set of directions.

    Args:
        confirmed: [D, K], the lower AP of both splits.
        groups: [K], category of each concept.
        categories: G.
        rarefied_to: m directions.
    """
    best = confirmed.max(axis=0)
    encodes = confirmed >= THRESHOLD
    found = encodes.any(axis=0)
    return Counts(
        curve=np.array([(best >= threshold).sum() for threshold in CURVE], dtype=np.float64),
        unique=float(found.sum()),
        rarefied=rarefy(encodes.sum(axis=0), confirmed.shape[0], rarefied_to),
        per_direction=encodes.sum(axis=1).astype(np.float64),
        categories=np.bincount(groups[found], minlength=categories).astype(np.float64),
    )


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


def _over_seeds(values: Sequence[float] | Float64, concepts: int) -> Figure:
    if len(values) == 1:
        return exact(values[0], concepts, "count")
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(
        value=float(np.mean(values)),
        low=float(low),
        high=float(high),
        n=concepts,
        method=f"band over {len(values)} seeds",
    )


def family_of(
    family: Family,
    directions: int,
    counts: Sequence[Counts],
    categories: Sequence[str],
    groups: Int64,
    rarefied_to: int,
    encoded: tuple[str, ...],
    over_random: Figure | None = None,
) -> DirectionFamily:
    """Builds the result of one family from one count, or from one count per seed.

    Args:
        family: which.
        directions: D.
        counts: One count, or one per seed.
        categories: Names of the G categories.
        groups: [K], category of each concept tried.
        rarefied_to: Directions of the smallest family.
        encoded: Names of the concepts encoded.
        over_random: Excess over random directions; None for these themselves.
    """
    tried, per = groups.size, np.concatenate([one.per_direction for one in counts])
    return DirectionFamily(
        family=family,
        directions=directions,
        unique=_over_seeds([one.unique for one in counts], tried),
        rarefied=_over_seeds([one.rarefied for one in counts], tried),
        rarefied_to=rarefied_to,
        polysemanticity=_per_direction(per),
        curve=tuple(
            ConceptPoint(
                threshold=at, concepts=_over_seeds([one.curve[j] for one in counts], tried)
            )
            for j, at in enumerate(CURVE)
        ),
        categories=tuple(
            CategoryCount(
                category=name,
                concepts=_over_seeds([one.categories[g] for one in counts], tried),
                tried=int((groups == g).sum()),
            )
            for g, name in enumerate(categories)
        ),
        encoded=encoded,
        excess=over_random,
    )


def _per_direction(per: Float64) -> Figure:
    figure = mean_interval(float(per.sum()), float((per**2).sum()), per.size, low=0)
    if isinstance(figure, NotRun):
        return figure
    return figure.model_copy(update={"method": "jackknife over directions"})


def excess(counts: Counts, random: Sequence[Counts], tried: int) -> Figure:
    """Returns unique concepts minus those of random directions, with the range over the draws."""
    return _excess(counts.unique, [one.unique for one in random], tried, "")


def rarefied_excess(counts: Counts, random: Sequence[Counts], tried: int) -> Figure:
    """Returns the excess with both counts rarefied to the size of the smallest family."""
    others = [one.rarefied for one in random]
    return _excess(counts.rarefied, others, tried, ", both rarefied")


def _excess(own: float, others: Sequence[float], tried: int, how: str) -> Figure:
    low, high = np.quantile(others, [0.025, 0.975])
    draws = f"band over {len(others)} draws of random directions{how}; images held fixed"
    return Estimate(
        value=own - float(np.mean(others)),
        low=own - float(high),
        high=own - float(low),
        n=int(tried),
        method=draws,
    )
