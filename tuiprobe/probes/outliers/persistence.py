"""Persistence P: do the same channels carry the fourth moment in every image?

With s_nc = z_nc^4 / sum_c z_nc^4, S_c = sum_n s_nc and q = sum_nc s_nc^2:
self = q / n, cross = (sum_c S_c^2 - q) / (n (n - 1)), P = (cross - 1/C) / (self - 1/C).
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

from tuiprobe.probes.inputs import Bool, Float32, Float64, ShardSums
from tuiprobe.probes.intervals import LEVEL, delete_one, delete_shard, exact
from tuiprobe.probes.outliers.channel_result import Persistence
from tuiprobe.probes.outliers.scan import RowScan
from tuiprobe.probes.rows import blocks
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


def from_images(
    share_sum: Float64,
    own: Float64,
    dots: Float64,
    *,
    own_shift: Float64 | float = 0.0,
    shift: Float64 | float = 0.0,
) -> Persistence:
    """Returns P with delete-one-image jackknife intervals.

    Args:
        share_sum: [C], S_c.
        own: [n], sum_c s_nc^2 of each image.
        dots: [n], sum_c S_c s_nc of each image.
        own_shift: [n], what leaving an image out adds to the sum of `own` by changing the others.
        shift: [n], what it adds to sum_c S_c^2 likewise.
    """
    n, channels = own.size, share_sum.size
    square, q = float((share_sum**2).sum()), float(own.sum())
    reason = missing(n, channels, q / n if n else 0.0)
    if reason is not None or n < 3:
        return _not_run(reason or NotRun(reason="needs three images"), n, channels)
    cross = (square - q) / (n * (n - 1))
    # Without image i: |S - s_i|^2 = |S|^2 - 2 S.s_i + |s_i|^2.
    cross_i = (square + shift - 2 * dots + 2 * own - q - own_shift) / ((n - 1) * (n - 2))
    own_i = (q + own_shift - own) / (n - 1)
    return _persistence(n, channels, (cross, q / n), (cross_i, own_i), delete_one)


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
    cross = float((share_sum**2).sum() - square_sum) / (n * (n - 1))

    def jackknife(value: float, without: Float64, **bounds: float) -> Figure:
        return delete_shard(value, without, images, **bounds)

    return _persistence(n, channels, (cross, square_sum / n), (cross_j, own_j / left), jackknife)


def without_interval(share_sum: Float64, square_sum: float, n: int) -> Persistence:
    """Returns P from sums alone, without an interval, where features and shards are missing."""
    none = ShardSums(
        share_sum=np.zeros((0, share_sum.size)),
        share_square_sum=np.zeros(0),
        images=np.zeros(0, dtype=np.int64),
    )
    return from_shards(share_sum, square_sum, n, none)


def centred_persistence(rows: Float32, keep: Bool, scan: RowScan) -> Figure:
    """Returns P of the centred rows: a row also moves the means that centre the others.

    The jackknife takes that in to first order.

    Args:
        rows: [m, C].
        keep: [m], the rows that are finite and not constant.
        scan: Of these rows.
    """
    n, own, dots = scan.images, scan.centred_own, scan.centred_dots
    if n < 2:
        return from_images(scan.centred_share_sum, own, dots).value
    slopes = _slopes(rows, keep, scan)
    shift = np.zeros((n, 2))
    done = 0
    for place, block in blocks(rows):
        rest = block[keep[place]] - scan.mean
        # Without row i the means move by -(x_i - mean) / (n - 1), and rows by the opposite.
        shift[done : done + len(rest)] = rest @ slopes / (n - 1)
        done += len(rest)
    own_shift, share_shift = shift.T
    return from_images(
        scan.centred_share_sum, own, dots, own_shift=own_shift, shift=share_shift
    ).value


def _slopes(rows: Float32, keep: Bool, scan: RowScan) -> Float64:
    """Returns the slopes [C, 2] of sum_nc s_nc^2 and sum_c S_c^2 in a shift of all centred rows.

    With u a row minus its mean over channels, sum_c a_c s_c has slope 4 u_d^3 (a_d - sum_c a_c s_c)
    / sum_c u_c^4 in u_d; a is 2 s for the first sum and 2 S for the second.
    """
    slopes = np.zeros((rows.shape[1], 2))
    done = 0
    for place, block in blocks(rows):
        u = block[keep[place]] - scan.mean
        own = scan.centred_own[done : done + len(u), None]
        dots = scan.centred_dots[done : done + len(u), None]
        done += len(u)
        u -= u.mean(axis=1, keepdims=True)
        square = u * u
        total = np.einsum("ij,ij->i", square, square)[:, None]
        total[total == 0] = 1
        cube = 8 * square * u / total
        shares = square * square / total
        slopes[:, 0] += (cube * (shares - own)).sum(axis=0)
        slopes[:, 1] += (cube * (scan.centred_share_sum - dots)).sum(axis=0)
    return np.asarray(slopes - slopes.mean(axis=0))


def _persistence(
    n: int,
    channels: int,
    whole: tuple[float, float],
    without: tuple[Float64, Float64],
    jackknife: Callable[..., Figure],
) -> Persistence:
    """Returns all figures from cross and self of the whole and without each image or shard."""
    (cross, own), (cross_i, own_i) = whole, without
    effective: Figure = NotRun(reason="no two images share a channel")
    if cross > 0 and not (cross_i <= 0).any():
        effective = jackknife(1 / cross, 1 / cross_i, low=1)
    return Persistence(
        value=jackknife(
            float(ratio(cross, own, channels)), ratio(cross_i, own_i, channels), high=1
        ),
        null_high=null_high(n, channels),
        self_share=jackknife(own, own_i, low=0, high=1),
        cross_share=jackknife(cross, cross_i, low=0, high=1),
        effective_channels=effective,
    )


def _not_run(reason: NotRun, images: int, channels: int) -> Persistence:
    return Persistence(
        value=reason,
        null_high=null_high(images, channels),
        self_share=reason,
        cross_share=reason,
        effective_channels=reason,
    )
