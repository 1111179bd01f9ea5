"""Labels in files: one a row, in a file of NumPy, text, CSV or JSON; numbers or names.

A file that can be understood in two ways is refused: a label that slips by one row, or a name in
another order, gives a wrong accuracy and no error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.catalog.class_names import folded_name, match_classes
from tuiprobe.datasets.dataset import Dataset
from tuiprobe.datasets.input_tables import ALL_USED, PATH_COLUMNS, InputTable, NotUsed, parse_csv
from tuiprobe.errors import DataError
from tuiprobe.files import UNFIT, open_regular, parse_json, read_regular, reading
from tuiprobe.limits import CLASSES, NAME_LENGTH
from tuiprobe.plaintext import count_of, first_line, plain, text_of

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
"""A number as programs write it; `1.0e+01` is what `numpy.savetxt` makes of 10."""

LARGEST_LABEL = 10**15
"""Larger numbers are no labels; this one fits int64, and is refused as too large."""

_MISSING = {"nan", "none", "null", "na", "n/a", "<na>"}

LABEL_COLUMNS = ("label", "labels", "class", "class_name", "target", "y")
"""Names of a column of labels."""

_IDS = ("id", "ids", "index", "idx", "row", "row_id", "image_id", "sample_id", "uid", "uuid", "key",
        "", "unnamed: 0")  # fmt: skip
"""Names of a column that says which row a label belongs to; pandas leaves its index unnamed."""

ReadIds = Callable[[], Sequence[str]]
"""Returns the ids of all vectors, in their order."""


@dataclass(frozen=True)
class RowLabels:
    """The labels of vectors.

    Attributes:
        values: int32 `[rows]`.
        classes: Class names in label order.
        positions: int64 `[rows]`, the row of each label in the file.
        order: How labels and vectors were matched, in words.
        not_used: What of the file was not used.
    """

    values: NDArray[np.int32]
    classes: tuple[str, ...]
    positions: NDArray[np.int64]
    order: str = "by position"
    not_used: NotUsed = ALL_USED

    def in_words(self) -> str:
        """Returns a sentence on how the labels were read.

        >>> RowLabels(np.array([0, 1, 1]), ("cat", "dog"), np.arange(3)).in_words()
        '3 labels, 2 classes, by position'
        """
        used, known = len(np.unique(self.values)), len(self.classes)
        classes = f"{known:,}" if used == known else f"{used:,} of {known:,}"
        words = f"{len(self.values):,} labels, {classes} classes, {self.order}"
        return "; ".join(filter(None, (words, self.not_used.in_words())))


@dataclass(frozen=True)
class _Column:
    """The labels of a file as they stand in it.

    Attributes:
        labels: One text or number a row.
        ids: The id in the row of each label.
        ids_name: Name of that column.
        table: The table; None for other files.
        used: Its columns that are read.
    """

    labels: Sequence[str] | NDArray[Any]
    ids: Sequence[str] | None = None
    ids_name: str = ""
    table: InputTable | None = None
    used: Sequence[str] = ()


def read_labels(
    path: Path,
    rows: int,
    names: tuple[str, ...] = (),
    *,
    id_column: str | None = None,
    ids: ReadIds | None = None,
) -> RowLabels:
    """Reads the label of each vector.

    Args:
        path: A `.npy`, `.txt`, `.csv` or `.json` file; whole numbers from 0, or names.
        rows: Number of vectors.
        names: Class names in label order; empty for the sorted names of the labels, or for the
            numbers themselves.
        id_column: Name of the column of ids of the vectors, which a CSV file may have too.
        ids: Returns the vectors' ids, to which those of a CSV file are joined.

    Raises:
        DataError: If the file cannot be read, does not hold one label a row, leaves open which
            label belongs to which vector or class, or says that the vectors belong to several parts
            of the data.
    """
    reader = {".npy": _npy, ".txt": _lines, ".csv": _csv, ".json": _json}.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: labels are read from .npy, .txt, .csv or .json files")
    try:
        with reading(path):
            column = reader(path, id_column)
    except (*UNFIT, EOFError, MemoryError, SyntaxError, TokenError) as error:
        raise DataError(f"{path} cannot be read as labels: {first_line(error)}") from error
    positions, order = _positions(path, column, rows, ids)
    not_used = ALL_USED
    if column.table is not None:
        remedy = (
            "give the vectors and labels of one part, or remove the column if you want all parts"
        )
        column.table.refuse_several_parts(remedy, positions.tolist(), column.used)
        not_used = column.table.not_used(column.used)
    values, classes = numbered(path, column.labels, names, positions)
    return RowLabels(values, classes, positions, order, not_used)


def numbered(
    path: Path,
    labels: Sequence[str] | NDArray[Any],
    names: tuple[str, ...] = (),
    positions: NDArray[np.int64] | slice = slice(None),
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Returns labels as numbers of classes, and the names of these classes.

    Args:
        path: The file that they stand in, for messages.
        labels: Whole numbers from 0, or names.
        names: Class names in label order; empty for the sorted names of the labels, or for the
            numbers themselves.
        positions: Which of the labels to return; all of them count as numbers, or none.

    Raises:
        DataError: If a label is no number of a class, or no name of one.
    """
    try:
        if not isinstance(labels, np.ndarray):
            if not are_numbers(labels):
                chosen = np.asarray(labels, dtype=object)[positions].tolist()
                return _named(path, chosen, names)
            labels = np.array(integer_labels(labels), dtype=np.int64)
        numbers = _integers(labels)
    except ValueError as error:
        raise DataError(f"{path} cannot be read as labels: {first_line(error)}") from error
    return _counted(path, numbers[positions], names)


