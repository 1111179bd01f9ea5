"""Persistent channels: those that are outliers in most images, and the whole curve."""

import numpy as np

from tuiprobe.probes.inputs import Float64, Int64
from tuiprobe.probes.intervals import wilson, wilson_bounds
from tuiprobe.probes.outliers.result import CurvePoint, PersistentChannel, PersistentChannels
from tuiprobe.probes.rows import MIN_CHANNELS
from tuiprobe.results import NotRun

THRESHOLD = 0.9
CURVE = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
MIN_IMAGES = 35  # with fewer, even an outlier in every image has a Wilson lower bound below .9


def persistent_channels(
    hits: Int64, images: int, mean: Float64, *, sampled: bool
) -> PersistentChannels | NotRun:
    """Returns the channels whose image fraction has a Wilson lower bound of at least .9.

    Args:
        hits: [C], images in which the channel is an outlier.
        images: n.
        mean: [C], mean of each channel, for its sign.
        sampled: Whether the images are a sample with one position each.
    """
    if hits.size < MIN_CHANNELS:
        return NotRun(reason=f"takes {MIN_CHANNELS} channels; there are {hits.size}")
    if images < MIN_IMAGES:
        return NotRun(reason=f"needs {MIN_IMAGES} images that count; there are {images}")
    low, _ = wilson_bounds(hits, images)
    order = np.lexsort((np.arange(hits.size), -hits))
    chosen = [
        PersistentChannel(
            channel=int(c), fraction=wilson(int(hits[c]), images), mean=float(mean[c])
        )
        for c in order
        if low[c] >= THRESHOLD
    ]
    curve = [CurvePoint(fraction=at, channels=int((low >= at).sum())) for at in CURVE]
    return PersistentChannels(
        channels=tuple(chosen), curve=tuple(curve), rows=images, sampled=sampled
    )
