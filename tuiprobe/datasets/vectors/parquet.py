"""Vectors, ids and tables in Parquet files, by pyarrow (the extra `parquet`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.sample import stamp_of
from tuiprobe.datasets.vectors.matrix import Matrix, as_floats, refuse_shape
from tuiprobe.errors import DataError
from tuiprobe.files import open_regular, reading
from tuiprobe.limits import (
    CHANNELS,
    NAME_LENGTH,
    TABLE_CELLS,
    TABLE_COLUMNS,
    TABLE_ROWS,
    TEXT_BYTES,
)
from tuiprobe.plaintext import first_line, first_names

_TYPES = {"halffloat": "float16", "float": "float32", "double": "float64"}
_MOST_ROWS = 8192
_MOST_VALUES = 2**24


def _open(path: Path) -> tuple[IO[bytes], Any]:
    """Opens a Parquet file; the caller closes the first of the two.

    A text is decoded once per row group, however many of its rows have it.
    """
    try:
        import pyarrow.parquet as parquet
        import pyarrow.types as types
    except ImportError as error:
        raise DataError(
            f"{path}: Parquet needs pyarrow: pip install 'tuiprobe[parquet]'"
        ) from error
    with reading(path):
        file = open_regular(path)
    try:
        with _decoding(path):
            fields = parquet.ParquetFile(file).schema_arrow
            texts = [
                of.name
                for of in fields
                if types.is_string(of.type) or types.is_large_string(of.type)
            ]
            return file, parquet.ParquetFile(file, read_dictionary=texts)
    except DataError:
        file.close()
        raise


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Turns the errors of pyarrow, which are of many kinds, into one sentence."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path} cannot be read as Parquet: {first_line(error)}") from error


def read_columns(path: Path) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Returns the names of the columns of a table and its rows as texts, empty for no value.

    Columns of lists, structures and bytes are left out. A text that many rows have is one object.

    Raises:
        DataError: If it cannot be read, or is too large.
    """
    file, opened = _open(path)
    import pyarrow.types as types

    with file, _decoding(path):
        columns = [
            field.name
            for field in opened.schema_arrow
            if not types.is_nested(field.type) and "binary" not in str(field.type)
        ]
        rows = opened.metadata.num_rows
        if rows > TABLE_ROWS or rows * len(columns) > TABLE_CELLS:
            raise DataError(f"{path}: more than {TABLE_ROWS:,} rows or {TABLE_CELLS:,} cells")
        if len(columns) > TABLE_COLUMNS:
            raise DataError(f"{path}: more than {TABLE_COLUMNS:,} columns")
        if _unpacked_bytes(opened, columns) > TEXT_BYTES:
            raise DataError(f"{path}: more than {TEXT_BYTES:,} bytes when unpacked")
        table = opened.read(columns=columns)
        cells = [
            [cell for chunk in column.chunks for cell in _cells(chunk)] for column in table.columns
        ]
    return tuple(table.column_names), list(zip(*cells, strict=True))


def _unpacked_bytes(opened: Any, columns: Sequence[str]) -> int:
    groups = map(opened.metadata.row_group, range(opened.metadata.num_row_groups))
    chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
    return sum(c.total_uncompressed_size for c in chunks if c.path_in_schema in columns)


def _cells(chunk: Any) -> list[str]:
    if not hasattr(chunk, "dictionary"):
        return ["" if value is None else str(value).strip() for value in chunk.to_pylist()]
    words = [*_cells(chunk.dictionary), ""]
    return [words[-1 if i is None else i] for i in chunk.indices.to_pylist()]


def holds_bytes(path: Path) -> bool:
    """Returns whether a Parquet file has a column of bytes, as those of encoded images.

    Raises:
        DataError: If the file cannot be read.
    """
    file, opened = _open(path)
    with file:
        kinds = ("binary", "large_binary", "struct<bytes: binary")
        return any(str(field.type).startswith(kinds) for field in opened.schema_arrow)


