"""The directions probe at full size: 50,000 images, 1,024 channels, 1,000 classes, all curves.

Run with `python -m benchmarks.directions`. Both matrices (W and W minus its mean row), six orders
with 20 seeds of each random control, and the ablation of four channels with its own.
"""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np

from benchmarks._common import command, machine, markdown, row
from tuiprobe.inside.directions.compute import probe_directions
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.run.arrays import HeadArrays

TITLE = "Directions probe"
IMAGES, CHANNELS, CLASSES = 50_000, 1024, 1000
QUICK = 5000
OUTLYING = (3, 77, 500, 1000)
SECONDS, GIGABYTES = 90.0, 2.0


def planted(images: int) -> tuple[HeadArrays, SetFeatures]:
    """A zero-shot head of correlated rows, and images around them with four constant outliers."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((CLASSES, CHANNELS), dtype=np.float32)
    weight += rng.standard_normal(CHANNELS, dtype=np.float32)  # the mean class embedding
    weight /= np.linalg.norm(weight, axis=1, keepdims=True)
    labels = rng.integers(0, CLASSES, images)
    h = rng.standard_normal((images, CHANNELS), dtype=np.float32)
    for start in range(0, images, 5000):
        h[start : start + 5000] += 20 * weight[labels[start : start + 5000]]
    h[:, list(OUTLYING)] += 15
    return HeadArrays(weight, normalize=True, source="planted"), SetFeatures("val", h, labels)


def run(quick: bool = False) -> dict[str, Any]:
    """Returns wall and processor seconds of one probe, and the most memory the process held."""
    head, features = planted(QUICK if quick else IMAGES)
    about = machine()
    start, busy = time.perf_counter(), time.process_time()
    result = probe_directions(head, [features], OUTLYING)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    curves = sum(len(basis.curves) for basis in result.bases)
    points = sum(len(curve.points) for basis in result.bases for curve in basis.curves)
    return {
        "machine": about,
        "images": features.features.shape[0],
        "seconds": seconds,
        "processor_seconds": busy,
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "curves": curves,
        "points": points,
    }


def table(figures: dict[str, Any]) -> str:
    """Seconds and memory against their limits, and how busy the machine was."""
    note = (
        f"{figures['images']:,} images, {figures['curves']} curves, {figures['points']} points; "
        f"{figures['processor_seconds']:.0f} processor seconds, load before "
        f"{figures['machine']['load_before']:.1f}"
    )
    header = ["work", "measured", "target", "met", "note"]
    return markdown(
        header,
        [
            row("seconds", figures["seconds"], SECONDS, at_most=True, note=note),
            row("GB at most", figures["gigabytes"], GIGABYTES, at_most=True),
        ],
    )


if __name__ == "__main__":
    command(__doc__, run, table)
