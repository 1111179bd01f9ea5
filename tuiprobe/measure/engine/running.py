"""What a run that measures knows so far: sums over channels, heights, answers of the head."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from tuiprobe.channels.heights import scan_heights
from tuiprobe.datasets import Suite
from tuiprobe.measure.arrays.head_arrays import SetFeatures, finite_and_nonzero, hits, usable_images
from tuiprobe.measure.arrays.row_statistics import MIN_CHANNELS, rows_with_kurtosis
from tuiprobe.measure.engine.hooks import Estimates
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.measure.run.status import LiveTap, SetAnswers
from tuiprobe.numbers import NORMAL_95
from tuiprobe.results import NotRun
from tuiprobe.results.accuracy import Accuracy
from tuiprobe.stats import SampleSummary

MIN_SECONDS = 0.2
MAX_COST = 0.01  # share of the run's time that the live view may take
_MAX_ESTIMATE_COST = 0.03  # share that estimates without labels may take
SAMPLE_IMAGES = 1000
"""Images of each set that estimates rest on: its first ones, which are a fair sample."""


class Pace:
    """Spaces out work so that it takes at most a part of the time.

    Args:
        share: That part, above 0.
        seconds: Least time between the end of one piece and the next.
    """

    def __init__(self, share: float, seconds: float = 0.0) -> None:
        self._share, self._seconds = share, seconds
        self._next = 0.0

    @property
    def due(self) -> bool:
        """Whether the next piece may begin."""
        return time.monotonic() >= self._next

    @contextmanager
    def piece(self) -> Iterator[None]:
        """Times a piece of work, and sets the time of the next one by its cost."""
        begin = time.monotonic()
        yield
        end = time.monotonic()
        self._next = end + max(self._seconds, (end - begin) / self._share)


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
            share_sum=self.share_sum + np.asarray(samples.share_sum),
            leading_count=self.leading_count + np.asarray(samples.leading_count),
            images=self.images + len(kurtosis),
            kurtosis_sum=self.kurtosis_sum + float(kurtosis.sum()),
            kurtosis_square_sum=self.kurtosis_square_sum + float((kurtosis**2).sum()),
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
        rows = rows_with_kurtosis(rows)
        if not len(rows) or rows.shape[1] < MIN_CHANNELS:
            return self
        scan = scan_heights(rows)
        return RunningHeights(self.above + scan.above, self.images + scan.rows)


@dataclass(frozen=True, eq=False)
class _SetSoFar:
    """Counts of all images of a set so far, and the representations of the first ones."""

    sample: SetFeatures
    images: int = 0
    right: int = 0
    empty: int = 0

    def plus(self, images: SetFeatures, head: HeadArrays) -> _SetSoFar:
        """Returns the set with more images."""
        right, labels, sample = 0, None, self.sample
        if images.labels is not None and sample.labels is not None:
            usable = usable_images(images)
            right = hits(head, usable)
            labels = np.concatenate([sample.labels, images.labels])[:SAMPLE_IMAGES]
        features = sample.features
        if len(features) < SAMPLE_IMAGES:
            features = np.concatenate([features, images.features])[:SAMPLE_IMAGES]
        sample = replace(sample, features=features, labels=labels)
        return _SetSoFar(
            sample,
            self.images + len(images.features),
            self.right + right,
            self.empty + int((~finite_and_nonzero(images)).sum()),
        )


class LiveAnswers:
    """Answers of a head, counted as the images pass.

    Args:
        suite: The sets.
        head: The head.
        answers: The class that each row of the head answers for, by name of the set.
        estimate: Estimates accuracy on sets without labels; see `ProbeHooks.live`.
    """

    def __init__(
        self,
        suite: Suite,
        head: HeadArrays,
        answers: Mapping[str, NDArray[np.int64]],
        estimate: Callable[..., Estimates],
    ) -> None:
        self._suite, self._head, self._estimate_of = suite, head, estimate
        self._estimates: Estimates = {}
        self._pace = Pace(_MAX_ESTIMATE_COST)
        nothing = np.empty((0, head.weight.shape[1]), np.float32)
        self._done: dict[str, _SetSoFar] = {}  # of finished shards
        for name, rows in answers.items():
            if name in suite.sets and name != suite.concept_set:
                labelled = name not in suite.targets and bool(suite.sets[name].classes)
                labels = np.empty(0, np.int64) if labelled else None
                self._done[name] = _SetSoFar(SetFeatures(name, nothing, labels, rows))
        self.begin_shard()

    def begin_shard(self) -> None:
        """Resets the counts of an unfinished shard."""
        self._sets, self._batches = dict(self._done), 0

    def end_shard(self) -> None:
        """Adds the counts of the finished shard."""
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
        images = replace(self._sets[name].sample, features=rows[finite])
        if images.labels is not None:
            samples = self._suite.sets[name].samples
            labels = np.array([samples[i].label for i in numbers[finite].tolist()], dtype=np.int64)
            images = replace(images, labels=labels)
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
            name: _answers(of_set, self._estimates.get(name))
            for name, of_set in self._sets.items()
            if of_set.images
        }

    def _estimate(self) -> None:
        """Estimates accuracy on the sets without labels by the function of the results."""
        samples = {name: of_set.sample for name, of_set in self._sets.items() if of_set.images}
        first, *others = [name for name in self._suite.sets if name != self._suite.concept_set]
        targets = [samples[name] for name in self._suite.targets if name in samples]
        if first in samples and targets:
            shifts = [samples[name] for name in others if name in samples]
            self._estimates = self._estimate_of(self._head, samples[first], shifts, targets)


def _on_host(batch: NDArray[np.generic] | torch.Tensor) -> NDArray[np.generic]:
    return batch.cpu().numpy() if isinstance(batch, torch.Tensor) else batch


def _answers(of_set: _SetSoFar, estimate: Accuracy | NotRun | None) -> SetAnswers:
    if of_set.sample.labels is not None:
        return SetAnswers(images=of_set.images, right=of_set.right, empty=of_set.empty)
    if estimate is None or isinstance(estimate, NotRun):
        return SetAnswers(images=of_set.images)
    return SetAnswers(
        images=of_set.images,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        estimated=estimate.n,
        calibrated=estimate.evidence == "estimate",
        most_right=estimate.most_right,
    )
