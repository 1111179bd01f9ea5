"""The live view of a running rank: progress, shares and heights of channels, running kurtosis."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tuiprobe.datasets import Dataset
from tuiprobe.events import Event, Listener
from tuiprobe.measure.clock import Pace
from tuiprobe.measure.crew import Crew
from tuiprobe.measure.live_thumbs import EndsOf, LiveThumbs, RunningEnds
from tuiprobe.measure.shards import Shard
from tuiprobe.models.taps import Tap
from tuiprobe.numbers import NORMAL_95
from tuiprobe.probes.outliers.heights import CUTS, OUTLIER, scan_heights
from tuiprobe.probes.outliers.persistence import missing, ratio
from tuiprobe.probes.rows import MIN_CHANNELS, usable
from tuiprobe.run.directory import RunDir
from tuiprobe.run.live import (
    LiveTap,
    Progress,
    RankState,
    SetProgress,
    bounded,
    write_rank,
    write_state,
)
from tuiprobe.spec import FINAL_TAP
from tuiprobe.stats import ActivationStats, SampleSummary

MIN_SECONDS = 0.2
MAX_COST = 0.01  # share of the run's time that the live view may take
_SCANNED_VALUES = 1 << 15  # of the last batch, so that heights take about a millisecond


def live_pace() -> Pace:
    """Returns the pace of live files: at most five times a second, and 1 % of the time."""
    return Pace(MAX_COST, MIN_SECONDS)


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

    def shown(self, heights: RunningHeights | None = None) -> LiveTap:
        """Returns the running figures; those that need two images are None before that.

        Args:
            heights: Of the final representation.
        """
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
            above=heights.above / heights.images if heights and heights.images else None,
            scanned=heights.images if heights else 0,
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


@dataclass
class RunningHeights:
    """In how many of the scanned images of one set each channel exceeds an outlier's height."""

    above: NDArray[np.int64]
    images: int = 0

    def plus(self, rows: NDArray[np.float32]) -> RunningHeights:
        """Returns the counts after scanning more rows `[n, C]`, by the function of the results."""
        keep = usable(rows)
        if not keep.any() or rows.shape[1] < MIN_CHANNELS:
            return self
        found = scan_heights(rows, keep)
        above = found.above[CUTS.index(OUTLIER)]
        return RunningHeights(self.above + above, self.images + found.rows)


def planned_sets(owned: Sequence[Shard], missing: Sequence[Shard]) -> dict[str, SetProgress]:
    """Returns the progress of a rank before it starts.

    Args:
        owned: Shards of this rank.
        missing: Those of them that are not published.
    """
    total, left = _images_of(owned), _images_of(missing)
    return {name: SetProgress(total=n, kept=n - left[name]) for name, n in total.items()}


def _images_of(shards: Sequence[Shard]) -> Counter[str]:
    images: Counter[str] = Counter()
    for shard in shards:
        images[shard.set_name] += shard.size
    return images


