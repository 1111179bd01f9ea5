"""Persistence P: do the same channels carry the fourth moment in every image?

With s_nc = z_nc^4 / sum_c z_nc^4, S_c = sum_n s_nc and q = sum_nc s_nc^2:
self = q / n, cross = (sum_c S_c^2 - q) / (n (n - 1)), P = (cross - 1/C) / (self - 1/C).
"""

import numpy as np
from scipy import stats

from tuiprobe.probes.inputs import Float64, Int64, ShardSums
from tuiprobe.probes.intervals import LEVEL, delete_one, delete_shard, exact
from tuiprobe.probes.outliers.channel_result import Persistence
from tuiprobe.results import Figure, NotRun


def ratio(cross: Float64 | float, own: Float64 | float, channels: int) -> Float64:
    """Returns P from cross and self, elementwise."""
    return np.asarray((np.asarray(cross) - 1 / channels) / (np.asarray(own) - 1 / channels))


def null_high(images: int, channels: int) -> Figure:
    """Returns the 97.5 % point of P with channels permuted within each image, in closed form.

    Permuting leaves v_n = sum_c s_nc^2 - 1/C and makes E[cross] = 1/C exactly; then
    sum_c (S_c - n/C)^2 is about sum_n v_n chi2(C - 1) / (C - 1), so that
    P = (chi2 / (C - 1) - 1) / (n - 1) whatever the v_n.

    Args:
        images: n.
        channels: C.

    >>> round(null_high(500, 1024).value, 6)
    0.000177
    """
    if images < 2 or channels < 2:
        return NotRun(reason="needs two images and two channels")
    chi2 = float(stats.chi2.ppf((1 + LEVEL) / 2, channels - 1))
    value = (chi2 / (channels - 1) - 1) / (images - 1)
    return exact(value, images, "closed form: channels permuted within each image")


def missing(images: int, channels: int, own: float) -> NotRun | None:
    """Returns why P does not exist for these images; None where it does.

    Args:
        images: n that count.
        channels: C.
        own: Mean over the images of sum_c s_nc^2.
    """
    if images < 2:
        return NotRun(reason=f"needs two images that count; there are {images}")
    if channels < 3 or own - 1 / channels < 1e-12:
        return NotRun(reason="every channel carries the same share in each image")
    return None


def from_images(share_sum: Float64, own: Float64, dots: Float64) -> Persistence:
    """Returns P with delete-one-image jackknife intervals.

    Args:
        share_sum: [C], S_c.
        own: [n], sum_c s_nc^2 of each image.
        dots: [n], sum_c S_c s_nc of each image.
    """
    n, channels = own.size, share_sum.size
    square, q = float((share_sum**2).sum()), float(own.sum())
    reason = missing(n, channels, q / n if n else 0.0)
    if reason is not None or n < 3:
        return _not_run(reason or NotRun(reason="needs three images"), n, channels)
    cross = (square - q) / (n * (n - 1))
    # Without image i: |S - s_i|^2 = |S|^2 - 2 S.s_i + |s_i|^2.
    cross_i = (square - 2 * dots + 2 * own - q) / ((n - 1) * (n - 2))
    own_i = (q - own) / (n - 1)
    return Persistence(
        value=delete_one(
            float(ratio(cross, q / n, channels)), ratio(cross_i, own_i, channels), high=1
        ),
        null_high=null_high(n, channels),
        self_share=delete_one(q / n, own_i, low=0, high=1),
        cross_share=delete_one(cross, cross_i, low=0, high=1),
        effective_channels=_effective(cross, cross_i, None),
    )


def from_shards(share_sum: Float64, square_sum: float, n: int, shards: ShardSums) -> Persistence:
    """Returns P from sums alone, with delete-one-shard jackknife intervals.

    Args:
        share_sum: [C], S_c.
        square_sum: q.
        n: Images in the sums.
        shards: The sums per shard; shards without a usable image are skipped.
    """
    channels = share_sum.size
    reason = missing(n, channels, square_sum / n if n else 0.0)
    if reason is not None:
        return _not_run(reason, n, channels)
    filled = (shards.images > 0) & (shards.images < n - 1)
    images = shards.images[filled]
    left = n - images
    own_j = square_sum - shards.share_square_sum[filled]
    rest = share_sum[None, :] - shards.share_sum[filled]
    cross_j = ((rest**2).sum(axis=1) - own_j) / (left * (left - 1))
    own_j = own_j / left
    cross = float((share_sum**2).sum() - square_sum) / (n * (n - 1))
    own = square_sum / n
    return Persistence(
        value=delete_shard(
            float(ratio(cross, own, channels)), ratio(cross_j, own_j, channels), images, high=1
        ),
        null_high=null_high(n, channels),
        self_share=delete_shard(own, own_j, images, low=0, high=1),
        cross_share=delete_shard(cross, cross_j, images, low=0, high=1),
        effective_channels=_effective(cross, cross_j, images),
    )


def _effective(cross: float, without: Float64, images: Int64 | None) -> Figure:
    if cross <= 0 or (without <= 0).any():
        return NotRun(reason="no two images share a channel")
    if images is None:
        return delete_one(1 / cross, 1 / without, low=1)
    return delete_shard(1 / cross, 1 / without, images, low=1)


def without_interval(share_sum: Float64, square_sum: float, n: int) -> Persistence:
    """Returns P from sums alone, without an interval, where features and shards are missing."""
    none = ShardSums(
        share_sum=np.zeros((0, share_sum.size)),
        share_square_sum=np.zeros(0),
        images=np.zeros(0, dtype=np.int64),
        kurtosis_sum=np.zeros(0),
    )
    return from_shards(share_sum, square_sum, n, none)


def _not_run(reason: NotRun, images: int, channels: int) -> Persistence:
    return Persistence(
        value=reason,
        null_high=null_high(images, channels),
        self_share=reason,
        cross_share=reason,
        effective_channels=reason,
    )
