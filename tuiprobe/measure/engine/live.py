"""The live view of a rank: its status, progress of all ranks, thumbnails at the ends of channels.

Until the end thumbnails are those of the first shard of a set, so that they appear soon and
stay.
"""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuiprobe.datasets import Dataset, UnreadableImageError
from tuiprobe.measure.engine.running import LiveAnswers, Pace, RunningHeights, RunningTap, live_pace
from tuiprobe.measure.engine.shards import Shard
from tuiprobe.measure.engine.workers import Source, reading_ahead
from tuiprobe.measure.run.counting import SetCount, count_images, published_shards
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.status import Ends, Event, Listener, SetAnswers, StatusWriter, bounded
from tuiprobe.measure.run.view import RankView, read_ranks
from tuiprobe.results.accuracy import sentence
from tuiprobe.spec import FINAL_TAP
from tuiprobe.stats import ActivationStats, ActivationSummary, TopK

_SCANNED_VALUES = 1 << 15  # of the last batch, so that heights take about a millisecond
SIZE = 96
_TOGETHER = 16  # thumbnails that a worker writes at once
LEADING_CHANNELS = 8
IMAGES_PER_END = 8
ChannelEnds = dict[int, Ends]
"""Images at both ends, by channel."""

RATE_SECONDS = 10.0
"""Speed and time left are those of the last seconds."""

_MAX_COST = 0.01  # share of the run's time that thumbnails may take


class LiveView:
    """Counts what a rank measures, for its status and for the listener.

    Both are updated at most five times per second, and less often if that would take more than 1 %
    of the run's time.

    Args:
        directory: The run directory.
        status: The status of this rank.
        sets: The planned sets.
        listen: Receives progress; of several ranks, that of all.
        pictured: Data sets by set name, to make thumbnails from.
        answers: Counts what the head answers.
    """

    def __init__(
        self,
        directory: RunDir,
        status: StatusWriter,
        sets: Sequence[SetCount],
        listen: Listener,
        pictured: Mapping[str, Dataset] | None = None,
        answers: LiveAnswers | None = None,
    ) -> None:
        self._directory, self._status = directory, status
        self._sets, self._listen = sets, listen
        self._ranks: tuple[RankView, ...] | None = () if status.status.world > 1 else None
        self._published = published_shards(directory)
        self._taps: dict[tuple[str, str], RunningTap] = {}
        self._ends_of: dict[str, ChannelEnds] = {}
        self._heights: dict[str, RunningHeights] = {}  # with the shard that is measured
        self._finished: dict[str, RunningHeights] = {}
        self._thumbs, self._answers = LiveThumbs(directory, pictured or {}), answers
        self._shard: Shard | None = None
        self._stats: Mapping[str, ActivationStats] = {}
        self._pace, self._telling = live_pace(), live_pace()
        self.begin(())

    def begin(self, shards: Sequence[Shard]) -> None:
        """Begins to measure some shards; speed and time left are of these."""
        self._started = time.monotonic()
        self._left = sum(shard.size for shard in shards)
        self._before = self._within = 0  # images in finished shards, and in the one under way
        self._lately = deque([(self._started, 0)])  # when how many were measured

    def begin_shard(self, shard: Shard, stats: Mapping[str, ActivationStats]) -> None:
        """Starts a shard, perhaps not for the first time, with the statistics of each tap."""
        self._shard, self._stats = shard, stats
        self._within = 0
        self._published.discard(shard.id)
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
        rate = self._rate()
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

    def _rate(self) -> float:
        """Returns the images a second of the last seconds."""
        now, done = time.monotonic(), self._before + self._within
        self._lately.append((now, done))
        while len(self._lately) > 2 and self._lately[1][0] <= now - RATE_SECONDS:
            self._lately.popleft()
        begun, before = self._lately[0]
        return max((done - before) / (now - begun), 0.0) if now > begun else 0.0

    def end_shard(
        self, features: Sequence[torch.Tensor] = (), ids: Sequence[torch.Tensor] = ()
    ) -> None:
        """Adds the finished shard to the running sums; arguments as for `advance`."""
        assert self._shard is not None
        self._answer(features, ids, last=False)
        if self._answers is not None:
            self._answers.end_shard()
        self._taps |= self._current()
        name, stats = self._shard.set_name, self._stats.get(FINAL_TAP)
        if stats is not None and name not in self._ends_of:
            share_sum = self._taps[name, FINAL_TAP].share_sum
            self._ends_of[name] = channel_ends(stats.compute(), share_sum)
            self._thumbs.begin(self._ends_of)
        self._finished = dict(self._heights)
        self._stats = {}
        self._published.add(self._shard.id)
        self._left -= self._shard.size
        self._before, self._within = self._before + self._within, 0
        self._status.update(shard=None, images=0, ends=self._ends_of)

    def _progress(self) -> dict[str, Any]:
        """Returns set, images that are done and all, speed and time left, of all ranks."""
        measuring = [self._status.status]
        if self._ranks is not None:
            self._published |= published_shards(self._directory)
            self._ranks, _ = read_ranks(self._directory, self._ranks, trusting=True)
            others = (r for r in self._ranks if r.runs and r.number != self._status.rank)
            measuring += [rank.status for rank in others if rank.status.shard_id is not None]
        count = count_images(self._sets, self._published, measuring)
        return {
            "unit": "images",
            "done": count.done,
            "total": count.total,
            "rate": sum(status.rate for status in measuring),
            "eta": max(
                (status.eta for status in measuring if status.eta is not None), default=None
            ),
            "answer": _answer_so_far(self._status.status.answers),
            **({} if self._ranks is None else {"ranks": len(measuring)}),
        }

    def _current(self) -> dict[tuple[str, str], RunningTap]:
        assert self._shard is not None
        current = {}
        for tap, stats in self._stats.items():
            key, samples = (self._shard.set_name, tap), stats.samples.compute()
            width = len(samples.share_sum)
            before = self._taps.get(key) or RunningTap(np.zeros(width), np.zeros(width, np.int64))
            current[key] = before.plus(samples)
        return current

    def _answer(
        self, features: Sequence[torch.Tensor], ids: Sequence[torch.Tensor], last: bool
    ) -> None:
        """Counts the answers so far; if that fails, the run continues without them."""
        assert self._shard is not None
        if self._answers is None:
            return
        try:
            self._answers.count(self._shard.set_name, features, ids)
            self._status.update(answers=self._answers.so_far(last))
        except Exception as error:  # the report says why its answers are missing
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
    directory: RunDir,
    datasets: Mapping[str, Dataset],
    sample_ids: Mapping[str, Iterable[int]],
    workers: int,
) -> None:
    """Writes the missing thumbnails of some sets.

    Args:
        directory: The run directory.
        datasets: Data sets by set name.
        sample_ids: The images by set name.
        workers: Processes that write them; with 0 this process does, and continues after a stop was
            requested.
    """
    pictures = [(name, i) for name, ids in sample_ids.items() for i in sorted(ids)]
    source = Source(
        batches=[
            range(first, min(first + _TOGETHER, len(pictures)))
            for first in range(0, len(pictures), _TOGETHER)
        ],
        read=lambda index: _write_thumbnail(directory, datasets, *pictures[index]),
        collate=len,
        name=lambda index: "image {1} of {0}".format(*pictures[index]),
    )
    if workers:
        with reading_ahead(source, workers) as batches:
            deque(batches, maxlen=0)
    else:
        for index in range(len(pictures)):
            source.read(index)


