"""Runs images through the encoder shard by shard, and publishes each finished shard."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from itertools import islice

import numpy as np
import torch

from tuiprobe.datasets import Sample
from tuiprobe.datasets.content import DIGEST_BYTES
from tuiprobe.engine.decoding import Batch, choose_workers, decode_batches, read_blocks, uploaded
from tuiprobe.engine.job import Job
from tuiprobe.engine.live import LiveView
from tuiprobe.engine.machine import statistics_device
from tuiprobe.engine.shards import Shard, stack_states
from tuiprobe.engine.tap_statistics import MAX_ROWS, Measures, TapMeasure
from tuiprobe.errors import DataError, RunError
from tuiprobe.models.taps import Tap
from tuiprobe.models.trial import out_of_memory
from tuiprobe.run.arrays import write_arrays
from tuiprobe.spec import FINAL_TAP

_NAMED = 3  # unreadable images in an error


class Extraction:
    """Measures shards of a run and publishes them.

    Args:
        job: The run.
        live: The live view to update.
        unreadable: Number of unreadable images in shards of earlier attempts.
    """

    def __init__(self, job: Job, live: LiveView, unreadable: int = 0) -> None:
        self._job, self._plan, self.live = job, job.plan, live
        self._pieces = 1  # forward passes per batch; grows when memory runs out
        self._unreadable_before = unreadable
        self._unreadable: dict[tuple[str, int], str] = {}

    def run(self, shards: Sequence[Shard]) -> None:
        """Measures the shards in order; published shards are kept in any case.

        Raises:
            Interrupted: If a stop was requested.
            RunError: If a single image does not fit into memory, or writing fails.
        """
        pending = list(shards)
        while pending:
            try:
                with closing(self._stream(pending)) as measured:
                    for _ in measured:
                        pending = pending[1:]
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                self._cut_batches(error)

    def _cut_batches(self, error: Exception) -> None:
        if self._pieces >= self._plan.spec.batch:
            raise RunError(
                "out of memory with one image at a time; use a smaller model or --device cpu"
            ) from error
        self._pieces *= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        message = (
            f"out of memory: batches are cut into {self._pieces} pieces from here on, so the "
            "figures are no longer bit-equal to those of a run that is not cut"
        )
        self._job.say("warning", message)

    def _stream(self, shards: Sequence[Shard]) -> Generator[Shard]:
        plan = self._plan
        workers = choose_workers(plan.spec.workers, sum(shard.size for shard in shards))
        with (
            decode_batches(shards, plan.suite.sets, plan.stamps, plan.encoder.preprocess, workers)
            if all(layout.alone for layout in plan.layouts.values())
            else nullcontext(read_blocks(shards, plan.layouts))
        ) as decoded:
            alone = ((batch,) for batch in decoded)
            batches = (batch for (batch,) in uploaded(alone, plan.device))
            for shard in list(shards):
                self.begin(shard)
                for batch in islice(batches, len(shard.batches)):
                    self.take(batch)
                self.publish()
                yield shard

    def begin(self, shard: Shard) -> None:
        """Starts a shard; drops the measurements of an unfinished one."""
        self._current = _Current(shard, self._new_measures(shard))
        self.live.begin_shard(shard, self._current.measures)

    def take(self, batch: Batch) -> None:
        """Measures the next batch of the shard.

        Raises:
            Interrupted: If a stop was requested.
            DataError: If an image changed since the run was planned, or too many are unreadable.
        """
        self._job.stop.check()
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
        self.live.advance(len(batch.ids), lost, current.features, current.ids)

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
            "fingerprint": self._job.reader.fingerprint.model_dump_json(),
            "pieces": str(self._pieces),
            "skipped": json.dumps(current.skipped),
            "seconds": f"{time.monotonic() - current.started:.3f}",
            "size": str(shard.size),
        }
        write_arrays(self._plan.directory.shard_file(*shard.place), arrays, metadata)
        self.live.end_shard(current.features, current.ids)

    def _count_unreadable(self, set_name: str, sample: Sample, reason: str) -> None:
        """Counts an unreadable image, once however often it is tried."""
        if (set_name, sample.id) in self._unreadable:
            return
        message = self._unreadable[set_name, sample.id] = f"{sample.path}: {reason}"
        self._job.say("skipped", message, set=set_name)
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
