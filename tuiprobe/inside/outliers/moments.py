"""What rows say of all their channels together: kurtosis, shares, persistence, offset, centring.

Everything is computed in float64 and in blocks, with O(n + C) extra memory. Rows are finite and not
constant (`rows.rows_with_kurtosis`).

Persistence P: do the same channels carry the fourth moment in every image? With
s_nc = z_nc^4 / sum_c z_nc^4, S_c = sum_n s_nc and q = sum_nc s_nc^2:
self = q / n, cross = (sum_c S_c^2 - q) / (n (n - 1)), P = (cross - 1/C) / (self - 1/C).

The offset is the part of the rows that is the same in all of them. Rows are standardised over their
channels (z), so that each counts alike. With mu the mean row of z, m2 and m4 its moments over
channels and v = 1 - m2 the variance left, rows of that offset and isotropic noise have the expected
kurtosis m4 + 6 m2 v + 3 v^2.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from tuiprobe.channels.array_types import Float32, Float64
from tuiprobe.inside.outliers.result import Offset, Persistence
from tuiprobe.measure.arrays.row_statistics import blocks, kurtosis_and_slope, shares_and_kurtosis
from tuiprobe.measure.arrays.tap_arrays import ShardSums
from tuiprobe.probes.intervals import bootstrap_mean, delete_one, delete_shard, exact
from tuiprobe.results import Figure, NotRun, is_known

QUANTILES_999: Final = (
    (20, 7.2572),
    (24, 7.1609),
    (32, 6.9505),
    (48, 6.4201),
    (64, 6.0058),
    (96, 5.4233),
    (128, 5.0539),
    (192, 4.6335),
    (256, 4.3705),
    (384, 4.0673),
    (512, 3.8877),
    (768, 3.6918),
    (1024, 3.5827),
    (1536, 3.4591),
    (2048, 3.3860),
    (4096, 3.2627),
)
"""Width C and .999 quantile of the kurtosis of a uniformly random direction, which is that of C
independent normal values: by a seeded Monte Carlo of 600,000 draws each (error about .01 at
C = 128, .001 at C = 2,048)."""
SMALLEST: Final = QUANTILES_999[0][0]


@dataclass(frozen=True, eq=False)
class RowMoments:
    """What passes over n rows of C channels give.

    Attributes:
        kurtosis: float64 [n].
        mean: float64 [C].
        square: float64 [C], sum of squares over the rows.
        persistence: P of the rows.
        centred_kurtosis: Kurtosis after removing each channel's mean over the rows.
        centred_cosine: Mean cosine over pairs of centred rows.
    """

    kurtosis: Float64
    mean: Float64
    square: Float64
    persistence: Persistence
    centred_kurtosis: Figure
    centred_cosine: Figure


def moments(rows: Float32, seed: int = 0) -> RowMoments:
    """Computes the moments of rows.

    Args:
        rows: [n, C].
        seed: Seed of the bootstrap.
    """
    n, channels = rows.shape
    mean = np.zeros(channels)
    for _, block in blocks(rows):
        mean += block.sum(axis=0)
    mean /= max(1, n)
    share_sum, squares, units, slope = (np.zeros(channels) for _ in range(4))
    kurtosis, squared_shares, centred = (np.zeros(n) for _ in range(3))
    for at, block in blocks(rows):
        shares, kurtosis[at] = shares_and_kurtosis(block)
        share_sum += shares.sum(axis=0)
        squared_shares[at] = (shares * shares).sum(axis=1)
        residual = block - mean
        centred[at], gradient = kurtosis_and_slope(residual)
        slope -= gradient / n
        units += _unit(residual).sum(axis=0)
        squares += (block * block).sum(axis=0)
    dots, cosines, influence = (np.zeros(n) for _ in range(3))
    for at, block in blocks(rows):
        dots[at] = shares_and_kurtosis(block)[0] @ share_sum
        residual = block - mean
        # What row i adds to the mean of the centred kurtosis by its part in the channels' means,
        # times n (infinitesimal jackknife).
        influence[at] = residual @ slope
        cosines[at] = _unit(residual) @ units
    left: Figure = NotRun(reason="needs two images that count")
    if n >= 2 and not np.isfinite(centred).any():
        left = NotRun(reason="all values are zero after centring, because all images are alike")
    elif n >= 2:
        left = bootstrap_mean(centred + influence, seed)
        if is_known(left):
            left = left.model_copy(update={"value": float(np.nanmean(centred))})
    return RowMoments(
        kurtosis=kurtosis,
        mean=mean,
        square=squares,
        persistence=persistence_of_images(share_sum, squared_shares, dots),
        centred_kurtosis=left,
        centred_cosine=_mean_cosine(units, cosines),
    )


def _unit(rows: Float64) -> Float64:
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norm > 0, norm, 1)


def _mean_cosine(units: Float64, cosines: Float64) -> Figure:
    """Returns the mean cosine over pairs of rows.

    Args:
        units: [C], U, the sum of all rows at unit length.
        cosines: [n], U . u_n.
    """
    n = cosines.size
    if n < 3:
        return NotRun(reason="needs three images")
    square = float((units**2).sum())
    without = (square - 2 * cosines + 1 - (n - 1)) / ((n - 1) * (n - 2))
    return delete_one((square - n) / (n * (n - 1)), without, low=-1, high=1)


def persistence_of_images(
    share_sum: Float64, squared_shares: Float64, dots: Float64
) -> Persistence:
    """Returns P with delete-one-image jackknife intervals.

    Args:
        share_sum: [C], S_c.
        squared_shares: [n], sum_c s_nc^2 of each image.
        dots: [n], sum_c S_c s_nc of each image.
    """
    n, square, q = squared_shares.size, float((share_sum**2).sum()), float(squared_shares.sum())
    others, without_one = max(1, n - 1), max(1, n - 2)
    # Without image i: |S - s_i|^2 = |S|^2 - 2 S.s_i + |s_i|^2.
    cross_i = (square - 2 * dots + 2 * squared_shares - q) / (others * without_one)
    return _persistence(
        share_sum, q, n, cross_i, (q - squared_shares) / others, delete_one, least=3
    )


def persistence_of_sums(
    share_sum: Float64, q: float, n: int, shards: ShardSums | None
) -> Persistence:
    """Returns P from sums alone, with delete-one-shard jackknife intervals.

    Args:
        share_sum: [C], S_c.
        q: sum_nc s_nc^2.
        n: Images in the sums.
        shards: The sums per shard; None gives no intervals.
    """
    if shards is None:

        def without_interval(value: float, without: Float64, **bounds: float) -> Figure:
            return exact(value, n, "no interval: no shards were kept")

        return _persistence(share_sum, q, n, np.zeros(0), np.zeros(0), without_interval)
    filled = (shards.images > 0) & (shards.images < n - 1)
    images = shards.images[filled]
    left = n - images
    self_j = q - shards.share_square_sum[filled]
    remaining = share_sum[None, :] - shards.share_sum[filled]
    cross_j = ((remaining**2).sum(axis=1) - self_j) / (left * (left - 1))

    def jackknife(value: float, without: Float64, **bounds: float) -> Figure:
        return delete_shard(value, without, images, **bounds)

    return _persistence(share_sum, q, n, cross_j, self_j / left, jackknife)


def _persistence(
    share_sum: Float64,
    q: float,
    n: int,
    cross_i: Float64,
    self_i: Float64,
    jackknife: Callable[..., Figure],
    least: int = 2,
) -> Persistence:
    """Returns all figures of S_c and q of n images, at least `least`.

    Args:
        share_sum: [C], S_c.
        q: sum_nc s_nc^2.
        n: Images.
        cross_i: cross without each image or shard.
        self_i: self without each image or shard.
        jackknife: Makes a figure of a value and of the values without each.
        least: Images that the jackknife needs.
    """
    channels, self_term, reason = share_sum.size, q / max(1, n), ""
    if n < 2:
        reason = f"needs two images that count; there are {n}"
    elif channels < 3 or self_term - 1 / channels < 1e-12:
        reason = "every channel carries the same share in each image"
    elif n < least:
        reason = "needs three images"
    if reason:
        none = NotRun(reason=reason)
        return Persistence(value=none, effective_channels=none)
    cross = (float((share_sum**2).sum()) - q) / (n * (n - 1))
    effective: Figure = NotRun(reason="no two images share a channel")
    if cross > 0 and not (cross_i <= 0).any():
        effective = jackknife(1 / cross, 1 / cross_i, low=1)
    value = (cross - 1 / channels) / (self_term - 1 / channels)
    return Persistence(
        value=jackknife(value, (cross_i - 1 / channels) / (self_i - 1 / channels), high=1),
        effective_channels=effective,
    )


def offset(rows: Float32, kurtosis: Figure, row_kurtosis: Float64) -> Offset:
    """Computes the offset with delete-one-row jackknife intervals.

    Args:
        rows: [n, C].
        kurtosis: Kappa with its interval.
        row_kurtosis: [n], kurtosis of each row.
    """
    n, channels = rows.shape
    if n < 3:
        return no_offset("needs three images that count")
    if channels < SMALLEST:
        return no_offset(f"takes {SMALLEST} channels; there are {channels}")
    mu = np.zeros(channels)
    for _, z in _standardised(rows):
        mu += z.sum(axis=0)
    mu = mu / n
    without = np.zeros((3, n))
    for at, z in _standardised(rows):
        mean = (n * mu - z) / (n - 1)
        without[:, at] = _offset_moments(mean)
    m2, m4, predicted = (float(x[0]) for x in _offset_moments(mu[None]))
    top = float(channels)
    share = delete_one(m2, without[0], low=0, high=1)
    # The fewest channels that carry half of sum mu_c^2, largest first.
    power = mu * mu
    order = np.lexsort((np.arange(channels), -power))
    reached = np.cumsum(power[order]) >= 0.5 * power.sum()
    half = tuple(order[: int(reached.argmax()) + 1].tolist())
    return Offset(
        share=share,
        kurtosis=delete_one(m4 / m2**2, without[1] / without[0] ** 2, low=1, high=top)
        if m2 > 0
        else NotRun(reason="the mean row is zero"),
        null_999=exact(null_999(channels), n, "Monte Carlo, 600,000 random directions a width"),
        predicted=delete_one(predicted, without[2], low=0, high=top),
        explained=_explained(predicted, without[2], kurtosis, row_kurtosis, channels),
        half=half if is_known(share) and share.low is not None and share.low > 0 else (),
    )


def no_offset(reason: str) -> Offset:
    """Returns an offset without any figure, as none could be computed."""
    none = NotRun(reason=reason)
    return Offset(
        share=none, kurtosis=none, null_999=none, predicted=none, explained=none, half=(),
    )  # fmt: skip


def _standardised(rows: Float32) -> Iterator[tuple[slice, Float64]]:
    """Yields blocks of the rows with mean 0 and variance 1 over their channels."""
    for at, z in blocks(rows):
        z -= z.mean(axis=1, keepdims=True)
        z /= np.sqrt(np.einsum("ij,ij->i", z, z) / z.shape[1])[:, None]
        yield at, z


def _offset_moments(mean: Float64) -> tuple[Float64, Float64, Float64]:
    """Returns m2, m4 and the predicted kurtosis for mean rows [b, C]."""
    power = mean * mean
    m2 = power.mean(axis=1)
    m4 = np.einsum("ij,ij->i", power, power) / mean.shape[1]
    v = 1 - m2
    return m2, m4, m4 + 6 * m2 * v + 3 * v * v


def basis_reference(channels: int) -> float:
    """Returns the kurtosis that a random rotation of C channels is expected to have."""
    return 3 * (channels - 1) / (channels + 1)


def _explained(
    predicted: float, without: Float64, kurtosis: Figure, row_kurtosis: Float64, channels: int
) -> Figure:
    """Returns the part of the kurtosis above its reference that the prediction explains."""
    reference = basis_reference(channels)
    if not is_known(kurtosis) or kurtosis.low is None or kurtosis.low <= reference:
        return NotRun(reason="the kurtosis is not above its reference")
    n, mean = row_kurtosis.size, float(row_kurtosis.mean())
    kurtosis_without = (n * mean - row_kurtosis) / (n - 1)
    if mean <= reference or (kurtosis_without <= reference).any():
        return NotRun(reason="the kurtosis is not above its reference in every subsample")
    value = (predicted - reference) / (mean - reference)
    return delete_one(value, (without - reference) / (kurtosis_without - reference))


def null_999(channels: int) -> float:
    """Returns the .999 quantile of the kurtosis of a uniformly random direction.

    Between the widths it is interpolated in 1 / sqrt(C), in which it is nearly straight and tends
    to 3.

    Args:
        channels: C, at least 20.

    >>> round(null_999(128), 2), round(null_999(512), 2), round(null_999(1280), 2)
    (5.05, 3.89, 3.51)
    """
    widths = np.array([1 / np.sqrt(width) for width, _ in QUANTILES_999])
    quantiles = np.array([quantile for _, quantile in QUANTILES_999])
    x, y = np.append(widths, 0.0)[::-1], np.append(quantiles, 3.0)[::-1]
    return float(np.interp(1 / np.sqrt(channels), x, y))
