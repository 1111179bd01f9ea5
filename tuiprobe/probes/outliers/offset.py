"""The offset: the part of the rows that is the same in all of them, and the kurtosis it explains.

Rows are standardised over their channels (z), so that each counts alike. With mu the mean row of z,
m2 and m4 its moments over channels and v = 1 - m2 the variance left, rows of that offset and
isotropic noise have the expected kurtosis m4 + 6 m2 v + 3 v^2.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from tuiprobe.probes.inputs import Bool, Float32, Float64
from tuiprobe.probes.intervals import delete_one, exact
from tuiprobe.probes.outliers.channel_result import Offset
from tuiprobe.probes.rows import blocks
from tuiprobe.results import Figure, NotRun, given

HALF = 0.5
MIN_ROWS = 3

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


def offset(rows: Float32, keep: Bool, kurtosis: Figure, row_kurtosis: Float64) -> Offset:
    """Computes the offset with delete-one-row jackknife intervals.

    Args:
        rows: [m, C].
        keep: [m], the rows that are finite and not constant.
        kurtosis: Kappa with its interval.
        row_kurtosis: [n], kurtosis of each kept row.
    """
    n, channels = int(keep.sum()), rows.shape[1]
    if n < MIN_ROWS:
        return no_offset("needs three images that count")
    if channels < SMALLEST:
        return no_offset(f"takes {SMALLEST} channels; there are {channels}")
    mu, square = np.zeros(channels), np.zeros(channels)
    for _, z in _standardised(rows, keep):
        mu += z.sum(axis=0)
        square += (z * z).sum(axis=0)
    mu, square = mu / n, square / n
    without = np.zeros((4, n))
    for place, z in _standardised(rows, keep):
        mean = (n * mu - z) / (n - 1)
        without[:, place] = _moments(mean, (n * square - z * z) / (n - 1))
    m2, m4, predicted, uneven = (float(x[0]) for x in _moments(mu[None], square[None]))
    top = float(channels)
    share = delete_one(m2, without[0], low=0, high=1)
    # The fewest channels that carry half of sum mu_c^2, largest first.
    power = mu * mu
    order = np.lexsort((np.arange(channels), -power))
    reached = np.cumsum(power[order]) >= HALF * power.sum()
    half = tuple(order[: int(reached.argmax()) + 1].tolist())
    return Offset(
        share=share,
        kurtosis=delete_one(m4 / m2**2, without[1] / without[0] ** 2, low=1, high=top)
        if m2 > 0
        else NotRun(reason="the mean row is zero"),
        null_999=exact(null_999(channels), n, "Monte Carlo, 600,000 random directions a width"),
        predicted=delete_one(predicted, without[2], low=0, high=top),
        predicted_uneven=delete_one(uneven, without[3], low=0, high=top),
        explained=_explained(predicted, without[2], kurtosis, row_kurtosis, channels),
        half=half if given(share) and share.low is not None and share.low > 0 else (),
    )


def no_offset(reason: str) -> Offset:
    """Returns an offset of which nothing could be computed."""
    none = NotRun(reason=reason)
    return Offset(
        share=none, kurtosis=none, null_999=none, predicted=none, predicted_uneven=none,
        explained=none, half=(),
    )  # fmt: skip


def _standardised(rows: Float32, keep: Bool) -> Iterator[tuple[slice, Float64]]:
    """Yields blocks of the kept rows with mean 0 and variance 1 over their channels."""
    done = 0
    for place, block in blocks(rows):
        z = block[keep[place]]
        if not len(z):
            continue
        z -= z.mean(axis=1, keepdims=True)
        z /= np.sqrt(np.einsum("ij,ij->i", z, z) / z.shape[1])[:, None]
        yield slice(done, done + len(z)), z
        done += len(z)


def _moments(mean: Float64, square: Float64) -> tuple[Float64, Float64, Float64, Float64]:
    """Returns m2, m4 and both predicted kurtoses for mean rows [b, C] and mean squares [b, C]."""
    power = mean * mean
    m2 = power.mean(axis=1)
    left = square - power
    m4 = np.einsum("ij,ij->i", power, power) / mean.shape[1]
    v = 1 - m2
    channel = 6 * np.einsum("ij,ij->i", power, left) + 3 * np.einsum("ij,ij->i", left, left)
    return m2, m4, m4 + 6 * m2 * v + 3 * v * v, m4 + channel / mean.shape[1]


def _explained(
    predicted: float, without: Float64, kurtosis: Figure, row_kurtosis: Float64, channels: int
) -> Figure:
    """Returns the part of the kurtosis above its reference that the prediction explains."""
    reference = 3 * (channels - 1) / (channels + 1)
    if not given(kurtosis) or kurtosis.low is None or kurtosis.low <= reference:
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
