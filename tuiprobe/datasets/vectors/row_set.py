"""A set of stored vectors as a data set whose samples are rows, from files or a folder."""

from __future__ import annotations

import glob
import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.dataset import refuse_undecodable
from tuiprobe.datasets.labels import RowLabels, read_labels
from tuiprobe.datasets.layout import Ids, SampleBlock, SetLayout, hash_ids
from tuiprobe.datasets.sample import Content, Sample, Stamp, row_name
from tuiprobe.datasets.shard_files import matching_files
from tuiprobe.datasets.vectors.parquet import read_names
from tuiprobe.datasets.vectors.vector_files import SUFFIXES, open_matrix
from tuiprobe.errors import DataError, UnreadableImageError, UsageError
from tuiprobe.request import rows_name
from tuiprobe.results.subject import Check, StoredFile
from tuiprobe.spec import VECTORS, RunSpec

_RETRIEVAL = "img_emb"
"""Folder of vectors, and prefix of their files, in what clip-retrieval writes."""


def vector_files(source: str) -> tuple[list[Path], str | None]:
    """Returns the files in order, and the name of the array that follows `::`.

    Args:
        source: `FILE`, `FILE::NAME` for one array of several, a pattern, or a folder.

    Raises:
        DataError: If there is none, or a folder holds several kinds.
    """
    path = Path(source)
    try:
        if path.is_dir():
            return _in_folder(path), None
        if path.exists():
            return [path], None
    except (OSError, ValueError) as error:  # NUL in a path, a name that is too long
        raise DataError(f"{source!r} cannot be read: {error}") from error
    name, colons, member = source.rpartition("::")
    if colons and Path(name).exists():
        return [Path(name)], member
    if not glob.has_magic(source):
        raise DataError(f"there is no file {source}")
    files = sorted(matching_files(path), key=numeric)
    if not files:
        raise DataError(f"no file fits the pattern {source}")
    return files, None


def _in_folder(folder: Path) -> list[Path]:
    retrieval = folder / _RETRIEVAL
    if retrieval.is_dir():
        files = sorted(retrieval.glob(f"{_RETRIEVAL}_*.npy"), key=numeric)
    else:
        files = [file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES]
        files = sorted((f for f in files if not f.name.startswith(".")), key=numeric)
    kinds = sorted({file.suffix.lower() for file in files})
    if not files:
        raise DataError(f"{folder} holds no vectors; they are read from {', '.join(SUFFIXES)}")
    if len(kinds) > 1:
        raise DataError(
            f"{folder} holds {' and '.join(kinds)} files; name those that count by a pattern"
        )
    return files


def named_by(files: Sequence[Path]) -> tuple[Path, ...]:
    """Returns the Parquet file that names the rows of each file.

    A Parquet file of vectors names its rows itself. Those of `img_emb/img_emb_3.npy` of
    clip-retrieval are named by `metadata/metadata_3.parquet` next to its folder.

    Raises:
        UsageError: If the file does not exist.
    """
    if all(file.suffix.lower() == ".parquet" for file in files):
        return tuple(files)
    folder = files[0].parent.parent / "metadata"
    numbers = [file.stem.rpartition("_")[2] for file in files]
    metadata_files = tuple(folder / f"metadata_{number}.parquet" for number in numbers)
    missing = next((file for file in metadata_files if not file.exists()), None)
    if missing is not None:
        raise UsageError(
            f"--id-column names rows by a column of Parquet; {files[0].name} has none, nor is "
            f"there {missing}"
        )
    return metadata_files


def numeric(path: Path) -> list[tuple[int, int, str]]:
    """Returns a key that sorts numbers in names by value.

    >>> [p.name for p in sorted(map(Path, ["a_10", "a_2", "a_1", "b"]), key=numeric)]
    ['a_1', 'a_2', 'a_10', 'b']
    """
    pieces = re.split(r"([0-9]+)", str(path))
    return [(0, int(text), text) if text.isdecimal() else (1, 0, text) for text in pieces]


SAMPLED_ROWS = 50_000
"""Rows per set whose vectors are kept, for figures that need vectors and for intervals."""

BATCH_ROWS = 8192
"""Rows that are read at once, fewer if they are wide."""

_BATCH_VALUES = 2**23  # 32 MiB of float32
_KEYED_ROWS = 8  # at both ends of a set: part of the key
_HASHED = 2**20