def _write_thumbnail(
    directory: RunDir, datasets: Mapping[str, Dataset], set_name: str, sample_id: int
) -> None:
    """Writes a missing thumbnail, at most 96 pixels wide and high.

    It can be made again, so nobody waits until it is on the disk; what a loss of power left empty
    counts as missing.
    """
    file, dataset = directory.thumbnail_file(set_name, sample_id), datasets[set_name]
    status = file.status()
    if status is not None and status.st_size > 0:
        return
    try:
        image = dataset.read(dataset.samples[sample_id]).image()
    except UnreadableImageError:
        return  # readable a moment ago; a thumbnail is optional
    image.thumbnail((SIZE, SIZE))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=85)
    file.replace(content.getvalue())


def channel_ends(shard: ActivationSummary, share_sum: NDArray[np.float64]) -> ChannelEnds:
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
                (name, end[index][0])
                for name, channels in ends.items()
                if name in self._sets
                for index in range(IMAGES_PER_END)
                for channel in channels.values()
                for end in (channel.strongest, channel.other)
                if index < len(end)
            ]
        )

    def write(self) -> None:
        """Writes the next thumbnail, if the time budget allows."""
        if self._pace.due and (picture := next(self._left, None)) is not None:
            name, image = picture
            with self._pace.piece():
                _write_thumbnail(self._directory, self._sets, name, image)


def _answer_so_far(answers: Mapping[str, SetAnswers]) -> str:
    """Returns how right the model is so far: without labels, or on the only labelled set."""
    known = [known for name, of in answers.items() if (known := of.accuracy(name)) is not None]
    estimates = [accuracy for accuracy in known if accuracy.evidence == "estimate"]
    in_question = (estimates or known)[:1] if estimates or len(answers) == 1 else []
    return "".join(sentence(accuracy, named=True) for accuracy in in_question)
