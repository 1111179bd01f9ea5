"""Every outlier figure of one set at one tap, and of any rows that share one basis.

The final representation is computed exactly from its features. Inner taps take kurtosis from the
per-image values, shares and persistence from sums and shards, and heights, offset and residual from
a seeded sample of rows, named as sampled.
"""

from collections.abc import Mapping

import numpy as np

from tuiprobe.channels.array_types import Float32, Float64, Int64
from tuiprobe.channels.heights import HeightScan, median_ranks, scan_heights
from tuiprobe.inside.outliers.moments import (
    RowMoments,
    basis_reference,
    moments,
    offset,
    persistence_of_sums,
)
from tuiprobe.inside.outliers.result import (
    ChannelImages,
    HeightColumns,
    Heights,
    Outcome,
    OutlierChannel,
    OutlierFinding,
    Outliers,
    RowFigures,
)
from tuiprobe.inside.outliers.rules import RowContext, finding
from tuiprobe.measure.arrays.row_statistics import MIN_CHANNELS, rows_with_kurtosis
from tuiprobe.measure.arrays.tap_arrays import TapArrays
from tuiprobe.probes.intervals import bootstrap_mean, delete_one, exact, mean_interval
from tuiprobe.results import Estimate, Figure, Model, NotRun, is_known
from tuiprobe.results.proportions import wilson
from tuiprobe.results.section import TopImage

LEADING = 16
"""Channels of greatest height that are listed with intervals."""
TOP_IMAGE_CHANNELS = 8
TOP_IMAGE_HEIGHTS = 4
QUERIES = 256
"""Images whose nearest other image is looked for."""
SAMPLED = "sample of one position per image"


def probe_outliers(
    tap: TapArrays,
    paths: Mapping[int, str] | None = None,
    seed: int = 0,
    model: Model | None = None,
) -> Outliers:
    """Computes all outlier figures of one set at one tap.

    Args:
        tap: The arrays.
        paths: Relative path by sample id, for the top images; ids it lacks get None.
        seed: Seed of the bootstrap.
        model: The encoder; the outcome is withheld where it is untrained.
    """
    statistics = tap.statistics
    classes = None if tap.labels is None else int(np.unique(tap.labels).size)
    untrained = model is not None and model.weights.kind == "untrained"
    context = RowContext(untrained=untrained, classes=classes)
    rows = rows_with_kurtosis(tap.rows)
    figures = figures_of_rows(rows, context, seed, columns=tap.final)
    if not tap.final:
        figures = _with_all_positions(figures, tap, context, seed)
    return Outliers(
        **dict(figures),
        data=tap.set,
        tap=tap.tap,
        kind=tap.kind,
        tokens=tap.tokens,
        final=tap.final,
        images=int(np.asarray(statistics["sample_ids"]).size),
        degenerate=int(statistics["degenerate"]),
        nonfinite=int(np.asarray(statistics["nonfinite"]).sum()),
        rows=int(statistics["rows"]),
        classes=classes,
        large_norm_tokens=large_norm_tokens(tap),
        top_images=_top_images(tap, figures, paths or {}),
    )


def figures_of_rows(
    rows: Float32,
    context: RowContext = RowContext(),  # noqa: B008  it is frozen
    seed: int = 0,
    *,
    columns: bool = True,
) -> RowFigures:
    """Computes kurtosis, persistence, heights and offset of rows, and the outcome.

    Args:
        rows: float32 [n, C]; rows that are constant or not finite are left out.
        context: What else the outcome rests on.
        seed: Seed of the bootstrap and of the images whose neighbours are looked for.
        columns: Whether to keep the figures of every channel.
    """
    rows = rows_with_kurtosis(rows)
    of_rows = moments(rows, seed)
    kurtosis = bootstrap_mean(of_rows.kurtosis, seed)
    heights, outliers = _heights(rows, of_rows, columns)
    nearest: Figure = NotRun(reason="looked for in images without labels only")
    if context.unlabelled:
        nearest = _nearest(rows, of_rows.mean, seed)
    figures = RowFigures(
        channels=rows.shape[1],
        kurtosis=kurtosis,
        basis_reference=basis_reference(rows.shape[1]),
        persistence=of_rows.persistence,
        heights=heights,
        outlier_channels=outliers,
        offset=offset(rows, kurtosis, of_rows.kurtosis),
        centred_kurtosis=of_rows.centred_kurtosis,
        nearest_cosine=nearest,
        centred_cosine=of_rows.centred_cosine,
        finding=OutlierFinding(outcome=Outcome.UNDETERMINED),
    )
    return figures.model_copy(update={"finding": finding(figures, context)})


