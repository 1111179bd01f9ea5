"""CSV tables of concept sets, read whole, with errors that name file and line.

Both kinds of concept set list their images in such a table, a row an image.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from tuiprobe.datasets.content import ImageFiles
from tuiprobe.datasets.sample import Sample
from tuiprobe.errors import DataError
from tuiprobe.files import read_regular
from tuiprobe.limits import TABLE_CELLS, TABLE_ROWS


@dataclass(frozen=True)
class CsvTable:
    """A CSV file with a header.

    Attributes:
        path: Path of the file.
        header: Column names.
        rows: Line number and cells of each row.
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
    """

    line: int
    image: str
    train: bool | None


Row = TypeVar("Row", bound=ImageRow)


class ListedImages(ImageFiles, Generic[Row]):
    """The images that a table lists; they have no classes."""

    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    rows: list[Row]

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples in byte order of their paths."""
        return tuple(Sample(i, row.image, None) for i, row in enumerate(self.rows))


def read_table(path: Path, needed: Sequence[str]) -> CsvTable:
    """Reads a CSV file.

    Args:
        path: UTF-8, with or without a byte order mark.
        needed: Columns that must be there.

    Raises:
        DataError: If the file is missing, too large, not text, has no row, or has rows that do not
            fit the header.
    """
    try:
        content = read_regular(path)
        lines = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig")  # decodes line by line
        reader = csv.reader(lines, strict=True)
        header = tuple(name.strip() for name in next(reader, []))
        if not header:
            raise DataError(f"{path} is empty")
        name, count = Counter(header).most_common(1)[0]
        if count > 1:
            raise DataError(f"{path}: column {name!r} is there twice")
        rows = []
        for cells in filter(None, reader):
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
    for name in needed:
        if name not in header:
            columns = ", ".join(header[:12])
            raise DataError(f"{path}: there is no column {name!r}; the columns are {columns}")
    if not rows:
        raise DataError(f"{path} is empty: it has a header and no row")
    return CsvTable(path, header, tuple(rows), hashlib.sha256(content).hexdigest())


def by_image(path: Path, rows: Iterator[Row]) -> list[Row]:
    """Returns rows in the byte order of their images.

    Raises:
        DataError: If two rows are about the same image.
    """
    ordered = sorted(rows, key=lambda row: os.fsencode(row.image))
    for row, following in pairwise(ordered):
        if row.image == following.image:
            raise DataError(f"{path}: {row.image} is on lines {row.line} and {following.line}")
    return ordered


def is_train(split: str, where: str) -> bool:
    """Says whether a cell of the column `split` is `train` and not `val`.

    Raises:
        DataError: If it is neither.
    """
    if split not in ("train", "val"):
        raise DataError(f"{where}: split is {split!r}; it must be train or val")
    return split == "train"


def inside(text: str) -> bool:
    """Says whether a relative path with forward slashes stays inside its start folder.

    >>> inside("ade20k/a.jpg"), inside("../a.jpg"), inside("/etc/a.jpg"), inside("")
    (True, False, False, False)
    """
    path = PurePosixPath(text)
    return bool(text) and not path.is_absolute() and ".." not in path.parts
