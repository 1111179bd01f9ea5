"""From what a user types to vectors: a file, a pattern, a folder, a folder of clip-retrieval."""

from __future__ import annotations

import glob
import re
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.shard_files import matching_files
from tuiprobe.datasets.vectors.formats import SUFFIXES, open_matrix
from tuiprobe.datasets.vectors.matrix import Matrix
from tuiprobe.datasets.vectors.parquet import read_names
from tuiprobe.errors import DataError, UsageError

_RETRIEVAL = "img_emb"
"""Folder of vectors, and prefix of their files, in what clip-retrieval writes."""


class Vectors:
    """The vectors of one set: those of one or several files, one after the other.

    Args:
        source: What the user typed.
        matrices: The vectors of each file, at least one.
        named_by: The Parquet file with the names of each; empty without an id column.
        id_column: Column of the names; None where rows go by their index.

    Raises:
        DataError: If the files differ in width.
    """

    def __init__(
        self,
        source: str,
        matrices: Sequence[Matrix],
        named_by: Sequence[Path] = (),
        id_column: str | None = None,
    ) -> None:
        self.source, self.matrices = source, tuple(matrices)
        self._named_by, self._id_column = named_by, id_column
        first = matrices[0]
        self.channels = first.channels
        for matrix in matrices:
            if matrix.channels != first.channels:
                raise DataError(
                    f"{matrix.path} has {matrix.channels:,} channels and {first.path} has "
                    f"{first.channels:,}: the files are not of one encoder"
                )
        self._ends = np.cumsum([matrix.rows for matrix in matrices])
        self.rows = int(self._ends[-1])
        self.dtype, self.kind = (
            ", ".join(dict.fromkeys(words))
            for words in ([m.dtype for m in matrices], [m.kind for m in matrices])
        )

    def read(self, start: int, stop: int) -> NDArray[Any]:
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

    def names(self, rows: Sequence[int]) -> dict[int, str]:
        """Returns the names of some rows; empty without an id column.

        Args:
            rows: Rows, ascending.

        Raises:
            DataError: If names cannot be read, or are not one a row.
        """
        if self._id_column is None:
            return {}
        names: dict[int, str] = {}
        start, rest = 0, list(rows)
        for matrix, path in zip(self.matrices, self._named_by, strict=True):
            count = bisect_left(rest, start + matrix.rows)
            here, rest = rest[:count], rest[count:]
            of_here, known = read_names(path, self._id_column, [row - start for row in here])
            if known != matrix.rows:
                raise DataError(
                    f"{path} names {known:,} rows and {matrix.path} holds {matrix.rows:,}; they do "
                    "not belong together"
                )
            names |= dict(zip(here, of_here, strict=True))
            start += matrix.rows
        return names

    def all_names(self) -> list[str]:
        """Returns the names of all rows, in their order; errors as for `names`."""
        return list(self.names(range(self.rows)).values())


def open_vectors(source: str, id_column: str | None = None) -> Vectors:
    """Opens vectors by what the user typed.

    Args:
        source: `FILE`, `FILE::NAME` for one array of several, a pattern, or a folder.
        id_column: Column of a Parquet file that names the rows.

    Raises:
        DataError: If a file cannot be used, or they do not fit together.
        UsageError: If there is no column of names.
    """
    try:
        files, member = _files(source)
    except (OSError, ValueError) as error:  # NUL in a path, a name that is too long
        raise DataError(f"{source!r} cannot be read: {error}") from error
    matrices = [open_matrix(path, member) for path in files]
    if id_column is None:
        return Vectors(source, matrices)
    vectors = Vectors(source, matrices, _named_by(files), id_column)
    vectors.names([0])  # fail now, not after hours
    return vectors


def _files(source: str) -> tuple[list[Path], str | None]:
    """Returns the files in order, and the name of the array that follows `::`."""
    path = Path(source)
    if path.is_dir():
        return _in_folder(path), None
    if path.exists():
        return [path], None
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


def _named_by(files: Sequence[Path]) -> tuple[Path, ...]:
    """Returns the Parquet file that names the rows of each file.

    Vectors in Parquet are named there. `img_emb/img_emb_3.npy` of clip-retrieval is named by
    `metadata/metadata_3.parquet` beside its folder.
    """
    if all(file.suffix.lower() == ".parquet" for file in files):
        return tuple(files)
    folder = files[0].parent.parent / "metadata"
    numbers = [file.stem.rpartition("_")[2] for file in files]
    beside = tuple(folder / f"metadata_{number}.parquet" for number in numbers)
    missing = next((file for file in beside if not file.exists()), None)
    if missing is not None:
        raise UsageError(
            f"--id-column names rows by a column of Parquet; {files[0].name} has none, nor is "
            f"there {missing}"
        )
    return beside


def numeric(path: Path) -> list[tuple[int, int, str]]:
    """Returns a key that sorts numbers in names by value.

    >>> [p.name for p in sorted(map(Path, ["a_10", "a_2", "a_1", "b"]), key=numeric)]
    ['a_1', 'a_2', 'a_10', 'b']
    """
    pieces = re.split(r"([0-9]+)", str(path))
    return [(0, int(text), text) if text.isdecimal() else (1, 0, text) for text in pieces]
