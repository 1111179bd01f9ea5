"""Thumbnails of the images that activate the leading channels most, also while a run measures.

Until the end they are those of the first shard of a set, so that they are there soon and stay.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets import Dataset, UnreadableImageError
from tuiprobe.engine.clock import Pace
from tuiprobe.run.directory import RunDir
from tuiprobe.run.status import Ends, bounded
from tuiprobe.stats import ActivationSummary, TopK

SIZE = 96
LEADING_CHANNELS = 8
IMAGES_PER_END = 8


def images_at_ends(share_sum: np.ndarray, *ends: np.ndarray) -> list[int]:
    """Returns the sample ids at both ends of the channels with the largest shares.

    Args:
        share_sum: float64 `[C]`.
        ends: int64 `[C, k]` each, sample ids of an end, best first; -1 where unfilled.

    >>> images_at_ends(np.array([1.0, 9.0]), np.array([[4], [5]]), np.array([[6], [-1]]))
    [4, 5, 6]
    """
    leading = np.argsort(-share_sum, kind="stable")[:LEADING_CHANNELS]
    ids = np.concatenate([end[leading, :IMAGES_PER_END].reshape(-1) for end in ends])
    return sorted({int(i) for i in ids if i >= 0})


def write_thumbnails(
    directory: RunDir, set_name: str, dataset: Dataset, sample_ids: list[int]
) -> None:
    """Writes the missing thumbnails, at most 96 pixels wide and high."""
    for sample_id in sample_ids:
        kept = directory.thumbnail_file(set_name, sample_id)
        if kept.exists():
            continue
        try:
            image = dataset.open(dataset.samples[sample_id])
        except UnreadableImageError:
            continue  # readable a moment ago; a thumbnail is optional
        image.thumbnail((SIZE, SIZE))
        content = io.BytesIO()
        image.save(content, "JPEG", quality=85)
        kept.write_bytes(content.getvalue())


ChannelEnds = dict[int, Ends]
"""Images at both ends, by channel."""

_MAX_COST = 0.01  # share of the run's time that thumbnails may take


def ends_of(shard: ActivationSummary, share_sum: NDArray[np.float64]) -> ChannelEnds:
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

    def begin(self, ends: Mapping[str, ChannelEnds]) -> None:
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
