"""Privileged directions: right singular vectors of the head, and what depends on them."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator
from scipy import special

from tuiprobe.channels.array_types import Float32, Float64
from tuiprobe.errors import DataError
from tuiprobe.inside.directions.pruning import Decomposed, PruningCurve, pruning_curves
from tuiprobe.measure.arrays.head_arrays import SetFeatures, usable_images
from tuiprobe.measure.arrays.row_statistics import BLOCK_ROWS
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.probes.intervals import exact, mean_interval
from tuiprobe.results import Estimate, Figure, NotRun
from tuiprobe.results.base import (
    MOST_CHANNELS,
    Channel,
    Count,
    Frozen,
    Many,
    PerChannel,
    Real,
    Share,
)
from tuiprobe.results.figures import FIGURES, Fig
from tuiprobe.results.report import ProbeResult


class Direction(Frozen):
    """One privileged direction: a right singular vector of the head.

    Attributes:
        index: Rank by singular value, from 0.
        singular_value: s_i.
        importance: s_i / sum s times the mean over images of abs(cos(v_i, h)).
        outlier_share: Part of the direction's squared length on the outlier channels.
        channels: The four channels with the largest weight.
    """

    index: Count
    singular_value: Real
    importance: Figure
    outlier_share: Real | None
    channels: PerChannel[Channel]


class Basis(Frozen):
    """Privileged directions of the head, or of the head minus its mean row.

    Attributes:
        centred: Whether the mean row was removed, which changes no prediction.
        rank: Rank of the matrix.
        singular_values: All of them, largest first.
        importances: Importances of every direction, in the order of singular values.
        mean_row_cosine: abs(cos(v_1, mean row of W)).
        top_share: The largest importance over their sum.
        effective_rank: Exponential of the entropy of the importances.
        outlier_share: Importance-weighted part of the directions on the outlier channels.
        outlier_expected: That part for random directions, k / C, with its 95 % range for one
            random direction.
        outlier_shares: Part of every direction's squared length on the outlier channels, in
            the order of singular values.
        directions: The 16 most important.
        curves: Pruning curves and their controls.
    """

    centred: bool
    rank: Annotated[int, Field(ge=0, le=MOST_CHANNELS)]
    singular_values: PerChannel[Real]
    importances: PerChannel[Real]
    mean_row_cosine: Annotated[
        Figure,
        Fig("mean_row_cosine", "cosine of the first direction with the mean row", "head"),
    ]
    top_share: Annotated[
        Share,
        Fig("top_share", "share of the most important direction", "importance", role="signature"),
    ]
    effective_rank: Annotated[
        Figure,
        Fig(
            "effective_rank",
            "effective rank of the importances",
            "effective-rank",
            role="signature",
        ),
    ]
    outlier_share: Annotated[
        Share, Fig("outlier_share", "share on the outlier channels", "importance")
    ]
    outlier_expected: Annotated[
        Share,
        Fig(
            "outlier_expected", "share on the outlier channels of a random direction", "importance"
        ),
    ]
    directions: Many[Direction]
    curves: Many[PruningCurve]
    outlier_shares: PerChannel[Real] = ()

    @property
    def place(self) -> str:
        """What it belongs to."""
        return "centred W" if self.centred else "W"

    @property
    def matrix(self) -> str:
        """What it belongs to, in words."""
        return "W minus its mean row" if self.centred else "W"

    @model_validator(mode="after")
    def _one_entry_a_direction(self) -> "Basis":
        lengths = {len(self.singular_values), len(self.importances)}
        if lengths != {self.rank} or len(self.outlier_shares) not in (0, self.rank):
            raise ValueError(f"a rank of {self.rank} needs as many values of every direction")
        return self


class Directions(ProbeResult):
    """The directions probe of one head.

    Attributes:
        data: Set the importances rest on.
        head: Where the head came from.
        classes: Rows of W.
        bases: For W and for W minus its mean row.
    """

    probe: ClassVar[str] = "directions"

    data: str
    head: str
    classes: Count
    bases: Annotated[Many[Basis], FIGURES]


LISTED_DIRECTIONS = 16


def probe_directions(
    head: HeadArrays,
    sets: Sequence[SetFeatures],
    outlying: Sequence[int],
    *,
    seed: int = 0,
) -> Directions:
    """Computes the directions of W and of W minus its mean row, and their pruning curves.

    Args:
        head: The linear head.
        sets: The in-distribution set first, on which importances rest; sets without labels, and
            one that the head was fitted to, get no curves.
        outlying: Outlier channels of the representation.
        seed: Seed of subsamples and random controls.

    Raises:
        DataError: No image with a finite representation, a head of zeros, or a label that is no
            row of the head.
    """
    usable = [usable_images(images) for images in sets]
    if not usable or usable[0].features.shape[0] == 0:
        raise DataError("directions take at least one image with a finite representation")
    if not head.weight.any():
        raise DataError("the head is all zero")
    labelled = [i for i in usable if i.labels is not None and i.left_out is None]
    bases = (
        _basis(head, usable[0].features, labelled, outlying, centred=centred, seed=seed)
        for centred in (False, True)
    )
    return Directions(
        data=usable[0].name,
        head=head.source,
        classes=head.weight.shape[0],
        bases=tuple(basis for basis in bases if basis is not None),
    )


def decompose(weight: Float64) -> tuple[Float64, Float64, Float64]:
    """Returns the thin SVD up to the rank; the largest entry of each v_i is positive.

    Args:
        weight: [K, C].

    Returns:
        u [K, r], s [r], v [C, r].
    """
    u, s, vt = np.linalg.svd(weight, full_matrices=False)
    rank = int((s > max(weight.shape) * np.finfo(np.float64).eps * s[0]).sum()) if s.size else 0
    u, s, v = u[:, :rank], s[:rank], vt[:rank].T
    signs = np.sign(v[np.abs(v).argmax(axis=0), np.arange(rank)])
    return u * signs, s, v * signs


def _basis(
    head: HeadArrays,
    features: Float32,
    labelled: Sequence[SetFeatures],
    outlying: Sequence[int],
    *,
    centred: bool,
    seed: int,
) -> Basis | None:
    weight = head.weight.astype(np.float64)
    mean_row = weight.mean(axis=0)
    if centred:
        weight = weight - mean_row
        if np.linalg.norm(weight) <= 1e-6 * np.linalg.norm(head.weight):
            return None  # all rows are equal: nothing is left
    u, s, v = decompose(weight)
    cosines = mean_cosines(features, v)
    scale = s / s.sum()
    importance = scale * cosines
    order = np.argsort(-importance, kind="stable")
    named = order[:LISTED_DIRECTIONS]
    shares = (v[list(outlying)] ** 2).sum(axis=0) if outlying else None
    figures = _concentration(importance, shares)
    gradients = [gradient for _, gradient in figures]
    gradients += [(np.arange(s.size) == i).astype(np.float64) for i in named]
    influences = _influences(features, v, scale, cosines, gradients).T
    top_share, effective_rank, on_outlier = (
        _linear(value, influence)
        for (value, _), influence in zip(figures, influences, strict=False)
    )
    length = float(np.linalg.norm(mean_row))
    mean_row_cosine: Figure = NotRun(reason="the mean row is zero")
    if length >= 1e-12:
        cosine = abs(float(v[:, 0] @ mean_row)) / length
        mean_row_cosine = exact(cosine, head.weight.shape[0], "from the head alone")
    parts = Decomposed(u=u, s=s, v=v, order=order)
    return Basis(
        centred=centred,
        rank=s.size,
        singular_values=tuple(s.tolist()),
        importances=tuple(importance.tolist()),
        mean_row_cosine=mean_row_cosine,
        top_share=top_share,
        effective_rank=effective_rank,
        outlier_share=on_outlier if shares is not None else NotRun(reason="no outlier channel"),
        outlier_expected=_expected(len(outlying), weight.shape[1]),
        outlier_shares=() if shares is None else tuple(shares.tolist()),
        directions=tuple(
            Direction(
                index=int(i),
                singular_value=float(s[i]),
                importance=_linear(float(importance[i]), influence),
                outlier_share=None if shares is None else float(shares[i]),
                channels=tuple(np.argsort(-np.abs(v[:, i]), kind="stable")[:4].tolist()),
            )
            for i, influence in zip(named, influences[len(figures) :], strict=True)
        ),
        curves=tuple(
            curve for images in labelled for curve in pruning_curves(parts, head, images, seed)
        ),
    )


def _expected(count: int, channels: int) -> Figure:
    """Returns a random unit vector's expected squared length on `count` channels (a Beta law)."""
    if count == 0:
        return NotRun(reason="no outlier channel")
    if count == channels:
        return exact(1.0, channels, "all channels")
    low, high = special.betaincinv(count / 2, (channels - count) / 2, [0.025, 0.975])
    return Estimate(
        value=count / channels,
        low=float(low),
        high=float(high),
        n=channels,
        method="range of one random direction, closed form",
    )


