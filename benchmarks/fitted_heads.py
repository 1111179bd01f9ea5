"""Ranges of heads fitted to labels: how often they hold the accuracy of the head, by their width.

Run with `python -m benchmarks.fitted_heads`. In each draw a head is fitted to n labelled images of
a pool, and answers each of them without itself. The truth is its accuracy on all other images of
the pool, whose own noise is in the figures. A paired difference is that of two encoders on the
same images, against the difference of their truths.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits

from benchmarks._common import command, machine, markdown
from tuiprobe.channels.array_types import Bool, Float32, Int64
from tuiprobe.measure.arrays.head_arrays import SetFeatures, answered_right, fit_head
from tuiprobe.measure.arrays.ridge import fit_ridge
from tuiprobe.measure.arrays.row_statistics import fixed_threads
from tuiprobe.numbers import NORMAL_95
from tuiprobe.probes.intervals import paired_difference
from tuiprobe.results import NotRun, is_known
from tuiprobe.results.proportions import LEFT_OUT_REACH, wilson

TITLE = "Ranges of fitted heads"
FACTORS = (1.0, 1.15, LEFT_OUT_REACH, 1.5)
DRAWS, QUICK = 200, 20
OTHERS = 20_000
MINIATURE = ("mini_clip", "mini_clip_soft", "mini_supervised", "mini_finetuned")
SPEED = ((50_000, 1024, 1000), (5_000, 2048, 100))


@dataclass(frozen=True, eq=False)
class World:
    """A pool of labelled images as several encoders represent them.

    Attributes:
        name: What it is.
        encoders: [N, C] each.
        labels: [N].
        sizes: Numbers of images that heads are fitted to.
    """

    name: str
    encoders: tuple[Float32, ...]
    labels: Int64
    sizes: tuple[int, ...]


def miniature(images: int) -> World:
    """The four encoders of the miniature on pictures of its world that none was trained on."""
    import torch

    from tuiprobe.miniature import world
    from tuiprobe.miniature.scene import PROFILES
    from tuiprobe.models.load import load_encoder

    PROFILES["pool"] = replace(PROFILES["val"], images=images // 40 * 40)
    pictures = np.stack([world.render("pool", i) for i in range(PROFILES["pool"].images)])
    labels = np.array([world.label("pool", i) for i in range(len(pictures))])
    encoders = []
    for name in MINIATURE:
        encoder = load_encoder(name)
        rows = []
        with torch.inference_mode():
            for start in range(0, len(pictures), 256):
                batch = [encoder.preprocess(_image(p)) for p in pictures[start : start + 256]]
                rows.append(encoder.encode(torch.stack(batch)).float().numpy())
        encoders.append(np.concatenate(rows))
    return World("the miniature, 40 classes", tuple(encoders), labels, (60, 200, 1000))


def _image(picture: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(picture)


def digits() -> World:
    """Handwritten digits of scikit-learn: pixels, their left halves, and a random layer on them."""
    x, y = load_digits(return_X_y=True)
    layer = np.random.default_rng(0).normal(size=(64, 256)) / 8
    encoders = (x, x.reshape(-1, 8, 8)[:, :, :4].reshape(-1, 32), np.maximum(x @ layer - 2, 0))
    return World("handwritten digits, 10 classes", _rows(*encoders), y, (60, 200))


def tumours() -> World:
    """The breast tumours of scikit-learn, two classes of unequal size: two parts of 30 features."""
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    return World("breast tumours, 2 classes", _rows(x[:, :10], x[:, 10:20]), y, (60, 150))


def gaussian() -> World:
    """Two noisy views of Gaussian classes."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 10, OTHERS + 300)
    means = rng.normal(size=(10, 64))
    views = [means[labels] * 0.35 + rng.normal(size=(len(labels), 64)) for _ in range(2)]
    return World("Gaussian classes, 10", _rows(*views), labels, (100, 300))


def _rows(*encoders: np.ndarray) -> tuple[Float32, ...]:
    return tuple(encoder.astype(np.float32) for encoder in encoders)


