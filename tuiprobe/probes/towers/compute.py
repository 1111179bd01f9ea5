"""Images and class texts in one space: shared channels, modality gap, conformity.

mu_image and mu_text are means of normalised rows. The head's rows are all classes of the head, not
a sample, so intervals come from resampling images alone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tuiprobe.probes.channels import NO_CHANNEL, Chosen, acted_on
from tuiprobe.probes.heads import SetFeatures, first_images
from tuiprobe.probes.inputs import Float32, Float64
from tuiprobe.probes.intervals import bootstrap_mean, draws, exact
from tuiprobe.probes.outliers.compute import figures_of_rows
from tuiprobe.probes.outliers.rules import Circumstances
from tuiprobe.probes.rows import unit_rows
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
    kept = [images for images in sets if images.features.shape[0]]
    if not kept:
        return NotRun(reason="no image with a finite representation")
    figures = figures_of_rows(
        np.ascontiguousarray(head.weight), about=Circumstances(head=True), seed=seed, columns=False
    )
    of_texts = acted_on(figures)
    width = head.weight.shape[1]
    leading = np.linalg.svd(head.weight.astype(np.float64), full_matrices=False)[2][0]
    texts = head.weight[head.weight.any(axis=1)]
    centre = unit_rows(texts).mean(axis=0, dtype=np.float64)
    cosines = conformity(kept[0].features)
    low = float(cosines.min())
    spread = max(float(cosines.max()) - low, 1e-3)
    edges = np.linspace(low - 1e-6, low + spread + 1e-6, BINS + 1)
    counts, _ = np.histogram(cosines, bins=edges)
    return Towers(
        rows=head.weight.shape[0],
        head=figures,
        channels=chosen.channels,
        why=chosen.why,
        head_channels=of_texts.channels,
        head_why=of_texts.why,
        shared=tuple(sorted(set(chosen.channels) & set(of_texts.channels))),
        expected_shared=len(chosen.channels) * len(of_texts.channels) / width,
        expected_on_channels=len(chosen.channels) / width,
        sets=tuple(_compared(images, centre, leading, chosen, seed) for images in kept),
        edges=tuple(edges.tolist()),
        images=tuple(counts.tolist()),
    )


def conformity(features: Float32) -> Float64:
    """Returns the cosine of each row with the mean of the normalised rows, [n]."""
    rows = unit_rows(features)
    mean = rows.mean(axis=0, dtype=np.float64)
    size = np.linalg.norm(mean)
    return np.asarray(rows @ (mean / size if size else mean), dtype=np.float64).clip(-1, 1)


def _compared(
    images: SetFeatures, centre: Float64, leading: Float64, chosen: Chosen, seed: int
) -> Conformity:
    rows = unit_rows(images.features)
    mean = rows.mean(axis=0, dtype=np.float64)
    sample = unit_rows(first_images(images, IMAGES, seed).features)
    drawn = draws(sample.shape[0], seed)
    # Draws of fewer images spread more: they are drawn towards their mean to the width of n images.
    means = (drawn @ sample).astype(np.float64) / sample.shape[0]
    narrowed = np.sqrt(len(sample) / len(rows))
    means = mean + (means - sample.mean(axis=0, dtype=np.float64)) * narrowed
    n, channels = rows.shape[0], list(chosen.channels)
    gap, drawn_gap = mean - centre, means - centre

    def on_channels(difference: Float64) -> Float64:
        square = difference * difference
        return np.asarray(square[..., channels].sum(axis=-1) / square.sum(axis=-1))

    def cosine(mean: Float64) -> Float64:
        return np.asarray(np.abs(mean @ leading) / np.linalg.norm(mean, axis=-1))

    return Conformity(
        data=images.name,
        gap=_figure(np.linalg.norm(gap), np.linalg.norm(drawn_gap, axis=-1), n, most=2.0),
        on_channels=_figure(on_channels(gap), on_channels(drawn_gap), n)
        if channels
        else NO_CHANNEL,
        leading_cosine=_figure(cosine(mean), cosine(means), n),
        conformity=bootstrap_mean(conformity(images.features), seed),
    )


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