class LiveView:
    """Writes the live files of a rank and reports progress to the listener.

    The files are replaced at most five times per second, and less often if writing them would take
    more than 1 % of the run's time.

    Args:
        directory: The run directory.
        rank: Number of this process.
        planned: Progress by set before the start, see `planned_sets`.
        listen: Told about progress.
        sets: Data sets by set name, to make thumbnails from.
        crew: The ranks of the run, if there are several: they see this one's progress, and the
            listener is told about that of all.
    """

    def __init__(
        self,
        directory: RunDir,
        rank: int,
        planned: Mapping[str, SetProgress],
        listen: Listener,
        sets: Mapping[str, Dataset] | None = None,
        crew: Crew | None = None,
    ) -> None:
        self._crew = crew
        self._directory, self._rank, self._listen = directory, rank, listen
        self._kept = sum(one.kept for one in planned.values())
        self._total = sum(one.total for one in planned.values()) - self._kept
        self._done = self._skipped = self._sequence = 0
        self._before = (0, 0)  # images done and skipped in finished shards
        self._sets = dict(planned)  # without the shard that is measured
        self._taps: dict[tuple[str, str], RunningTap] = {}
        self._ends: dict[str, RunningEnds] = {}
        self._ends_of: dict[str, EndsOf] = {}
        self._heights: dict[str, RunningHeights] = {}  # with the shard that is measured
        self._finished: dict[str, RunningHeights] = {}
        self._thumbs = LiveThumbs(directory, sets or {})
        self._shard: Shard | None = None
        self._measures: Mapping[str, Shown] = {}
        self._started = time.monotonic()
        self._pace = live_pace()
        # Until the first batch, the files of an earlier attempt would be taken for this one's.
        state = RankState(**self._progress().model_dump(), sequence=self._sequence, sets=self._sets)
        write_state(directory, rank, state)

    def begin_shard(self, shard: Shard, measures: Mapping[str, Shown]) -> None:
        """Starts a shard, perhaps not for the first time."""
        self._shard, self._measures = shard, measures
        self._done, self._skipped = self._before
        self._heights = dict(self._finished)
        if self._crew is not None:
            self._crew.hold(shard)

    def plan(self, shard: Shard, sign: int) -> None:
        """Adds a shard to what this rank measures, or takes it away.

        Args:
            shard: A shard that it takes over, or that another rank has measured or holds.
            sign: 1 or -1.
        """
        self._total += sign * shard.size
        before = self._sets.get(shard.set_name, SetProgress())
        total = max(before.total + sign * shard.size, before.through)
        self._sets[shard.set_name] = before.model_copy(update={"total": total})

    def advance(
        self, images: int, skipped: int, features: Sequence[NDArray[Any] | torch.Tensor] = ()
    ) -> None:
        """Counts processed images and updates the view if it is due.

        Args:
            images: Images of the batch that were measured.
            skipped: Images of the batch that were left out.
            features: Final representations of the shard so far, `[n, C]` each, on the CPU; the
                last is of this batch. A part of it is scanned for heights.
        """
        self._done += images
        self._skipped += skipped
        self._tell()
        last = self._done + self._skipped == self._total
        if last or self._pace.due:
            self._show(features if images else ())

    def _tell(self) -> None:
        """Tells the listener about this rank's progress, or that of all."""
        now = self._progress()
        if self._crew is None:
            self._listen(Event("progress", "", now.model_dump()))
            return
        within = self._done + self._skipped - sum(self._before)
        self._crew.beat(within, now.rate, time.monotonic() - self._started)
        whole = self._crew.progress()
        if whole is not None:
            counts = {"done": whole.through, "total": whole.total, "kept": 0, "skipped": 0}
            speed = {"rate": whole.rate, "eta": whole.eta, "ranks": whole.ranks}
            self._listen(Event("progress", "", {**now.model_dump(), **counts, **speed}))

    def end_shard(self) -> None:
        """Adds the finished shard to the running sums."""
        assert self._shard is not None
        if self._crew is not None:
            self._crew.measured(self._shard)
        self._taps |= self._current()
        measure = self._measures.get(FINAL_TAP)
        if measure is not None:
            running = RunningEnds(measure.tap.channels)
            running = self._ends.setdefault(self._shard.set_name, running)
            running.add(measure.stats.compute())
        self._finished = dict(self._heights)
        self._sets = self._set_progress()
        self._measures = {}
        self._before = (self._done, self._skipped)

    def _progress(self) -> Progress:
        seconds = time.monotonic() - self._started
        through = self._done + self._skipped
        rate = through / seconds if seconds > 0 else 0.0
        return Progress(
            stage="extract",
            set=self._shard.set_name if self._shard else None,
            kept=self._kept,
            done=self._done,
            skipped=self._skipped,
            total=self._total,
            rate=rate,
            eta=max(self._total - through, 0) / rate if rate > 0 else None,
        )

    def _set_progress(self) -> dict[str, SetProgress]:
        assert self._shard is not None
        done, skipped = self._done - self._before[0], self._skipped - self._before[1]
        before = self._sets.get(self._shard.set_name, SetProgress())
        now = before.plus(SetProgress(done=done, skipped=skipped))
        return self._sets | {self._shard.set_name: now}

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

    def _leading(self, taps: dict[tuple[str, str], RunningTap]) -> EndsOf:
        assert self._shard is not None
        name = self._shard.set_name
        measure = self._measures.get(FINAL_TAP)
        if measure is None and name not in self._ends:
            return {}
        share_sum = taps[name, FINAL_TAP].share_sum
        running = self._ends.setdefault(name, RunningEnds(len(share_sum)))
        return running.leading(share_sum, None if measure is None else measure.stats.compute())

    def _scan(self, features: Sequence[NDArray[Any] | torch.Tensor]) -> None:
        """Scans a part of the last batch for heights; images arrive in random order."""
        assert self._shard is not None
        if not len(features) or not len(features[-1]):
            return
        last = np.asarray(features[-1], dtype=np.float32)
        rows = last[: max(_SCANNED_VALUES // last.shape[1], 1)]
        none = RunningHeights(np.zeros(last.shape[1], np.int64))
        name = self._shard.set_name
        self._heights[name] = self._heights.get(name, none).plus(rows)

    def _show(self, features: Sequence[NDArray[Any] | torch.Tensor] = ()) -> None:
        assert self._shard is not None
        with self._pace.piece():
            taps = self._taps | self._current()
            self._scan(features)
            ends = self._ends_of[self._shard.set_name] = self._leading(taps)
            self._sequence += 1
            state = RankState(
                **self._progress().model_dump(),
                sequence=self._sequence,
                sets=self._set_progress(),
                ends=self._ends_of,
            )
            shown = {
                (name, tap): one.shown(self._heights.get(name) if tap == FINAL_TAP else None)
                for (name, tap), one in taps.items()
            }
            write_rank(self._directory, self._rank, state, shown)
        self._thumbs.write(self._shard.set_name, ends)
