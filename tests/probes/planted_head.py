"""A linear head, and representations along its rows."""

import numpy as np

from tuiprobe.probes.heads import SetFeatures
from tuiprobe.run.checked_arrays import HeadArrays

CLASSES, CHANNELS = 12, 30


def planted(n=400, classes=CLASSES, channels=CHANNELS, noise=0.4, seed=0, **head):
    """Classes along random rows, one constant channel."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((classes, channels)).astype(np.float32)
    labels = rng.integers(0, classes, n)
    h = weight[labels] + noise * channels**0.5 * rng.standard_normal((n, channels))
    h[:, 3] += 25
    return HeadArrays(weight, **head), SetFeatures("val", h.astype(np.float32), labels)
