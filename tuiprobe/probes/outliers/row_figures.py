"""The figures of a set of rows that rule v3 rests on, and its outcome.

Rows are the representations of images, one position of each at an inner tap, or a head's.
"""

import numpy as np

from tuiprobe.probes.inputs import Bool, Float32, Float64, Int64
from tuiprobe.probes.intervals import bootstrap_mean, delete_one, mean_interval
from tuiprobe.probes.outliers import persistence
from tuiprobe.probes.outliers.channel_result import (
    CurveRow,
    HeightColumns,
    Heights,
    Outcome,
    OutlierChannel,
    OutlierFinding,
    Persistence,
    Residual,
    RowFigures,
)
from tuiprobe.probes.outliers.heights import CUTS, OUTLIER, HeightScan, median_ranks, scan_heights
from tuiprobe.probes.outliers.offset import no_offset, offset
from tuiprobe.probes.outliers.rule import Circumstances, outlying, with_finding
from tuiprobe.probes.outliers.scan import RowScan, scan
from tuiprobe.probes.proportions import wilson, wilson_bounds
from tuiprobe.probes.rows import MIN_CHANNELS, usable
from tuiprobe.results import Estimate, Figure, NotRun, given

LEADING = 16
QUERIES = 256
"""Images whose nearest other image is looked for."""
NO_HEIGHTS = "no row has heights: over half of its values are zero, or it has no spread"
DIGITS = 5
"""Significant digits of the columns of all channels."""

_UNDETERMINED = OutlierFinding(outcome=Outcome.UNDETERMINED)


def figures_of_rows(
    rows: Float32,
    *,
    about: Circumstances | None = None,
    seed: int = 0,
    columns: bool = True,
    scanned: RowScan | None = None,
) -> RowFigures:
    """Computes kurtosis, persistence, heights, offset and residual of rows, and the outcome.

    Args:
        rows: float32 [n, C]; rows that are constant or not finite are left out.
        about: What else the outcome rests on; rows of a head are `Circumstances(head=True)`.
        seed: Seed of the bootstrap and of the images whose neighbours are looked for.
        columns: Whether to keep the figures of every channel.
        scanned: `scan(rows)`, where it was computed already.
    """
    about = about or Circumstances()
    keep, sums = usable(rows), scanned or scan(rows)
    kurtosis = bootstrap_mean(sums.kurtosis, seed)
    heights, outliers = _heights(rows, keep, sums, columns)
    figures = RowFigures(
        channels=rows.shape[1],
        kurtosis=kurtosis,
        basis_reference=basis_reference(rows.shape[1]),
        persistence=persistence.from_images(sums.share_sum, sums.own, sums.dots),
        heights=heights,
        outlier_channels=outliers,
        offset=offset(rows, keep, kurtosis, sums.kurtosis),
        residual=_residual(rows, keep, sums, seed),
        nearest_cosine=_nearest(rows, keep, sums.mean, seed)
        if about.unlabelled
        else NotRun(reason="looked for in images without labels only"),
        centred_cosine=sums.centred_cosine,
        finding=_UNDETERMINED,
    )
    return with_finding(figures, about)


def basis_reference(channels: int) -> float:
    """Returns the kurtosis that a random rotation of C channels is expected to have."""
    return 3 * (channels - 1) / (channels + 1)


def outlying_channels(rows: Float32) -> tuple[int, ...] | NotRun:
    """Returns the outlier channels of rows by rule v3, highest first, or why they have none.

    Args:
        rows: float32 [n, C].
    """
    heights = _scanned_heights(rows, usable(rows))
    if isinstance(heights, NotRun):
        return heights
    return tuple(_outlying(heights, _by_height(heights)))


def _scanned_heights(rows: Float32, keep: Bool) -> HeightScan | NotRun:
    if rows.shape[1] < MIN_CHANNELS:
        return NotRun(reason=f"takes {MIN_CHANNELS} channels; there are {rows.shape[1]}")
    if not keep.any():
        return NotRun(reason="no images")
    heights = scan_heights(rows, keep)
    return NotRun(reason=NO_HEIGHTS) if heights.without == heights.rows else heights


def _by_height(heights: HeightScan) -> Int64:
    above = heights.above[CUTS.index(OUTLIER)]
    return np.lexsort((np.arange(len(above)), -above, -heights.median))


def _outlying(heights: HeightScan, order: Int64) -> list[int]:
    marked = outlying(heights.above[CUTS.index(OUTLIER)], heights.rows)
    return [int(c) for c in order[marked[order]]]


def _heights(
    rows: Float32, keep: Bool, sums: RowScan, columns: bool
) -> tuple[Heights | NotRun, tuple[OutlierChannel, ...]]:
    """Returns the heights and the outlier channels."""
    heights = _scanned_heights(rows, keep)
    if isinstance(heights, NotRun):
        return heights, ()
    n = heights.rows
    low = np.array([wilson_bounds(counts, n)[0] for counts in heights.above])
    order = _by_height(heights)
    outliers = _outlying(heights, order)
    leading = [int(c) for c in order[:LEADING]]
    channels = {
        c: _channel(rows[keep, c].astype(np.float64), c, sums, heights)
        for c in dict.fromkeys([*leading, *outliers])
    }
    return Heights(
        n=n,
        without=heights.without,
        skewed=heights.skewed,
        highest=channels[leading[0]].height,
        leading=tuple(channels[c] for c in leading),
        curve=tuple(
            CurveRow(
                cut=cut,
                in_50=int((bound >= 0.5).sum()),
                in_90=int((bound >= 0.9).sum()),
                in_99=int((bound >= 0.99).sum()),
            )
            for cut, bound in zip(CUTS, low, strict=True)
        ),
        columns=_columns(sums, heights) if columns else None,
    ), tuple(channels[c] for c in outliers)


