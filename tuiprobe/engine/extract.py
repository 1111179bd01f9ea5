"""Runs images through the encoder shard by shard, and publishes each finished shard."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import numpy as np
import torch

from tuiprobe.datasets import Sample
from tuiprobe.datasets.content import DIGEST_BYTES
from tuiprobe.engine.decoding import Batch
from tuiprobe.engine.job import Job
from tuiprobe.engine.live import LiveView
from tuiprobe.engine.machine import statistics_device
from tuiprobe.engine.shards import Shard, stack_states
from tuiprobe.engine.stopping import KEPT, Interrupted
from tuiprobe.engine.tap_statistics import MAX_ROWS, Measures, TapMeasure
from tuiprobe.errors import DataError
from tuiprobe.models.taps import Tap
from tuiprobe.run.arrays import write_arrays
from tuiprobe.spec import FINAL_TAP

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
        self.left = {shard.place: shard for shard in missing}
        self.stopped = False
        self._pieces = 1  # forward passes per batch; grows when memory runs out
        self._unreadable_before = unreadable
        self._unreadable: dict[tuple[str, int], str] = {}

    def needs(self, shard: Shard) -> bool:
        """Says whether it still has to measure a shard."""
        return shard.place in self.left

    def begin_pass(self) -> None:
        """Says that it is measured from here on; speed and time left are of the missing shards."""
        missing = [*self.left.values()]
        count = sum(shard.size for shard in missing)
        self.job.say("stage", f"measuring {count} {self._plan.unit}", stage="extract")
        self._live.begin(missing)

    def stop(self, reason: Interrupted) -> None:
        """Marks it as stopped, and says so."""
        self.stopped = True
        self.job.say("interrupted", f"stopped by {reason}; {KEPT}")

    def cut_batches(self) -> bool:
        """Makes the pieces of a batch half as large; returns False if they are single images."""
        if self._pieces >= self._plan.spec.batch:
            return False
        self._pieces *= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        message = (
            f"out of memory: batches are cut into {self._pieces} pieces from here on, so the "
            "figures are no longer bit-equal to those of a run that is not cut"
        )
        self.job.say("warning", message)
        return True

    def begin(self, shard: Shard) -> None:
        """Starts a shard; drops the measurements of an unfinished one."""
        self._current = _Current(shard, self._new_measures(shard))
        self._live.begin_shard(shard, self._current.measures)

    def take(self, batch: Batch) -> None:
        """Measures the next batch of the shard.

        Raises:
            Interrupted: If a stop was requested.
            DataError: If an image changed since the run was planned, or too many are unreadable.
        """
        self.job.stop.check()
        current = self._current
        dataset = self._plan.suite.sets[current.shard.set_name]
        batch.refuse_changed(dataset)
        current.seen += batch.seen
        current.digests += batch.digests
        samples = dataset.samples
        for sample_id, reason in batch.skipped:
            self._count_unreadable(current.shard.set_name, samples[sample_id], reason)
        current.skipped += batch.skipped
        current.lost.append(batch.lost)
        if len(batch.ids):
            size = max(-(-len(batch.ids) // self._pieces), 1)
            pieces = zip(torch.split(batch.images, size), torch.split(batch.ids, size), strict=True)
            for images, ids in pieces:
                features = self._forward(images, ids, current.measures)
                kept = current.measures[FINAL_TAP].kept
                current.features.append(features.float()[kept])  # stays there: nothing waits
                current.ids.append(ids[kept])
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
        metadata = {
            "key": self._plan.set_keys[shard.set_name],
            "place": f"{shard.set_name} {shard.number}",
            "fingerprint": self.job.reader.fingerprint.model_dump_json(),
            "pieces": str(self._pieces),
            "skipped": json.dumps(current.skipped),
            "seconds": f"{time.monotonic() - current.started:.3f}",
            "size": str(shard.size),
        }
        write_arrays(self._plan.directory.shard_file(*shard.place), arrays, metadata)
        self._live.end_shard(current.features, current.ids)
        del self.left[shard.place]

    def _count_unreadable(self, set_name: str, sample: Sample, reason: str) -> None:
        """Counts an unreadable image, once however often it is tried."""
        if (set_name, sample.id) in self._unreadable:
            return
        message = self._unreadable[set_name, sample.id] = f"{sample.path}: {reason}"
        self.job.say("skipped", message, set=set_name)
        count = self._unreadable_before + len(self._unreadable)
        allowed, images = self._plan.spec.max_unreadable, self._plan.images
        if count > allowed * images:
            raise DataError(
                f"{count} of {images} images cannot be read, more than the {allowed:.0%} allowed "
                f"by --max-unreadable: {'; '.join(list(self._unreadable.values())[:_NAMED])}"
            )

    def _new_measures(self, shard: Shard) -> Measures:
        spec, encoder = self._plan.spec, self._plan.encoder
        rows = min(max(MAX_ROWS - shard.start, 0), shard.size)
        final = Tap(FINAL_TAP, "vector", encoder.width, -1, 0)
        device = statistics_device(self._plan.device)
        sampled = self._plan.layouts[shard.set_name].sampled
        measures = {FINAL_TAP: TapMeasure(final, spec, device, sampled=sampled)}
        measures |= {tap.name: TapMeasure(tap, spec, device, rows) for tap in self._plan.taps}
        return measures

    @torch.inference_mode()
    def _forward(self, images: torch.Tensor, ids: torch.Tensor, measures: Measures) -> torch.Tensor:
        encoder = self._plan.encoder
        there = ids.to(statistics_device(self._plan.device), non_blocking=True)  # once for all taps

        def take(tap: Tap, x: torch.Tensor) -> None:
            measures[tap.name].update(x, ids, there)

        with encoder.watch(self._plan.taps, take):
            h = encoder.encode(images, ids)
        measures[FINAL_TAP].update(h, ids, there)
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
        self.started = time.monotonic()