def drawn(world: World, size: int, draws: int) -> Iterator[list[tuple[Bool, int, float]]]:
    """Yields for each draw and encoder which images are right without themselves, and the truth.

    Between them stands how many images are alone in their class.
    """
    classes = int(world.labels.max()) + 1
    for draw in range(draws):
        rng = np.random.default_rng([size, draw])
        order = rng.permutation(len(world.labels))
        chosen, rest = order[:size], order[size:]
        found = []
        for features in world.encoders:
            labels = world.labels[chosen]
            fitted = fit_head(SetFeatures("", features[chosen], labels), classes)
            if isinstance(fitted, NotRun):
                break
            head, images = fitted
            others = SetFeatures("", features[rest], world.labels[rest])
            truth = float(answered_right(head, others).mean())
            found.append((answered_right(head, images), images.unanswerable, truth))
        if len(found) == len(world.encoders):
            yield found


def coverage(world: World, size: int, draws: int) -> dict[str, Any]:
    """Returns how often ranges hold the truth, by their factor, and how often each is off."""
    held = np.zeros((len(FACTORS), 2))
    counts, bias, truths = np.zeros(2), [], []
    for found in drawn(world, size, draws):
        for right, single, truth in found:
            counts[0] += 1
            bias.append(right.mean() - truth)
            truths.append(truth)
            for i, factor in enumerate(FACTORS):
                share = wilson(int(right.sum()), size, factor, single)
                assert is_known(share)
                assert share.low is not None
                assert share.high is not None
                held[i, 0] += share.low <= truth <= share.high
        for (first, _, one), (second, _, other) in combinations(found, 2):
            counts[1] += 1
            gained, lost = int((first & ~second).sum()), int((second & ~first).sum())
            for i, factor in enumerate(FACTORS):
                change = paired_difference(gained, lost, size, factor * NORMAL_95)
                assert change.low is not None
                assert change.high is not None
                held[i, 1] += change.low <= one - other <= change.high
    return {
        "world": world.name,
        "images": size,
        "accuracy": float(np.mean(truths)),
        "bias": float(np.mean(bias)),
        "held": (held / counts).tolist(),
        "draws": draws,
    }


def speed(images: int, channels: int, classes: int) -> dict[str, float]:
    """Returns the seconds of a fit with its leverages, by the clock and of the processor."""
    rng = np.random.default_rng(0)
    h = rng.standard_normal((images, channels), dtype=np.float32)
    labels = rng.integers(0, classes, images)
    start, busy = time.perf_counter(), time.process_time()
    fit_ridge(h, labels, classes)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return {"images": images, "channels": channels, "seconds": seconds, "busy": busy}


@fixed_threads()
def run(quick: bool = False) -> dict[str, Any]:
    """Returns the coverage of every world and size, and the speed of two fits."""
    about, draws = machine(), QUICK if quick else DRAWS
    worlds = (gaussian(), tumours(), digits(), miniature(2_000 if quick else OTHERS + 1_000))
    cells = [coverage(world, size, draws) for world in worlds for size in world.sizes]
    return {"machine": about, "cells": cells, "speed": [speed(*each) for each in SPEED]}


def table(result: dict[str, Any]) -> str:
    """Renders coverage, then the seconds of a fit."""
    header = ["world", "n", "accuracy", "leave-one-out minus truth, points"]
    header += [f"held at {factor:g}: accuracy, difference" for factor in FACTORS]
    rows = [
        [
            cell["world"], f"{cell['images']:,}", f"{cell['accuracy']:.2f}",
            f"{100 * cell['bias']:+.1f}",
            *(f"{own:.2f}, {paired:.2f}" for own, paired in cell["held"]),
        ]
        for cell in result["cells"]
    ]  # fmt: skip
    fits = [
        [f"{of['images']:,}", f"{of['channels']:,}", f"{of['seconds']:.1f}", f"{of['busy']:.1f}"]
        for of in result["speed"]
    ]
    times = markdown(["images", "channels", "seconds, 2 threads", "processor seconds"], fits)
    return f"{markdown(header, rows)}\n{times}"


if __name__ == "__main__":
    command(__doc__, run, table)