def mean_cosines(features: Float32, v: Float64) -> Float64:
    """Returns the mean over images of abs(cos(v_i, h)), as [r].

    Args:
        features: [n, C], finite and not zero.
        v: [C, r], unit columns.
    """
    total, basis = np.zeros(v.shape[1]), v.astype(np.float32)
    for start in range(0, features.shape[0], BLOCK_ROWS):
        total += _cosines(features[start : start + BLOCK_ROWS], basis).sum(axis=0, dtype=np.float64)
    return np.asarray(total / features.shape[0])


def _cosines(rows: Float32, basis: Float32) -> Float32:
    along = np.abs(rows @ basis)
    along /= np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(along)


def _influences(
    features: Float32, v: Float64, scale: Float64, cosines: Float64, gradients: list[Float64]
) -> Float64:
    """Returns [n, m], n times each image's influence on figures with these gradients."""
    slopes = np.stack([scale * gradient for gradient in gradients], axis=1)
    centre, basis = cosines @ slopes, v.astype(np.float32)
    return np.concatenate(
        [
            _cosines(features[start : start + BLOCK_ROWS], basis) @ slopes - centre
            for start in range(0, features.shape[0], BLOCK_ROWS)
        ]
    )


def _linear(value: float, influence: Float64) -> Figure:
    """Returns the infinitesimal jackknife estimate: a mean's t interval, moved to the value."""
    n = influence.size
    mean = mean_interval(0.0, float((influence**2).sum()), n)
    if not isinstance(mean, Estimate) or mean.low is None or mean.high is None:
        return exact(value, n, "no interval: one image")
    return Estimate(
        value=value, low=value + mean.low, high=value + mean.high, n=n, method=mean.method
    )


def _concentration(importance: Float64, shares: Float64 | None) -> list[tuple[float, Float64]]:
    """Returns top share, effective rank and outlying share, with their gradients."""
    total, size = float(importance.sum()), importance.size
    p = importance / total
    top = float(p.max())
    top_slope = ((np.arange(size) == p.argmax()) - top) / total
    logs = np.log(np.where(p > 0, p, 1.0))
    entropy = -float((p * logs).sum())
    rank = float(np.exp(entropy))
    rank_slope = -rank * (logs + entropy) / total
    part = np.zeros(size) if shares is None else shares
    mean = float(part @ p)
    return [
        (top, top_slope),
        (rank, rank_slope),
        (mean, (part - mean) / total),
    ]
