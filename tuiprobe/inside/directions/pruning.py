"""Pruning curves: accuracy against the fraction of rank(W) pruned, with controls.

Every order is a change of coordinates: logits = constant + left[:, :k] @ right[:k] where the
first k components are kept. Rows are not renormalised and the bias is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tuiprobe.channels.array_types import Float32, Float64
from tuiprobe.measure.arrays.head_arrays import (
    SetFeatures,
    allowed_rows,
    answers_of,
    nested_hits,
    subsample,
)
from tuiprobe.measure.arrays.row_statistics import BLOCK_ROWS
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.probes.intervals import band
from tuiprobe.results import Figure
from tuiprobe.results.base import Count, Frozen, Many, Real, Share
from tuiprobe.results.proportions import wilson

Order = Literal[
    "importance",
    "singular value",
    "random directions",
    "principal components",
]


class PruningPoint(Frozen):
    """Accuracy with this many directions kept.

    Attributes:
        fraction: Fraction of rank(W) pruned.
        kept: Directions kept.
        accuracy: Top-1; for random orders the mean and the 95 % band over seeds.
    """

    fraction: Real
    kept: Count
    accuracy: Share


class PruningCurve(Frozen):
    """Accuracy against the fraction of rank(W) pruned.

    Attributes:
        data: Data set.
        order: Which directions are pruned last.
        control: Whether this is a control for the order by importance.
        points: By fraction.
    """

    data: str
    order: Order
    control: bool
    points: Many[PruningPoint]

    def nearest(self, fraction: float) -> PruningPoint:
        """Returns the point of the nearest fraction."""
        return min(self.points, key=lambda point: abs(point.fraction - fraction))


FRACTIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)


SEEDS = 20


CURVE_IMAGES = 10_000
"""Images of a set that its curves rest on, drawn by the seed; the intervals count these."""


@dataclass(frozen=True, eq=False)
class Decomposed:
    """W = U S V^T, by singular value, and importances.

    Attributes:
        u: [K, r].
        s: [r].
        v: [C, r].
        order: [r], directions by importance, largest first.
    """

    u: Float64
    s: Float64
    v: Float64
    order: np.ndarray


Coordinates = tuple[Float32, Float32, Float32]
"""`left` [n, r] of the images, `right` [r, K'] of the head, and `constant` [K']."""


def pruning_curves(
    parts: Decomposed, head: HeadArrays, images: SetFeatures, seed: int
) -> tuple[PruningCurve, ...]:
    """Computes all pruning curves of one labelled set.

    Args:
        parts: The decomposed head (centred or not; predictions are the same).
        head: The head, for bias and normalisation.
        images: Features and labels.
        seed: Seed of the random controls.
    """
    rows = head.weight.shape[0]
    answers_of(images, rows)  # refuses labels without a row
    images = subsample(images, CURVE_IMAGES, seed)
    n = images.features.shape[0]
    if n == 0:
        return ()
    sizes = [max(1, round((1 - fraction) * parts.s.size)) for fraction in FRACTIONS]
    rising = sizes[::-1]
    curves: list[tuple[Order, list[Figure]]] = []
    for order, coordinates in _orders(parts, head, images):
        hits = nested_hits(*coordinates, images, rising, rows)[::-1]
        curves.append((order, [wilson(int(h), n) for h in hits]))
    rates = np.array(
        [
            nested_hits(*coordinates, images, rising, rows)[::-1] / n
            for coordinates in _random(parts, head, images, seed)
        ]
    )
    bands: list[Figure] = [band(rates[:, j], n) for j in range(len(sizes))]
    curves.append(("random directions", bands))
    return tuple(
        PruningCurve(
            data=images.name,
            order=order,
            control=order not in ("importance", "singular value"),
            points=tuple(
                PruningPoint(fraction=fraction, kept=number, accuracy=figure)
                for fraction, number, figure in zip(FRACTIONS, sizes, figures, strict=True)
            ),
        )
        for order, figures in curves
    )


def _along(
    parts: Decomposed, head: HeadArrays, images: SetFeatures
) -> tuple[Float32, Float32, Float32, Float32]:
    """Returns the images as the head reads them, [n, C], and the coordinates by singular value."""
    x = images.features
    if head.normalize:
        x = np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), dtype=np.float32)
    u = allowed_rows(parts.u.astype(np.float32), images)
    scaled = np.asarray((u * parts.s.astype(np.float32)).T)
    bias = np.zeros(len(u), dtype=np.float32)
    if head.bias is not None:
        bias = allowed_rows(head.bias, images)
    return x, x @ parts.v.astype(np.float32), scaled, bias


def _orders(
    parts: Decomposed, head: HeadArrays, images: SetFeatures
) -> Iterator[tuple[Order, Coordinates]]:
    x, along, scaled, bias = _along(parts, head, images)
    yield "importance", (along[:, parts.order], scaled[parts.order], bias)
    yield "singular value", (along, scaled, bias)
    mean = x.mean(axis=0, dtype=np.float64)
    spread = second_moment(x) - np.outer(mean, mean)
    axes = np.linalg.eigh(spread)[1][:, ::-1][:, : parts.s.size].astype(np.float32)
    centre = mean.astype(np.float32)
    weight = scaled.T @ parts.v.astype(np.float32).T  # [K', C], the head, centred or not
    right = np.asarray((weight @ axes).T, dtype=np.float32)
    constant = np.asarray(weight @ centre + bias, dtype=np.float32)
    yield "principal components", ((x - centre) @ axes, right, constant)


def _random(
    parts: Decomposed, head: HeadArrays, images: SetFeatures, seed: int
) -> Iterator[Coordinates]:
    """Yields the directions in random orders, one per seed."""
    _, along, scaled, bias = _along(parts, head, images)
    by_direction = np.ascontiguousarray(along.T)  # shuffling whole rows is faster than columns
    for number in range(SEEDS):
        shuffled = np.random.default_rng([seed, number]).permutation(parts.s.size)
        yield by_direction[shuffled].T, scaled[shuffled], bias


def random_rotations(size: int, seed: int) -> Iterator[Float32]:
    """Yields uniformly random orthogonal matrices, one per seed, float32 [size, size].

    Q1 P Q2 with Q1, Q2 uniform and P a random permutation with signs is uniform for each seed, at
    the price of two QR decompositions for all of them.
    """
    both = []
    for i in (0, 1):  # Mezzadri 2007
        rng = np.random.default_rng([seed, i])
        q, r = np.linalg.qr(rng.standard_normal((size, size), dtype=np.float32))
        both.append(np.asarray(q * np.sign(np.diag(r)), dtype=np.float32))
    first, second = both
    for number in range(SEEDS):
        rng = np.random.default_rng([seed, number, 2])
        signs = rng.choice(np.array([-1, 1], dtype=np.float32), size)
        yield np.asarray((first[:, rng.permutation(size)] * signs) @ second, dtype=np.float32)


def second_moment(x: Float32) -> Float64:
    """Returns the mean [C, C] of x x^T over the rows; blocks are summed in float64."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for start in range(0, x.shape[0], BLOCK_ROWS):
        block = x[start : start + BLOCK_ROWS]
        total += block.T @ block
    return np.asarray(total / max(1, x.shape[0]))
