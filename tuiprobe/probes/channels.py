"""The channels that other probes act on: the outlier channels, or those that carry the offset."""

from dataclasses import dataclass
from typing import Literal

from tuiprobe.probes.heads import SetFeatures, usable_images
from tuiprobe.probes.outliers.result import Outcome, OutlierResult, RowFigures
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun, ProbeResult
from tuiprobe.run.checked_arrays import HeadArrays

WHY = {"outlier": "outlier channels", "offset": "half of the offset"}
"""The kinds of channels that probes act on, in words."""
NO_CHANNEL = NotRun(reason="no channel stands out")
_STANDING_OUT = (Outcome.CHANNELS, Outcome.OFFSET, Outcome.MOVING_AND_CONSTANT)


@dataclass(frozen=True)
class Chosen:
    """Channels of the final representation that other probes act on.

    Attributes:
        channels: Their indices; empty where there is neither an outlier channel nor an offset.
        why: Whether they are outlier channels, or the fewest that carry half of the offset.
        stand_out: Whether the outcome of the outlier probe says that a channel stands out.
    """

    channels: tuple[int, ...]
    why: Literal["outlier", "offset"]
    stand_out: bool = True

    @property
    def named(self) -> str:
        """What one of them is called.

        >>> Chosen((3,), "outlier").named
        'outlier channel'
        """
        return "outlier channel" if self.why == "outlier" else "channel of the offset"


def acted_on(figures: RowFigures) -> Chosen:
    """Returns the channels of a set of rows to act on."""
    if figures.outlier_channels:
        return Chosen(tuple(row.channel for row in figures.outlier_channels), "outlier")
    return Chosen(figures.offset.half, "offset", figures.outcome in _STANDING_OUT)


@dataclass(frozen=True)
class ChannelInputs:
    """A head, the usable images of every set, the channels to act on, and the seed of controls."""

    head: HeadArrays
    sets: list[SetFeatures]
    chosen: Chosen
    seed: int


def read_channels(run: RunReader, outliers: ProbeResult | NotRun) -> ChannelInputs | NotRun:
    """Reads what a probe computes from that acts on channels, or says why there is none."""
    if isinstance(run.head, NotRun):
        return run.head
    if not isinstance(outliers, OutlierResult):
        return NotRun(reason="there are no outlier figures")
    sets = [usable_images(images) for images in run.head_sets]
    return ChannelInputs(run.head, sets, acted_on(outliers.finals()[0]), run.spec.seed)
