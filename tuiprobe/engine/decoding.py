"""Images to batches: decoding and preprocessing in worker processes, ahead of the encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from tuiprobe.datasets.base import Dataset, UnreadableImageError
from tuiprobe.engine.device import available_cores
from tuiprobe.engine.shards import Shard
from tuiprobe.engine.workers import Source, reading_ahead

MAX_WORKERS = 8
_WORKERS_FROM = 512  # fewer images than this are decoded before worker processes have started


@dataclass(frozen=True)
class Batch:
    """The readable images of one fixed batch.

    Attributes:
        images: float32 ``[B, 3, H, W]``, preprocessed.
        ids: int64 ``[B]``, sample ids.
        skipped: Sample id and reason of each image that could not be read.
    """

    images: torch.Tensor
    ids: torch.Tensor
    skipped: tuple[tuple[int, str], ...]


def choose_workers(requested: int | None, images: int) -> int:
    """Returns how many processes decode; 0 decodes in this one."""
    if requested is not None:
        return requested
    if images < _WORKERS_FROM:
        return 0
    return min(available_cores(), MAX_WORKERS)


@contextmanager
def decode_batches(
    shards: Sequence[Shard], datasets: dict[str, Dataset], preprocess: Any, workers: int
) -> Iterator[Iterator[Batch]]:
    """Yields an iterator over every batch of the shards, in order.

    Args:
        shards: What to decode.
        datasets: Data set of each set name.
        preprocess: RGB image to float32 tensor ``[3, H, W]``.
        workers: Worker processes; 0 for none.
    """
    with decode_together(shards, datasets, [preprocess], workers) as together:
        yield (batch for (batch,) in together)


@contextmanager
def decode_together(
    shards: Sequence[Shard], datasets: dict[str, Dataset], preprocesses: Sequence[Any], workers: int
) -> Iterator[Iterator[tuple[Batch, ...]]]:
    """Yields an iterator over every batch of the shards, in order, once for each encoder.

    Every image is decoded once. Arguments as in :func:`decode_batches`, with one preprocess an
    encoder; errors as in :func:`tuiprobe.engine.workers.reading_ahead`.
    """
    places = [(s.set_name, int(i)) for s in shards for batch in s.batches for i in batch]
    source = Source(
        batches=_batches_of_places(shards),
        read=_Images(places, datasets, preprocesses).__getitem__,
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


_Item = tuple[int, list[torch.Tensor] | str]  # sample id, and its tensors or why there are none


class _Images:
    def __init__(
        self,
        places: list[tuple[str, int]],
        datasets: dict[str, Dataset],
        preprocesses: Sequence[Any],
    ) -> None:
        self._places, self._datasets, self._preprocesses = places, datasets, preprocesses

    def __getitem__(self, index: int) -> _Item:
        set_name, sample_id = self._places[index]
        dataset = self._datasets[set_name]
        try:
            image = dataset.open(dataset.samples[sample_id])
            return sample_id, [preprocess(image) for preprocess in self._preprocesses]
        except UnreadableImageError as error:
            return sample_id, str(error)


def _collate(encoders: int, items: list[_Item]) -> tuple[Batch, ...]:
    read = [(i, tensors) for i, tensors in items if not isinstance(tensors, str)]
    ids = torch.tensor([i for i, _ in read], dtype=torch.int64)
    skipped = tuple((i, reason) for i, reason in items if isinstance(reason, str))
    return tuple(
        Batch(
            images=torch.stack([tensors[k] for _, tensors in read]) if read else torch.empty(0),
            ids=ids,
            skipped=skipped,
        )
        for k in range(encoders)
    )
