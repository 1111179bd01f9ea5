"""A set of stored vectors as a data set whose samples are rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.content import Content, StoredImages
from tuiprobe.datasets.dataset import Suite
from tuiprobe.datasets.order import hash_ids
from tuiprobe.datasets.sample import Sample, Stamp, UnreadableImageError
from tuiprobe.datasets.set_names import free_name, refuse_undecodable, safe_name
from tuiprobe.datasets.vectors.labels import read_labels
from tuiprobe.datasets.vectors.sources import Vectors, open_vectors
from tuiprobe.errors import DataError
from tuiprobe.request import rows_name
from tuiprobe.run.records import RowFile, RowsRecord
from tuiprobe.run.samples import row_name
from tuiprobe.spec import RunSpec

ROWS = "rows"
"""Name of the set of the vectors themselves; target sets go by the names of their files."""

SAMPLED_ROWS = 50_000
"""Rows per set whose vectors are kept, for figures that need vectors and for intervals."""

_KEYED_ROWS = 8  # at both ends of a set: part of the key
_HASHED = 2**20


@dataclass(frozen=True, eq=False)
class RowSet(StoredImages):
    """A set of stored vectors.

    Attributes:
        name: Name of the set.
        vectors: The vectors.
        sampled: Rows whose vectors are kept, ascending.
        labels: int32 `[rows]`; None without labels.
        classes: Class names by label.
        understood: What was understood of the labels, in words; empty without labels.
    """

    name: str
    vectors: Vectors
    sampled: NDArray[np.int64]
    labels: NDArray[np.int32] | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    understood: str = ""

    def __post_init__(self) -> None:
        """Refuses files whose paths no record of a run can hold.

        Raises:
            DataError: If a path holds bytes that are not UTF-8.
        """
        for matrix in self.vectors.matrices:
            refuse_undecodable(str(matrix.path.absolute()), "the path")

    @property
    def source(self) -> str:
        """What the user typed."""
        return self.vectors.source

    @property
    def channels(self) -> int:
        """Width of the vectors."""
        return self.vectors.channels

    @property
    def samples(self) -> Sequence[Sample]:
        """The rows as samples, made when they are asked for."""
        return _Samples(self)

    def stamp(self, sample: Sample) -> Stamp:
        """Returns no stamp: files have stamps, see `record`."""
        return Stamp(None, None)

    def read(self, sample: Sample) -> Content:
        """Refuses: there is no image."""
        raise UnreadableImageError("vectors were given, and no images")

    def keeps(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Returns which of some rows are sampled; rows in ascending order."""
        first, stop = np.searchsorted(self.sampled, (ids[0], ids[-1] + 1)) if len(ids) else (0, 0)
        return np.isin(ids, self.sampled[first:stop], assume_unique=True)

    def digest(self, start: int, stop: int) -> bytes:
        """Returns the SHA-256 of some rows as they are read."""
        return hashlib.sha256(self.vectors.read(start, stop).data).digest()

    def record(self) -> RowsRecord:
        """Returns where the vectors are, for `plan.json`."""
        vectors = self.vectors
        files = (
            RowFile(path=str(file.path.absolute()), rows=file.rows, **asdict(file.stamp))
            for file in vectors.matrices
        )
        return RowsRecord(format=vectors.kind, dtype=vectors.dtype, files=tuple(files))

    @cached_property
    def content(self) -> dict[str, object]:
        """What determines the numbers of the set, without the paths of its files.

        The first and last rows are read; all rows are compared when a run is resumed, if a file
        was moved or touched.
        """
        vectors = self.vectors
        ends = (0, max(vectors.rows - _KEYED_ROWS, 0))
        labels = None
        if self.labels is not None:
            named = self.labels.tobytes() + "\0".join(self.classes).encode()
            labels = hashlib.sha256(named).hexdigest()
        return {
            "rows": vectors.rows,
            "channels": vectors.channels,
            "dtype": vectors.dtype,
            "ends": [self.digest(i, min(i + _KEYED_ROWS, vectors.rows)).hex() for i in ends],
            "labels": labels,
        }


class _Samples(Sequence[Sample]):
    def __init__(self, rows: RowSet) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows.vectors.rows

    def __getitem__(self, row: int) -> Sample:  # type: ignore[override]
        if not 0 <= row < len(self):
            raise IndexError(row)
        labels = self._rows.labels
        return Sample(row, row_name(row), None if labels is None else int(labels[row]))

    def __iter__(self) -> Iterator[Sample]:
        return (self[row] for row in range(len(self)))


def open_rows(spec: RunSpec, names: tuple[str, ...] = ()) -> Suite:
    """Opens all sets of stored vectors of a run.

    Args:
        spec: The spec of the run.
        names: Class names in label order, by `--classes`; empty for those in the labels.

    Raises:
        DataError: If vectors or labels cannot be used, or do not fit together.
        UsageError: If an option is invalid.
    """
    source = spec.embeddings or ""
    vectors = open_vectors(source, spec.id_column)
    own = RowSet(ROWS, vectors, sampled_rows(vectors.rows, spec.seed))
    if spec.labels is not None:
        ids = vectors.all_names if spec.id_column is not None else None
        labels = read_labels(
            Path(spec.labels), vectors.rows, names, id_column=spec.id_column, ids=ids
        )
        own = replace(
            own, labels=labels.values, classes=labels.classes, understood=labels.in_words()
        )
    sets = {ROWS: own}
    for target in spec.target_embeddings:
        name = free_name(safe_name(rows_name(target)), sets)
        vectors = open_vectors(target)
        if vectors.channels != own.channels:
            raise DataError(
                f"{target} has {vectors.channels:,} channels and {source} has "
                f"{own.channels:,}: a target set is measured by the same encoder"
            )
        sets[name] = RowSet(name, vectors, sampled_rows(vectors.rows, spec.seed))
    return Suite(ROWS, source, dict(sets), targets=tuple(name for name in sets if name != ROWS))


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
