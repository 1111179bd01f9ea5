"""The outlier probe: every outlier figure of one set at one tap.

The final representation is computed exactly from its features. Inner taps take kurtosis from the
per-image values, shares and persistence from sums and shards, and heights, offset and residual from
a seeded sample of rows, named as sampled.
"""

from collections.abc import Mapping

import numpy as np

from tuiprobe.probes.inputs import Float32, Float64, TapArrays
from tuiprobe.probes.intervals import bootstrap_mean, delete_shard, exact, mean_interval
from tuiprobe.probes.outliers import persistence
from tuiprobe.probes.outliers.channel_result import Heights, Persistence, Residual, RowFigures
from tuiprobe.probes.outliers.neighbours import neighbouring
from tuiprobe.probes.outliers.of_rows import figures_of_rows, without_rows
from tuiprobe.probes.outliers.result import ChannelImages, ChannelShare, Outliers
from tuiprobe.probes.outliers.rule import Circumstances, finding
from tuiprobe.probes.outliers.scan import RowScan, scan
from tuiprobe.probes.proportions import wilson
from tuiprobe.results import Estimate, Figure, NotRun, given
from tuiprobe.results.section import TopImage

TOP_SHARES = 16
TOP_IMAGE_CHANNELS = 8
TOP_IMAGE_HEIGHTS = 4
SAMPLED = "sample of one position per image"


def probe_outliers(
    tap: TapArrays,
    *,
    paths: Mapping[int, str] | None = None,
    seed: int = 0,
    about: Circumstances | None = None,
) -> Outliers:
    """Computes all outlier figures of one set at one tap.

    Args:
        tap: The arrays.
        paths: Relative path by sample id, for the top images; ids it lacks get None.
        seed: Seed of the bootstrap.
        about: What else the outcome rests on; without it, the labels alone.
    """
    stats, channels, final = tap.statistics, tap.channels, tap.features is not None
    rows = tap.features if tap.features is not None else tap.rows
    classes = None if tap.labels is None else int(np.unique(tap.labels).size)
    about = about or Circumstances(classes=classes)
    one = None if rows is None else scan(rows)
    exact_scan = one if final else None
    figures = _figures_of(tap, rows, one, about, seed)
    shares = _shares_of_features(tap, exact_scan) if exact_scan else _shares_of_sums(tap)
    return Outliers(
        **dict(figures),
        data=tap.set,
        tap=tap.tap,
        kind=tap.kind,
        tokens=tap.tokens,
        final=final,
        images=int(np.asarray(stats["sample_ids"]).size),
        degenerate=int(stats["degenerate"]),
        nonfinite=int(np.asarray(stats["nonfinite"]).sum()),
        rows=int(stats["rows"]),
        classes=classes,
        bound=_bound(channels),
        shares=shares,
        rms_kurtosis=_rms_kurtosis(tap, one),
        mean_cosine=exact_scan.mean_cosine
        if exact_scan
        else NotRun(reason="given for the final representation only"),
        criteria=neighbouring(tap, figures.kurtosis, figures.basis_reference),
        top_images=_top_images(tap, _leading(shares, figures), paths or {}),
    )


def _figures_of(
    tap: TapArrays, rows: Float32 | None, one: RowScan | None, about: Circumstances, seed: int
) -> RowFigures:
    """Returns the figures of the rows; at inner taps kurtosis and persistence of all of them."""
    if tap.features is not None:
        return figures_of_rows(tap.features, about=about, seed=seed, found=one)
    kurtosis = bootstrap_mean(tap.statistics["sample_kurtosis"], seed)
    share = _persistence(tap)
    if rows is None:
        reason = "no rows were kept at this tap"
        return without_rows(tap.channels, kurtosis, share, about, reason)
    sampled = figures_of_rows(rows, about=about, seed=seed, columns=False, found=one)
    figures = sampled.model_copy(
        update={
            "kurtosis": kurtosis,
            "persistence": share,
            "heights": _sampled(sampled.heights),
            "residual": Residual(
                kurtosis=_noted(sampled.residual.kurtosis, SAMPLED),
                persistence=_noted(sampled.residual.persistence, SAMPLED),
            ),
        }
    )
    return figures.model_copy(update={"finding": finding(figures, about)})


def _sampled(heights: Heights | NotRun) -> Heights | NotRun:
    return heights.model_copy(update={"sampled": True}) if isinstance(heights, Heights) else heights


