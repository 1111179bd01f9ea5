"""Mean confidence: a predictor that needs only the representations and the head."""

import numpy as np

from tuiprobe.probes.heads import SetFeatures, logit_blocks, usable_images
from tuiprobe.probes.intervals import bootstrap_mean
from tuiprobe.results import Estimate, Figure, NotRun
from tuiprobe.run.checked_arrays import HeadArrays

SCALE = 100.0
"""Logit scale taken for zero-shot heads: where the real CLIPs end; it is not kept with the head."""


def mean_confidence(head: HeadArrays, one: SetFeatures) -> Figure:
    """Returns the mean over the images of the largest softmax probability.

    Args:
        head: The linear head; logits of a zero-shot head are cosines times `SCALE`.
        one: Representations; labels are not looked at.
    """
    usable = usable_images(one)
    if usable.features.shape[0] == 0:
        return NotRun(reason="no image with a finite representation")
    values = []
    for place, logits in logit_blocks(usable.features, head, usable):
        if head.normalize:
            if head.bias is None:  # without a bias the blocks skip |h|, which changes no order
                logits /= np.linalg.norm(usable.features[place], axis=1, keepdims=True)
            logits *= SCALE
        logits -= logits.max(axis=1, keepdims=True)
        values.append(1 / np.exp(logits, dtype=np.float64).sum(axis=1))
    found = bootstrap_mean(np.concatenate(values))
    if not isinstance(found, Estimate) or not head.normalize:
        return found
    return found.model_copy(update={"method": f"{found.method}; logit scale {SCALE:g} assumed"})
