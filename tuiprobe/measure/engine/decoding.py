"""Reads batches ahead of the encoder: images, decoded and copied to the GPU, or blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from tuiprobe.datasets.dataset import Dataset
from tuiprobe.datasets.layout import SetLayout
from tuiprobe.datasets.sample import UNREADABLE, Stamp
from tuiprobe.errors import DataError, RunError, TuiprobeError, UnreadableImageError
from tuiprobe.measure.engine.machine import available_cores
from tuiprobe.measure.engine.shards import Shard, current_rank
from tuiprobe.measure.engine.stopping import RESUMABLE
from tuiprobe.measure.engine.workers import Source, reading_ahead
from tuiprobe.models.checks.trial import refuse_two_sizes
from tuiprobe.plugins import in_code
from tuiprobe.spec import MAX_WORKERS

Stamps = Mapping[str, Mapping[int, Stamp]]
"""Planned stamps by set name and sample id."""

_LONGEST_REASON = 300
_WORKERS_FROM = 512  # fewer images are decoded faster than workers start


@dataclass(frozen=True)
class Batch:
    """The usable samples of one fixed batch.

    Attributes:
        images: float32 `[B, 3, H, W]`, preprocessed; `[B, C]` of samples that are encoded already.
        ids: int64 `[B]`, sample ids.
        skipped: Sample id and reason of each unreadable image.
        seen: Sample ids of all images of the batch, readable or not; the first one of a block.
        digests: SHA-256 of what was read from each id in `seen` on, 32 bytes each.
        lost: int64 `[m]`, the samples of a block that are not finite.
    """

    images: torch.Tensor
    ids: torch.Tensor
    skipped: tuple[tuple[int, str], ...]
    seen: tuple[int, ...]
    digests: bytes
    lost: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))


def choose_workers(requested: int | None, images: int) -> int:
    """Returns the number of decoding processes: one a core that this rank may use.

    0 means that this process decodes.
    """
    if requested is not None:
        return requested
    if images < _WORKERS_FROM:
        return 0
    return min(max(available_cores() // current_rank().local_world, 1), MAX_WORKERS)


@contextmanager
def decode_batches(
    shards: Sequence[Shard],
    datasets: dict[str, Dataset],
    stamps: Stamps,
    preprocesses: Sequence[Any],
    workers: int,
) -> Iterator[Iterator[tuple[Batch, ...]]]:
    """Yields an iterator over the batches of the shards, in order, one batch per encoder.

    Every image is decoded once. The iterator raises errors as for
    `tuiprobe.measure.engine.workers.reading_ahead`; a `DataError` names an image that changed since
    the run was planned.

    Args:
        shards: The shards to decode.
        datasets: Data set by set name.
        stamps: Stamps of the images when the run was planned.
        preprocesses: Of each encoder, what converts an RGB image to a float32 tensor `[3, H, W]`.
        workers: Worker processes; 0 for none.
    """
    images = [(s.set_name, int(i)) for s in shards for batch in s.batches for i in batch]
    lengths = [len(batch) for shard in shards for batch in shard.batches]
    ends = np.cumsum(lengths).tolist()

    def name(index: int) -> str:
        set_name, sample_id = images[index]
        return f"{datasets[set_name].samples[sample_id].path} of {set_name}"

    source = Source(
        batches=[range(end - length, end) for length, end in zip(lengths, ends, strict=True)],
        read=lambda index: _read(*images[index], datasets, stamps, preprocesses),
        collate=partial(_collate, len(preprocesses)),
        name=name,
    )
    with reading_ahead(source, workers) as together:
        yield together


@dataclass(frozen=True, slots=True)
class _Item:
    """One image: its path, its tensors, or the reason why it cannot be read."""

    path: str
    id: int
    digest: bytes
    tensors: list[torch.Tensor] = field(default_factory=list)
    reason: str = ""


def _read(
    set_name: str,
    sample_id: int,
    datasets: Mapping[str, Dataset],
    stamps: Stamps,
    preprocesses: Sequence[Any],
) -> _Item:
    dataset, digest = datasets[set_name], UNREADABLE
    path = dataset.samples[sample_id].path
    try:
        content = dataset.read(dataset.samples[sample_id])
        digest = content.digest()
        if content.stamp != stamps[set_name][sample_id]:
            raise DataError(
                f"{path} of {dataset.source} changed during the run; when no program writes to "
                "it any more, run the same command again to resume"
            )
        if content.prepared is not None:
            return _Item(path, sample_id, digest, [content.prepared] * len(preprocesses))
        image = content.image()
    except UnreadableImageError as error:
        # Sources of other packages may say more than fits.
        return _Item(path, sample_id, digest, reason=str(error)[:_LONGEST_REASON] or "unreadable")
    try:
        return _Item(path, sample_id, digest, [preprocess(image) for preprocess in preprocesses])
    except (TuiprobeError, OSError, MemoryError):
        raise
    except Exception as error:  # the user's code may raise anything
        raise RunError(
            f"preprocess failed on {path} of {set_name}: {in_code(error)}; {RESUMABLE}"
        ) from error


def _collate(encoders: int, items: list[_Item]) -> tuple[Batch, ...]:
    read = [item for item in items if not item.reason]
    for k in range(encoders):
        refuse_two_sizes([(item.path, item.tensors[k]) for item in read])
    ids = torch.tensor([item.id for item in read], dtype=torch.int64)
    skipped = tuple((item.id, item.reason) for item in items if item.reason)
    return tuple(
        Batch(
            images=torch.stack([item.tensors[k] for item in read]) if read else torch.empty(0),
            ids=ids,
            skipped=skipped,
            seen=tuple(item.id for item in items),
            digests=b"".join(item.digest for item in items),
        )
        for k in range(encoders)
    )


def uploaded(batches: Iterator[tuple[Batch, ...]], device: str) -> Iterator[tuple[Batch, ...]]:
    """Yields batches whose images are on a CUDA device, or as they are for other devices.

    Each copy, from pinned memory and on a separate stream, begins before the batch before it is
    yielded. If a batch cannot be read or copied, those before it are yielded first.

    Args:
        batches: Batches on the CPU.
        device: Torch device of the encoders.
    """
    if not device.startswith("cuda"):
        yield from batches
        return
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    copying: tuple[tuple[Batch, ...], torch.cuda.Event] | None = None
    failure: Exception | None = None
    while True:
        before, copying = copying, None
        try:
            if (together := next(batches, None)) is not None:
                with torch.cuda.stream(side):
                    sent = tuple(
                        replace(b, images=b.images.pin_memory().to(device, non_blocking=True))
                        for b in together
                    )
                copying = sent, side.record_event()
        except Exception as error:
            failure = error
        if before is not None:
            arrived, copied = before
            current = torch.cuda.current_stream(device)
            current.wait_event(copied)
            for batch in arrived:
                batch.images.record_stream(current)
            yield arrived
        if failure is not None:
            raise failure
        if copying is None:
            return


def read_blocks(shards: Sequence[Shard], layouts: Mapping[str, SetLayout]) -> Iterator[Batch]:
    """Yields every batch of sets whose samples lie together, in order.

    Raises:
        DataError: If a file cannot be read, or changed since the run was planned.
    """
    for shard in shards:
        for batch in shard.batches:
            block = layouts[shard.set_name].read_block(batch)
            values, ids = torch.from_numpy(block.values), torch.from_numpy(np.asarray(batch))
            usable = torch.from_numpy(block.usable)
            every = bool(usable.all())
            yield Batch(
                images=values if every else values[usable],
                ids=ids if every else ids[usable],
                skipped=(),
                seen=(int(batch[0]),),
                digests=block.digest,
                lost=ids[~usable],
            )