def _bound(channels: int) -> Figure:
    if channels < 2:
        return NotRun(reason="needs two channels")
    return exact(channels - 2 + 1 / (channels - 1), 0, "closed form: one channel carries all")


def _noted(figure: Figure, note: str) -> Figure:
    if not given(figure):
        return figure
    return figure.model_copy(update={"method": f"{figure.method}; {note}"})


def _persistence(tap: TapArrays) -> Persistence:
    sums = np.asarray(tap.statistics["share_sum"]), float(tap.statistics["share_square_sum"])
    images = _counted(tap)
    if tap.shards is None:
        return persistence.without_interval(*sums, images)
    return persistence.from_shards(*sums, images, tap.shards)


def _counted(tap: TapArrays) -> int:
    return int(np.isfinite(tap.statistics["sample_kurtosis"]).sum())


def _order(share_sum: Float64) -> list[int]:
    ranked = np.lexsort((np.arange(share_sum.size), -share_sum))[:TOP_SHARES]
    return [int(c) for c in ranked if share_sum[c] > 0]


def _shares_of_features(tap: TapArrays, rows: RowScan) -> tuple[ChannelShare, ...]:
    shares = []
    for c in _order(rows.share_sum):
        share = mean_interval(rows.share_sum[c], rows.share_squares[c], rows.images, low=0, high=1)
        shares.append(_channel(tap, c, share, wilson(int(rows.leading_count[c]), rows.images)))
    return tuple(shares)


def _shares_of_sums(tap: TapArrays) -> tuple[ChannelShare, ...]:
    share_sum = np.asarray(tap.statistics["share_sum"], dtype=np.float64)
    images, shards = _counted(tap), tap.shards
    if images == 0:
        return ()
    shares = []
    for c in _order(share_sum):
        value = float(share_sum[c]) / images
        share: Figure = exact(value, images, "no interval: no shards were kept")
        if shards is not None:
            filled = (shards.images > 0) & (shards.images < images)
            without = (share_sum[c] - shards.share_sum[filled, c]) / (
                images - shards.images[filled]
            )
            share = delete_shard(value, without, shards.images[filled], low=0, high=1)
        leading = wilson(int(tap.statistics["leading_count"][c]), images)
        shares.append(_channel(tap, c, share, leading))
    return tuple(shares)


def _channel(tap: TapArrays, channel: int, share: Figure, leading: Figure) -> ChannelShare:
    return ChannelShare(
        channel=channel,
        share=share,
        leading=leading,
        mean=float(tap.statistics["mean"][channel]),
        std=float(np.sqrt(tap.statistics["var"][channel])),
    )


def _rms_kurtosis(tap: TapArrays, rows: RowScan | None) -> Figure:
    if tap.features is not None and rows is not None:
        return rows.rms_kurtosis
    mean, var = (np.asarray(tap.statistics[name], dtype=np.float64) for name in ("mean", "var"))
    square = mean**2 + var
    if not (np.isfinite(square).all() and square.any()):
        return NotRun(reason="a channel has no finite value, or all are zero")
    value = float((square**2).mean() / square.mean() ** 2)
    counted = _counted(tap)
    if rows is None or not given(rows.rms_kurtosis) or rows.rms_kurtosis.low is None:
        return exact(value, counted, "no interval: no rows were kept")
    # All positions vary less than one sampled position per image, so the interval is too wide.
    return _around(value, rows.rms_kurtosis, counted)


def _around(value: float, sample: Estimate, images: int) -> Figure:
    assert sample.low is not None
    assert sample.high is not None
    return Estimate(
        value=value,
        low=max(1.0, value - (sample.value - sample.low)),
        high=value + (sample.high - sample.value),
        n=images,
        method=f"all rows; width of the interval from a {SAMPLED}, so too wide",
    )


def _leading(shares: tuple[ChannelShare, ...], figures: RowFigures) -> list[int]:
    chosen = [one.channel for one in figures.outlier_channels[:TOP_IMAGE_CHANNELS]]
    if isinstance(figures.heights, Heights):
        highest = figures.heights.leading[:TOP_IMAGE_HEIGHTS]
        chosen += [one.channel for one in highest]
    chosen += [share.channel for share in shares[:TOP_IMAGE_CHANNELS]]
    return list(dict.fromkeys(chosen))


def _top_images(
    tap: TapArrays, channels: list[int], paths: Mapping[int, str]
) -> tuple[ChannelImages, ...]:
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

    return tuple(
        ChannelImages(channel=c, largest=end("largest", c), smallest=end("smallest", c))
        for c in channels
    )
