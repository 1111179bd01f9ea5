"""A set of stored vectors as a data set whose samples are rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.content import Content
from tuiprobe.datasets.dataset import Suite
from tuiprobe.datasets.layout import Block, Ids, SetLayout
from tuiprobe.datasets.order import hash_ids
from tuiprobe.datasets.sample import Sample, Stamp, UnreadableImageError
from tuiprobe.datasets.set_names import refuse_undecodable
from tuiprobe.datasets.vectors.labels import RowLabels, read_labels
from tuiprobe.datasets.vectors.sources import Vectors, open_vectors
from tuiprobe.request import rows_name
from tuiprobe.results.subject import Check
from tuiprobe.run.records import StoredFile
from tuiprobe.run.samples import row_name
from tuiprobe.spec import VECTORS, RunSpec

ROWS = "rows"
"""Name of the set that `--data` names; target sets go by the names of their files."""

SAMPLED_ROWS = 50_000
"""Rows per set whose vectors are kept, for figures that need vectors and for intervals."""

BATCH_ROWS = 8192
"""Rows that are read at once, fewer if they are wide."""

_BATCH_VALUES = 2**23  # 32 MiB of float32
_KEYED_ROWS = 8  # at both ends of a set: part of the key
_HASHED = 2**20


class RowSet(SetLayout):
    """A set of stored vectors, and their layout: rows that are read in blocks.

    Args:
        vectors: The vectors.
        labels: Their labels; None without.

    Raises:
        DataError: If a path holds bytes that are not UTF-8, which no record of a run can hold.
    """

    unit = "rows"
    alone = False
    most_batches = 32  # at most 262,144 rows are measured again after an interruption
    notes: tuple[str, ...] = ()

    def __init__(self, vectors: Vectors, labels: RowLabels | None = None) -> None:
        super().__init__(self)
        self.layout = self
        self.vectors, self._labels = vectors, labels
        self.source = f"{VECTORS}{vectors.source}"
        self.name, self.width = rows_name(self.source), vectors.channels
        self.classes = () if labels is None else labels.classes
        for matrix in vectors.matrices:
            refuse_undecodable(str(matrix.path.absolute()), "the path")

    @property
    def samples(self) -> Sequence[Sample]:
        """The rows as samples, made when they are asked for."""
        return _Samples(self.vectors.rows, self._labels)

    def stamp(self, sample: Sample) -> Stamp:
        """Returns no stamp: files have stamps."""
        return Stamp(None, None)

    def read(self, sample: Sample) -> Content:
        """Refuses: there is no image."""
        raise UnreadableImageError("vectors were given, and no images")

    def open(self, sample: Sample) -> Any:
        """Refuses: there is no image."""
        return self.read(sample)

    def with_options(self, spec: RunSpec, names: tuple[str, ...]) -> RowSet:
        """Returns the set with the labels of `--labels`, and names of rows by `--id-column`.

        Raises:
            DataError: If labels or names cannot be used, or do not fit the vectors.
            UsageError: If there is no column of names.
        """
        vectors, column = self.vectors, spec.id_column
        if column is not None:
            vectors = open_vectors(vectors.source, column)
        if spec.labels is None:
            return RowSet(vectors)
        ids = vectors.all_names if column is not None else None
        path = Path(spec.labels)
        return RowSet(vectors, read_labels(path, vectors.rows, names, id_column=column, ids=ids))

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """The files with their stamps, as `plan.json` holds them."""
        return tuple(
            StoredFile(
                path=str(matrix.path.absolute()),
                size=matrix.stamp.size or 0,
                changed=matrix.stamp.changed or "",
            )
            for matrix in self.vectors.matrices
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """How the labels were understood, and what is of a sample of the rows."""
        remarks = [] if self._labels is None else [self._labels.in_words()]
        if self.vectors.rows > SAMPLED_ROWS:
            remarks.append(
                f"{self.name}: moments and top rows are of all {self.vectors.rows:,} rows; figures "
                f"that need vectors are of a seeded sample of {SAMPLED_ROWS:,}"
            )
        return tuple(remarks)

    def order(self, seed: int, limit: int) -> range:
        """Returns all rows, in the order of the files."""
        return range(self.vectors.rows)

    def stamps(self, ids: object) -> dict[int, Stamp]:
        """Returns none: files have stamps."""
        return {}

    def batch(self, asked: int) -> int:
        """Returns the rows that are read at once."""
        return max(min(BATCH_ROWS, _BATCH_VALUES // self.vectors.channels), 1)

    def content(self, stamps: object) -> dict[str, Any]:
        """Returns all inputs of the numbers of the set, without the paths of its files.

        The first and last rows are read; all rows are compared when a run is resumed, if a file
        was moved or touched.
        """
        vectors, labels = self.vectors, None
        ends = (0, max(vectors.rows - _KEYED_ROWS, 0))
        if self._labels is not None:
            named = self._labels.values.tobytes() + "\0".join(self.classes).encode()
            labels = hashlib.sha256(named).hexdigest()
        return {
            "rows": vectors.rows,
            "channels": vectors.channels,
            "dtype": vectors.dtype,
            "ends": [self.digest(range(i, min(i + _KEYED_ROWS, vectors.rows))).hex() for i in ends],
            "labels": labels,
        }

    def labels(self) -> NDArray[np.int64]:
        """Returns the label of each row, -1 for none."""
        if self._labels is None:
            return np.full(self.vectors.rows, -1)
        return self._labels.values.astype(np.int64)

    def called(self, ids: Ids) -> str:
        """Returns the numbers of rows that are read at once."""
        return f"rows {ids[0]:,} to {ids[-1]:,}"

    def digest(self, ids: Ids) -> bytes:
        """Returns the SHA-256 of consecutive rows as they are read."""
        return hashlib.sha256(self.vectors.read(int(ids[0]), int(ids[-1]) + 1).data).digest()

    def sampled(self, ids: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
        """Returns which of some rows, ascending, are sampled."""
        sample = sampled_rows(self.vectors.rows, seed)
        first, stop = np.searchsorted(sample, (ids[0], ids[-1] + 1) if len(ids) else (0, 0))
        return np.isin(ids, sample[first:stop], assume_unique=True)

    def read_block(self, ids: Ids) -> Block:
        """Reads consecutive rows; those that are finite, and whose norm in float32 is, are usable.

        Raises:
            DataError: If a file cannot be read, or changed since it was opened.
        """
        values = self.vectors.read(int(ids[0]), int(ids[-1]) + 1)
        import torch  # rows are described without it

        norms = torch.linalg.vector_norm(torch.from_numpy(values), dim=1, dtype=torch.float32)
        return Block(values, norms.isfinite().numpy(), hashlib.sha256(values.data).digest())

    def names(self, ids: Ids) -> dict[int, str]:
        """Returns the names of some rows, ascending; empty without an id column."""
        return self.vectors.names([*map(int, ids)])

    def checks(self, set_name: str) -> Iterator[Check]:
        """Yields how many rows of which width and type there are."""
        vectors = self.vectors
        detail = f"{vectors.rows:,} rows of {vectors.channels:,} channels, {vectors.dtype}"
        yield Check(name="vectors", status="pass", detail=detail, data=set_name)


class _Samples(Sequence[Sample]):
    def __init__(self, rows: int, labels: RowLabels | None) -> None:
        self._rows, self._labels = rows, labels

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, row: int) -> Sample:  # type: ignore[override]
        if not 0 <= row < self._rows:
            raise IndexError(row)
        label = None if self._labels is None else int(self._labels.values[row])
        return Sample(row, row_name(row), label)

    def __iter__(self) -> Iterator[Sample]:
        return (self[row] for row in range(self._rows))


def open_rows(source: str) -> RowSet:
    """Opens the vectors of a file, pattern or folder as a set without labels.

    Raises:
        DataError: If they cannot be used.
    """
    return RowSet(open_vectors(source))


def open_row_suite(source: str) -> Suite:
    """Opens vectors as the only set of a run; errors as for `open_rows`."""
    rows = open_rows(source)
    return Suite(ROWS, rows.source, {ROWS: rows})


@lru_cache
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