def _with_all_positions(
    figures: RowFigures, tap: TapArrays, context: RowContext, seed: int
) -> RowFigures:
    """Returns the figures of a sample with kurtosis and persistence of all rows of its tap."""
    share_sum, q = np.asarray(tap.statistics["share_sum"]), tap.statistics["share_square_sum"]
    counted = int(np.isfinite(tap.statistics["sample_kurtosis"]).sum())
    heights = figures.heights
    if isinstance(heights, Heights):
        heights = heights.model_copy(update={"sampled": True})
    left = figures.centred_kurtosis
    if is_known(left):
        left = left.model_copy(update={"method": f"{left.method}; {SAMPLED}"})
    update = {
        "kurtosis": bootstrap_mean(tap.statistics["sample_kurtosis"], seed),
        "persistence": persistence_of_sums(share_sum, float(q), counted, tap.shards),
        "heights": heights,
        "centred_kurtosis": left,
    }
    figures = figures.model_copy(update=update)
    return figures.model_copy(update={"finding": finding(figures, context)})


def outlying_channels(rows: Float32) -> tuple[int, ...] | NotRun:
    """Returns the outlier channels of rows by rule v3, highest first, or why they have none.

    Args:
        rows: float32 [n, C].
    """
    scan = _scanned(rows_with_kurtosis(rows))
    if isinstance(scan, NotRun):
        return scan
    return tuple(scan.order[scan.outlying[scan.order]].tolist())


def _scanned(rows: Float32) -> HeightScan | NotRun:
    if rows.shape[1] < MIN_CHANNELS:
        return NotRun(reason=f"takes {MIN_CHANNELS} channels; there are {rows.shape[1]}")
    if not len(rows):
        return NotRun(reason="no images")
    scan = scan_heights(rows)
    if 2 * scan.without < scan.rows:  # else medians of heights are those of rows without
        return scan
    return NotRun(
        reason=f"{scan.without:,} of {scan.rows:,} rows have no heights: over half of their "
        "values are zero, or they have no spread"
    )


def _heights(
    rows: Float32, of_rows: RowMoments, columns: bool
) -> tuple[Heights | NotRun, tuple[OutlierChannel, ...]]:
    """Returns the heights and the outlier channels."""
    scan = _scanned(rows)
    if isinstance(scan, NotRun):
        return scan, ()
    n, order = scan.rows, scan.order
    leading, outliers = order[:LEADING].tolist(), order[scan.outlying[order]].tolist()
    channels = {
        c: _channel(rows[:, c].astype(np.float64), c, of_rows, scan)
        for c in dict.fromkeys([*leading, *outliers])
    }
    heights = Heights(
        n=n,
        without=scan.without,
        skewed=scan.skewed,
        highest=channels[leading[0]].height,
        leading=tuple(channels[c] for c in leading),
        columns=_columns(of_rows, scan) if columns else None,
    )
    return heights, tuple(channels[c] for c in outliers)


def _channel(
    values: Float64, channel: int, of_rows: RowMoments, scan: HeightScan
) -> OutlierChannel:
    n, interval = scan.rows, median_ranks(scan.rows) is not None
    mean, square = float(of_rows.mean[channel]), float(of_rows.square[channel] / n)
    energy = float(scan.energy[channel]), float(scan.energy_squares[channel])
    squares = (n * square - values**2) / max(1, n - 1)
    offset: Figure
    if n < 3:
        offset = NotRun(reason="needs three images")
    elif square == 0:
        offset = NotRun(reason="the channel is zero in every image")
    elif (squares <= 0).any():
        offset = NotRun(reason="the channel is zero in all images but one")
    else:
        without = ((n * mean - values) / (n - 1)) ** 2 / squares
        offset = delete_one(mean * mean / square, without, low=0, high=1)
    return OutlierChannel(
        channel=channel,
        height=Estimate(
            value=float(scan.median[channel]),
            low=float(scan.low[channel]) if interval else None,
            high=float(scan.high[channel]) if interval else None,
            n=n,
            method="median over images; binomial order statistics"
            if interval
            else "median; no interval: fewer than 6 images",
        ),
        above=wilson(int(scan.above[channel]), n),
        energy=mean_interval(*energy, n, low=0, high=1),
        mean=mean,
        sd=float(values.std()),
        offset=offset,
    )


