"""Writes thumbnails of the current top images while the run is still measuring."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets import Dataset
from tuiprobe.measure.thumbs import IMAGES_PER_END, LEADING_CHANNELS, write_thumbnails
from tuiprobe.run.directory import RunDir
from tuiprobe.stats import TopK

Top = dict[int, tuple[int, ...]]
"""Sample ids of the strongest images, best first, by channel."""

_MAX_COST = 0.005  # share of the run's time that thumbnails may take


class RunningTop:
    """The strongest images of every channel of one set, over finished shards and the current one.

    Args:
        channels: Width C.
    """

    def __init__(self, channels: int) -> None:
        self._values = np.full((channels, 0), np.nan, np.float32)
        self._ids = np.full((channels, 0), -1, np.int64)

    def add(self, largest: TopK) -> None:
        """Merges the top images of a finished shard."""
        self._values, self._ids = self._with(largest)

    def leading(self, share_sum: NDArray[np.float64], largest: TopK | None) -> Top:
        """Returns the top images of the channels with the largest shares.

        Args:
            share_sum: float64 `[C]`.
            largest: Top images of the current shard; None between two shards.
        """
        channels = np.argsort(-share_sum, kind="stable")[:LEADING_CHANNELS]
        ids = self._ids if largest is None else self._with(largest)[1]
        return {int(c): tuple(int(i) for i in ids[c] if i >= 0) for c in channels}

    def _with(self, largest: TopK) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        values = np.concatenate([self._values, largest.values[:, :IMAGES_PER_END]], axis=1)
        ids = np.concatenate([self._ids, largest.sample_ids[:, :IMAGES_PER_END]], axis=1)
        # Order as in the accumulators: by value, then by id; unfilled entries are NaN, hence last.
        best = np.lexsort((ids, -values), axis=1)[:, :IMAGES_PER_END]
        return np.take_along_axis(values, best, 1), np.take_along_axis(ids, best, 1)


class LiveThumbs:
    """Writes one thumbnail at a time within a time budget, the best image of each channel first.

    Args:
        directory: The run directory.
        sets: Data sets by set name.
    """

    def __init__(self, directory: RunDir, sets: Mapping[str, Dataset]) -> None:
        self._directory, self._sets = directory, sets
        self._tried: set[tuple[str, int]] = set()
        self._next = 0.0

    def write(self, set_name: str, top: Top) -> None:
        """Writes the next missing thumbnail, if the time budget allows."""
        begin = time.monotonic()
        if begin < self._next or set_name not in self._sets:
            return
        wanted = self._most_wanted(set_name, top)
        if wanted is None:
            return
        self._tried.add((set_name, wanted))
        write_thumbnails(self._directory, set_name, self._sets[set_name], [wanted])
        cost = time.monotonic() - begin
        self._next = time.monotonic() + cost / _MAX_COST

    def _most_wanted(self, set_name: str, top: Top) -> int | None:
        for place in range(IMAGES_PER_END):
            for ids in top.values():
                if place < len(ids) and (set_name, ids[place]) not in self._tried:
                    return ids[place]
        return None
