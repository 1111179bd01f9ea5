"""Mean confidence: a predictor that needs only the representations and the head."""

from tuiprobe.probes.confidence import UNKNOWN_SCALE, Logits, scale_known
from tuiprobe.probes.heads import SetFeatures, usable_images
from tuiprobe.probes.intervals import bootstrap_mean
from tuiprobe.results import Figure, NotRun
from tuiprobe.run.checked_arrays import HeadArrays


def mean_confidence(head: HeadArrays, one: SetFeatures) -> Figure:
    """Returns the mean over the images of the probability of the answer, not calibrated.

    Args:
        head: The linear head; there is no figure where it does not tell its logit scale.
        one: Representations; labels are not looked at.
    """
    usable = usable_images(one)
    if usable.features.shape[0] == 0:
        return NotRun(reason="no image with a finite representation")
    if not scale_known(head):
        return UNKNOWN_SCALE
    return bootstrap_mean(Logits(head, usable).confidences().confidence)
