"""Runs images through the encoder shard by shard, and publishes each finished shard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from tuiprobe.datasets import Sample
from tuiprobe.datasets.layout import hash_ids
from tuiprobe.errors import DataError
from tuiprobe.files import DIGEST_BYTES
from tuiprobe.measure.engine.decoding import Batch
from tuiprobe.measure.engine.live import LiveView
from tuiprobe.measure.engine.machine import statistics_device
from tuiprobe.measure.engine.opening import Job
from tuiprobe.measure.engine.plan import INNER_TOP_K
from tuiprobe.measure.engine.shards import Shard, stack_states
from tuiprobe.measure.engine.stopping import Interrupted, failure_event
from tuiprobe.measure.run.records import ShardFile, write_shard
from tuiprobe.models.taps import Tap
from tuiprobe.spec import FINAL_TAP, RunSpec
from tuiprobe.stats import ActivationStats, ChannelStats

MAX_ROWS = 4096
"""Rows stored per set and inner tap: one seeded position of each of the first images."""

_NAMED = 3  # unreadable images in an error


class Extraction:
    """Measures the missing shards of a run and publishes them.

    Args:
        job: The run.
        live: The live view to update.
        missing: The shards to measure.
        unreadable: Number of unreadable images in shards of earlier attempts.

    Attributes:
        left: The shards that are not published yet, by set name and number.
        stopped: Whether it was asked to stop before the last one.
    """

    def __init__(
        self, job: Job, live: LiveView, missing: Sequence[Shard] = (), unreadable: int = 0
    ) -> None:
        self.job, self._plan, self._live = job, job.plan, live
        self.left = {shard.id: shard for shard in missing}
        self.stopped = False
        self._pieces = 1  # forward passes per batch; grows when memory runs out
        self._unreadable_before = unreadable
        self._unreadable: dict[tuple[str, int], str] = {}

    def needs(self, shard: Shard) -> bool:
        """Returns whether it still has to measure a shard."""
        return shard.id in self.left

    def begin_pass(self) -> None:
        """Begins a pass; speed and time left are those of the missing shards."""
        missing = [*self.left.values()]
        count = sum(shard.size for shard in missing)
        self.job.emit("stage", f"measuring {count} {self._plan.unit}", stage="extract")
        self._live.begin(missing)

    def stop(self, reason: Interrupted) -> None:
        """Marks the extraction as stopped, and emits an event."""
        self.stopped = True
        self.job.listen(failure_event(reason))

    def cut_batches(self) -> bool:
        """Makes the pieces of a batch half as large; returns False if they are single images."""
        if self._pieces >= self._plan.spec.batch:
            return False
        self._pieces *= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        message = (
            f"out of memory: batches are cut into {self._pieces} pieces from here on, so the "
            "last bits of figures differ from those of an uncut run"
        )
        self.job.emit("warning", message)
        return True

    def begin(self, shard: Shard) -> None:
        """Starts a shard; drops the measurements of an unfinished one."""
        self._current = _Current(shard, self._new_measures(shard))
        stats = {tap: measure.stats for tap, measure in self._current.measures.items()}
        self._live.begin_shard(shard, stats)

    def measure(self, batch: Batch) -> None:
        """Measures the next batch of the shard.

        Raises:
            Interrupted: If a stop was requested.
            DataError: If too many images are unreadable.
        """
        self.job.stop.check()
        current = self._current
        current.seen += batch.seen
        current.digests += batch.digests
        samples = self._plan.suite.sets[current.shard.set_name].samples
        for sample_id, reason in batch.skipped:
            self._count_unreadable(current.shard.set_name, samples[sample_id], reason)
        current.skipped += batch.skipped
        current.lost.append(batch.lost)
        if len(batch.ids):
            size = max(-(-len(batch.ids) // self._pieces), 1)
            pieces = zip(torch.split(batch.images, size), torch.split(batch.ids, size), strict=True)
            for images, ids in pieces:
                features = self._forward(images, ids, current.measures)
                sampled = current.measures[FINAL_TAP].sampled_images
                current.features.append(features.float()[sampled])  # on its device: nothing waits
                current.ids.append(ids[sampled])
        lost = len(batch.skipped) + len(batch.lost)
        self._live.advance(len(batch.ids), lost, current.features, current.ids)

    def publish(self) -> None:
        """Writes the shard's file; after this the shard is final."""
        current, shard = self._current, self._current.shard
        arrays = stack_states({tap: m.state() for tap, m in current.measures.items()})
        for tap, measure in current.measures.items():
            if (sampled := measure.rows()) is not None:
                arrays[f"{tap}/rows"] = sampled
        width = self._plan.encoder.width
        features = torch.cat(current.features).cpu() if current.features else torch.empty(0, width)
        arrays["features"] = features.numpy()
        arrays["ids"] = torch.cat([torch.empty(0, dtype=torch.int64), *current.ids]).numpy()
        arrays["images"] = np.array(current.seen, dtype=np.int64)
        arrays["digests"] = np.frombuffer(current.digests, np.uint8).reshape(-1, DIGEST_BYTES)
        arrays["lost"] = torch.cat(current.lost).numpy()
        file = ShardFile(
            entry=self._plan.directory.shard_file(*shard.id),
            arrays=arrays,
            fingerprint=self.job.reader.fingerprint,
            skipped=tuple(current.skipped),
            size=shard.size,
            pieces=self._pieces,
        )
        write_shard(file, shard.id, self._plan.set_keys[shard.set_name])
        self._live.end_shard(current.features, current.ids)
        del self.left[shard.id]

    def _count_unreadable(self, set_name: str, sample: Sample, reason: str) -> None:
        """Counts an unreadable image, once however often it is tried."""
        if (set_name, sample.id) in self._unreadable:
            return
        message = self._unreadable[set_name, sample.id] = f"{sample.path}: {reason}"
        self.job.emit("skipped", message, set=set_name)
        count = self._unreadable_before + len(self._unreadable)
        allowed, images = self._plan.spec.max_unreadable, self._plan.images
        if count > allowed * images:
            raise DataError(
                f"{count} of {images} images so far cannot be read, more than --max-unreadable "
                f"{allowed:g} allows: {'; '.join(list(self._unreadable.values())[:_NAMED])}"
            )

    def _new_measures(self, shard: Shard) -> Measures:
        spec, encoder = self._plan.spec, self._plan.encoder
        rows = min(max(MAX_ROWS - shard.start, 0), shard.size)
        final = Tap(
            name=FINAL_TAP, kind="vector", channels=encoder.width, channel_dim=-1, prefix_tokens=0
        )
        device = statistics_device(self._plan.device)
        sampled = self._plan.layouts[shard.set_name].sampled
        measures = {FINAL_TAP: TapMeasure(final, spec, device, sampled=sampled)}
        measures |= {tap.name: TapMeasure(tap, spec, device, rows) for tap in self._plan.taps}
        return measures

    @torch.inference_mode()
    def _forward(self, images: torch.Tensor, ids: torch.Tensor, measures: Measures) -> torch.Tensor:
        encoder = self._plan.encoder
        device = statistics_device(self._plan.device)
        device_ids = ids.to(device, non_blocking=True)  # once for all taps

        def update(tap: Tap, x: torch.Tensor) -> None:
            measures[tap.name].update(x, ids, device_ids)

        with encoder.watch(self._plan.taps, update):
            h = encoder.encode(images)
        measures[FINAL_TAP].update(h, ids, device_ids)
        return h


