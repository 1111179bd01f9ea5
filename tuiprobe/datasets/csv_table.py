"""CSV tables of concept sets, read whole, with errors that name file and line.

Both kinds of concept set list their images in such a table, a row an image.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path, PurePosixPath

from tuiprobe.datasets.content import ImageFiles
from tuiprobe.datasets.sample import Sample, samples_of
from tuiprobe.datasets.vectors.parquet import read_columns
from tuiprobe.errors import DataError
from tuiprobe.files import read_regular
from tuiprobe.limits import TABLE_CELLS, TABLE_ROWS
from tuiprobe.plaintext import csv_delimiter


@dataclass(frozen=True)
class CsvTable:
    """A CSV file with a header, or a Parquet file.

    Attributes:
        path: Path of the file.
        header: Column names.
        rows: Line number (of Parquet the number) and cells of each row.
        digest: SHA-256 of the file, hexadecimal.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    digest: str


@dataclass(frozen=True, eq=False)
class ImageRow:
    """A row about one image.

    Attributes:
        line: Its line in the table.
        image: Path of the image.
        train: Whether the image is in the split `train`; None if the table has no splits.
        cells: Its cells, one per column.
    """

    line: int
    image: str
    train: bool | None
    cells: tuple[str, ...]


class ListedImages(ImageFiles):
    """The images that a table lists; they have no classes.

    Attributes:
        rows: The row of each image.
    """

    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    rows: list[ImageRow]

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples in byte order of their paths."""
        return samples_of((row.image for row in self.rows), None)


def read_table(path: Path, needed: Sequence[str]) -> CsvTable:
    """Reads a CSV or a Parquet file.

    Args:
        path: UTF-8, with or without a byte order mark; cells are separated by commas, or by
            semicolons or tabs, as some spreadsheets write them. Or `.parquet`.
        needed: Columns that must be there.

    Raises:
        DataError: If the file is missing, too large, not text, has no row, or has rows that do not
            fit the header.
    """
    if path.suffix.lower() == ".parquet":
        columns, listed = read_columns(path)
        digest = hashlib.sha256(read_regular(path)).hexdigest()
        table = CsvTable(path, columns, tuple(enumerate(listed, start=1)), digest)
        return _with_columns(table, needed)
    try:
        content = read_regular(path)
        lines = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig")  # decodes line by line
        first = content.partition(b"\n")[0].decode("latin-1")
        reader = csv.reader(lines, strict=True, delimiter=csv_delimiter(first))
        header = tuple(name.strip() for name in next(reader, []))
        if not header:
            raise DataError(f"{path} is empty")
        name, count = Counter(header).most_common(1)[0]
        if count > 1:
            raise DataError(f"{path}: column {name!r} is there twice")
        rows = []
        for cells in reader:
            if not any(map(str.strip, cells)):
                continue  # spreadsheets write rows of empty cells
            where = f"{path} line {reader.line_num}"
            if len(cells) != len(header):
                raise DataError(f"{where}: {len(cells)} cells where the header has {len(header)}")
            rows.append((reader.line_num, tuple(cell.strip() for cell in cells)))
            if len(rows) * len(header) > TABLE_CELLS or len(rows) > TABLE_ROWS:
                raise DataError(f"{where}: more than {TABLE_ROWS:,} rows or {TABLE_CELLS:,} cells")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}; save it as UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{path} is no CSV file: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    return _with_columns(CsvTable(path, header, tuple(rows), digest), needed)


def _with_columns(table: CsvTable, needed: Sequence[str]) -> CsvTable:
    for name in needed:
        if name not in table.header:
            columns = ", ".join(table.header[:12])
            raise DataError(f"{table.path}: there is no column {name!r}; the columns are {columns}")
    if not table.rows:
        raise DataError(f"{table.path} is empty: it has a header and no row")
    return table


def image_rows(table: CsvTable) -> list[ImageRow]:
    """Returns the rows of a table with a column `image`, in the byte order of their images.

    Raises:
        DataError: If an image is no path below a folder, or on two rows, or if a cell of the column
            `split` is neither `train` nor `val`.
    """
    rows = []
    for line, cells in table.rows:
        where, named = f"{table.path} line {line}", dict(zip(table.header, cells, strict=True))
        if not inside(named["image"]):
            image = named["image"]
            raise DataError(f"{where}: image {image!r} is no path below the folder of images")
        split = named.get("split")
        if split not in ("train", "val", None):
            raise DataError(f"{where}: split is {split!r}; it must be train or val")
        train = None if split is None else split == "train"
        rows.append(ImageRow(line, named["image"], train, cells))
    rows.sort(key=lambda row: os.fsencode(row.image))
    for row, following in pairwise(rows):
        if row.image == following.image:
            raise DataError(
                f"{table.path}: {row.image} is on lines {row.line} and {following.line}"
            )
    return rows


def inside(text: str) -> bool:
    """Returns whether a relative path with forward slashes stays inside its start folder.

    >>> inside("ade20k/a.jpg"), inside("../a.jpg"), inside("/etc/a.jpg"), inside("")
    (True, False, False, False)
    """
    path = PurePosixPath(text)
    return bool(text) and not path.is_absolute() and ".." not in path.parts
