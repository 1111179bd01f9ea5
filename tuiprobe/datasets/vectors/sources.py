"""From what a user types to vectors: a file, a pattern, a folder, a folder of clip-retrieval."""

from __future__ import annotations

import glob
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuiprobe.datasets.shard_files import matching_files
from tuiprobe.datasets.vectors.formats import SUFFIXES, open_matrix
from tuiprobe.datasets.vectors.matrix import JoinedVectors
from tuiprobe.datasets.vectors.parquet import read_names
from tuiprobe.errors import DataError, UsageError

_RETRIEVAL = "img_emb"
"""Folder of vectors, and prefix of their files, in what clip-retrieval writes."""


@dataclass(frozen=True)
class Vectors:
    """The vectors of one set, and where their names are.

    Attributes:
        matrix: All vectors, in the order of the files and of the rows in them.
        named_by: The Parquet file with the names of each piece; empty without an id column.
        id_column: Column of the names; None where rows go by their index.
    """

    matrix: JoinedVectors
    named_by: tuple[Path, ...] = ()
    id_column: str | None = None

    def names(self, rows: Sequence[int]) -> dict[int, str]:
        """Returns the names of some rows; empty without an id column.

        Args:
            rows: Rows, ascending.

        Raises:
            DataError: If names cannot be read, or are not one a row.
        """
        if self.id_column is None:
            return {}
        names: dict[int, str] = {}
        start, rest = 0, list(rows)
        for matrix, path in zip(self.matrix.matrices, self.named_by, strict=True):
            count = bisect_left(rest, start + matrix.rows)
            here, rest = rest[:count], rest[count:]
            of_here, known = read_names(path, self.id_column, [row - start for row in here])
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
        return list(self.names(range(self.matrix.rows)).values())


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
    matrix = JoinedVectors(source, [open_matrix(path, member) for path in files])
    if id_column is None:
        return Vectors(matrix)
    vectors = Vectors(matrix, _named_by(files), id_column)
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
    files = sorted(matching_files(path.absolute()), key=numeric)
    if not files:
        raise DataError(f"no file fits the pattern {source}")
    return files, None


def _in_folder(folder: Path) -> list[Path]:
    retrieval = folder / _RETRIEVAL
    if retrieval.is_dir():
        files = sorted(retrieval.glob(f"{_RETRIEVAL}_*.npy"), key=numeric)
    else:
        files = sorted((f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES), key=numeric)
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
