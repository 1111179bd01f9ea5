"""Result types of the ablation probe (definitions: docs/ablation.md)."""

from typing import ClassVar, Literal

from tuiprobe.results.base import Channel, Figure, Frozen, Many, NotRun, PerChannel
from tuiprobe.results.report import ProbeResult


class Ablation(Frozen):
    """Accuracy without the outlier channels, beside two controls.

    Attributes:
        data: Data set.
        mode: Whether the channels are set to zero, or to their mean over the images.
        channels: The ablated channels.
        before: Accuracy with all channels.
        after: Accuracy without them.
        random: Accuracy without as many random channels; mean and band over seeds.
        matched: Accuracy without as many other channels of nearest mean square.
        difference: After minus before, paired over the images.
    """

    data: str
    mode: Literal["zero", "mean"]
    channels: PerChannel[Channel]
    before: Figure
    after: Figure
    random: Figure
    matched: Figure
    difference: Figure = NotRun(reason="not measured")


class ChannelAblations(ProbeResult):
    """The ablation probe.

    Attributes:
        ablations: Ablations of the outlier channels, one entry per set and mode.
    """

    probe: ClassVar[str] = "ablation"

    ablations: Many[Ablation]
