"""From what a user types to files: one, a pattern, a folder, a folder of clip-retrieval."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from tuiprobe.datasets.shard_files import matching_files
from tuiprobe.datasets.vectors.vector_files import SUFFIXES
from tuiprobe.errors import DataError, UsageError

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

    Vectors in Parquet are named there. `img_emb/img_emb_3.npy` of clip-retrieval is named by
    `metadata/metadata_3.parquet` beside its folder.

    Raises:
        UsageError: If there is no such file.
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
