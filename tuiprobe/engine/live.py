"""What a running rank shows: progress, answers, shares and heights of channels, kurtosis."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuiprobe.datasets import Dataset
from tuiprobe.engine.clock import Pace
from tuiprobe.engine.live_answers import LiveAnswers
from tuiprobe.engine.shards import Shard
from tuiprobe.engine.tap_statistics import Measures
from tuiprobe.engine.thumbnails import ChannelEnds, LiveThumbs, ends_of
from tuiprobe.numbers import NORMAL_95
from tuiprobe.probes.outliers.heights import CUTS, OUTLIER, scan_heights
from tuiprobe.probes.rows import MIN_CHANNELS, usable_rows
from tuiprobe.run.counting import SetPlan, count_images, published_shards
from tuiprobe.run.directory import RunDir
from tuiprobe.run.ranks import StatusWatch
from tuiprobe.run.status import Event, Listener, LiveTap, StatusWriter, bounded
from tuiprobe.spec import FINAL_TAP
from tuiprobe.stats import SampleSummary

MIN_SECONDS = 0.2
MAX_COST = 0.01  # share of the run's time that the live view may take
_SCANNED_VALUES = 1 << 15  # of the last batch, so that heights take about a millisecond


def live_pace() -> Pace:
    """Returns the pace of live files: at most five times a second, and 1 % of the time."""
    return Pace(MAX_COST, MIN_SECONDS)


@dataclass
class RunningTap:
    """Running sums of one set and tap for the live view."""

    share_sum: NDArray[np.float64]
    leading_count: NDArray[np.int64]
    images: int = 0
    kurtosis_sum: float = 0.0
    kurtosis_square_sum: float = 0.0

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
        )

    def figures(self, heights: RunningHeights | None = None) -> LiveTap:
        """Returns the running figures; those that need two images are None before that.

        Args:
            heights: Of the final representation.
        """
        kurtosis = low = high = None
        if self.images >= 2:
            kurtosis = self.kurtosis_sum / self.images
            variance = max(self.kurtosis_square_sum / self.images - kurtosis**2, 0.0)
            half = NORMAL_95 * math.sqrt(variance / self.images)
            low, high = kurtosis - half, kurtosis + half
        return LiveTap(
            kurtosis=kurtosis,
            low=low,
            high=high,
            n=self.images,
            shares=self.share_sum / max(self.images, 1),
            leads=self.leading_count / max(self.images, 1),
            above=heights.above / heights.images if heights and heights.images else None,
            scanned=heights.images if heights else 0,
        )


@dataclass
class RunningHeights:
    """In how many of the scanned images of one set each channel exceeds an outlier's height."""

    above: NDArray[np.int64]
    images: int = 0

    def plus(self, rows: NDArray[np.float32]) -> RunningHeights:
        """Returns the counts after scanning more rows `[n, C]`, by the function of the results."""
        rows = usable_rows(rows)
        if not len(rows) or rows.shape[1] < MIN_CHANNELS:
            return self
        scan = scan_heights(rows)
        above = scan.above[CUTS.index(OUTLIER)]
        return RunningHeights(self.above + above, self.images + scan.rows)


