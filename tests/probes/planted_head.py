"""A linear head, and representations along its rows."""

from typing import Any

import numpy as np

from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.run.arrays import HeadArrays

CLASSES, CHANNELS = 12, 30


def labels_of(images: SetFeatures) -> np.ndarray:
    """Returns the labels that a planted set has."""
    assert images.labels is not None
    return images.labels


def planted(
    n: int = 400,
    classes: int = CLASSES,
    channels: int = CHANNELS,
    noise: float = 0.4,
    seed: int = 0,
    **head: Any,
) -> tuple[HeadArrays, SetFeatures]:
    """Classes along random rows, one constant channel."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((classes, channels)).astype(np.float32)
    labels = rng.integers(0, classes, n)
    h = weight[labels] + noise * channels**0.5 * rng.standard_normal((n, channels))
    h[:, 3] += 25
    return HeadArrays(weight, **head), SetFeatures("val", h.astype(np.float32), labels)