def _positions(
    path: Path, column: _Column, rows: int, ids: ReadIds | None
) -> tuple[NDArray[np.int64], str]:
    """Returns the position of each vector's label in the file, and how they were matched."""
    count, name = len(column.labels), plain(column.ids_name) or "of the index"
    if column.ids is not None and ids is not None:
        positions = _joined(path, column, ids())
        more = count - len(positions)
        further = f", which holds {count_of(more, 'other id')}" if more else ""
        return positions, f"joined by the column {name}{further}"
    if count != rows:
        hint = "; if its first line is a header, remove it" if count == rows + 1 else ""
        raise DataError(f"{path} holds {count:,} labels for {rows:,} rows{hint}")
    if column.ids is None:
        return np.arange(rows, dtype=np.int64), "by position"
    positions = np.full(rows, -1, dtype=np.int64)
    for position, text in enumerate(column.ids):
        if text.isascii() and text.isdecimal() and int(text[:18]) < rows:
            positions[int(text[:18])] = position
    if (positions < 0).any():
        raise DataError(
            f"{path}: its column {name} does not hold 0 to {rows - 1:,}, each once, so nothing "
            "says which label belongs to which vector; put the labels in the order of the vectors "
            "and remove the column, or name the ids of the vectors in Parquet by --id-column"
        )
    return positions, f"by the row numbers in the column {name}"


def _joined(path: Path, column: _Column, ids: Sequence[str]) -> NDArray[np.int64]:
    assert column.ids is not None
    where: dict[str, int] = {}
    for position, text in enumerate(column.ids):
        if where.setdefault(text[:NAME_LENGTH], position) != position:
            raise DataError(f"{path}: the id {plain(text[:80])!r} appears twice")
    missing = next((row_id for row_id in ids if row_id not in where), None)
    if missing is not None:
        raise DataError(
            f"{path} holds {len(where):,} ids, but not {plain(missing[:80])!r}, the id of one of "
            f"the {len(ids):,} vectors; give the labels of all vectors"
        )
    return np.array([where[row_id] for row_id in ids], dtype=np.int64)


