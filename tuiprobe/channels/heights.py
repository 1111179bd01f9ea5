"""Heights: how far each channel stands from the others of its row, in sigmas.

height = |x_c - m| / s, with m and s the median and standard deviation of the 95 % of channels
nearest the row's median, s divided by the standard deviation of the middle 95 % of a normal
distribution. Computed in blocks in float32; extra memory is one block, and n values for each of a
few columns.

An outlier channel has a height above 6 in at least 90 % of the rows by Wilson's lower bound.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tuiprobe.channels.array_types import BLOCK_VALUES, Bool, Float32, Float64, Int64
from tuiprobe.results.proportions import wilson_bounds

OUTLIER = 6.0
"""Height of an outlier channel, in sigmas."""
IN_MOST = 0.9
"""Part of the rows in which an outlier channel exceeds a height of 6."""
CUT_NORMAL = 0.8711
"""Standard deviation of a standard normal variable cut to its central 95 %."""
NORMAL_FROM = 64
COLUMN_VALUES = 1 << 22


@dataclass(frozen=True, eq=False)
class HeightScan:
    """Heights of n usable rows of C channels.

    Attributes:
        rows: n.
        without: Rows without heights, which count as height 0.
        skewed: Whether no value is negative.
        above: int64 [C], rows in which the height exceeds 6.
        median: float32 [C], median height.
        low: float32 [C], lower end of its interval (`median_ranks`).
        high: float32 [C], upper end.
        energy: float64 [C], sum over rows of x_c^2 / |x|^2.
        energy_squares: float64 [C], sum of the squares of these.
    """

    rows: int
    without: int
    skewed: bool
    above: Int64
    median: Float32
    low: Float32
    high: Float32
    energy: Float64
    energy_squares: Float64

    @property
    def outlying(self) -> Bool:
        """Which channels are outlier channels, bool [C]."""
        return outlying(self.above, self.rows)

    @property
    def order(self) -> Int64:
        """The channels by median height, highest first."""
        return np.lexsort((np.arange(len(self.above)), -self.above, -self.median))


@lru_cache(maxsize=64)
def cut_sigma(channels: int) -> float:
    """Returns the expected standard deviation of the central 95 % of a row of normal values.

    With 64 or more channels the asymptotic value is used; below, a seeded Monte Carlo.

    >>> cut_sigma(512), round(cut_sigma(24), 2)
    (0.8711, 0.87)
    """
    if channels >= NORMAL_FROM:
        return CUT_NORMAL
    draws = np.random.default_rng(channels).standard_normal((20_000, channels), dtype=np.float32)
    return float(_bulk(np.sort(draws, axis=1))[1].mean(dtype=np.float64))


def centre_and_scale(block: Float32) -> tuple[Float32, Float32]:
    """Returns m and s of each row; s is NaN where a row has no heights.

    Args:
        block: [b, C], finite, of magnitude about 1, C at least 20.
    """
    centre, sigma = _bulk(np.sort(block, axis=1))
    zeros = block.shape[1] - np.count_nonzero(block, axis=1)
    none = (sigma <= 0) | (2 * zeros > block.shape[1])
    scale = np.where(none, np.nan, sigma / cut_sigma(block.shape[1]))
    return centre, scale.astype(np.float32)


def _bulk(ranked: Float32) -> tuple[Float32, Float32]:
    """Returns median and standard deviation of the 95 % of each sorted row nearest its median.

    These are contiguous, so only the C / 20 values at either end are candidates to leave out.
    """
    channels = ranked.shape[1]
    out = channels // 20
    inner = channels - out
    below, above = (ranked[:, [at]] for at in ((channels - 1) // 2, channels // 2))
    middle: Float32 = np.asarray(below + (above - below) / 2)
    ranked = ranked - middle
    left, right = ranked[:, :out], ranked[:, inner:]
    # From the left, values farther than their partner on the right are out.
    farther = -left > right
    start = farther.sum(axis=1)
    total, square = (_sum(part) for part in (ranked[:, out:inner], ranked[:, out:inner] ** 2))
    for end, nearer in ((left, ~farther), (right, farther)):
        values = np.where(nearer, end, 0)
        total += _sum(values)
        square += _sum(values * values)
    variance = np.maximum(square / inner - (total / inner) ** 2, 0)
    rows = np.arange(len(ranked))
    low, high = ranked[rows, start + (inner - 1) // 2], ranked[rows, start + inner // 2]
    centre = (low + high) / 2 + middle[:, 0]
    constant = ranked[rows, start] == ranked[rows, start + inner - 1]
    return centre, np.where(constant, 0, np.sqrt(variance)).astype(np.float32)


def _sum(values: Float32) -> Float64:
    return np.asarray(values.sum(axis=1), dtype=np.float64)


def scan_heights(rows: Float32) -> HeightScan:
    """Computes heights in one pass over rows and one over columns.

    Args:
        rows: [n, C], finite and not constant, C at least `MIN_CHANNELS`.
    """
    n, channels = rows.shape
    centre, scale = np.zeros(n, dtype=np.float32), np.zeros(n, dtype=np.float32)
    above = np.zeros(channels, dtype=np.int64)
    energy, energy_squares, skewed = np.zeros(channels), np.zeros(channels), True
    step = max(1, BLOCK_VALUES // channels)
    for start in range(0, n, step):
        span = slice(start, start + step)
        block = np.ascontiguousarray(rows[span])
        largest = np.maximum(block.max(axis=1), -block.min(axis=1))
        block = block / largest[:, None]
        skewed = skewed and bool(block.min() >= 0)
        m, s = centre_and_scale(block)
        centre[span], scale[span] = m * largest, s * largest
        weight = 1 / np.einsum("ij,ij->i", block, block)
        square = block * block
        energy += weight @ square
        square *= square
        energy_squares += (weight * weight) @ square
        block -= m[:, None]
        height = np.abs(block, out=block)
        height /= s[:, None]
        above += (height > OUTLIER).sum(axis=0)  # NaN exceeds nothing
    median, lower, upper = _medians(rows, centre, scale)
    return HeightScan(
        rows=n,
        without=int(np.isnan(scale).sum()),
        skewed=skewed,
        above=above,
        median=median,
        low=lower,
        high=upper,
        energy=energy,
        energy_squares=energy_squares,
    )


def outlying(above: Int64, rows: int) -> Bool:
    """Returns which channels are outlier channels, bool [C].

    Args:
        above: int64 [C], rows in which the height of each channel exceeds 6.
        rows: Number of rows, at least one.

    >>> outlying(np.array([64, 60, 3]), 64).tolist(), outlying(np.array([34]), 34).tolist()
    ([True, False, False], [False])
    """
    return np.asarray(wilson_bounds(above, rows)[0] >= IN_MOST)


def median_ranks(n: int) -> tuple[int, int] | None:
    """Returns the ranks from 0 of the distribution-free 95 % interval of a median.

    >>> median_ranks(64), median_ranks(5)
    ((23, 40), None)
    """
    from scipy import special  # late: screens ask for outliers alone, and it takes 20 MB

    above = int(np.ceil(special.bdtrik(0.025, n, 0.5))) if n else 0
    low = above - 1 if above > 0 and special.bdtr(above - 1, n, 0.5) >= 0.025 else above
    return (low - 1, n - low) if low >= 1 else None


def _medians(rows: Float32, centre: Float32, scale: Float32) -> tuple[Float32, Float32, Float32]:
    """Returns every channel's median height with its interval, some columns at a time."""
    n, channels = rows.shape
    medians = np.zeros((3, channels), dtype=np.float32)
    low, high = median_ranks(n) or ((n - 1) // 2, n // 2)
    ranks = sorted({low, (n - 1) // 2, n // 2, high})
    step = max(1, COLUMN_VALUES // max(1, n))
    for start in range(0, channels if n else 0, step):
        columns = np.array(rows[:, start : start + step], dtype=np.float32).T.copy()
        columns -= centre
        np.abs(columns, out=columns)
        columns /= scale
        np.nan_to_num(columns, copy=False, nan=0.0)
        columns.partition(ranks, axis=1)
        span = slice(start, start + len(columns))
        medians[0, span] = (columns[:, (n - 1) // 2] + columns[:, n // 2]) / 2
        medians[1, span], medians[2, span] = columns[:, low], columns[:, high]
    return medians[0], medians[1], medians[2]
