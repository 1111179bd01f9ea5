"""Labels of vectors: one a row, in a file of NumPy, text, CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.errors import DataError
from tuiprobe.files import UNFIT, open_regular, parse_json, read_regular, reading
from tuiprobe.plaintext import plain

_MOST_CLASSES = 1_000_000
_COLUMNS = ("label", "labels", "class", "class_name", "target", "y")
"""Names of the column of labels in a CSV file of several columns."""

Labels = tuple[NDArray[np.int32], tuple[str, ...]]


def read_labels(path: Path, rows: int, names: tuple[str, ...] = ()) -> Labels:
    """Returns the label of each row, and the class names in label order.

    Args:
        path: A `.npy`, `.txt`, `.csv` or `.json` file; whole numbers from 0, or names.
        rows: Number of vectors.
        names: Class names in label order; empty for the sorted names of the labels, or for the
            numbers themselves.

    Raises:
        DataError: If the file cannot be read, or does not hold one label a row.
    """
    reader = {".npy": _npy, ".txt": _lines, ".csv": _csv, ".json": _json}.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: labels are read from .npy, .txt, .csv or .json files")
    try:
        with reading(path):
            found = reader(path, rows)
    except (*UNFIT, EOFError, csv.Error, MemoryError, SyntaxError, TokenError) as error:
        said = plain(str(error).partition("\n")[0])
        raise DataError(f"{path} cannot be read as labels: {said}") from error
    if len(found) != rows:
        raise DataError(f"{path} holds {len(found):,} labels for {rows:,} rows")
    if isinstance(found, np.ndarray):
        return _counted(path, found, names)
    numbers = _numbers(found)
    return _named(path, found, names) if numbers is None else _counted(path, numbers, names)


def _counted(path: Path, labels: NDArray[Any], names: tuple[str, ...]) -> Labels:
    low, high = int(labels.min()), int(labels.max())
    if low < 0:
        raise DataError(f"{path} holds the label {low}; labels are whole numbers from 0")
    if high >= (len(names) or _MOST_CLASSES):
        limit = f"--classes holds {len(names):,} names" if names else "that is no class"
        raise DataError(f"{path} holds the label {high:,}; {limit}")
    return labels.astype(np.int32), names or tuple(str(i) for i in range(high + 1))


def _named(path: Path, labels: Sequence[str], names: tuple[str, ...]) -> Labels:
    classes = names or tuple(sorted(set(labels)))
    if len(classes) > _MOST_CLASSES:
        raise DataError(f"{path} holds {len(classes):,} different labels, which are no classes")
    place = {name: i for i, name in enumerate(classes)}
    missing = next((one for one in labels if one not in place), None)
    if missing is not None:
        raise DataError(f"{path} holds the label {plain(missing[:80])!r}, which --classes does not")
    return np.array([place[one] for one in labels], dtype=np.int32), classes


def _numbers(labels: Sequence[str]) -> NDArray[np.int64] | None:
    """Returns labels as whole numbers; None if one of them is a name."""
    if not all(one.removeprefix("-").isdecimal() and one.isascii() for one in labels):
        return None
    return np.array([int(one[:18]) for one in labels], dtype=np.int64)


def _npy(path: Path, rows: int) -> NDArray[Any] | list[str]:
    with open_regular(path) as file:
        found = np.lib.format.read_array(file, allow_pickle=False) if rows else np.empty(0)
    if found.ndim != 1:
        raise ValueError(f"its shape is {found.shape}, not one label a row")
    if found.dtype.kind == "U":
        return [str(one) for one in found]
    if found.dtype.kind not in "iu":
        raise ValueError(f"it holds {found.dtype}, not whole numbers or names")
    return found


def _lines(path: Path, rows: int) -> list[str]:
    lines = read_regular(path).decode("utf-8-sig").splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    return _stripped(lines)


def _csv(path: Path, rows: int) -> list[str]:
    text = read_regular(path).decode("utf-8-sig")
    table = [one for one in csv.reader(io.StringIO(text, newline="")) if one]
    header = table[0] if table else []
    if len(header) > 1:
        column = next((name for name in _COLUMNS if name in header), None)
        if column is None:
            raise ValueError(f"none of its columns is called {_COLUMNS[0]!r}")
        place = header.index(column)
        return _stripped([one[place] if place < len(one) else "" for one in table[1:]])
    cells = [one[0] for one in table]
    return _stripped(cells[1:] if len(cells) == rows + 1 else cells)


def _json(path: Path, rows: int) -> list[str]:
    found = parse_json(read_regular(path))
    if not isinstance(found, list) or not all(type(one) in (int, str) for one in found):
        raise ValueError("it is no list of whole numbers or names")
    return _stripped([str(one) for one in found])


def _stripped(labels: Sequence[str]) -> list[str]:
    found = [one.strip() for one in labels]
    if not all(found):
        raise ValueError(f"row {found.index('')} has no label")
    return found
