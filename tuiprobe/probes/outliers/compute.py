"""The outlier probe: every outlier figure of one set at one tap.

The final representation is computed exactly from its features. Inner taps take kurtosis from the
per-image values, shares and persistence from sums and shards, and heights, offset and residual from
a seeded sample of rows, named as sampled.
"""

from collections.abc import Mapping

import numpy as np

from tuiprobe.probes.inputs import TapArrays
from tuiprobe.probes.intervals import bootstrap_mean, delete_shard, exact, mean_interval
from tuiprobe.probes.outliers import persistence
from tuiprobe.probes.outliers.channel_result import Heights, Residual, RowFigures
from tuiprobe.probes.outliers.criteria import related_criteria
from tuiprobe.probes.outliers.result import ChannelImages, ChannelShare, Outliers
from tuiprobe.probes.outliers.row_figures import figures_of_rows, without_rows
from tuiprobe.probes.outliers.rule import Circumstances, with_finding
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
    classes = None if tap.labels is None else int(np.unique(tap.labels).size)
    about = about or Circumstances(classes=classes)
    bound: Figure = NotRun(reason="needs two channels")
    if channels > 1:
        value = channels - 2 + 1 / (channels - 1)
        bound = exact(value, 0, "closed form: one channel carries all")
    mean_cosine: Figure = NotRun(reason="given for the final representation only")
    if tap.features is not None:
        sums = scan(tap.features)
        figures = figures_of_rows(tap.features, about=about, seed=seed, scanned=sums)
        shares = _shares_of_features(tap, sums)
        rms_kurtosis, mean_cosine = sums.rms_kurtosis, sums.mean_cosine
    else:
        sampled = None if tap.rows is None else scan(tap.rows)
        figures = _inner_figures(tap, sampled, about, seed)
        shares = _shares_of_sums(tap)
        rms_kurtosis = _inner_rms_kurtosis(tap, sampled)
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
        bound=bound,
        shares=shares,
        rms_kurtosis=rms_kurtosis,
        mean_cosine=mean_cosine,
        criteria=related_criteria(tap, figures.kurtosis, figures.basis_reference),
        top_images=_top_images(tap, shares, figures, paths or {}),
    )


def _inner_figures(
    tap: TapArrays, sampled: RowScan | None, about: Circumstances, seed: int
) -> RowFigures:
    """Returns kurtosis and persistence of all rows of an inner tap, and the rest of a sample."""
    kurtosis = bootstrap_mean(tap.statistics["sample_kurtosis"], seed)
    share_sum = np.asarray(tap.statistics["share_sum"])
    sums = share_sum, float(tap.statistics["share_square_sum"]), _counted(tap)
    if tap.shards is None:
        share = persistence.without_interval(*sums)
    else:
        share = persistence.from_shards(*sums, tap.shards)
    if tap.rows is None:
        reason = "no rows were kept at this tap"
        return without_rows(tap.channels, kurtosis, share, about, reason)
    figures = figures_of_rows(tap.rows, about=about, seed=seed, columns=False, scanned=sampled)
    heights, residual = figures.heights, figures.residual
    if isinstance(heights, Heights):
        heights = heights.model_copy(update={"sampled": True})
    update = {
        "kurtosis": kurtosis,
        "persistence": share,
        "heights": heights,
        "residual": Residual(
            kurtosis=_sampled(residual.kurtosis), persistence=_sampled(residual.persistence)
        ),
    }
    return with_finding(figures.model_copy(update=update), about)


def _sampled(figure: Figure) -> Figure:
    if not given(figure):
        return figure
    return figure.model_copy(update={"method": f"{figure.method}; {SAMPLED}"})


def _counted(tap: TapArrays) -> int:
    return int(np.isfinite(tap.statistics["sample_kurtosis"]).sum())


def _order(share_sum: np.ndarray) -> list[int]:
    """Returns the channels of largest share, at most `TOP_SHARES`."""
    ranked = np.lexsort((np.arange(share_sum.size), -share_sum))[:TOP_SHARES]
    return [int(c) for c in ranked if share_sum[c] > 0]


def _shares_of_features(tap: TapArrays, sums: RowScan) -> tuple[ChannelShare, ...]:
    shares = []
    for c in _order(sums.share_sum):
        share = mean_interval(sums.share_sum[c], sums.share_squares[c], sums.images, low=0, high=1)
        shares.append(_channel(tap, c, share, wilson(int(sums.leading_count[c]), sums.images)))
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


def _inner_rms_kurtosis(tap: TapArrays, sampled: RowScan | None) -> Figure:
    mean, var = (np.asarray(tap.statistics[name], dtype=np.float64) for name in ("mean", "var"))
    square = mean**2 + var
    if not (np.isfinite(square).all() and square.any()):
        return NotRun(reason="a channel has no finite value, or all are zero")
    value = float((square**2).mean() / square.mean() ** 2)
    counted = _counted(tap)
    sample = None if sampled is None else sampled.rms_kurtosis
    if sample is None or not given(sample) or sample.low is None or sample.high is None:
        return exact(value, counted, "no interval: no rows were kept")
    # All positions vary less than one sampled position per image, so the interval is too wide.
    return Estimate(
        value=value,
        low=max(1.0, value - (sample.value - sample.low)),
        high=value + (sample.high - sample.value),
        n=counted,
        method=f"all rows; width of the interval from a {SAMPLED}, so too wide",
    )


def _top_images(
    tap: TapArrays,
    shares: tuple[ChannelShare, ...],
    figures: RowFigures,
    paths: Mapping[int, str],
) -> tuple[ChannelImages, ...]:
    """Returns images at both ends of outlier channels, the highest, and those of largest share."""

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
        *(row.channel for row in shares[:TOP_IMAGE_CHANNELS]),
    ]
    return tuple(
        ChannelImages(channel=c, largest=end("largest", c), smallest=end("smallest", c))
        for c in dict.fromkeys(channels)
    )