class RowSet(SetLayout):
    """A set of stored vectors, and their layout: rows that are read in blocks.

    The rows of several files come one after the other.

    Args:
        source: What the user typed, as for `vector_files`.
        id_column: Column of a Parquet file that names the rows; without it their index does.

    Attributes:
        matrices: The vectors of each file.
        rows: Their number.

    Raises:
        DataError: If a file cannot be used, the files differ in width, or a path holds bytes that
            are not UTF-8, which no record of a run can hold.
        UsageError: If there is no column of names.
    """

    unit = "rows"
    one_file_each = False
    most_batches = 32  # at most 262,144 rows are measured again after an interruption
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def __init__(self, source: str, id_column: str | None = None) -> None:
        super().__init__(self)
        self.layout = self
        self.source = f"{VECTORS}{source}"
        self.name = rows_name(self.source)
        self._labels: RowLabels | None = None
        files, member = vector_files(source)
        self.matrices = tuple(open_matrix(path, member) for path in files)
        first = self.matrices[0]
        self.width: int = first.channels
        for matrix in self.matrices:
            refuse_undecodable(str(matrix.path.absolute()), "the path")
            if matrix.channels != self.width:
                raise DataError(
                    f"{matrix.path} has {matrix.channels:,} channels and {first.path} has "
                    f"{self.width:,}: the files are not of one encoder"
                )
        self._ends = np.cumsum([matrix.rows for matrix in self.matrices])
        self.rows = int(self._ends[-1])
        self.dtype = ", ".join(dict.fromkeys(matrix.dtype for matrix in self.matrices))
        self._id_column = id_column
        if id_column is not None:
            self._named_by = named_by(files)
            self.names([0])  # fail now, not after hours

    def values(self, start: int, stop: int) -> NDArray[Any]:
        """Returns rows as `Matrix.read` does, whichever files they lie in."""
        blocks = []
        number = int(np.searchsorted(self._ends, start, side="right"))
        while start < stop:
            matrix = self.matrices[number]
            begin = int(self._ends[number]) - matrix.rows
            last = min(stop, begin + matrix.rows)
            blocks.append(matrix.read(start - begin, last - begin))
            start, number = last, number + 1
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    @property
    def samples(self) -> Sequence[Sample]:
        """The rows as samples, made when they are asked for."""
        return _Samples(self.rows, self._labels)

    def stamp(self, sample: Sample) -> Stamp:
        """Returns no stamp: files have stamps."""
        return Stamp(None, None)

    def read(self, sample: Sample) -> Content:
        """Refuses: there is no image."""
        raise UnreadableImageError("the data are vectors, not images")

    def with_options(self, spec: RunSpec, names: tuple[str, ...]) -> RowSet:
        """Returns the set with the labels of `--labels`, and names of rows by `--id-column`.

        Raises:
            DataError: If labels or names cannot be used, or do not fit the vectors.
            UsageError: If there is no column of names.
        """
        if spec.id_column is None and spec.labels is None:
            return self
        rows = RowSet(self.source.removeprefix(VECTORS), spec.id_column)
        if spec.labels is not None:
            ids = None if spec.id_column is None else rows._all_names
            path, column = Path(spec.labels), spec.id_column
            rows._labels = read_labels(path, rows.rows, names, id_column=column, ids=ids)
            rows.classes = rows._labels.classes
        return rows

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """The files with their stamps, as `plan.json` holds them."""
        return tuple(
            StoredFile(
                path=str(matrix.path.absolute()),
                size=matrix.stamp.size or 0,
                changed=matrix.stamp.changed or "",
            )
            for matrix in self.matrices
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """How the labels were understood, and what is of a sample of the rows."""
        remarks = [] if self._labels is None else [self._labels.in_words()]
        if self.rows > SAMPLED_ROWS:
            remarks.append(
                f"{self.name}: moments and top rows come from all {self.rows:,} rows; figures that "
                f"need vectors come from a seeded sample of {SAMPLED_ROWS:,}"
            )
        return tuple(remarks)

    def order(self, seed: int, limit: int) -> range:
        """Returns all rows, in the order of the files."""
        return range(self.rows)

    def stamps(self, ids: object) -> dict[int, Stamp]:
        """Returns an empty mapping: the files have stamps, not the rows."""
        return {}

    def batch(self, requested: int) -> int:
        """Returns the number of rows per batch."""
        return max(min(BATCH_ROWS, _BATCH_VALUES // self.width), 1)

    def content(self, stamps: object) -> dict[str, Any]:
        """Returns all inputs of the numbers of the set, without the paths of its files.

        The first and last rows are read; all rows are compared when a run is resumed, if a file
        was moved or touched.
        """
        labels = None
        ends = (0, max(self.rows - _KEYED_ROWS, 0))
        if self._labels is not None:
            named = self._labels.values.tobytes() + "\0".join(self.classes).encode()
            labels = hashlib.sha256(named).hexdigest()
        return {
            "rows": self.rows,
            "channels": self.width,
            "dtype": self.dtype,
            "ends": [self.digest(range(i, min(i + _KEYED_ROWS, self.rows))).hex() for i in ends],
            "labels": labels,
        }

    def labels(self) -> NDArray[np.int64]:
        """Returns the label of each row, -1 for none."""
        if self._labels is None:
            return np.full(self.rows, -1)
        return self._labels.values.astype(np.int64)

    @property
    def label_rows(self) -> Sequence[int] | NDArray[np.int64]:
        """The row of the file of labels that labels each row, int64 `[rows]`; empty without."""
        return () if self._labels is None else self._labels.positions

    def called(self, ids: Ids) -> str:
        """Returns the numbers of rows that are read at once."""
        return f"rows {ids[0]:,} to {ids[-1]:,}"

    def digest(self, ids: Ids) -> bytes:
        """Returns the SHA-256 of consecutive rows as they are read."""
        return hashlib.sha256(self.values(int(ids[0]), int(ids[-1]) + 1).data).digest()

    def sampled(self, ids: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
        """Returns which of some rows, ascending, are sampled."""
        sample = sampled_rows(self.rows, seed)
        first, stop = np.searchsorted(sample, (ids[0], ids[-1] + 1) if len(ids) else (0, 0))
        return np.isin(ids, sample[first:stop], assume_unique=True)

    def read_block(self, ids: Ids) -> SampleBlock:
        """Reads consecutive rows; those that are finite, and whose norm in float32 is, are usable.

        Raises:
            DataError: If a file cannot be read, or changed since it was opened.
        """
        values = self.values(int(ids[0]), int(ids[-1]) + 1)
        import torch  # rows are described without it

        norms = torch.linalg.vector_norm(torch.from_numpy(values), dim=1, dtype=torch.float32)
        return SampleBlock(values, norms.isfinite().numpy(), hashlib.sha256(values.data).digest())

    def names(self, ids: Ids) -> dict[int, str]:
        """Returns the names of some rows, ascending; empty without an id column.

        Raises:
            DataError: If names cannot be read, or are not one a row.
        """
        if self._id_column is None:
            return {}
        names: dict[int, str] = {}
        start, left = 0, [*map(int, ids)]
        for matrix, path in zip(self.matrices, self._named_by, strict=True):
            count = bisect_left(left, start + matrix.rows)
            here, left = left[:count], left[count:]
            of_here, known = read_names(path, self._id_column, [row - start for row in here])
            if known != matrix.rows:
                raise DataError(
                    f"{path} names {known:,} rows and {matrix.path} holds {matrix.rows:,}; they do "
                    "not belong together"
                )
            names |= dict(zip(here, of_here, strict=True))
            start += matrix.rows
        return names

    def _all_names(self) -> list[str]:
        return [*self.names(range(self.rows)).values()]

    def checks(self, set_name: str) -> Iterator[Check]:
        """Yields a check that states number, width and type of the rows."""
        detail = f"{self.rows:,} rows of {self.width:,} channels, {self.dtype}"
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


@lru_cache
def sampled_rows(rows: int, seed: int) -> NDArray[np.int64]:
    """Returns the rows whose vectors are kept, in ascending order: all, or a seeded sample.

    They are the rows with the smallest hashes under the seed, so the sample depends neither on
    shards nor on processes. SplitMix64 is a bijection: no two rows have the same hash.

    >>> sampled_rows(3, seed=0).tolist(), len(sampled_rows(2 * SAMPLED_ROWS, seed=0))
    ([0, 1, 2], 50000)
    """
    sampled = np.empty(0, np.int64)
    hashes = np.empty(0, np.uint64)
    for start in range(0, rows, _HASHED):
        more = np.arange(start, min(start + _HASHED, rows), dtype=np.int64)
        sampled = np.concatenate([sampled, more])
        hashes = np.concatenate([hashes, hash_ids(more, seed)])
        if len(sampled) > SAMPLED_ROWS:
            least = np.argpartition(hashes, SAMPLED_ROWS - 1)[:SAMPLED_ROWS]
            sampled, hashes = sampled[least], hashes[least]
    return np.sort(sampled)