class _Current:
    """The shard that is being measured."""

    def __init__(self, shard: Shard, measures: Measures) -> None:
        self.shard, self.measures = shard, measures
        self.features: list[torch.Tensor] = []
        self.ids: list[torch.Tensor] = []
        self.skipped: list[tuple[int, str]] = []
        self.lost: list[torch.Tensor] = []
        self.seen: list[int] = []
        self.digests = bytearray()


Sampled: TypeAlias = Callable[[NDArray[np.int64], int], NDArray[np.bool_] | None]
"""Returns which of some samples are kept with their representation; None for all."""


class TapMeasure:
    """Statistics and sampled rows of one tap over one shard.

    Where a set keeps a sample of its representations, moments and both ends of every channel are
    of all samples, and figures of single samples of those that are kept.

    Args:
        tap: The measured tap.
        spec: Which tokens are used, how many images are stored per channel and end, and the seed.
        device: Device of the statistics; activations elsewhere are copied.
        most_rows: Number of images of this shard that contribute one row each.
        sampled: Which samples are kept with their representation; None for all.

    Attributes:
        sampled_images: Which samples of the last batch are kept with their representation.
    """

    def __init__(
        self,
        tap: Tap,
        spec: RunSpec,
        device: str,
        most_rows: int = 0,
        sampled: Sampled = lambda ids, seed: None,
    ) -> None:
        self.tap = tap
        self.sampled_images: torch.Tensor | slice = slice(None)
        top_k = spec.top_k if tap.name == FINAL_TAP else INNER_TOP_K
        self.stats = ActivationStats(tap.channels, k=top_k, device=device)
        self._every: ChannelStats | None = None  # of all samples, where some are kept
        self._spec, self._rows_left, self._sampled = spec, most_rows, sampled
        self._device = torch.device(device)
        self._rows: list[torch.Tensor] = []

    def update(
        self, activations: torch.Tensor, ids: torch.Tensor, copied_ids: torch.Tensor | None = None
    ) -> None:
        """Adds the activations of one batch.

        Args:
            activations: `[B, C]`, tokens `[B, T, C]`, or a map with channels at the tap's
                `channel_dim`.
            ids: int64 `[B]`, sample ids, on the CPU.
            copied_ids: The same on the device of the statistics, where they are copied once for all
                taps; None to copy them.
        """
        x = select_tokens(activations, self.tap, self._spec.tokens)
        if x.device.type != self._device.type:  # no kernels for it
            x = x.to(self._device)
        device_ids = ids if copied_ids is None else copied_ids
        if (sampled := self._sampled(ids.numpy(), self._spec.seed)) is not None:
            self._every = self._every or ChannelStats(x.shape[1], k=self.stats.k)
            self._every.update(x, device_ids)
            self.sampled_images = torch.from_numpy(sampled)
            x, device_ids = x[self.sampled_images], device_ids[self.sampled_images]
        if len(x):
            self.stats.update(x, device_ids, channel_dim=self.tap.channel_dim)
        if self._rows_left > 0:
            rows = sampled_rows(x, ids, self.tap.channel_dim, self._spec.seed)
            rows = rows[: self._rows_left]
            self._rows.append(rows.float())  # stays on its device, so that nothing waits
            self._rows_left -= len(rows)

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns the mergeable state by field."""
        state = self.stats.state_dict()
        if self._every is not None:
            state |= self._every.state_dict()
        return {name: tensor.numpy() for name, tensor in state.items()}

    def rows(self) -> NDArray[np.float32] | None:
        """Returns float32 `[m, C]`, one position of each of the first images."""
        return torch.cat(self._rows).cpu().numpy() if self._rows else None


Measures: TypeAlias = Mapping[str, TapMeasure]
"""What measures a shard, by tap."""


def select_tokens(x: torch.Tensor, tap: Tap, tokens: str) -> torch.Tensor:
    """Selects the tokens of a token tap to use; returns other kinds unchanged.

    Args:
        x: Activations; `[B, T, C]` for a token tap.
        tap: The tap; gives the kind and the number of prefix tokens (class, registers).
        tokens: `all`, `class` (the first token) or `mean` over all.
    """
    if tap.kind != "token" or tokens == "all":
        return x
    return x[:, 0] if tokens == "class" else x.mean(dim=1)


def sampled_rows(x: torch.Tensor, ids: torch.Tensor, channel_dim: int, seed: int) -> torch.Tensor:
    """Returns the channels at one seeded position of every image.

    The position depends only on the seed and the sample id, so it does not change with batches,
    processes or attempts.

    Args:
        x: Activations with the images along the first dimension.
        ids: int64 `[B]`, sample ids.
        channel_dim: Dimension of the channels.
        seed: Any integer.

    Returns:
        `[B, C]`.
    """
    if x.ndim == 2:
        return x
    channels_last = x.movedim(channel_dim, -1)
    shape = channels_last.shape[1:-1]
    chosen = (hash_ids(ids.cpu().numpy(), seed) % np.uint64(np.prod(shape))).astype(np.int64)
    index = [torch.from_numpy(i).to(x.device) for i in np.unravel_index(chosen, shape)]
    return channels_last[(torch.arange(len(x), device=x.device), *index)]
