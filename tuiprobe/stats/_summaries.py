"""Results of the accumulators: frozen records of NumPy arrays on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of each channel over all positions; names and ddof 0 as in scipy.stats.

    A channel without values is NaN throughout; a constant one has variance 0 and undefined (NaN)
    skewness and kurtosis.

    Attributes:
        count: int64 [C], finite values seen.
        mean: float64 [C].
        var: float64 [C], ddof 0.
        skewness: float64 [C], m3 / m2^1.5.
        kurtosis: float64 [C], Pearson's: m4 / m2^2, 3 for a Gaussian.
        min: float64 [C], over the finite values.
        max: float64 [C], likewise.
        nonfinite: int64 [C], NaN and infinities; these are in no other figure.
    """

    count: Int64
    mean: Float64
    var: Float64
    skewness: Float64
    kurtosis: Float64
    min: Float64
    max: Float64
    nonfinite: Int64


@dataclass(frozen=True, eq=False)
class TopK:
    """The most extreme entries of each channel, at most one per image, best first.

    Attributes:
        values: float32 [C, k]; NaN where fewer than k images were seen.
        sample_ids: int64 [C, k]; -1 likewise.
        positions: int32 [C, k], index of the position within its image; -1 likewise.
    """

    values: Float32
    sample_ids: Int64
    positions: Int32


@dataclass(frozen=True, eq=False)
class SampleSummary:
    """Per-image figures, one entry per image in order of arrival, and sums over the images.

    With z_nc = (h_nc - mean_n) / sigma_n over the C channels of a row, s_nc = z_nc^4 / sum_c
    z_nc^4 is the share of channel c in the row's fourth moment. Kurtosis and shares are averaged
    over the positions of an image first. An image is degenerate if a row has no variance or a value
    that is not finite: its figures are NaN (leading: -1), and the sums leave it out.

    Attributes:
        sample_ids: int64 [n].
        kurtosis: float64 [n], mean over the positions of the row's Pearson kurtosis over channels.
        self_share: float64 [n], sum_c s_nc^2.
        leading: int32 [n], channel of the largest s_nc.
        share_sum: float64 [C], S_c = sum_n s_nc.
        share_square_sum: Scalar q = sum_nc s_nc^2.
        leading_count: int64 [C], images a channel leads.
        rows: Number of positions seen.
        norm_histogram: int64 [96], L2 norms of the finite rows; bin floor(4 log2(norm)) + 32,
            clamped to [0, 95].
        degenerate: Number of degenerate images.
    """

    sample_ids: Int64
    kurtosis: Float64
    self_share: Float64
    leading: Int32
    share_sum: Float64
    share_square_sum: float
    leading_count: Int64
    rows: int
    norm_histogram: Int64
    degenerate: int


@dataclass(frozen=True, eq=False)
class ActivationSummary:
    """The complete result of `tuiprobe.stats.ActivationStats`."""

    moments: Moments
    largest: TopK
    smallest: TopK
    samples: SampleSummary


def sample_summary(arrays: dict[str, Any]) -> SampleSummary:
    """Builds a SampleSummary from the native module's arrays, whose scalars have one entry."""
    scalars = {
        "share_square_sum": float(arrays["share_square_sum"][0]),
        "rows": int(arrays["rows"][0]),
        "degenerate": int(arrays["degenerate"][0]),
    }
    return SampleSummary(**(arrays | scalars))


def no_entries(channels: int) -> TopK:
    """Returns the result of a top 0: arrays `[C, 0]`."""
    empty = (channels, 0)
    return TopK(np.empty(empty, np.float32), np.empty(empty, np.int64), np.empty(empty, np.int32))
