"""Shards of stored vectors: ranges of rows; and the seeded sample whose vectors are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.order import hash_ids
from tuiprobe.measure.shards import Shard

SAMPLED_ROWS = 50_000
"""Rows per set whose vectors are kept, for figures that need vectors and for intervals."""

BATCH_ROWS = 8192
"""Rows that are read at once, fewer if they are wide."""

_BATCH_VALUES = 2**23  # 32 MiB of float32
_WANTED_SHARDS = 20
_MOST_BATCHES = 32  # per shard: at most 262,144 rows are measured again after an interruption
_HASHED = 2**20


@dataclass(frozen=True)
class RowShard(Shard):
    """A range of rows of one set, in the file's order.

    Attributes:
        stop: One past the last row; `start` is the first.
        batch_rows: Rows per batch.
    """

    stop: int
    batch_rows: int

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.stop - self.start

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yields first and one past the last row of each batch."""
        for start in range(self.start, self.stop, self.batch_rows):
            yield start, min(start + self.batch_rows, self.stop)


def split_rows(set_name: str, rows: int, channels: int) -> tuple[RowShard, ...]:
    """Cuts the rows of a set into shards.

    >>> [one.size for one in split_rows("rows", 20_000, 512)]
    [8192, 8192, 3616]
    """
    batch = max(min(BATCH_ROWS, _BATCH_VALUES // channels), 1)
    batches = -(-rows // batch)
    size = batch * min(max(batches // _WANTED_SHARDS, 1), _MOST_BATCHES)
    return tuple(
        RowShard(set_name, number, (), start, min(start + size, rows), batch)
        for number, start in enumerate(range(0, rows, size))
    )


def sampled_rows(rows: int, seed: int) -> NDArray[np.int64]:
    """Returns the rows whose vectors are kept, in ascending order: all, or a seeded sample.

    They are the rows with the smallest hashes under the seed, so the sample depends neither on
    shards nor on processes. SplitMix64 is a bijection: no two rows have the same hash.

    >>> sampled_rows(3, seed=0).tolist(), len(sampled_rows(2 * SAMPLED_ROWS, seed=0))
    ([0, 1, 2], 50000)
    """
    kept = np.empty(0, np.int64)
    hashes = np.empty(0, np.uint64)
    for start in range(0, rows, _HASHED):
        more = np.arange(start, min(start + _HASHED, rows), dtype=np.int64)
        kept = np.concatenate([kept, more])
        hashes = np.concatenate([hashes, hash_ids(more, seed)])
        if len(kept) > SAMPLED_ROWS:
            least = np.argpartition(hashes, SAMPLED_ROWS - 1)[:SAMPLED_ROWS]
            kept, hashes = kept[least], hashes[least]
    return np.sort(kept)
