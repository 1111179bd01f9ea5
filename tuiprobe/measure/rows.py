"""Opens and reads stored vectors, which take the place of decoded images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import torch

from tuiprobe.catalog.class_names import written_classes
from tuiprobe.datasets import Suite
from tuiprobe.datasets.vectors import RowSet, open_rows
from tuiprobe.measure.decoding import Batch
from tuiprobe.measure.shards import Shard
from tuiprobe.spec import RunSpec


def open_row_suite(spec: RunSpec) -> Suite:
    """Opens the vectors that a spec names; errors as for `open_rows`."""
    return open_rows(spec, written_classes(spec.classes) if spec.classes is not None else ())


def read_rows(shards: Sequence[Shard], sets: Mapping[str, RowSet]) -> Iterator[Batch]:
    """Yields every batch of the shards, in order; rows that are not finite are left out whole.

    Raises:
        DataError: If a file cannot be read, or changed since the run was planned.
    """
    for shard in shards:
        matrix = sets[shard.set_name].vectors.matrix
        for batch in shard.batches:
            start, stop = int(batch[0]), int(batch[-1]) + 1
            block = matrix.read(start, stop)
            vectors, ids = torch.from_numpy(block), torch.arange(start, stop)
            finite = finite_rows(vectors)
            whole = bool(finite.all())
            yield Batch(
                images=vectors if whole else vectors[finite],
                ids=ids if whole else ids[finite],
                skipped=(),
                seen=(start,),
                digests=hashlib.sha256(block.data).digest(),
                nonfinite=ids[~finite],
            )


def finite_rows(vectors: torch.Tensor) -> torch.Tensor:
    """Returns whether each row is finite: every value, and its norm in float32.

    Args:
        vectors: float16 or float32 `[n, C]`.

    >>> finite_rows(torch.tensor([[3, 4], [float("nan"), 1], [2e38, 2e38], [0, 0]])).tolist()
    [True, False, False, True]
    """
    norms: torch.Tensor = torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float32)
    return norms.isfinite()