def _columns(of_rows: RowMoments, scan: HeightScan) -> HeightColumns:
    """Returns the figures of every channel, with five significant digits."""
    n, mean = scan.rows, of_rows.mean
    square = of_rows.square / n
    constant = np.divide(mean**2, square, out=np.zeros_like(square), where=square > 0)
    columns: dict[str, Float32 | Float64] = {
        "median": scan.median,
        "above": scan.above / n,
        "energy": scan.energy / n,
        "mean": mean,
        "sd": np.sqrt(np.maximum(square - mean**2, 0)),
        "offset": constant,
    }
    return HeightColumns(
        **{
            name: tuple(float(f"{value:.5g}") for value in values.tolist())
            for name, values in columns.items()
        }
    )


def _nearest(rows: Float32, mean: Float64, seed: int) -> Figure:
    """Returns the median cosine of up to 256 seeded rows with their nearest other row, centred."""
    n = len(rows)
    if n < 3:
        return NotRun(reason="needs three images")
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(n, min(QUERIES, n), replace=False))
    centre = mean.astype(np.float32)
    queries = _unit(rows[chosen] - centre)
    best = np.full(chosen.size, -1.0, dtype=np.float32)
    step = max(1, (1 << 22) // rows.shape[1])
    for start in range(0, n, step):
        cosine = queries @ _unit(rows[start : start + step] - centre).T
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


def _unit(rows: Float32) -> Float32:
    largest = np.abs(rows).max(axis=1, keepdims=True)  # squares of float32 overflow early
    scaled = rows / np.where(largest > 0, largest, 1)
    norm = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.asarray(scaled / np.where(norm > 0, norm, 1), dtype=np.float32)


def _top_images(
    tap: TapArrays,
    figures: RowFigures,
    paths: Mapping[int, str],
) -> tuple[ChannelImages, ...]:
    """Returns images at both ends of outlier channels and of the highest ones."""

    def end(name: str, channel: int) -> tuple[TopImage, ...]:
        columns = [
            tap.statistics[f"{name}_{part}"][channel]
            for part in ("values", "sample_ids", "positions")
        ]
        return tuple(
            TopImage(
                sample_id=int(sample),
                path=paths.get(int(sample)),
                value=float(value),
                position=int(position),
            )
            for value, sample, position in zip(*columns, strict=True)
            if sample >= 0 and np.isfinite(value)
        )

    highest = figures.heights.leading if isinstance(figures.heights, Heights) else ()
    channels = [
        *(row.channel for row in figures.outlier_channels[:TOP_IMAGE_CHANNELS]),
        *(row.channel for row in highest[:TOP_IMAGE_HEIGHTS]),
    ]
    return tuple(
        ChannelImages(channel=c, largest=end("largest", c), smallest=end("smallest", c))
        for c in dict.fromkeys(channels)
    )


def large_norm_tokens(tap: TapArrays) -> Figure:
    """Returns the share of tokens in a second mode of large norms (Darcet et al. 2024)."""
    if tap.kind != "token" or tap.tokens != "all":
        return NotRun(reason="needs the norms of all tokens of a transformer's residual stream")
    histogram = np.asarray(tap.statistics["norm_histogram"], dtype=np.int64)
    total = int(histogram.sum())
    if total == 0:
        return NotRun(reason="no tokens")
    cut = second_mode(histogram)
    above = 0 if cut is None else int(histogram[cut:].sum())
    return exact(above / total, total, "count over all tokens", "share")


def second_mode(histogram: Int64) -> int | None:
    """Returns the first bin above the valley before a second mode, if there is one.

    Bins are quarter octaves of the norm. A second mode lies at least an octave above the main one,
    holds at least 0.1 % of the tokens, and stands at least twice as high as the valley between.

    >>> norms = np.zeros(96, dtype=np.int64); norms[30:34] = [10, 800, 700, 20]
    >>> second_mode(norms) is None
    True
    >>> norms[44:46] = [15, 9]
    >>> second_mode(norms)
    35
    """
    total, main = int(histogram.sum()), int(histogram.argmax())
    best: int | None = None
    height = 0
    for peak in range(main + 4, histogram.size):
        valley = int(histogram[main:peak].min())
        cut = main + int(histogram[main:peak].argmin()) + 1
        enough = histogram[cut:].sum() >= 1e-3 * total
        if histogram[peak] >= max(1, 2 * valley) and histogram[peak] > height and enough:
            best, height = cut, int(histogram[peak])
    return best
