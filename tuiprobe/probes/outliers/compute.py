"""The outlier probe: every outlier figure of one set at one tap.

The final representation is computed exactly from its features. Inner taps take kurtosis from the
per-image values, shares and persistence from sums and shards, and persistent channels and centred
kurtosis from a seeded sample of rows, named as sampled.
"""

from collections.abc import Mapping

import numpy as np

from tuiprobe.probes.inputs import Float64, TapArrays
from tuiprobe.probes.intervals import bootstrap_mean, delete_shard, exact, mean_interval, wilson
from tuiprobe.probes.outliers import persistence
from tuiprobe.probes.outliers.neighbours import neighbouring
from tuiprobe.probes.outliers.persistent import persistent_channels
from tuiprobe.probes.outliers.result import (
    ChannelImages,
    ChannelShare,
    Outliers,
    Persistence,
    PersistentChannels,
)
from tuiprobe.probes.outliers.scan import RowScan, scan
from tuiprobe.results import Estimate, Figure, NotRun, given
from tuiprobe.results.images import TopImage

TOP_SHARES = 16
TOP_IMAGE_CHANNELS = 8
SAMPLED = "sample of one position per image"


def probe_outliers(
    tap: TapArrays, *, paths: Mapping[int, str] | None = None, seed: int = 0
) -> Outliers:
    """Computes all outlier figures of one set at one tap.

    Args:
        tap: The arrays.
        paths: Relative path by sample id, for the top images; ids it lacks get None.
        seed: Seed of the bootstrap.
    """
    stats, channels = tap.statistics, tap.channels
    final = tap.features is not None
    exact_scan = scan(tap.features) if tap.features is not None else None
    sampled = scan(tap.rows) if tap.rows is not None else None
    rows = exact_scan or sampled
    kurtosis = bootstrap_mean(exact_scan.kurtosis if exact_scan else stats["sample_kurtosis"], seed)
    reference = 3 * (channels - 1) / (channels + 1)
    shares = _shares_of_features(tap, exact_scan) if exact_scan else _shares_of_sums(tap)
    persistent: PersistentChannels | NotRun = NotRun(reason="no rows were kept at this tap")
    if rows is not None:
        persistent = persistent_channels(
            rows.outlier_hits, rows.images, rows.mean, sampled=not final
        )
    return Outliers(
        data=tap.set,
        tap=tap.tap,
        kind=tap.kind,
        tokens=tap.tokens,
        final=final,
        channels=channels,
        images=int(np.asarray(stats["sample_ids"]).size),
        degenerate=int(stats["degenerate"]),
        nonfinite=int(np.asarray(stats["nonfinite"]).sum()),
        rows=int(stats["rows"]),
        classes=None if tap.labels is None else int(np.unique(tap.labels).size),
        kurtosis=kurtosis,
        basis_reference=reference,
        bound=_bound(channels),
        relative_kurtosis=_relative(kurtosis, channels),
        centred_kurtosis=_centred(rows, final, seed),
        persistence=_persistence(tap, exact_scan),
        persistent=persistent,
        shares=shares,
        rms_kurtosis=_rms_kurtosis(tap, rows),
        mean_cosine=exact_scan.mean_cosine
        if exact_scan
        else NotRun(reason="given for the final representation only"),
        criteria=neighbouring(tap, kurtosis, reference),
        top_images=_top_images(tap, _leading(shares, persistent), paths or {}),
    )


def _bound(channels: int) -> Figure:
    if channels < 2:
        return NotRun(reason="needs two channels")
    return exact(channels - 2 + 1 / (channels - 1), 0, "closed form: one channel carries all")


def _relative(kurtosis: Figure, channels: int) -> Figure:
    if not given(kurtosis) or channels < 2:
        return kurtosis if not given(kurtosis) else NotRun(reason="needs two channels")
    width = channels - 1
    changes = {
        name: None if end is None else end / width
        for name, end in (
            ("value", kurtosis.value),
            ("low", kurtosis.low),
            ("high", kurtosis.high),
        )
    }
    return kurtosis.model_copy(update=changes)


def _centred(rows: RowScan | None, final: bool, seed: int) -> Figure:
    if rows is None:
        return NotRun(reason="no rows were kept at this tap")
    if rows.images < 2:
        return NotRun(reason="needs two images that count")
    if not np.isfinite(rows.centred_kurtosis).any():
        return NotRun(reason="nothing is left after centring: all images are alike")
    figure = bootstrap_mean(rows.centred_kurtosis + rows.centred_influence, seed)
    if given(figure):
        value = float(np.nanmean(rows.centred_kurtosis))
        figure = figure.model_copy(update={"value": value})
    return figure if final else _noted(figure, SAMPLED)


def _noted(figure: Figure, note: str) -> Figure:
    if not given(figure):
        return figure
    return figure.model_copy(update={"method": f"{figure.method}; {note}"})


def _persistence(tap: TapArrays, exact_scan: RowScan | None) -> Persistence:
    if exact_scan is not None:
        return persistence.from_images(exact_scan.share_sum, exact_scan.own, exact_scan.dots)
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


def _leading(
    shares: tuple[ChannelShare, ...], persistent: PersistentChannels | NotRun
) -> list[int]:
    chosen = [share.channel for share in shares[:TOP_IMAGE_CHANNELS]]
    if isinstance(persistent, PersistentChannels):
        chosen += [one.channel for one in persistent.channels[:TOP_IMAGE_CHANNELS]]
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