def _counted(
    path: Path, labels: NDArray[Any], names: tuple[str, ...]
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    low, high = int(labels.min()), int(labels.max())
    if low < 0:
        raise DataError(f"{path} holds the label {low}; labels are whole numbers from 0")
    used = np.unique(labels).tolist()
    numbers = [int(name) for name in names if name.isascii() and name.isdecimal()]
    if len(numbers) == len(names) and set(used) <= set(numbers):  # the names are the numbers
        found = np.array([numbers.index(value) for value in used], dtype=np.int32)
        return found[np.searchsorted(used, labels)], names
    if names and low == 1 and high == len(names):
        raise DataError(counts_from_one(str(path), high, f"--classes holds {high:,} names"))
    if used == list(range(1, len(names))) and high > 1:
        other = f"--classes holds {len(names):,} names"
        raise DataError(open_origin(str(path), used, len(names), other))
    if high >= (len(names) or CLASSES):
        limit = f"--classes holds {len(names):,} names" if names else "that is no class"
        raise DataError(f"{path} holds the label {high:,}; {limit}")
    return labels.astype(np.int32), names or tuple(str(i) for i in range(high + 1))


def _named(
    path: Path, labels: Sequence[str], names: tuple[str, ...]
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    classes = names or tuple(sorted(set(labels)))
    if len(classes) > CLASSES:
        raise DataError(f"{path} holds {len(classes):,} different labels, which are no classes")
    if not names:
        _refuse_spellings(path, classes)
    number = {name: i for i, name in enumerate(classes)}
    doubles = {name for i, name in enumerate(classes) if number[name] != i}
    double = next((label for label in labels if label in doubles), None)
    if double is not None:
        raise DataError(
            f"{path} holds the label {plain(double[:80])!r}, which --classes holds twice: write "
            "row numbers in place of names, or give each class another name"
        )
    others = [label for label in dict.fromkeys(labels) if label not in number]
    for name, row in zip(others, match_classes(others, classes).known, strict=True):
        if row is not None:
            number[name] = row
    missing = next((label for label in others if label not in number), None)
    if missing is not None:
        raise DataError(f"{path} holds the label {plain(missing[:80])!r}, which --classes does not")
    return np.array([number[label] for label in labels], dtype=np.int32), classes


def _refuse_spellings(path: Path, classes: Sequence[str]) -> None:
    """Refuses labels that are one class in two spellings; `a` and `A` may be two letters."""
    spelled: dict[str, str] = {}
    for name in classes:
        other = spelled.setdefault(folded_name(name), name) if len(name) > 1 else name
        if other != name:
            both = f"{plain(other[:80])!r} and {plain(name[:80])!r}"
            raise DataError(
                f"{path} holds the labels {both}, which differ only in case or separators: write "
                "them alike, or name both by --classes"
            )


def _integers(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Returns numbers of NumPy as whole numbers.

    Raises:
        ValueError: If one is not whole.
    """
    values = labels.astype(np.float64)
    integers = np.clip(np.nan_to_num(np.floor(values)), -LARGEST_LABEL, LARGEST_LABEL)
    odd = np.flatnonzero((integers != values) & (labels.dtype.kind == "f"))
    if odd.size:
        raise ValueError(f"row {odd[0]} has the label {labels[odd[0]]}, no whole number")
    return np.asarray(integers, dtype=np.int64)


def _npy(path: Path, id_column: str | None) -> _Column:
    with open_regular(path) as file:
        try:
            labels = np.lib.format.read_array(file, allow_pickle=False)
        except ValueError as error:
            if "Object arrays" not in str(error):
                raise
            cause = "it holds Python objects, which could run code; save labels.astype(str)"
            raise ValueError(cause) from error
    if labels.ndim != 1:
        hint = "; save labels.ravel()" if labels.ndim == 2 and labels.shape[1] == 1 else ""
        raise ValueError(f"its shape is {labels.shape}, not one label per row{hint}")
    if labels.dtype.kind == "U":
        return _Column(_stripped([str(label) for label in labels]))
    if labels.dtype.kind not in "iuf":
        raise ValueError(
            f"it holds {labels.dtype}, not whole numbers or names; save labels.astype(int), or "
            "labels.astype(str) for names"
        )
    return _Column(labels)


def _lines(path: Path, id_column: str | None) -> _Column:
    lines = text_of(read_regular(path)).splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    for row, cells in enumerate(line[:NAME_LENGTH].split() for line in lines):
        if len(cells) > 1 and all(map(NUMBER.fullmatch, cells)):
            raise ValueError(
                f"row {row} holds several numbers; a text file has one label per line, and a "
                "CSV file with a header may also have ids"
            )
    return _Column(_stripped(lines))


def _csv(path: Path, id_column: str | None) -> _Column:
    """Reads a column of labels, and one of ids.

    The first line is a header if it names a known column.
    """
    table = parse_csv(read_regular(path), path)
    column = label_column(table)
    if column is None:
        if len(table.header) > 1:
            raise ValueError(f"none of its columns is called {LABEL_COLUMNS[0]!r}")
        return _Column(_stripped([*table.header, *table.column(table.header[0])]))
    known = [name for name in table.header if name == id_column]
    known = known or [name for name in table.header if name.lower() in _IDS]
    known = known or list(filter(None, [table.find(*PATH_COLUMNS)]))
    labels, used = _stripped(table.column(column)), (column, *known[:1])
    if not known:
        return _Column(labels, table=table, used=used)
    return _Column(labels, table.column(known[0]), known[0], table, used)


def label_column(table: InputTable, *first: str) -> str | None:
    """Returns the name of the column of labels.

    Args:
        table: The table.
        first: Names that count before `LABEL_COLUMNS`.

    Raises:
        DataError: If another column holds other labels; one may hold numbers and the other names.
    """
    folded = {name.lower() for name in table.header}
    names = [*first, *(name for name in LABEL_COLUMNS if name != "y" or "x" not in folded)]
    column = table.find(*names)
    if column is None:
        return None
    labels = table.column(column)
    filled = [i for i, label in enumerate(labels) if label] or range(len(labels))
    labels = [labels[i] for i in filled]
    for name in table.header:
        if name == column or name.lower() not in LABEL_COLUMNS or name.lower() not in names:
            continue
        cells = table.column(name)
        others = [cells[i] for i in filled]
        try:
            agree = _agree(labels, others)
        except ValueError:  # measurements, or cells without a label
            continue
        if not agree:
            both = " and ".join(repr(plain(each[:80])) for each in (column, name))
            raise DataError(
                f"{table.source}: its columns {both} hold different labels; keep the right one"
            )
    return column


def _agree(labels: Sequence[str], others: Sequence[str]) -> bool:
    """Returns whether two columns hold the same labels; one may hold numbers and the other names.

    Raises:
        ValueError: As for `integer_labels`.
    """
    numbers = [integer_labels(column) for column in (labels, others) if are_numbers(column)]
    if len(numbers) == 2:
        return numbers[0] == numbers[1]
    return len({*zip(labels, others, strict=True)}) == len({*labels}) == len({*others})


def _json(path: Path, id_column: str | None) -> _Column:
    labels = parse_json(read_regular(path))
    if not isinstance(labels, list) or not all(
        type(value) in (int, float, str) for value in labels
    ):
        raise ValueError("it is no list of whole numbers or names")
    return _Column(_stripped([str(label) for label in labels]))


def _stripped(labels: Sequence[str]) -> list[str]:
    texts = [label.strip() for label in labels]
    if not all(texts):
        raise ValueError(f"row {texts.index('')} has no label")
    return texts


def in_class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the distinct names of classes in label order: numbers by value, others by bytes.

    >>> in_class_order(["10", "2", "2"]), in_class_order(["b10", "b2"])
    (('2', '10'), ('b10', 'b2'))
    """
    distinct = set(names)
    if all(name.isascii() and name.isdecimal() for name in distinct):
        return tuple(sorted(distinct, key=lambda name: (int(name), name)))
    return tuple(sorted(distinct, key=lambda name: name.encode("utf-8", "surrogateescape")))


def deeper_folders(dataset: Dataset) -> list[str]:
    """Returns the folders below those of the classes."""
    paths = (sample.path.split("/") for sample in dataset.samples)
    return sorted({path[1] for path in paths if len(path) > 2})


def by_class(names: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    """Returns the distinct names in label order, and the label of each name.

    >>> by_class(["b", "a", "b"])
    (('a', 'b'), [1, 0, 1])
    """
    classes = in_class_order(names)
    labels = {name: label for label, name in enumerate(classes)}
    return classes, [labels[name] for name in names]


def are_numbers(texts: Sequence[str]) -> bool:
    """Returns whether labels are numbers; else they are names.

    Raises:
        ValueError: If a label is missing among numbers.

    >>> are_numbers(["0", "1.0e+01", "2."]), are_numbers(["7up", "3.5"])
    (True, False)
    """
    words = [i for i, text in enumerate(texts) if NUMBER.fullmatch(text) is None]
    if words and len(words) < len(texts) and all(texts[i].lower() in _MISSING for i in words):
        raise ValueError(f"row {words[0]} has no label ({texts[words[0]]})")
    return not words


def integer_labels(texts: Sequence[str]) -> list[int]:
    """Returns labels that are numbers as whole numbers; see `are_numbers`.

    Raises:
        ValueError: If one is not whole.

    >>> integer_labels(["0", "1.0e+01", "2."])
    [0, 10, 2]
    """
    numbers = []
    for row, text in enumerate(texts):
        value = float(text)
        if value % 1:
            raise ValueError(f"row {row} has the label {plain(text[:80])}, no whole number")
        numbers.append(int(max(min(value, LARGEST_LABEL), -LARGEST_LABEL)))
    return numbers


def counts_from_one(path: str, high: int, other: str) -> str:
    """Returns the message for labels 1 to K where there are K classes, 0 to K - 1."""
    return (
        f"{path} holds the labels 1 to {high:,}, and {other}: labels count from 0; subtract 1 "
        "from each, or write names in place of numbers and give their order by --classes FILE"
    )


def open_origin(
    source: str, used: Sequence[int], rows: int, other: str, *, folders: bool = False
) -> str:
    """Returns the message for numbered labels that may count from 0 or from 1.

    Args:
        source: Where the labels are from.
        used: The numbers, ascending.
        rows: K, the number of classes.
        other: What has so many, in words.
        folders: Whether they are names of class folders.
    """
    kind = "class folders" if folders else "labels"
    numbers = f"{used[0]:,} to {used[-1]:,}" if len(used) > 1 else f"{used[0]:,}"
    zero, one = (f"--classes FILE with the lines {low} to {rows - 1 + low:,}" for low in (0, 1))
    ways = f"if from 0, give {zero}; if from 1, subtract 1 from each"
    if folders:
        ways = f"give {zero}, or {one}; or rename the folders to the names of classes"
    return (
        f"{source} has {kind} {numbers} and none is 0, and {other}: {used[0]:,} is number "
        f"{used[0]:,} of them if labels count from 1, and number {used[0] + 1:,} if from 0; {ways}"
    )
