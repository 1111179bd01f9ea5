"""People's small tables: CSV and Parquet with a header, read at once, columns by their names.

Lists of images, labels, answers, baselines and concept sets are read here, so delimiters, byte
order marks, empty rows, limits and errors are the same for all, and each reader can say what of a
table it did not use.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tuiprobe.datasets.vectors.parquet import read_columns
from tuiprobe.errors import DataError
from tuiprobe.files import read_regular, reading
from tuiprobe.limits import TABLE_CELLS, TABLE_COLUMNS, TABLE_ROWS
from tuiprobe.plaintext import count_of, csv_text, first_names, plain, text_of

PATH_COLUMNS: Final = ("path", "image", "file", "files", "filename", "file_name", "filepath",
                       "file_path", "image_name", "image_path", "img", "img_path")  # fmt: skip
"""Names of a column that names the image of a row; of several, the first here counts."""

PART_COLUMNS: Final = ("split", "splits", "subset", "fold", "folds", "kfold", "partition", "phase",
                       "usage")  # fmt: skip
"""Last words in names of a column that says to which part of the data a row belongs."""

SPLIT_COLUMNS: Final = ("split", "subset")
"""Names of a column whose parts a head may be fitted to and tested on."""

_PARTS: Final = frozenset(("train", "training", "trn", "tr", "val", "valid", "validation", "va",
                           "dev", "test", "testing", "te", "publictest", "privatetest",
                           "holdout"))  # fmt: skip
_TRAIN: Final = frozenset(("train", "training"))
_VALIDATION: Final = frozenset(("val", "valid", "validation", "dev"))
_TEST: Final = frozenset(("test", "testing"))
_FLAGS: Final = frozenset(("0", "1", "true", "false", "yes", "no"))

_INDEX: Final = re.compile(r"|index|unnamed: \d+|level_\d+|__index_level_\d+__", re.IGNORECASE)
"""Names that pandas gives to the index of a table."""

_MOST_VALUES: Final = 5
_MOST_NAMED: Final = 6


@dataclass(frozen=True)
class NotUsed:
    """What of a table no figure rests on.

    Attributes:
        columns: The columns that are not read, each with its values and how many rows have them;
            without values where more than five are different.
        empty: Rows without an answer.
        others: Rows of other pictures.
    """

    columns: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    empty: int = 0
    others: int = 0

    def in_words(self) -> str:
        """Returns the counts in words.

        >>> NotUsed({"split": {"train": 800, "test": 200}, "x": {}}, 3, 1).in_words()
        'not used: columns split (train 800, test 200), x; 3 empty answers; 1 row of other pictures'
        >>> NotUsed().in_words()
        ''
        """
        columns = [_column_words(name, of) for name, of in self.columns.items()][:_MOST_NAMED]
        if len(self.columns) > _MOST_NAMED:
            columns.append(f"{len(self.columns) - _MOST_NAMED:,} more")
        parts = []
        if columns:
            parts.append(f"{'column' if len(columns) == 1 else 'columns'} {', '.join(columns)}")
        if self.empty:
            parts.append(count_of(self.empty, "empty answer"))
        if self.others:
            parts.append(f"{count_of(self.others, 'row')} of other pictures")
        return f"not used: {'; '.join(parts)}" if parts else ""


ALL_USED: Final = NotUsed()


class SeveralPartsError(DataError):
    """Pictures belong to several parts of the data (training, test)."""


def is_part_column(name: str, values: Collection[str]) -> bool:
    """Returns whether a column says to which part of the data each row belongs.

    >>> is_part_column("cv_fold", ["3", "4"]), is_part_column("set", ["train", "test"])
    (True, True)
    >>> is_part_column("is_valid", ["True", "False"]), is_part_column("set", ["pets", "test"])
    (True, False)
    """
    words = {value.strip().casefold() for value in values} - {""}
    in_name = re.split(r"[\W_]+", name.strip().casefold())
    flag = bool(_PARTS & set(in_name)) and bool(words) and words <= _FLAGS  # is_valid, train
    return in_name[-1] in PART_COLUMNS or flag or (bool(words) and words <= _PARTS)


def tested_parts(parts: Sequence[str]) -> list[bool] | None:
    """Returns which images a head is tested on, where all others are what it is fitted to.

    Those are the ones of a test part, or without one of the validation part.

    >>> tested_parts(["train", "Test", "val"]), tested_parts(["train", "val"])
    ([False, True, False], [False, True])
    >>> tested_parts(["train", "x"]), tested_parts(["test", "test"])
    (None, None)
    """
    folded = [part.strip().casefold() for part in parts]
    named = {*folded}
    tested = named & _TEST or (named & _VALIDATION if named & _TRAIN else set())
    if not tested or named == tested or not named <= _TRAIN | _VALIDATION | _TEST:
        return None
    return [part in tested for part in folded]


def parts_note(name: str, tested: Sequence[bool] | None) -> list[str]:
    """Returns how the parts of the data are used, in words; nothing without parts."""
    if tested is None:
        return []
    n = sum(tested)
    return [
        f"{plain(name)}: --head probe is fitted to its train part ({len(tested) - n:,}) and "
        f"judged by its test part ({n:,}); with another head choose one part"
    ]


def several_parts(
    source: object, name: str, cells: Collection[str], remedy: str
) -> SeveralPartsError | None:
    """Returns the error that pictures are of several parts of the data (training, test).

    Args:
        source: The table.
        name: The column.
        cells: Its cell for each picture.
        remedy: How to choose one.

    Returns:
        The error, if it is a column of parts and they are of several.
    """
    counts = Counter(cells)
    if len(counts) < 2 or not is_part_column(name, counts):
        return None
    most = dict(counts.most_common(_MOST_VALUES))
    words, more = _column_words(name, most), "" if len(counts) == len(most) else ", …"
    return SeveralPartsError(
        f"{source}: column {words[:-1]}{more}) has several parts, and a figure would mix them; "
        f"{remedy}"
    )


def _column_words(name: str, values: Mapping[str, int]) -> str:
    counts = ", ".join(f"{plain(value[:80]) or 'empty'} {n:,}" for value, n in values.items())
    return plain(name[:80]) + (f" ({counts})" if counts else "")


@dataclass(frozen=True, eq=False)
class InputTable:
    """A table with a header.

    Attributes:
        source: The file.
        header: Names of the columns, as they are written.
        rows: Cells of each row, one per column, without blanks at their ends.
        numbers: The line of each row in a CSV file, or its number in Parquet, both from 1.
        digest: SHA-256 of the file, hexadecimal.
    """

    source: str | Path
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numbers: Sequence[int]
    digest: str

    def where(self, row: int) -> str:
        """Returns the file and the line of a row, for messages."""
        kind = "row" if str(self.source).lower().endswith(".parquet") else "line"
        return f"{self.source} {kind} {self.numbers[row]}"

    def find(self, *names: str) -> str | None:
        """Returns the column that has the first of some names, in any case.

        Raises:
            DataError: If two columns have it.
        """
        folded = [name.lower() for name in self.header]
        name = next((name for name in names if name in folded), None)
        if name is None:
            return None
        if folded.count(name) > 1:
            raise DataError(f"{self.source}: column {plain(name)!r} appears twice")
        return self.header[folded.index(name)]

    def column(self, name: str | None) -> list[str]:
        """Returns the cells of a column; empty ones where the table has none of this name."""
        if name is None or name not in self.header:
            return [""] * len(self.rows)
        i = self.header.index(name)
        return [csv_text(cells[i]) for cells in self.rows]

    def is_index(self, name: str) -> bool:
        """Returns whether a column has the numbers of the rows, as pandas writes its index."""
        cells = self.column(name) if _INDEX.fullmatch(name) else []
        return bool(cells) and all(map(str.isdecimal, cells)) and len({*cells}) == len(cells)

    def several_parts(
        self, remedy: str, rows: Collection[int] | None = None, used: Collection[str | None] = ()
    ) -> SeveralPartsError | None:
        """Returns an error if rows are of several parts of the data.

        Args:
            remedy: How to choose one.
            rows: The rows that count; None for all.
            used: Names of columns that mean something else.
        """
        for name in self.header:
            if name not in used:
                cells = self.column(name)
                cells = cells if rows is None else [cells[row] for row in rows]
                if error := several_parts(self.source, name, cells, remedy):
                    return error
        return None

    def refuse_several_parts(
        self, remedy: str, rows: Collection[int] | None = None, used: Collection[str | None] = ()
    ) -> None:
        """Refuses rows of several parts of the data; the arguments are those of `several_parts`.

        Raises:
            SeveralPartsError: If a column of parts has several values in these rows; says how many.
        """
        if error := self.several_parts(remedy, rows, used):
            raise error

    def part(self, column: str, value: str) -> InputTable:
        """Returns the rows that have a value in a column.

        Raises:
            DataError: If the column or the row does not exist; names those that do.
        """
        name = self.find(column.lower())
        if name is None:
            raise DataError(
                f"{self.source}: there is no column {plain(column[:80])!r}; the columns are "
                f"{first_names(self.header[:12])}"
            )
        cells = self.column(name)
        rows = [i for i, cell in enumerate(cells) if cell == value]
        if not rows:
            values = first_names(list(dict.fromkeys(cells))[:12])
            raise DataError(
                f"{self.source}: no row has {plain(value[:80])!r} in column {plain(name[:80])}, "
                f"which holds {values}"
            )
        of_rows = [self.rows[i] for i in rows]
        return replace(self, rows=of_rows, numbers=[self.numbers[i] for i in rows])

    def fraction(self, row: int, column: str, text: str) -> float:
        """Returns a share or a probability; a comma may stand for the point.

        Raises:
            DataError: If it is no number from 0 to 1; names line and column.
        """
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            value = float("nan")
        if not 0 <= value <= 1:
            raise DataError(
                f"{self.where(row)}: {plain(column)} is {plain(text)!r}, no number from 0 to 1 "
                "(0.87 for 87 %)"
            )
        return value

    def not_used(self, used: Sequence[str | None], *, empty: int = 0, others: int = 0) -> NotUsed:
        """Returns the columns and rows that are not used.

        Args:
            used: Names of the columns that are; an index is nothing to use.
            empty: Rows without an answer.
            others: Rows of other pictures.
        """
        columns: dict[str, Mapping[str, int]] = {}
        for i, name in enumerate(self.header):
            if name not in used and not self.is_index(name):
                counts: Counter[str] = Counter()
                for cells in self.rows:
                    counts[cells[i]] += 1
                    if len(counts) > _MOST_VALUES:
                        counts.clear()
                        break
                columns[name] = dict(counts.most_common())
        return NotUsed(columns, empty, others)


def chosen_part(text: str) -> tuple[Path, tuple[str, str] | None]:
    """Returns a file, and the column and value that its name asks for: `list.csv@split=test`.

    >>> chosen_part("a/list.csv@split=test"), chosen_part("me@home=x/list.csv")
    ((PosixPath('a/list.csv'), ('split', 'test')), (PosixPath('me@home=x/list.csv'), None))
    """
    path, sign, chosen = text.rpartition("@")
    column, equals, value = chosen.partition("=")
    if sign and column and equals and "/" not in chosen and not os.path.lexists(text):
        return Path(path), (column, value)
    return Path(text), None


def read_table(path: Path, needed: Sequence[str] = ()) -> InputTable:
    """Reads a CSV or a Parquet file.

    Args:
        path: `.parquet`, or any other name as for `parse_csv`.
        needed: Columns that the table must have.

    Raises:
        DataError: If the file is missing, too large, not text, has no row, lacks a column, or has
            rows that do not fit the header.
    """
    with reading(path):
        content = read_regular(path)
    if path.suffix.lower() == ".parquet":
        header, rows = read_columns(path)
        digest = hashlib.sha256(content).hexdigest()
        table = InputTable(path, header, rows, range(1, len(rows) + 1), digest)
    else:
        table = parse_csv(content, path)
    name, count = Counter(table.header).most_common(1)[0]
    if count > 1:
        raise DataError(f"{path}: column {plain(name[:80])!r} appears twice")
    for name in needed:
        if name not in table.header:
            columns = first_names(table.header[:12])
            raise DataError(f"{path}: there is no column {name!r}; the columns are {columns}")
    if not table.rows:
        raise DataError(f"{path} is empty: it has a header and no row")
    return table


def parse_csv(content: bytes, source: str | Path) -> InputTable:
    """Reads the content of a CSV file; rows of empty cells, as spreadsheets write them, are none.

    Args:
        content: UTF-8, with or without a byte order mark; cells are separated by commas, or by
            semicolons or tabs.
        source: The file, for messages.

    Raises:
        DataError: If it is too large or not text, or has rows that do not fit the header.
    """
    if b"\0" in content:
        raise DataError(f"{source}: it holds zero bytes, as UTF-16 does; save it as UTF-8")
    end = content.find(b"\n") % (len(content) + 1)  # that of the first line
    delimiter = next((sign for sign in ",;\t" if content.find(sign.encode(), 0, end) >= 0), ",")
    most = f"more than {TABLE_ROWS:,} rows or {TABLE_CELLS:,} cells"
    if content.count(delimiter.encode()) > TABLE_CELLS:  # before any of them is an object
        raise DataError(f"{source}: {most}")
    lines = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig")  # decodes line by line
    reader = csv.reader(_narrow(lines, delimiter, source), strict=True, delimiter=delimiter)
    rows, numbers = [], []
    try:
        header = tuple(name.strip() for name in next(reader, []))
        if not header:
            raise DataError(f"{source} is empty")
        for cells in reader:
            if not any(map(str.strip, cells)):
                continue
            where = f"{source} line {reader.line_num}"
            if len(cells) != len(header):
                raise DataError(f"{where}: {len(cells)} cells where the header has {len(header)}")
            rows.append(tuple(map(str.strip, cells)))
            numbers.append(reader.line_num)
            if len(rows) * len(header) > TABLE_CELLS or len(rows) > TABLE_ROWS:
                raise DataError(f"{where}: {most}")
    except UnicodeDecodeError as error:
        try:
            text_of(content)
        except ValueError as cause:
            raise DataError(f"{source}: {cause}") from error
        raise
    except csv.Error as error:
        raise DataError(f"{source} is no CSV file: {error}") from error
    return InputTable(source, header, rows, numbers, hashlib.sha256(content).hexdigest())


def _narrow(lines: Iterator[str], delimiter: str, source: str | Path) -> Iterator[str]:
    """Passes lines on that have no more cells than a table has columns, before these are made."""
    for number, line in enumerate(lines, start=1):
        if line.count(delimiter) >= TABLE_COLUMNS:
            raise DataError(f"{source} line {number}: more than {TABLE_COLUMNS:,} columns")
        yield line