def _channel(values: Float64, channel: int, sums: RowScan, heights: HeightScan) -> OutlierChannel:
    n = heights.rows
    mean, square = float(sums.mean[channel]), float(sums.square[channel] / n)
    energy = float(heights.energy[channel]), float(heights.energy_squares[channel])
    return OutlierChannel(
        channel=channel,
        height=Estimate(
            value=float(heights.median[channel]),
            low=float(heights.low[channel]) if heights.interval else None,
            high=float(heights.high[channel]) if heights.interval else None,
            n=n,
            method="median over images; binomial order statistics"
            if heights.interval
            else "median; no interval: fewer than 6 images",
        ),
        above=wilson(int(heights.above[CUTS.index(OUTLIER), channel]), n),
        energy=mean_interval(*energy, n, low=0, high=1),
        sign=-1 if heights.side[channel] < 0 else 1,
        mean=mean,
        sd=float(values.std()),
        offset=_constant_part(values, mean, square),
    )


def _constant_part(values: Float64, mean: float, square: float) -> Figure:
    """Returns the share of a channel's energy that is the square of its mean."""
    n = values.size
    if n < 3:
        return NotRun(reason="needs three images")
    if square == 0:
        return NotRun(reason="the channel is zero in every image")
    squares = (n * square - values**2) / (n - 1)
    if (squares <= 0).any():
        return NotRun(reason="the channel is zero in all images but one")
    without = ((n * mean - values) / (n - 1)) ** 2 / squares
    return delete_one(mean * mean / square, without, low=0, high=1)


def _columns(sums: RowScan, heights: HeightScan) -> HeightColumns:
    n = heights.rows
    square = sums.square / n
    var = np.maximum(square - sums.mean**2, 0)
    constant = np.divide(sums.mean**2, square, out=np.zeros_like(square), where=square > 0)

    def column(values: np.ndarray) -> tuple[float, ...]:
        return tuple(float(f"{value:.{DIGITS}g}") for value in values.tolist())

    return HeightColumns(
        median=column(heights.median),
        above=column(heights.above[CUTS.index(OUTLIER)] / n),
        energy=column(heights.energy / n),
        mean=column(sums.mean),
        sd=column(np.sqrt(var)),
        offset=column(constant),
    )


def _residual(rows: Float32, keep: Bool, sums: RowScan, seed: int) -> Residual:
    if sums.images < 2:
        return no_residual("needs two images that count")
    if not np.isfinite(sums.centred_kurtosis).any():
        return no_residual("nothing is left after centring: all images are alike")
    figure = bootstrap_mean(sums.centred_kurtosis + sums.centred_influence, seed)
    if given(figure):
        value = float(np.nanmean(sums.centred_kurtosis))
        figure = figure.model_copy(update={"value": value})
    shares = persistence.centred_persistence(rows, keep, sums)
    return Residual(kurtosis=figure, persistence=shares)


def no_residual(reason: str) -> Residual:
    """Returns a residual of which nothing could be computed."""
    return Residual(kurtosis=NotRun(reason=reason), persistence=NotRun(reason=reason))


def without_rows(
    channels: int, kurtosis: Figure, share: Persistence, about: Circumstances, reason: str
) -> RowFigures:
    """Returns the figures where no rows were kept: kurtosis and persistence alone.

    Args:
        channels: Width C.
        kurtosis: Kappa.
        share: Persistence from sums.
        about: What else the outcome rests on.
        reason: Why there are no rows.
    """
    none = NotRun(reason=reason)
    figures = RowFigures(
        channels=channels,
        kurtosis=kurtosis,
        basis_reference=basis_reference(channels),
        persistence=share,
        heights=none,
        offset=no_offset(reason),
        residual=no_residual(reason),
        nearest_cosine=none,
        centred_cosine=none,
        finding=_UNDETERMINED,
    )
    return with_finding(figures, about)


def _nearest(rows: Float32, keep: Bool, mean: Float64, seed: int) -> Figure:
    """Returns the median cosine of up to 256 seeded rows with their nearest other row, centred."""
    places = np.flatnonzero(keep)
    n = places.size
    if n < 3:
        return NotRun(reason="needs three images")
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(places, min(QUERIES, n), replace=False))
    centre = mean.astype(np.float32)
    queries = _unit(rows[chosen] - centre)
    best = np.full(chosen.size, -1.0, dtype=np.float32)
    step = max(1, (1 << 22) // rows.shape[1])
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        alive = keep[start : start + step]
        cosine = queries @ _unit(np.where(alive[:, None], block, centre) - centre).T
        here = np.flatnonzero((chosen >= start) & (chosen < start + step))
        cosine[here, chosen[here] - start] = -1.0
        best = np.maximum(best, cosine.max(axis=1))
    ranked, ranks = np.sort(best), median_ranks(best.size)
    return Estimate(
        value=float(np.median(ranked)),
        low=float(ranked[ranks[0]]) if ranks else None,
        high=float(ranked[ranks[1]]) if ranks else None,
        n=best.size,
        method="median over a sample of images; binomial order statistics",
    )


def _unit(rest: Float32) -> Float32:
    largest = np.abs(rest).max(axis=1, keepdims=True)  # squares of float32 overflow early
    scaled = rest / np.where(largest > 0, largest, 1)
    norm = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.asarray(scaled / np.where(norm > 0, norm, 1), dtype=np.float32)
