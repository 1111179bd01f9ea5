"""The channels that other probes act on: the outlier channels, or those that carry the offset."""

from dataclasses import dataclass
from typing import Literal

from tuiprobe.probes.outliers.channel_result import Offset
from tuiprobe.probes.outliers.result import OutlierResult


@dataclass(frozen=True)
class Chosen:
    """Channels of the final representation that other probes act on.

    Attributes:
        channels: Their indices; empty where there is neither an outlier channel nor an offset.
        why: Whether they are outlier channels, or the fewest that carry half of the offset.
    """

    channels: tuple[int, ...]
    why: Literal["outlier", "offset"]

    @property
    def named(self) -> str:
        """What one of them is called.

        >>> Chosen((3,), "outlier").named
        'outlier channel'
        """
        return "outlier channel" if self.why == "outlier" else "channel of the offset"


def acted_on(result: OutlierResult) -> Chosen:
    """Returns the channels to act on.

    Args:
        result: Of the outlier probe; the final representation of its first set decides.
    """
    final = result.finals()[0]
    if final.outlier_channels:
        return Chosen(tuple(one.channel for one in final.outlier_channels), "outlier")
    return Chosen(final.offset.half if isinstance(final.offset, Offset) else (), "offset")
