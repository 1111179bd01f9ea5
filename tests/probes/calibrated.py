"""Sets whose labels are drawn from the softmax of a head, so that its confidence is the truth."""

from typing import Any

import numpy as np
from scipy.special import softmax

from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.run.arrays import HeadArrays

Array = np.ndarray[Any, Any]


def head(classes: int = 10) -> HeadArrays:
    """Returns a head that hands representations on as logits."""
    return HeadArrays(np.eye(classes, dtype=np.float32))


def drawn(chances: Array, rng: np.random.Generator) -> Array:
    """Draws a label from each row of probabilities."""
    below = (chances.cumsum(axis=1) < rng.random((len(chances), 1))).sum(axis=1)
    labels: Array = below.clip(max=chances.shape[1] - 1)
    return labels


def calibrated(
    name: str,
    n: int = 4000,
    sharpness: float = 2.0,
    classes: int = 10,
    temperature: float = 1.0,
    seed: int = 0,
) -> SetFeatures:
    """Returns a labelled set; at `temperature` its softmax is the truth."""
    rng = np.random.default_rng(seed)
    logits = (sharpness * rng.standard_normal((n, classes))).astype(np.float32)
    labels = drawn(softmax(logits.astype(np.float64) / temperature, axis=1), rng)
    return SetFeatures(name, logits, labels)


def accuracy(one: SetFeatures) -> float:
    """Returns the share of labels that are the highest logit."""
    return float((one.features.argmax(axis=1) == one.labels).mean())
