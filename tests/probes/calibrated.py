"""Sets whose labels are drawn from the softmax of a head, so that its confidence is the truth."""

import numpy as np
from scipy.special import softmax

from tuiprobe.probes.heads import SetFeatures
from tuiprobe.run.checked_arrays import HeadArrays


def head(classes=10):
    """Returns a head that hands representations on as logits."""
    return HeadArrays(np.eye(classes, dtype=np.float32))


def drawn(chances, rng):
    """Draws a label from each row of probabilities."""
    below = (chances.cumsum(axis=1) < rng.random((len(chances), 1))).sum(axis=1)
    return below.clip(max=chances.shape[1] - 1)


def calibrated(name, n=4000, sharpness=2.0, classes=10, temperature=1.0, seed=0):
    """Returns a labelled set; at `temperature` its softmax is the truth."""
    rng = np.random.default_rng(seed)
    logits = (sharpness * rng.standard_normal((n, classes))).astype(np.float32)
    labels = drawn(softmax(logits.astype(np.float64) / temperature, axis=1), rng)
    return SetFeatures(name, logits, labels)


def accuracy(one):
    """Returns the share of labels that are the highest logit."""
    return float((one.features.argmax(axis=1) == one.labels).mean())
