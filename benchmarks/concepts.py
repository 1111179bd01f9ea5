"""The concept probe at the full size of Broden, controls included, on synthetic data.

Run with `python -m benchmarks.concepts`. 63,305 images, 1,197 concepts in six categories, 1,024
directions of every family and 20 draws of random ones, on both splits. It takes about 4 GB.
"""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np
import scipy.sparse

from benchmarks._common import command, machine, markdown
from tuiprobe.inside.concepts.compute import probe_concepts
from tuiprobe.inside.concepts.concept_set import ConceptSet
from tuiprobe.measure.run.arrays import HeadArrays

TITLE = "Concepts at the size of Broden"
IMAGES, CHANNELS = 63_305, 1024
CATEGORIES = {
    "color": (11, 1.0), "object": (584, 0.6), "part": (234, 0.25), "material": (32, 0.15),
    "scene": (289, 0.9), "texture": (47, 0.15),
}  # fmt: skip
"""Labels of each category, and the part of the images annotated for it."""

PER_IMAGE = {"color": 8, "object": 16, "part": 8, "material": 4, "scene": 1, "texture": 1}
TARGET_SECONDS = 120


def synthetic(images: int) -> tuple[HeadArrays, ConceptSet]:
    """Noise with labels as sparse as Broden's; every concept has enough images to be tried."""
    rng = np.random.default_rng(0)
    annotated = np.stack([rng.random(images) < part for _, part in CATEGORIES.values()], axis=1)
    rows, columns, group_of = [], [], []
    first = 0
    for g, (name, (count, _)) in enumerate(CATEGORIES.items()):
        inside = np.flatnonzero(annotated[:, g])
        chances = 1 / np.arange(1, count + 1) ** 0.2
        drawn = rng.choice(count, (inside.size, PER_IMAGE[name]), p=chances / chances.sum())
        rows.append(np.repeat(inside, PER_IMAGE[name]))
        columns.append(first + drawn.ravel())
        group_of += [g] * count
        first += count
    where = (np.concatenate(rows), np.concatenate(columns))
    presence = scipy.sparse.csr_array((np.ones(where[0].size, bool), where), shape=(images, first))
    concepts = ConceptSet(
        name="synthetic",
        features=rng.standard_normal((images, CHANNELS), dtype=np.float32),
        presence=presence,
        names=[str(k) for k in range(first)],
        categories=list(CATEGORIES),
        category_of=np.array(group_of),
        annotated=annotated,
        train=rng.random(images) < 0.7,
        ids=np.arange(images),
        paths=["x.png"] * images,
        digest="synthetic",
    )
    return HeadArrays(rng.standard_normal((CHANNELS, CHANNELS), dtype=np.float32)), concepts


def run(quick: bool) -> dict[str, Any]:
    """Returns seconds on the clock and of the processor, and the peak of memory.

    Args:
        quick: An eighth of the images.
    """
    images = IMAGES // 8 if quick else IMAGES
    head, concepts = synthetic(images)
    about = machine()
    wall, cpu = time.perf_counter(), time.process_time()
    result = probe_concepts(head, concepts)
    return {
        "machine": about,
        "images": images,
        "tried": getattr(result, "tried", 0),
        "labels": float(concepts.presence.sum() / images),
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def table(figures: dict[str, Any]) -> str:
    """Returns the figures as Markdown, with the target and whether it is met."""
    about, seconds = figures["machine"], figures["seconds"]
    full = figures["images"] == IMAGES
    met = ("yes" if seconds <= TARGET_SECONDS else "**missed**") if full else "smaller than asked"
    head = (
        f"{figures['images']} images, {figures['tried']} concepts tried, {CHANNELS} directions, "
        f"{figures['labels']:.0f} labels an image, {about['cpu']}, {about['threads']} threads; "
        f"load average before: {about['load_before']:.1f}\n\n"
    )
    rows = [
        ["seconds", f"{seconds:.0f}", f"<= {TARGET_SECONDS}", met],
        ["seconds of the processor, all threads", f"{figures['cpu_seconds']:.0f}", "", ""],
        ["peak memory, GB", f"{figures['peak_gb']:.1f}", "", ""],
    ]
    return head + markdown(["work", "figure", "target", "met"], rows)


if __name__ == "__main__":
    command(__doc__, run, table)
