"""Shards: fixed lists of samples in fixed batches, the unit of work and of resuming."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuiprobe.run.counting import Place

MAX_SHARD_BATCHES = 8
_WANTED_SHARDS = 20  # a delete-one-shard jackknife needs at least 16


@dataclass(frozen=True)
class Shard:
    """A fixed piece of one set's processing order.

    Attributes:
        set_name: Name of the set.
        number: Index among the set's shards, from 0.
        batches: Sample ids of each batch, in processing order.
        start: Index of the first sample in the set's processing order.
    """

    set_name: str
    number: int
    batches: tuple[NDArray[np.int64], ...]
    start: int

    @property
    def place(self) -> Place:
        """Set and number."""
        return self.set_name, self.number

    @property
    def size(self) -> int:
        """Number of samples."""
        return sum(len(batch) for batch in self.batches)


def split_into_shards(
    set_name: str, order: NDArray[np.int64], batch_size: int, shard_batches: int | None
) -> tuple[Shard, ...]:
    """Cuts a processing order into shards.

    Args:
        set_name: Name of the set.
        order: Sample ids in processing order.
        batch_size: Samples per batch.
        shard_batches: Batches per shard; None for up to 8, so that there are about 20 shards.

    >>> shards = split_into_shards("val", np.arange(10), batch_size=2, shard_batches=2)
    >>> [shard.size for shard in shards]
    [4, 4, 2]
    """
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    if shard_batches is None:
        shard_batches = min(max(len(batches) // _WANTED_SHARDS, 1), MAX_SHARD_BATCHES)
    return tuple(
        Shard(set_name, number, tuple(batches[first : first + shard_batches]), first * batch_size)
        for number, first in enumerate(range(0, len(batches), shard_batches))
    )
