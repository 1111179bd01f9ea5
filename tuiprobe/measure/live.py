"""What a running rank shows: progress, answers, shares and heights of channels, kurtosis."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tuiprobe.datasets import Dataset, Suite
from tuiprobe.events import Event, Listener
from tuiprobe.measure.clock import Pace
from tuiprobe.measure.shards import Shard
from tuiprobe.measure.thumbnails import EndsOf, LiveThumbs, ends_of
from tuiprobe.models.taps import Tap
from tuiprobe.numbers import NORMAL_95
from tuiprobe.probes.heads import SetFeatures, hits, usable_images
from tuiprobe.probes.outliers.heights import CUTS, OUTLIER, scan_heights
from tuiprobe.probes.rows import MIN_CHANNELS, usable
from tuiprobe.probes.targets.headline import headline_estimates
from tuiprobe.results import Figure, given
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.counting import SetPlan, count_images, published_shards
from tuiprobe.run.directory import RunDir
from tuiprobe.run.state import StatusWatch
from tuiprobe.run.status import LiveTap, SetAnswers, StatusWriter, bounded
from tuiprobe.spec import FINAL_TAP
from tuiprobe.stats import ActivationStats, SampleSummary

MIN_SECONDS = 0.2
MAX_COST = 0.01  # share of the run's time that the live view may take
_SCANNED_VALUES = 1 << 15  # of the last batch, so that heights take about a millisecond


def live_pace() -> Pace:
    """Returns the pace of live files: at most five times a second, and 1 % of the time."""
    return Pace(MAX_COST, MIN_SECONDS)


class RunningFigures(Protocol):
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

    def shown(self, heights: RunningHeights | None = None) -> LiveTap:
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
        keep = usable(rows)
        if not keep.any() or rows.shape[1] < MIN_CHANNELS:
            return self
        scan = scan_heights(rows, keep)
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
        listen: Told about progress; of several ranks, about that of all.
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
        self._ends_of: dict[str, EndsOf] = {}
        self._heights: dict[str, RunningHeights] = {}  # with the shard that is measured
        self._finished: dict[str, RunningHeights] = {}
        self._thumbs, self._answers = LiveThumbs(directory, pictured or {}), answers
        self._shard: Shard | None = None
        self._measures: Mapping[str, RunningFigures] = {}
        self._pace, self._telling = live_pace(), live_pace()
        self.begin(())

    def begin(self, shards: Sequence[Shard]) -> None:
        """Begins to measure some shards; speed and time left are of these."""
        self._started = time.monotonic()
        self._left = sum(shard.size for shard in shards)
        self._before = self._within = 0  # images in finished shards, and in the one under way

    def begin_shard(self, shard: Shard, measures: Mapping[str, RunningFigures]) -> None:
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
            self._show(features, ids, scan=images > 0, last=left == 0)
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
            samples = measure.stats.samples.compute()
            place = (self._shard.set_name, tap)
            width = measure.tap.channels
            before = self._taps.get(place) or RunningTap(np.zeros(width), np.zeros(width, np.int64))
            current[place] = before.plus(samples)
        return current

    def _scan(self, features: torch.Tensor) -> None:
        """Scans a part of the last batch for heights; images arrive in random order."""
        assert self._shard is not None
        if not len(features):
            return
        channels = features.shape[1]
        rows = features[: max(_SCANNED_VALUES // channels, 1)].float().cpu().numpy()
        none = RunningHeights(np.zeros(channels, np.int64))
        name = self._shard.set_name
        self._heights[name] = self._heights.get(name, none).plus(rows)

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

    def _show(
        self,
        features: Sequence[torch.Tensor],
        ids: Sequence[torch.Tensor],
        *,
        scan: bool,
        last: bool,
    ) -> None:
        self._answer(features, ids, last)
        with self._pace.piece():
            taps = self._taps | self._current()
            if scan and features:
                self._scan(features[-1])
            shown = {
                (name, tap): running.shown(self._heights.get(name) if tap == FINAL_TAP else None)
                for (name, tap), running in taps.items()
            }
            self._status.write(shown)
        self._thumbs.write()


KEPT_IMAGES = 1000
"""Images of each set that estimates rest on: its first ones, which are a fair sample."""

MAX_COST = 0.03  # share of the run's time that estimates may take


@dataclass(frozen=True, eq=False)
class _SetSoFar:
    """Counts of all images of a set so far, and the representations of the first ones."""

    kept: SetFeatures
    images: int = 0
    right: int = 0

    def plus(self, images: SetFeatures, head: HeadArrays) -> _SetSoFar:
        """Returns the set with more images."""
        right, labels, kept = 0, None, self.kept
        if images.labels is not None and kept.labels is not None:
            usable = usable_images(images)
            right = hits(usable.features, head, usable)
            labels = np.concatenate([kept.labels, images.labels])[:KEPT_IMAGES]
        features = kept.features
        if len(features) < KEPT_IMAGES:
            features = np.concatenate([features, images.features])[:KEPT_IMAGES]
        kept = replace(kept, features=features, labels=labels)
        return _SetSoFar(kept, self.images + len(images.features), self.right + right)


class LiveAnswers:
    """Answers of a head, counted as the images pass.

    Args:
        suite: The sets.
        head: The head.
        answers: The class that each row of the head answers for, by name of the set.
    """

    def __init__(
        self, suite: Suite, head: HeadArrays, answers: Mapping[str, NDArray[np.int64]]
    ) -> None:
        self._suite, self._head = suite, head
        self._estimates: Mapping[str, tuple[Figure, bool]] = {}
        self._pace = Pace(MAX_COST)
        nothing = np.empty((0, head.weight.shape[1]), np.float32)
        self._done = {
            name: _SetSoFar(
                SetFeatures(
                    name, nothing, np.empty(0, np.int64) if self._labelled(name) else None, rows
                )
            )
            for name, rows in answers.items()
            if name in suite.sets and name != suite.concept_set
        }  # of finished shards
        self.begin_shard()

    def _labelled(self, name: str) -> bool:
        return name not in self._suite.targets and bool(self._suite.sets[name].classes)

    def begin_shard(self) -> None:
        """Forgets what was counted of an unfinished shard."""
        self._sets, self._batches = dict(self._done), 0

    def end_shard(self) -> None:
        """Keeps what was counted of the shard."""
        self._done, self._batches = dict(self._sets), 0

    def count(
        self,
        name: str,
        features: Sequence[NDArray[np.float32] | torch.Tensor],
        ids: Sequence[NDArray[np.int64] | torch.Tensor],
    ) -> None:
        """Counts the batches of the current shard that were not counted yet.

        Args:
            name: Its set.
            features: Final representations of its batches so far, `[n, C]` each, on any device.
            ids: Their sample ids.
        """
        new = slice(self._batches, len(features))
        self._batches = len(features)
        if name not in self._sets or not features[new]:
            return
        rows = np.concatenate([_on_host(batch) for batch in features[new]])
        numbers = np.concatenate([_on_host(batch) for batch in ids[new]])
        finite = np.isfinite(np.linalg.norm(rows, axis=1))
        images, kept = replace(self._sets[name].kept, features=rows[finite]), numbers[finite]
        if images.labels is not None:
            images = replace(images, labels=_labels(self._suite.sets[name], kept))
        self._sets[name] = self._sets[name].plus(images, self._head)

    def so_far(self, last: bool = False) -> dict[str, SetAnswers]:
        """Returns the answers on every set that has any; estimates are renewed at their pace.

        Args:
            last: Whether no image follows, so that the estimates have to be of all.
        """
        if last or self._pace.due:
            with self._pace.piece():
                self._estimate()
        return {
            name: _shown(each, *self._estimates.get(name, (None, False)))
            for name, each in self._sets.items()
            if each.images
        }

    def _estimate(self) -> None:
        """Estimates accuracy on the sets without labels by the function of the results."""
        kept = {name: each.kept for name, each in self._sets.items() if each.images}
        first, *others = [name for name in self._suite.sets if name != self._suite.concept_set]
        targets = [kept[name] for name in self._suite.targets if name in kept]
        if first in kept and targets:
            shifts = [kept[name] for name in others if name in kept]
            self._estimates = headline_estimates(self._head, kept[first], shifts, targets)


def _on_host(batch: NDArray[np.generic] | torch.Tensor) -> NDArray[np.generic]:
    return batch.cpu().numpy() if isinstance(batch, torch.Tensor) else batch


def _labels(dataset: Dataset, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    samples = dataset.samples
    return np.array([samples[i].label for i in ids.tolist()], dtype=np.int64)


def _shown(each: _SetSoFar, estimate: Figure | None, calibrated: bool) -> SetAnswers:
    if each.kept.labels is not None:
        return SetAnswers(images=each.images, right=each.right)
    if estimate is None or not given(estimate):
        return SetAnswers(images=each.images)
    return SetAnswers(
        images=each.images,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        estimated=estimate.n,
        calibrated=calibrated,
    )
