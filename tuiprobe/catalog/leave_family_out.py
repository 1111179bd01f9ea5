"""How far models lie from a line that was fitted without their family.

Models of one pretraining set, or of one family of architectures, are not independent: residuals of
a fit that holds a model's relatives are too small for a model that has none in it. So each family
is left out in turn. The half-width of a prediction interval is a quantile of the residuals seen
then, with equal weight for every family (conformal prediction over groups: Lee, Barber and
Willett 2023). Points are in logit space; nothing here knows what they stand for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FEWEST_MODELS = 20
FEWEST_FAMILIES = 5
"""Fewest models and families for an interval."""

Sums = tuple[float, float, float, float, float]
"""Of a set of points: n, x, y, xx, xy."""

Residuals = Mapping[str, tuple[float, ...]]
"""Point minus line by family, in logits, where the line was fitted without that family."""


@dataclass(frozen=True)
class ModelPoint:
    """One model: x and y in logits, and its family."""

    x: float
    y: float
    family: str


def sums_of(points: Sequence[ModelPoint]) -> dict[str, Sums]:
    """Returns the sums of each family, in the order in which the families appear."""
    sums: dict[str, Sums] = {}
    for point in points:
        more = (1.0, point.x, point.y, point.x * point.x, point.x * point.y)
        sums[point.family] = total([sums.get(point.family, (0.0,) * 5), more])
    return sums


def total(parts: Sequence[Sums | tuple[float, ...]]) -> Sums:
    """Returns the sums of several sets of points together."""
    a, b, c, d, e = (sum(column) for column in zip(*parts, strict=True))
    return a, b, c, d, e


def solve(sums: Sums) -> tuple[float, float]:
    """Returns slope and intercept of the line of least squares.

    Raises:
        ZeroDivisionError: If all points have the same x.

    >>> solve(total([(1.0, 0.0, 1.0, 0.0, 0.0), (1.0, 1.0, 3.0, 1.0, 3.0)]))
    (2.0, 1.0)
    """
    n, x, y, xx, xy = sums
    a = (n * xy - x * y) / (n * xx - x * x)
    return a, (y - a * x) / n


def residuals(points: Sequence[ModelPoint]) -> Residuals:
    """Returns the residuals of each family, from the line of all the others.

    Raises:
        ValueError: If there are too few models or families for an interval.
    """
    by_family: dict[str, list[ModelPoint]] = {}
    for point in points:
        by_family.setdefault(point.family, []).append(point)
    if len(points) < FEWEST_MODELS or len(by_family) < FEWEST_FAMILIES:
        raise ValueError(
            f"{len(points)} published models of {len(by_family)} families are known, and a "
            f"interval needs {FEWEST_MODELS} of {FEWEST_FAMILIES}"
        )
    sums = sums_of(points)
    left_out = {}
    for name, members in by_family.items():
        a, b = solve(total([s for other, s in sums.items() if other != name]))
        left_out[name] = tuple(point.y - a * point.x - b for point in members)
    return left_out


def reach(by_family: Residuals, level: float) -> float:
    """Returns the half-width that covers a share `level` of models, families weighing the same.

    >>> reach({"a": (0.1, -0.2), "b": (0.3,)}, 0.8), reach({"a": (0.1, -0.2), "b": (0.3,)}, 0.5)
    (0.3, 0.2)
    """
    sizes = sorted(
        (abs(value), 1 / (len(values) * len(by_family)))
        for values in by_family.values()
        for value in values
    )
    covered = 0.0
    for size, weight in sizes:
        covered += weight
        if covered >= level - 1e-9:
            return size
    return sizes[-1][0]
