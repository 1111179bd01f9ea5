"""Pruning curves: accuracy against the fraction of rank(W) pruned, with controls.

Every order is a change of coordinates: logits = constant + left[:, :k] @ right[:k] with the k
components kept first. Rows are not renormalised and the bias is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np

from tuiprobe.probes.directions.result import Order, PruningCurve, PruningPoint
from tuiprobe.probes.heads import SetFeatures, allowed_rows, answers_of, first_images, nested_hits
from tuiprobe.probes.inputs import Float32, Float64
from tuiprobe.probes.proportions import wilson
from tuiprobe.results import Estimate, Figure, NotRun
from tuiprobe.run.checked_arrays import HeadArrays

FRACTIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
SEEDS = 20
SEED_IMAGES = 10_000
ROWS = 4096


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


@dataclass(frozen=True, eq=False)
class _Coordinates:
    left: Float32
    right: Float32
    constant: Float32


def unit_rows(features: Float32, head: HeadArrays) -> Float32:
    """Returns h, or h / |h| where the head normalises its input."""
    if not head.normalize:
        return features
    return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True), dtype=np.float32)


def kept_numbers(rank: int) -> list[int]:
    """Returns the number of directions kept at each pruned fraction, at least one."""
    return [max(1, round((1 - fraction) * rank)) for fraction in FRACTIONS]


def pruning_curves(
    parts: Decomposed, head: HeadArrays, one: SetFeatures, seed: int
) -> tuple[PruningCurve, ...]:
    """Computes all pruning curves of one labelled set.

    Args:
        parts: The decomposed head (centred or not; predictions are the same).
        head: The head, for bias and normalisation.
        one: Features and labels.
        seed: Seed of the random controls.
    """
    rows, n = head.weight.shape[0], one.features.shape[0]
    answers_of(one, rows)  # refuses wrong labels first
    if n == 0:
        return ()
    kept = kept_numbers(parts.s.size)
    rising = kept[::-1]
    curves = []
    for order, place in _orders(parts, head, one):
        hits = nested_hits(place.left, place.right, place.constant, one, rising, rows)[::-1]
        figures: list[Figure] = [wilson(int(h), n) for h in hits]
        curves.append(_curve(one.name, order, kept, figures))
    few = first_images(one, SEED_IMAGES, seed)
    count = few.features.shape[0]
    for order in ("random directions", "random subspace"):
        rates = np.array(
            [
                nested_hits(p.left, p.right, p.constant, few, rising, rows)[::-1] / count
                for p in _random(order, parts, head, few, seed)
            ]
        )
        figures = [band(rates[:, j], count) for j in range(len(kept))]
        curves.append(_curve(one.name, order, kept, figures))
    return tuple(curves)


def band(rates: Float64, images: int, unit: str = "none") -> Figure:
    """Returns the mean over seeds with the middle 95 % of them."""
    if images == 0:
        return NotRun(reason="no images")
    low, high = np.quantile(rates, [0.025, 0.975])
    return Estimate(
        value=float(rates.mean()),
        low=float(low),
        high=float(high),
        unit=unit,
        n=images,
        method=f"band over {rates.size} seeds",
    )


def _curve(data: str, order: Order, kept: list[int], figures: list[Figure]) -> PruningCurve:
    assert order in get_args(Order)
    points = zip(FRACTIONS, kept, figures, strict=True)
    return PruningCurve(
        data=data,
        order=order,
        control=order not in ("importance", "singular value", "reduced-rank regression"),
        points=tuple(PruningPoint(fraction=f, kept=k, accuracy=a) for f, k, a in points),
    )


def _bias(head: HeadArrays, one: SetFeatures) -> Float32:
    classes = allowed_rows(head.weight, one).shape[0]
    if head.bias is None:
        return np.zeros(classes, dtype=np.float32)
    return allowed_rows(head.bias, one)


def _scaled(parts: Decomposed, one: SetFeatures) -> Float32:
    """Returns [r, K'], the change of the logits per unit along each v_i."""
    u = parts.u.astype(np.float32)
    return np.asarray((allowed_rows(u, one) * parts.s.astype(np.float32)).T)


def _orders(
    parts: Decomposed, head: HeadArrays, one: SetFeatures
) -> Iterator[tuple[Order, _Coordinates]]:
    x, bias = unit_rows(one.features, head), _bias(head, one)
    along = x @ parts.v.astype(np.float32)
    scaled = _scaled(parts, one)
    yield "importance", _Coordinates(along[:, parts.order], scaled[parts.order], bias)
    yield "singular value", _Coordinates(along, scaled, bias)
    # Reduced-rank regression: the best rank-k answer to W x over these images is U_k U_k^T W x,
    # U the eigenvectors of W E[x x^T] W^T; within U of W they are those of an r x r matrix.
    along *= parts.s.astype(np.float32)
    turn = falling_eigenvectors(second_moment(along)).astype(np.float32)
    rows = allowed_rows(parts.u.astype(np.float32), one)
    yield "reduced-rank regression", _Coordinates(along @ turn, (rows @ turn).T, bias)
    del along
    mean = x.mean(axis=0, dtype=np.float64)
    spread = second_moment(x) - np.outer(mean, mean)
    axes = falling_eigenvectors(spread)[:, : parts.s.size].astype(np.float32)
    centre = mean.astype(np.float32)
    weight = scaled.T @ parts.v.astype(np.float32).T  # [K', C], the head, centred or not
    yield (
        "principal components",
        _Coordinates(
            (x - centre) @ axes,
            np.asarray((weight @ axes).T, dtype=np.float32),
            np.asarray(weight @ centre + bias, dtype=np.float32),
        ),
    )


def _random(
    order: str, parts: Decomposed, head: HeadArrays, one: SetFeatures, seed: int
) -> Iterator[_Coordinates]:
    bias, scaled = _bias(head, one), _scaled(parts, one)
    along = unit_rows(one.features, head) @ parts.v.astype(np.float32)
    rank = parts.s.size
    if order == "random subspace":
        for turn in random_rotations(rank, seed):
            yield _Coordinates(along @ turn, turn.T @ scaled, bias)
        return
    by_direction = np.ascontiguousarray(along.T)  # shuffling whole rows is faster than columns
    for number in range(SEEDS):
        shuffled = np.random.default_rng([seed, number]).permutation(rank)
        yield _Coordinates(by_direction[shuffled].T, scaled[shuffled], bias)


def random_rotations(size: int, seed: int) -> Iterator[Float32]:
    """Yields uniformly random orthogonal matrices, one per seed, float32 [size, size].

    Q1 P Q2 with Q1, Q2 uniform and P a random permutation with signs is uniform for each seed, at
    the price of two QR decompositions for all of them.
    """
    first, second = (_random_rotation(size, np.random.default_rng([seed, i])) for i in (0, 1))
    for number in range(SEEDS):
        rng = np.random.default_rng([seed, number, 2])
        signs = rng.choice(np.array([-1, 1], dtype=np.float32), size)
        yield np.asarray((first[:, rng.permutation(size)] * signs) @ second, dtype=np.float32)


def _random_rotation(size: int, rng: np.random.Generator) -> Float32:
    """Returns a uniformly random orthogonal matrix (Mezzadri 2007)."""
    q, r = np.linalg.qr(rng.standard_normal((size, size), dtype=np.float32))
    return np.asarray(q * np.sign(np.diag(r)), dtype=np.float32)


def second_moment(x: Float32) -> Float64:
    """Returns the mean [C, C] of x x^T over the rows; blocks are summed in float64."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for start in range(0, x.shape[0], ROWS):
        block = x[start : start + ROWS]
        total += block.T @ block
    return np.asarray(total / max(1, x.shape[0]))


def falling_eigenvectors(symmetric: Float64) -> Float64:
    """Returns the eigenvectors as columns, largest eigenvalue first."""
    return np.asarray(np.linalg.eigh(symmetric)[1][:, ::-1])
