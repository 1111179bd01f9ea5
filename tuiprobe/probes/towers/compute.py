"""Images and class texts in one space: shared channels, modality gap, conformity.

mu_image and mu_text are means of normalised rows. The head's rows are all classes of the head, not
a sample, so intervals come from resampling images alone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tuiprobe.probes.channels import NO_CHANNEL, Chosen
from tuiprobe.probes.heads import SetFeatures, first_images
from tuiprobe.probes.inputs import Float32, Float64
from tuiprobe.probes.intervals import bootstrap_mean, exact
from tuiprobe.probes.outliers.channel_result import Offset, RowFigures
from tuiprobe.probes.outliers.of_rows import figures_of_rows
from tuiprobe.probes.outliers.rule import Circumstances
from tuiprobe.probes.resampling import draws
from tuiprobe.probes.towers.result import Conformity, Towers
from tuiprobe.results import Estimate, Figure, NotRun
from tuiprobe.run.checked_arrays import HeadArrays

IMAGES = 4096
"""Images of a set, at most, that intervals of means are resampled from."""
BINS = 40
METHOD = "pivotal bootstrap over images; rows of the head fixed"


def compare_towers(
    head: HeadArrays, sets: Sequence[SetFeatures], chosen: Chosen, seed: int
) -> Towers | NotRun:
    """Compares the images of every set with the rows of a zero-shot head.

    Args:
        head: The head.
        sets: Sets of usable images, the in-distribution one first.
        chosen: Channels of the images that stand out.
        seed: Seed of resampling.
    """
    kept = [one for one in sets if one.features.shape[0]]
    if not kept:
        return NotRun(reason="no image with a finite representation")
    texts = unit(head.weight)
    figures = figures_of_rows(
        np.ascontiguousarray(head.weight), about=Circumstances(head=True), seed=seed, columns=False
    )
    theirs = standing_out(figures)
    width = head.weight.shape[1]
    leading = np.linalg.svd(head.weight.astype(np.float64), full_matrices=False)[2][0]
    centre = texts.mean(axis=0, dtype=np.float64)
    cosines = conformity(kept[0].features)
    images, edges = np.histogram(cosines, bins=_edges(cosines))
    return Towers(
        rows=head.weight.shape[0],
        head=figures,
        channels=chosen.channels,
        why=chosen.why,
        head_channels=theirs.channels,
        head_why=theirs.why,
        shared=tuple(sorted(set(chosen.channels) & set(theirs.channels))),
        expected_shared=len(chosen.channels) * len(theirs.channels) / width,
        expected_on_channels=len(chosen.channels) / width,
        sets=tuple(_compared(one, centre, leading, chosen, seed) for one in kept),
        edges=tuple(float(edge) for edge in edges),
        images=tuple(int(count) for count in images),
    )


def unit(rows: Float32) -> Float32:
    """Returns the rows divided by their norms; rows of zeros are left out."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    kept = norms[:, 0] > 0
    return np.asarray(rows[kept] / norms[kept], dtype=np.float32)


def standing_out(figures: RowFigures) -> Chosen:
    """Returns the channels of rows that stand out, by the same rule as those of images."""
    if figures.outlier_channels:
        return Chosen(tuple(one.channel for one in figures.outlier_channels), "outlier")
    offset = figures.offset
    return Chosen(offset.half if isinstance(offset, Offset) else (), "offset")


def conformity(features: Float32) -> Float64:
    """Returns the cosine of each row with the mean of the normalised rows, [n]."""
    rows = unit(features)
    mean = rows.mean(axis=0, dtype=np.float64)
    size = np.linalg.norm(mean)
    return np.asarray(rows @ (mean / size if size else mean), dtype=np.float64).clip(-1, 1)


def _edges(cosines: Float64) -> Float64:
    low, high = float(cosines.min()), float(cosines.max())
    spread = max(high - low, 1e-3)
    return np.linspace(low - 1e-6, low + spread + 1e-6, BINS + 1)


def _compared(
    one: SetFeatures, centre: Float64, leading: Float64, chosen: Chosen, seed: int
) -> Conformity:
    rows = unit(one.features)
    mean = rows.mean(axis=0, dtype=np.float64)
    some = unit(first_images(one, IMAGES, seed).features)
    drawn = draws(some.shape[0], seed)
    # Draws of fewer images spread more: they are drawn towards their mean to the width of n images.
    means = (drawn @ some).astype(np.float64) / some.shape[0]
    means = mean + (means - some.mean(axis=0, dtype=np.float64)) * np.sqrt(len(some) / len(rows))
    n, channels = rows.shape[0], list(chosen.channels)
    apart, drawn_apart = mean - centre, means - centre
    on_channels: Figure = NO_CHANNEL
    if channels:
        on_channels = _figure(_part(apart, channels), _part(drawn_apart, channels), n)
    return Conformity(
        data=one.name,
        gap=_figure(np.linalg.norm(apart), np.linalg.norm(drawn_apart, axis=-1), n, most=2.0),
        on_channels=on_channels,
        leading_cosine=_figure(_cosine(mean, leading), _cosine(means, leading), n),
        conformity=bootstrap_mean(conformity(one.features), seed),
    )


def _part(difference: Float64, channels: list[int]) -> Float64:
    square = difference * difference
    return np.asarray(square[..., channels].sum(axis=-1) / square.sum(axis=-1))


def _cosine(mean: Float64, direction: Float64) -> Float64:
    return np.asarray(np.abs(mean @ direction) / np.linalg.norm(mean, axis=-1))


def _figure(value: Any, drawn: Float64, n: int, most: float = 1.0) -> Figure:
    """Returns a function of the mean with its pivotal bootstrap interval.

    A resampled mean is noisier than the mean, which lengthens a distance; reflecting the quantiles
    about the value takes that bias out, where percentiles would double it.

    Args:
        value: The figure of the mean.
        drawn: The figure of every resampled mean.
        n: Images.
        most: The largest value possible.
    """
    value = float(value)
    if not np.isfinite(value):
        return NotRun(reason="the mean of the images is zero")
    if n < 2:
        return exact(value, n, "no interval: one image")
    low, high = (2 * value - np.nanquantile(drawn, [0.975, 0.025])).clip(0, most)
    return Estimate(
        value=value, low=min(float(low), value), high=max(float(high), value), n=n, method=METHOD
    )
