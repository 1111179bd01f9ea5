"""All figures that need rows rather than sums, in two blocked passes over a matrix of rows."""

from dataclasses import dataclass

import numpy as np

from tuiprobe.probes.inputs import Float32, Float64, Int64
from tuiprobe.probes.intervals import delete_one
from tuiprobe.probes.rows import (
    blocks,
    kurtosis_and_slope,
    mean_rows,
    shares_and_kurtosis,
    usable,
)
from tuiprobe.results import Figure, NotRun


@dataclass(frozen=True, eq=False)
class RowScan:
    """What two passes over n usable rows of C channels give.

    Attributes:
        images: n, usable rows.
        kurtosis: float64 [n].
        own: float64 [n], sum_c s_nc^2.
        dots: float64 [n], sum_c S_c s_nc.
        share_sum: float64 [C], S_c.
        share_squares: float64 [C], sum_n s_nc^2.
        leading_count: int64 [C], rows in which the channel has the largest share.
        centred_kurtosis: float64 [n], after removing each channel's mean over the rows; NaN where
            nothing is left.
        centred_influence: float64 [n], what row i adds to the mean of `centred_kurtosis` by its
            part in the channels' means, times n (infinitesimal jackknife); sums to zero.
        centred_share_sum: float64 [C], the sum of the shares of the centred rows.
        centred_own: float64 [n], sum_c of the squares of these shares.
        centred_dots: float64 [n], each centred row's shares times `centred_share_sum`.
        mean: float64 [C].
        square: float64 [C], sum of squares over the rows.
        rms_kurtosis: Kurtosis over channels of their RMS over rows.
        mean_cosine: Mean cosine over pairs of rows.
        centred_cosine: The same of the centred rows.
    """

    images: int
    kurtosis: Float64
    own: Float64
    dots: Float64
    share_sum: Float64
    share_squares: Float64
    leading_count: Int64
    centred_kurtosis: Float64
    centred_influence: Float64
    centred_share_sum: Float64
    centred_own: Float64
    centred_dots: Float64
    mean: Float64
    square: Float64
    rms_kurtosis: Figure
    mean_cosine: Figure
    centred_cosine: Figure


def scan(rows: Float32) -> RowScan:
    """Scans the rows in two passes, with O(n + C) extra memory.

    Args:
        rows: [m, C]; rows that are constant or not finite are left out.
    """
    keep = usable(rows)
    n, channels = int(keep.sum()), rows.shape[1]
    mean = mean_rows(rows, keep)
    places = np.cumsum(keep) - 1  # index of a kept row's results
    share_sum, share_squares = np.zeros(channels), np.zeros(channels)
    squares, units = np.zeros(channels), np.zeros(channels)
    leading = np.zeros(channels, dtype=np.int64)
    kurtosis, own, centred, dots = (np.zeros(n) for _ in range(4))
    slope, centred_sum, centred_units = (np.zeros(channels) for _ in range(3))
    centred_own, centred_dots, centred_cosines = (np.zeros(n) for _ in range(3))
    for place, block in blocks(rows):
        at, block = places[place][keep[place]], block[keep[place]]
        if not at.size:
            continue
        shares, kurtosis[at] = shares_and_kurtosis(block)
        share_sum += shares.sum(axis=0)
        leading += np.bincount(shares.argmax(axis=1), minlength=channels)
        shares *= shares
        own[at] = shares.sum(axis=1)
        share_squares += shares.sum(axis=0)
        rest = block - mean
        centred[at], gradient = kurtosis_and_slope(rest)
        slope -= gradient / n
        shares = _shares(rest)
        centred_sum += shares.sum(axis=0)
        centred_own[at] = np.einsum("ij,ij->i", shares, shares)
        centred_units += _unit(rest).sum(axis=0)
        units += (block / np.linalg.norm(block, axis=1, keepdims=True)).sum(axis=0)
        squares += (block * block).sum(axis=0)
    mixed, fourth, second, cosines, influence = (np.zeros(n) for _ in range(5))
    for place, block in blocks(rows):
        at, block = places[place][keep[place]], block[keep[place]]
        if not at.size:
            continue
        dots[at] = shares_and_kurtosis(block)[0] @ share_sum
        rest = block - mean
        influence[at] = rest @ slope
        centred_dots[at] = _shares(rest) @ centred_sum
        centred_cosines[at] = _unit(rest) @ centred_units
        cosines[at] = block @ units / np.linalg.norm(block, axis=1)
        block *= block
        second[at], mixed[at] = block.sum(axis=1), block @ squares
        fourth[at] = np.einsum("ij,ij->i", block, block)
    return RowScan(
        images=n,
        kurtosis=kurtosis,
        own=own,
        dots=dots,
        share_sum=share_sum,
        share_squares=share_squares,
        leading_count=leading,
        centred_kurtosis=centred,
        centred_influence=influence,
        centred_share_sum=centred_sum,
        centred_own=centred_own,
        centred_dots=centred_dots,
        mean=mean,
        square=squares,
        rms_kurtosis=_rms_kurtosis(squares, second, mixed, fourth),
        mean_cosine=_mean_cosine(units, cosines),
        centred_cosine=_mean_cosine(centred_units, centred_cosines),
    )


def _shares(rest: Float64) -> Float64:
    """Returns the shares of centred rows; zeros where nothing is left of a row."""
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(shares_and_kurtosis(rest)[0], copy=False)


def _unit(rest: Float64) -> Float64:
    norm = np.linalg.norm(rest, axis=1, keepdims=True)
    return rest / np.where(norm > 0, norm, 1)


def _rms_kurtosis(squares: Float64, second: Float64, mixed: Float64, fourth: Float64) -> Figure:
    """Returns m4 / m2^2 of the channels' RMS (He et al. 2024): C sum M_c^2 / (sum M_c)^2.

    Args:
        squares: [C], T_c, sums of squares over the rows (M_c = T_c / n).
        second: [n], sum_c x_nc^2 of each row.
        mixed: [n], sum_c T_c x_nc^2.
        fourth: [n], sum_c x_nc^4.
    """
    if second.size < 3:
        return NotRun(reason="needs three images")
    channels = squares.size
    square, total = float((squares**2).sum()), float(squares.sum())
    without = channels * (square - 2 * mixed + fourth) / (total - second) ** 2
    return delete_one(channels * square / total**2, without, low=1, high=channels)


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
