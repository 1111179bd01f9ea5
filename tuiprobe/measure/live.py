"""The live view of a running rank: progress, channel shares and running kurtosis."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets import Dataset
from tuiprobe.events import Event, Listener
from tuiprobe.measure.live_thumbs import LiveThumbs, RunningTop, Top
from tuiprobe.measure.shards import Shard
from tuiprobe.models.taps import Tap
from tuiprobe.probes.outliers.persistence import missing, ratio
from tuiprobe.results.base import NORMAL_95
from tuiprobe.run.directory import RunDir
from tuiprobe.run.live import LiveTap, Progress, RankState, bounded, write_rank
from tuiprobe.spec import FINAL_TAP
from tuiprobe.stats import ActivationStats, SampleSummary

MIN_SECONDS = 0.2
MAX_COST = 0.01  # share of the run's time that the live view may take


class Shown(Protocol):
    """What is read of a tap while its shard runs."""

    @property
    def tap(self) -> Tap: ...  # noqa: D102
    @property
    def stats(self) -> ActivationStats: ...  # noqa: D102


@dataclass
class RunningTap:
    """Running sums of one set and tap for the live view."""

    share_sum: NDArray[np.float64]
    leading_count: NDArray[np.int64]
    images: int = 0
    kurtosis_sum: float = 0.0
    kurtosis_square_sum: float = 0.0
    share_square_sum: float = 0.0

    def plus(self, samples: SampleSummary) -> RunningTap:
        """Returns the sums after adding the images of another summary."""
        kurtosis = np.asarray(samples.kurtosis)
        kurtosis = kurtosis[np.isfinite(kurtosis)]
        return RunningTap(
            self.share_sum + np.asarray(samples.share_sum),
            self.leading_count + np.asarray(samples.leading_count),
            self.images + len(kurtosis),
            self.kurtosis_sum + float(kurtosis.sum()),
            self.kurtosis_square_sum + float((kurtosis**2).sum()),
            self.share_square_sum + samples.share_square_sum,
        )

    def shown(self) -> LiveTap:
        """Returns the running figures; those that need two images are None before that."""
        kurtosis = low = high = persistence = effective = None
        if self.images >= 2:
            kurtosis = self.kurtosis_sum / self.images
            variance = max(self.kurtosis_square_sum / self.images - kurtosis**2, 0.0)
            half = NORMAL_95 * math.sqrt(variance / self.images)
            low, high = kurtosis - half, kurtosis + half
            persistence, effective = self._sharing()
        return LiveTap(
            kurtosis=kurtosis,
            low=low,
            high=high,
            n=self.images,
            persistence=persistence,
            effective_channels=effective,
            shares=self.share_sum / max(self.images, 1),
            leads=self.leading_count / max(self.images, 1),
        )

    def _sharing(self) -> tuple[float | None, float | None]:
        """Returns persistence and effective channels, without intervals."""
        n, width = self.images, len(self.share_sum)
        own = self.share_square_sum / n
        if missing(n, width, own) is not None:
            return None, None
        square = float((self.share_sum**2).sum())
        cross = (square - self.share_square_sum) / (n * (n - 1))
        effective = bounded(1 / cross) if cross > 0 else None
        return bounded(float(ratio(cross, own, width))), effective


class LiveView:
    """Writes the live files of a rank and reports progress to the listener.

    The files are replaced at most five times per second, and less often if writing them would take
    more than 1 % of the run's time.

    Args:
        directory: The run directory.
        rank: Number of this process.
        total: Images this rank has to measure.
        listen: Told about progress.
        sets: Data sets by set name, to make thumbnails from.
    """

    def __init__(
        self,
        directory: RunDir,
        rank: int,
        total: int,
        listen: Listener,
        sets: Mapping[str, Dataset] | None = None,
    ) -> None:
        self._directory, self._rank, self._total, self._listen = directory, rank, total, listen
        self._done = self._skipped = self._sequence = 0
        self._before = (0, 0)  # images done and skipped in finished shards
        self._taps: dict[tuple[str, str], RunningTap] = {}
        self._tops: dict[str, RunningTop] = {}
        self._top_of: dict[str, Top] = {}
        self._thumbs = LiveThumbs(directory, sets or {})
        self._shard: Shard | None = None
        self._measures: Mapping[str, Shown] = {}
        self._started = time.monotonic()
        self._next = 0.0

    def begin_shard(self, shard: Shard, measures: Mapping[str, Shown]) -> None:
        """Starts a shard, perhaps not for the first time."""
        self._shard, self._measures = shard, measures
        self._done, self._skipped = self._before

    def advance(self, images: int, skipped: int) -> None:
        """Counts processed images and updates the view if it is due."""
        self._done += images
        self._skipped += skipped
        self._listen(Event("progress", "", self._progress().model_dump()))
        last = self._done + self._skipped == self._total
        if last or time.monotonic() >= self._next:
            self._show()

    def end_shard(self) -> None:
        """Adds the finished shard to the running sums."""
        assert self._shard is not None
        self._taps |= self._current()
        measure = self._measures.get(FINAL_TAP)
        if measure is not None:
            running = RunningTop(measure.tap.channels)
            running = self._tops.setdefault(self._shard.set_name, running)
            running.add(measure.stats.compute().largest)
        self._measures = {}
        self._before = (self._done, self._skipped)

    def _progress(self) -> Progress:
        seconds = time.monotonic() - self._started
        through = self._done + self._skipped
        rate = through / seconds if seconds > 0 else 0.0
        return Progress(
            stage="extract",
            set=self._shard.set_name if self._shard else None,
            done=self._done,
            skipped=self._skipped,
            total=self._total,
            rate=rate,
            eta=max(self._total - through, 0) / rate if rate > 0 else None,
        )

    def _current(self) -> dict[tuple[str, str], RunningTap]:
        assert self._shard is not None
        current = {}
        for tap, measure in self._measures.items():
            samples = measure.stats.samples.compute()
            place = (self._shard.set_name, tap)
            width = measure.tap.channels
            before = self._taps.get(place) or RunningTap(np.zeros(width), np.zeros(width, np.int64))
            current[place] = before.plus(samples)
        return current

    def _top(self, taps: dict[tuple[str, str], RunningTap]) -> Top:
        assert self._shard is not None
        name = self._shard.set_name
        measure = self._measures.get(FINAL_TAP)
        if measure is None and name not in self._tops:
            return {}
        share_sum = taps[name, FINAL_TAP].share_sum
        running = self._tops.setdefault(name, RunningTop(len(share_sum)))
        largest = None if measure is None else measure.stats.compute().largest
        return running.leading(share_sum, largest)

    def _show(self) -> None:
        begin = time.monotonic()
        taps = self._taps | self._current()
        assert self._shard is not None
        top = self._top_of[self._shard.set_name] = self._top(taps)
        self._sequence += 1
        state = RankState(
            **self._progress().model_dump(), sequence=self._sequence, top=self._top_of
        )
        shown = {place: running.shown() for place, running in taps.items()}
        write_rank(self._directory, self._rank, state, shown)
        cost = time.monotonic() - begin
        self._next = time.monotonic() + max(MIN_SECONDS, cost / MAX_COST)
        self._thumbs.write(self._shard.set_name, top)
