"""One image at a time: which are finite, fourth-moment shares, kurtosis.

Everything here is computed in float64 and in blocks, so that extra memory does not grow with the
number of images. Linear algebra has one number of threads, so that no figure depends on the
machine's cores.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from threadpoolctl import threadpool_limits

from tuiprobe.channels.array_types import BLOCK_VALUES, Bool, Float32, Float64
from tuiprobe.measure.arrays.tap_arrays import flatten_summary
from tuiprobe.measure.run.arrays import Arrays

BLAS_THREADS = 2
"""Products and decompositions round differently with every number of threads."""


@contextmanager
def fixed_threads() -> Iterator[None]:
    """Gives the BLAS of numpy and of scipy `BLAS_THREADS` threads within the block.

    Without it they take as many as the machine has cores, or as `OMP_NUM_THREADS` says, which
    torchrun sets to 1.
    """
    import scipy.linalg  # noqa: F401  its BLAS is another one than numpy's, limited once loaded

    with threadpool_limits(limits=BLAS_THREADS, user_api="blas"):
        yield


BLOCK_ROWS = 4096
"""Rows that are computed with at once, where a block is not bounded by its values."""


def finite_images(features: Float32) -> Bool:
    """Returns whether each representation is finite: every value, and its norm in float32.

    An image that fails this counts in no figure of the final representation. A representation of
    zeros is finite.

    Args:
        features: [n, C].

    Returns:
        [n].

    >>> h = np.array([[3, 4], [np.nan, 1], [np.inf, 0], [2e38, 2e38], [0, 0]], dtype=np.float32)
    >>> finite_images(h).tolist()
    [True, False, False, False, True]
    """
    finite = np.empty(features.shape[0], dtype=np.bool_)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, features.shape[0], BLOCK_ROWS):
            span = slice(start, start + BLOCK_ROWS)
            finite[span] = np.isfinite(np.linalg.norm(features[span], axis=1))
    return finite


def without_nonfinite(measured: Arrays) -> Arrays:
    """Returns `features` and `ids` of the images with a finite representation.

    Args:
        measured: `features` and `ids` of one set.
    """
    finite = finite_images(measured["features"])
    return measured if finite.all() else {name: a[finite] for name, a in measured.items()}


def final_statistics(merged: Arrays, finite: Arrays) -> Arrays:
    """Returns the statistics of the final representation without the removed images.

    Merged statistics leave out each value that is not finite; here all values of an image that has
    one are left out. `nonfinite` still counts the values.

    Args:
        merged: Fields of the final tap.
        finite: What `without_nonfinite` gave.
    """
    if len(finite["ids"]) == len(merged["sample_ids"]):
        return merged
    import torch  # readers that need no statistics load no torch

    from tuiprobe.stats import ActivationStats

    channels, k = merged["largest_values"].shape
    stats = ActivationStats(channels, k=k)
    features = np.ascontiguousarray(finite["features"])
    stats.update(torch.from_numpy(features), torch.from_numpy(finite["ids"]))
    return {**merged, **flatten_summary(stats.compute()), "nonfinite": merged["nonfinite"]}


MIN_CHANNELS = 20  # with fewer, "95 % of the channels" leaves none out


def blocks(rows: Float32) -> Iterator[tuple[slice, Float64]]:
    """Yields blocks of rows in float64, with the index of their first row.

    Args:
        rows: [n, C].
    """
    step = max(1, BLOCK_VALUES // max(1, rows.shape[1]))
    for start in range(0, rows.shape[0], step):
        span = slice(start, min(start + step, rows.shape[0]))
        yield span, rows[span].astype(np.float64)


def has_kurtosis(rows: Float32) -> Bool:
    """Returns whether each row has kurtosis, as bool [n]: values are finite and not all equal."""
    mask = np.zeros(rows.shape[0], dtype=np.bool_)
    for span, block in blocks(rows):
        finite = np.isfinite(block).all(axis=1)
        mask[span] = finite & (block.max(axis=1) > block.min(axis=1))
    return mask


def rows_with_kurtosis(rows: Float32) -> Float32:
    """Returns the rows that have kurtosis; the same array if all have."""
    mask = has_kurtosis(rows)
    return rows if mask.all() else rows[mask]


def shares_and_kurtosis(block: Float64) -> tuple[Float64, Float64]:
    """Returns each channel's share s_nc of its row's fourth moment, and the row's kurtosis.

    Args:
        block: [b, C], rows with kurtosis.

    Returns:
        Shares [b, C], each row summing to 1; kurtosis [b].

    >>> shares, kurtosis = shares_and_kurtosis(np.array([[1.0, 0.0, 0.0, 0.0]]))
    >>> np.round(shares, 3).tolist(), round(float(kurtosis[0]), 4)  # bound: C - 2 + 1/(C - 1)
    ([[0.964, 0.012, 0.012, 0.012]], 2.3333)
    """
    powers = block - block.mean(axis=1, keepdims=True)
    powers *= powers
    second = powers.mean(axis=1)
    powers *= powers
    total = powers.sum(axis=1, keepdims=True)
    kurtosis = total[:, 0] / powers.shape[1] / second**2
    powers /= total
    return powers, kurtosis


def kurtosis_and_slope(block: Float64) -> tuple[Float64, Float64]:
    """Returns the kurtosis of each row, and the sum over rows of its gradient in the values.

    Args:
        block: [b, C], finite.

    Returns:
        Kurtosis [b], NaN where a row is constant; gradient [C] over the other rows.
    """
    spread = block.max(axis=1) > block.min(axis=1)
    kurtosis = np.full(block.shape[0], np.nan)
    row = block[spread]
    row = row - row.mean(axis=1, keepdims=True)
    square = row * row
    second = square.mean(axis=1, keepdims=True)
    kurtosis[spread] = (square * square).mean(axis=1) / second[:, 0] ** 2
    # d kappa / d row, minus its mean over channels, because a row's mean is removed first.
    cube = row * (square / second - kurtosis[spread][:, None]) / second
    cube -= cube.mean(axis=1, keepdims=True)
    return kurtosis, 4 / max(1, block.shape[1]) * cube.sum(axis=0)