@dataclass(eq=False)
class ParquetMatrix(Matrix):
    """Vectors of a Parquet file: one column of lists, or one column a channel.

    Rows are decoded in their order, a batch at a time; reading back starts at their row group.

    Attributes:
        columns: The column of lists, or the columns of floats.
        starts: First row of each row group, and the number of rows.
        batch_rows: Rows that are decoded at once.
    """

    columns: list[str]
    starts: NDArray[np.int64]
    batch_rows: int

    def __post_init__(self) -> None:
        self._lock = Lock()  # a resume compares blocks in several threads
        self._at = -1
        self._batches: Iterator[NDArray[Any]] = iter(())
        self._buffer: NDArray[Any] = np.empty((0, self.channels))

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Returns rows as `tuiprobe.datasets.vectors.matrix.Matrix.read` says."""
        with self._lock:
            if start != self._at:
                group = int(np.searchsorted(self.starts, start, side="right")) - 1
                self._batches, self._at = self._decoded(group), int(self.starts[group])
                self._buffer = np.empty((0, self.channels))
                self._next_rows(start - self._at)
            return self._next_rows(stop - start)

    def _next_rows(self, count: int) -> NDArray[Any]:
        pieces, left = [self._buffer[:0]] if not count else [], count
        while left:
            if not len(self._buffer):
                self._buffer = next(self._batches, self._buffer)
                if not len(self._buffer):
                    raise DataError(f"{self.path} holds fewer rows than it says")
            piece, self._buffer = self._buffer[:left], self._buffer[left:]
            pieces.append(piece)
            left -= len(piece)
        self._at += count
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _decoded(self, group: int) -> Iterator[NDArray[Any]]:
        file, opened = _open(self.path)
        with file, _decoding(self.path):
            self.refuse_changed(file)
            groups = list(range(group, len(self.starts) - 1))
            for batch in opened.iter_batches(
                self.batch_rows, row_groups=groups, columns=self.columns
            ):
                yield as_floats(self._matrix(batch), self.dtype)

    def _matrix(self, batch: Any) -> NDArray[Any]:
        column = batch.column(self.columns[0])
        if not _is_list(column.type):
            columns = [batch.column(name) for name in self.columns]
            return np.column_stack([c.to_numpy(zero_copy_only=False) for c in columns])
        lengths = _lengths(column)
        missing = lengths < 0
        if (lengths[~missing] != self.channels).any():
            wrong = lengths[~missing & (lengths != self.channels)][0]
            raise DataError(
                f"{self.path}: {self.columns[0]} holds vectors of {wrong:,} and of "
                f"{self.channels:,} channels"
            )
        rows = np.full((len(column), self.channels), np.nan, np.dtype(self.dtype))
        values = column.flatten().to_numpy(zero_copy_only=False)
        rows[~missing] = values.reshape(-1, self.channels)
        return rows


def open_parquet(path: Path, column: str | None = None) -> Matrix:
    """Opens the vectors of a Parquet file.

    Args:
        path: The file.
        column: The column of lists; None for the only one, or else all columns of floats.

    Raises:
        DataError: If the file cannot be read, or holds no vectors of one width.
    """
    file, opened = _open(path)
    with file, _decoding(path):
        stamp = stamp_of(os.fstat(file.fileno()))
        schema = opened.schema_arrow
        columns, dtype = _choose(path, schema, column)
        groups = range(opened.metadata.num_row_groups)
        sizes = [opened.metadata.row_group(g).num_rows for g in groups]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        batch_rows = _batch_rows(path, opened, columns)
        is_list = _is_list(schema.field(columns[0]).type)
        width = _width(opened, columns[0], batch_rows) if is_list else len(columns)
    rows, channels = refuse_shape(path, (int(starts[-1]), width))
    return ParquetMatrix(path, stamp, "parquet", dtype, rows, channels, columns, starts, batch_rows)


def _batch_rows(path: Path, opened: Any, columns: Sequence[str]) -> int:
    """Returns how many rows are decoded at once.

    A few bytes can stand for millions of equal values, so what the file says of their number is
    compared with the widest vectors before any is decoded.
    """
    widest = 1
    for g in range(opened.metadata.num_row_groups):
        group = opened.metadata.row_group(g)
        chunks = (group.column(i) for i in range(group.num_columns))
        values = sum(
            chunk.num_values
            for chunk in chunks
            if chunk.path_in_schema.partition(".")[0] in columns
        )
        if values > CHANNELS * group.num_rows:
            raise DataError(
                f"{path} has {values:,} values in {group.num_rows:,} rows, above the "
                f"limit of {CHANNELS:,} channels"
            )
        widest = max(widest, values // max(group.num_rows, 1))
    return max(1, min(_MOST_ROWS, _MOST_VALUES // widest))


def _width(opened: Any, column: str, rows: int) -> int:
    kind = opened.schema_arrow.field(column).type
    if hasattr(kind, "list_size"):
        return int(kind.list_size)
    for batch in opened.iter_batches(rows, columns=[column]):
        lengths = _lengths(batch.column(0))
        if (lengths >= 0).any():
            return int(lengths[lengths >= 0][0])
    return 0


def _choose(path: Path, schema: Any, column: str | None) -> tuple[list[str], str]:
    """Returns the columns to read and the type of their values."""
    fields = {field.name: field.type for field in schema}
    lists = [
        name for name, kind in fields.items() if _is_list(kind) and str(kind.value_type) in _TYPES
    ]
    if column is not None:
        if column not in lists:
            raise DataError(f"{path} has no column {column!r} of lists of floats")
        lists = [column]
    if len(lists) > 1:
        raise DataError(
            f"{path} has several columns of vectors ({first_names(lists)}); name one as "
            f"{path.name}::{lists[0][:80]}"
        )
    if lists:
        return lists, _TYPES[str(fields[lists[0]].value_type)]
    plainly = [name for name, kind in fields.items() if str(kind) in _TYPES]
    if not plainly:
        raise DataError(
            f"{path} has no column of floats, nor of lists of floats; for images write "
            f"parquet:{path}"
        )
    kinds = {_TYPES[str(fields[name])] for name in plainly}
    return plainly, kinds.pop() if len(kinds) == 1 else "float64"


def _is_list(kind: Any) -> bool:
    return str(kind).startswith(("list<", "large_list<", "fixed_size_list<"))


def _lengths(column: Any) -> NDArray[np.int64]:
    """Returns the length of each list of a column, -1 for a missing one."""
    import pyarrow.compute as compute

    lengths = compute.list_value_length(column).fill_null(-1)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), dtype=np.int64)


def read_names(path: Path, column: str, rows: Sequence[int]) -> tuple[list[str], int]:
    """Returns the ids of some rows, and how many rows the file has.

    Args:
        path: A Parquet file.
        column: Name of the column of ids.
        rows: Rows, ascending.

    Raises:
        DataError: If the file cannot be read or lacks the column.
    """
    file, opened = _open(path)  # says so where pyarrow is missing
    import pyarrow

    with file, _decoding(path):
        columns = opened.schema_arrow.names
        if column not in columns:
            raise DataError(
                f"{path} has no column {column!r}; its columns are {first_names(columns)}"
            )
        names: list[str] = []
        wanted = np.asarray(rows, dtype=np.int64)
        start = 0
        for batch in opened.iter_batches(_MOST_ROWS, columns=[column]):
            if not len(wanted) or start > wanted[-1]:
                break
            stop = start + batch.num_rows
            here = wanted[(wanted >= start) & (wanted < stop)] - start
            values = batch.column(0).take(pyarrow.array(here)) if len(here) else []
            names += [str(value.as_py())[:NAME_LENGTH] for value in values]
            start = stop
        return names, int(opened.metadata.num_rows)