class LiveView:
    """Counts what a rank measures, for its status and for the listener.

    Both hear of it at most five times per second, and less often if that would take more than 1 %
    of the run's time.

    Args:
        directory: The run directory.
        status: The status of this rank.
        sets: The planned sets.
        listen: Receives progress; of several ranks, that of all.
        pictured: Data sets by set name, to make thumbnails from.
        answers: Counts what the head answers; None if there is no head yet.
    """

    def __init__(
        self,
        directory: RunDir,
        status: StatusWriter,
        sets: Sequence[SetPlan],
        listen: Listener,
        pictured: Mapping[str, Dataset] | None = None,
        answers: LiveAnswers | None = None,
    ) -> None:
        self._directory, self._status = directory, status
        self._sets, self._listen = sets, listen
        self._ranks = StatusWatch(directory) if status.status.world > 1 else None
        self._published = published_shards(directory)
        self._taps: dict[tuple[str, str], RunningTap] = {}
        self._ends_of: dict[str, ChannelEnds] = {}
        self._heights: dict[str, RunningHeights] = {}  # with the shard that is measured
        self._finished: dict[str, RunningHeights] = {}
        self._thumbs, self._answers = LiveThumbs(directory, pictured or {}), answers
        self._shard: Shard | None = None
        self._measures: Measures = {}
        self._pace, self._telling = live_pace(), live_pace()
        self.begin(())

    def begin(self, shards: Sequence[Shard]) -> None:
        """Begins to measure some shards; speed and time left are of these."""
        self._started = time.monotonic()
        self._left = sum(shard.size for shard in shards)
        self._before = self._within = 0  # images in finished shards, and in the one under way

    def begin_shard(self, shard: Shard, measures: Measures) -> None:
        """Starts a shard, perhaps not for the first time."""
        self._shard, self._measures = shard, measures
        self._within = 0
        self._published.discard(shard.place)
        self._heights = dict(self._finished)
        if self._answers is not None:
            self._answers.begin_shard()
        self._status.update(set=shard.set_name, shard=shard.number, images=0)

    def advance(
        self,
        images: int,
        skipped: int,
        features: Sequence[torch.Tensor] = (),
        ids: Sequence[torch.Tensor] = (),
    ) -> None:
        """Counts processed images and updates the view if it is due.

        Args:
            images: Images of the batch that were measured.
            skipped: Images of the batch that were left out.
            features: Final representations of the shard so far, `[n, C]` each, on any device; the
                last is of this batch. A part of it is scanned for heights.
            ids: Their sample ids.
        """
        self._within += images + skipped
        seconds = time.monotonic() - self._started
        rate = (self._before + self._within) / seconds if seconds > 0 else 0.0
        left = max(self._left - self._within, 0)
        eta = bounded(left / rate) if rate > 0 else None
        self._status.update(images=self._within, rate=rate, eta=eta)
        if left == 0 or self._telling.due:
            with self._telling.piece():
                self._listen(Event("progress", "", self._progress()))
        if left == 0 or self._pace.due:
            self._answer(features, ids, last=left == 0)
            self._write(features[-1] if images and features else None)
        else:
            self._status.flush()

    def end_shard(
        self, features: Sequence[torch.Tensor] = (), ids: Sequence[torch.Tensor] = ()
    ) -> None:
        """Adds the finished shard to the running sums; arguments as for `advance`."""
        assert self._shard is not None
        self._answer(features, ids, last=False)
        if self._answers is not None:
            self._answers.end_shard()
        self._taps |= self._current()
        name, measure = self._shard.set_name, self._measures.get(FINAL_TAP)
        if measure is not None and name not in self._ends_of:
            share_sum = self._taps[name, FINAL_TAP].share_sum
            self._ends_of[name] = ends_of(measure.stats.compute(), share_sum)
            self._thumbs.begin(self._ends_of)
        self._finished = dict(self._heights)
        self._measures = {}
        self._published.add(self._shard.place)
        self._left -= self._shard.size
        self._before, self._within = self._before + self._within, 0
        self._status.update(shard=None, images=0, ends=self._ends_of)

    def _progress(self) -> dict[str, Any]:
        """Returns set, images that are done and all, speed and time left, of all ranks."""
        measuring = [self._status.status]
        if self._ranks is not None:
            self._published |= published_shards(self._directory)
            others = (v for v in self._ranks.look() if v.runs and v.number != self._status.rank)
            measuring += [view.status for view in others if view.status.place is not None]
        count = count_images(self._sets, self._published, measuring)
        return {
            "unit": "images",
            "done": count.done,
            "total": count.total,
            "rate": sum(status.rate for status in measuring),
            "eta": max(
                (status.eta for status in measuring if status.eta is not None), default=None
            ),
            **({} if self._ranks is None else {"ranks": len(measuring)}),
        }

    def _current(self) -> dict[tuple[str, str], RunningTap]:
        assert self._shard is not None
        current = {}
        for tap, measure in self._measures.items():
            place, width = (self._shard.set_name, tap), measure.tap.channels
            before = self._taps.get(place) or RunningTap(np.zeros(width), np.zeros(width, np.int64))
            current[place] = before.plus(measure.stats.samples.compute())
        return current

    def _answer(
        self, features: Sequence[torch.Tensor], ids: Sequence[torch.Tensor], last: bool
    ) -> None:
        """Counts the answers so far; where that fails, the run goes on without them."""
        assert self._shard is not None
        if self._answers is None:
            return
        try:
            self._answers.count(self._shard.set_name, features, ids)
            self._status.update(answers=self._answers.so_far(last))
        except Exception as error:  # the report says why its own answers are missing
            self._answers = None
            self._status.update(answers={}, unanswered=f"no answers so far: {error}"[:1000])

    def _write(self, batch: torch.Tensor | None) -> None:
        """Writes the status; scans a part of a batch for heights: images come in random order."""
        assert self._shard is not None
        with self._pace.piece():
            if batch is not None and len(batch):
                name, channels = self._shard.set_name, batch.shape[1]
                rows = batch[: max(_SCANNED_VALUES // channels, 1)].float().cpu().numpy()
                none = RunningHeights(np.zeros(channels, np.int64))
                self._heights[name] = self._heights.get(name, none).plus(rows)
            taps = self._taps | self._current()
            self._status.write(
                {
                    (name, tap): sums.figures(self._heights.get(name) if tap == FINAL_TAP else None)
                    for (name, tap), sums in taps.items()
                }
            )
        self._thumbs.write()
