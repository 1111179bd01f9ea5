"""Decodes and preprocesses images in worker processes, ahead of the encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from tuiprobe.datasets.base import Stamp, UnreadableImageError
from tuiprobe.datasets.content import UNREADABLE
from tuiprobe.datasets.dataset import Dataset
from tuiprobe.errors import DataError
from tuiprobe.measure.device import available_cores
from tuiprobe.measure.ranks import current_rank
from tuiprobe.measure.shards import Shard
from tuiprobe.measure.workers import Source, reading_ahead
from tuiprobe.spec import MAX_WORKERS

Stamps = Mapping[str, Mapping[int, Stamp]]
"""Planned stamps by set name and sample id."""

_LONGEST_REASON = 300
_WORKERS_FROM = 512  # fewer images are decoded faster than workers start


@dataclass(frozen=True)
class Batch:
    """The readable images of one fixed batch, or its finite vectors.

    Attributes:
        images: float32 `[B, 3, H, W]`, preprocessed; vectors `[B, C]` as they are stored.
        ids: int64 `[B]`, sample ids.
        skipped: Sample id and reason of each unreadable image.
        seen: Sample ids of all images of the batch, readable or not; of vectors the first one.
        digests: SHA-256 of the stored content of each image in `seen`, 32 bytes each; of vectors
            that of the batch.
        changed: Sample ids of the images whose stamp differs from the plan.
        nonfinite: int64 `[m]`, the vectors of the batch that are not finite.
    """

    images: torch.Tensor
    ids: torch.Tensor
    skipped: tuple[tuple[int, str], ...]
    seen: tuple[int, ...]
    digests: bytes
    changed: tuple[int, ...] = ()
    nonfinite: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    def refuse_changed(self, dataset: Dataset) -> None:
        """Refuses a batch with an image that changed while the run was going.

        Raises:
            DataError: If an image changed after the run was planned; names the first one.
        """
        if self.changed:
            path = dataset.samples[self.changed[0]].path
            raise DataError(
                f"{path} of {dataset.source} changed while the run was going; when nothing writes "
                "there any more, run the same command again to resume"
            )


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
    preprocess: Any,
    workers: int,
) -> Iterator[Iterator[Batch]]:
    """Yields an iterator over every batch of the shards, in order.

    Args:
        shards: The shards to decode.
        datasets: Data set by set name.
        stamps: Stamps of the images when the run was planned.
        preprocess: Converts an RGB image to a float32 tensor `[3, H, W]`.
        workers: Worker processes; 0 for none.
    """
    with decode_together(shards, datasets, stamps, [preprocess], workers) as together:
        yield (batch for (batch,) in together)


@contextmanager
def decode_together(
    shards: Sequence[Shard],
    datasets: dict[str, Dataset],
    stamps: Stamps,
    preprocesses: Sequence[Any],
    workers: int,
) -> Iterator[Iterator[tuple[Batch, ...]]]:
    """Yields an iterator over the batches of the shards, in order, one batch per encoder.

    Every image is decoded once. Arguments are as for `decode_batches`, with one preprocess per
    encoder; errors are as for `tuiprobe.measure.workers.reading_ahead`.
    """
    places = [(s.set_name, int(i)) for s in shards for batch in s.batches for i in batch]
    source = Source(
        batches=_batches_of_places(shards),
        read=_Images(places, datasets, stamps, preprocesses).__getitem__,
        collate=partial(_collate, len(preprocesses)),
        name=lambda place: _name(places[place], datasets),
    )
    with reading_ahead(source, workers) as together:
        yield together


def _name(place: tuple[str, int], datasets: dict[str, Dataset]) -> str:
    set_name, sample_id = place
    return f"{datasets[set_name].samples[sample_id].path} of {set_name}"


def _batches_of_places(shards: Sequence[Shard]) -> list[list[int]]:
    lengths = [len(batch) for shard in shards for batch in shard.batches]
    ends = np.cumsum(lengths).tolist()
    return [list(range(end - length, end)) for length, end in zip(lengths, ends, strict=True)]


@dataclass(frozen=True, slots=True)
class _Item:
    """One image: its tensors, or the reason why it cannot be read."""

    id: int
    digest: bytes
    tensors: list[torch.Tensor] = field(default_factory=list)
    reason: str = ""
    changed: bool = False


class _Images:
    def __init__(
        self,
        places: list[tuple[str, int]],
        datasets: dict[str, Dataset],
        stamps: Stamps,
        preprocesses: Sequence[Any],
    ) -> None:
        self._places, self._datasets, self._stamps = places, datasets, stamps
        self._preprocesses = preprocesses

    def __getitem__(self, index: int) -> _Item:
        set_name, sample_id = self._places[index]
        dataset = self._datasets[set_name]
        try:
            content = dataset.read(dataset.samples[sample_id])
        except UnreadableImageError as error:
            return _Item(sample_id, UNREADABLE, reason=_brief(error))
        digest = content.digest()
        if content.stamp != self._stamps[set_name][sample_id]:
            return _Item(sample_id, digest, reason="it changed", changed=True)
        if content.prepared is not None:
            return _Item(sample_id, digest, [content.prepared] * len(self._preprocesses))
        try:
            image = content.image()
        except UnreadableImageError as error:
            return _Item(sample_id, digest, reason=_brief(error))
        return _Item(sample_id, digest, [preprocess(image) for preprocess in self._preprocesses])


def _brief(error: UnreadableImageError) -> str:
    """Returns why an image cannot be read; other packages' sources may say more than fits."""
    return str(error)[:_LONGEST_REASON] or "unreadable"


def _collate(encoders: int, items: list[_Item]) -> tuple[Batch, ...]:
    read = [item for item in items if not item.reason]
    ids = torch.tensor([item.id for item in read], dtype=torch.int64)
    skipped = tuple((item.id, item.reason) for item in items if item.reason)
    return tuple(
        Batch(
            images=torch.stack([item.tensors[k] for item in read]) if read else torch.empty(0),
            ids=ids,
            skipped=skipped,
            seen=tuple(item.id for item in items),
            digests=b"".join(item.digest for item in items),
            changed=tuple(item.id for item in items if item.changed),
        )
        for k in range(encoders)
    )
