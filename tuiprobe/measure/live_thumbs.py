"""Images at both ends of the leading channels, and their thumbnails, while a run still measures."""

from __future__ import annotations

from collections.abc import Mapping

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

_MAX_COST = 0.005  # share of the run's time that thumbnails may take


class RunningEnds:
    """Both ends of every channel of one set, over finished shards and the current one.

    Args:
        channels: Width C.
    """

    def __init__(self, channels: int) -> None:
        self._largest, self._smallest = _ChannelEnd(channels, -1), _ChannelEnd(channels, 1)

    def add(self, summary: ActivationSummary) -> None:
        """Merges the images of a finished shard."""
        self._largest = self._largest.with_(summary.largest)
        self._smallest = self._smallest.with_(summary.smallest)

    def leading(self, share_sum: NDArray[np.float64], current: ActivationSummary | None) -> EndsOf:
        """Returns the ends of the channels with the largest shares.

        Args:
            share_sum: float64 `[C]`.
            current: Summary of the current shard; None between two shards.
        """
        channels = np.argsort(-share_sum, kind="stable")[:LEADING_CHANNELS]
        largest = self._largest if current is None else self._largest.with_(current.largest)
        smallest = self._smallest if current is None else self._smallest.with_(current.smallest)
        return {
            int(c): Ends(largest=largest.images(int(c)), smallest=smallest.images(int(c)))
            for c in channels
        }


class _ChannelEnd:
    """The images of the largest or smallest values of every channel.

    Args:
        channels: Width C.
        sign: -1 for the largest values, 1 for the smallest.
    """

    def __init__(self, channels: int, sign: int) -> None:
        self._sign = sign
        self._values = np.full((channels, 0), np.nan, np.float32)
        self._ids = np.full((channels, 0), -1, np.int64)

    def with_(self, top: TopK) -> _ChannelEnd:
        """Returns the end with the images of `top` as well."""
        values = np.concatenate([self._values, top.values[:, :IMAGES_PER_END]], axis=1)
        ids = np.concatenate([self._ids, top.sample_ids[:, :IMAGES_PER_END]], axis=1)
        # Order as in the accumulators: by value, then by id; unfilled entries are NaN, hence last.
        best = np.lexsort((ids, self._sign * values), axis=1)[:, :IMAGES_PER_END]
        merged = _ChannelEnd(len(values), self._sign)
        merged._values = np.take_along_axis(values, best, 1)
        merged._ids = np.take_along_axis(ids, best, 1)
        return merged

    def images(self, channel: int) -> tuple[tuple[int, float], ...]:
        """Returns sample ids and values of a channel; values beyond the readers' bounds are out."""
        pairs = zip(self._ids[channel].tolist(), self._values[channel].tolist(), strict=True)
        return tuple(
            (image, value) for image, value in pairs if image >= 0 and bounded(value) is not None
        )


class LiveThumbs:
    """Writes one thumbnail at a time within a time budget, the first image of each end first.

    Args:
        directory: The run directory.
        sets: Data sets by set name.
    """

    def __init__(self, directory: RunDir, sets: Mapping[str, Dataset]) -> None:
        self._directory, self._sets = directory, sets
        self._tried: set[tuple[str, int]] = set()
        self._pace = Pace(_MAX_COST)

    def write(self, set_name: str, ends: EndsOf) -> None:
        """Writes the next missing thumbnail, if the time budget allows."""
        if not self._pace.due or set_name not in self._sets:
            return
        wanted = self._most_wanted(set_name, ends)
        if wanted is None:
            return
        self._tried.add((set_name, wanted))
        with self._pace.piece():
            write_thumbnails(self._directory, set_name, self._sets[set_name], [wanted])

    def _most_wanted(self, set_name: str, ends: EndsOf) -> int | None:
        for place in range(IMAGES_PER_END):
            for one in ends.values():
                for end in (one.strongest, one.other):
                    if place < len(end) and (set_name, end[place][0]) not in self._tried:
                        return end[place][0]
        return None
