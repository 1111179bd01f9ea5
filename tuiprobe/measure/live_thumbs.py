"""Images at both ends of the leading channels, and their thumbnails, while a run still measures.

They are those of the first shard of a set, so that they are there soon and stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets import Dataset
from tuiprobe.measure.clock import Pace
from tuiprobe.measure.thumbs import IMAGES_PER_END, LEADING_CHANNELS, write_thumbnails
from tuiprobe.run.directory import RunDir
from tuiprobe.run.status import Ends, bounded
from tuiprobe.stats import ActivationSummary, TopK

EndsOf = dict[int, Ends]
"""Images at both ends, by channel."""

_MAX_COST = 0.01  # share of the run's time that thumbnails may take


def ends_of(shard: ActivationSummary, share_sum: NDArray[np.float64]) -> EndsOf:
    """Returns both ends of the channels with the largest shares.

    Args:
        shard: Summary of a shard.
        share_sum: float64 `[C]`.
    """
    leading = np.argsort(-share_sum, kind="stable")[:LEADING_CHANNELS].tolist()
    return {
        channel: Ends(
            largest=_images(shard.largest, channel), smallest=_images(shard.smallest, channel)
        )
        for channel in leading
    }


def _images(top: TopK, channel: int) -> tuple[tuple[int, float], ...]:
    """Returns sample ids and values of a channel; values beyond the readers' bounds are out."""
    ids, values = (part[channel, :IMAGES_PER_END].tolist() for part in (top.sample_ids, top.values))
    pairs = zip(ids, values, strict=True)
    return tuple((i, value) for i, value in pairs if i >= 0 and bounded(value) is not None)


class LiveThumbs:
    """Writes thumbnails within a time budget, the first image of each end first.

    Args:
        directory: The run directory.
        sets: Data sets by set name.
    """

    def __init__(self, directory: RunDir, sets: Mapping[str, Dataset]) -> None:
        self._directory, self._sets = directory, sets
        self._left: Iterator[tuple[str, int]] = iter(())
        self._pace = Pace(_MAX_COST)

    def begin(self, ends: Mapping[str, EndsOf]) -> None:
        """Takes the ends of all sets whose pictures are written, the first set first."""
        self._left = iter(
            [
                (name, end[place][0])
                for name, channels in ends.items()
                if name in self._sets
                for place in range(IMAGES_PER_END)
                for channel in channels.values()
                for end in (channel.strongest, channel.other)
                if place < len(end)
            ]
        )

    def write(self) -> None:
        """Writes the next thumbnail, if the time budget allows."""
        if self._pace.due and (picture := next(self._left, None)) is not None:
            name, image = picture
            with self._pace.piece():
                write_thumbnails(self._directory, name, self._sets[name], [image])
