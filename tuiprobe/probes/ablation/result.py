"""Result types of the ablation probe (definitions: docs/inside.md)."""

from typing import ClassVar, Literal

from tuiprobe.results.base import Channel, Figure, Frozen, Many, PerChannel, Points, Real, Share
from tuiprobe.results.report import ProbeResult

Mode = Literal["zero", "mean"]
Why = Literal["outlier", "offset"]


class Sides(Frozen):
    """A figure of the logits with everything, without the channels, and under the controls.

    Attributes:
        before: With everything; mean over the images.
        after: Without the channels.
        random: Without random channels; mean and band over draws.
        directions: Without random directions; mean and band over draws.
    """

    before: Figure
    after: Figure
    random: Figure
    directions: Figure


class Ablation(Frozen):
    """What one set loses without the channels, beside three controls.

    Attributes:
        data: Data set.
        mode: Whether the channels are set to zero, or to their mean over the in-distribution set.
        before: Accuracy with all channels.
        after: Accuracy without them.
        difference: After minus before, paired over the images.
        random: Accuracy without as many random channels; mean and band over draws.
        random_difference: That minus the accuracy of the same images with everything.
        matched: Accuracy without as many other channels of nearest energy.
        matched_difference: That minus before, paired.
        directions: Accuracy without as many random orthonormal directions; mean and band.
        directions_difference: That minus the accuracy of the same images with everything.
        ece: Expected calibration error.
        spread: Standard deviation of an image's logits over the classes.
    """

    data: str
    mode: Mode
    before: Share
    after: Share
    difference: Points
    random: Share
    random_difference: Points
    matched: Share
    matched_difference: Points
    directions: Share
    directions_difference: Points
    ece: Sides
    spread: Sides


class ChannelAblations(ProbeResult):
    """The ablation probe.

    Attributes:
        channels: The ablated channels.
        why: Whether they are outlier channels, or the fewest that carry half of the offset.
        stand_out: Whether the outcome of the outlier probe says that a channel stands out.
        mean_of: Set whose means replace the channels.
        matched: Other channels whose energy on that set is as near as attainable.
        matched_energy: Their energy there as a fraction of the ablated channels'.
        ablations: One entry per labelled set and mode.
    """

    probe: ClassVar[str] = "ablation"

    channels: PerChannel[Channel]
    why: Why
    stand_out: bool = True
    mean_of: str
    matched: PerChannel[Channel]
    matched_energy: Real
    ablations: Many[Ablation]
