"""Shards: fixed lists of samples in fixed batches, the unit of work and of resuming."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuiprobe.run.counting import Place

MAX_SHARD_BATCHES = 8
BATCH_ROWS = 8192
"""Stored vectors that are read at once, fewer if they are wide."""

_BATCH_VALUES = 2**23  # 32 MiB of float32
_MOST_ROW_BATCHES = 32  # per shard: at most 262,144 rows are measured again after an interruption
_WANTED_SHARDS = 20  # a delete-one-shard jackknife needs at least 16


@dataclass(frozen=True)
class Shard:
    """A fixed piece of one set's processing order.

    Attributes:
        set_name: Name of the set.
        number: Index among the set's shards, from 0.
        batches: Sample ids of each batch, in processing order; ranges of rows for vectors.
        start: Index of the first sample in the set's processing order.
    """

    set_name: str
    number: int
    batches: tuple[NDArray[np.int64] | range, ...]
    start: int

    @property
    def place(self) -> Place:
        """Set and number."""
        return self.set_name, self.number

    @property
    def ids(self) -> NDArray[np.int64]:
        """All sample ids, in processing order."""
        return np.concatenate([np.asarray(batch, dtype=np.int64) for batch in self.batches])

    @property
    def size(self) -> int:
        """Number of samples."""
        return sum(len(batch) for batch in self.batches)


def split_into_shards(
    set_name: str,
    order: NDArray[np.int64] | range,
    batch_size: int,
    shard_batches: int | None = None,
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


def split_rows(set_name: str, rows: int, channels: int) -> tuple[Shard, ...]:
    """Cuts the rows of a set of stored vectors into shards, in the order of the file.

    >>> [shard.size for shard in split_rows("rows", 20_000, 512)]
    [8192, 8192, 3616]
    """
    batch = max(min(BATCH_ROWS, _BATCH_VALUES // channels), 1)
    batches = -(-rows // batch)
    shard_batches = min(max(batches // _WANTED_SHARDS, 1), _MOST_ROW_BATCHES)
    return split_into_shards(set_name, range(rows), batch, shard_batches)
