"""CSV tables of concept sets, read whole, with errors that name file and line."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

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

    def column(self, name: str) -> int:
        """Returns the index of a column.

        Raises:
            DataError: If there is no such column.
        """
        if name not in self._places:
            found = ", ".join(self.header[:12])
            raise DataError(f"{self.path}: there is no column {name!r}; the columns are {found}")
        return self._places[name]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.header)}


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
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    try:
        header, rows = _parse(path, content)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}; save it as UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{path} is no CSV file: {error}") from error
    table = CsvTable(path, header, tuple(rows), hashlib.sha256(content).hexdigest())
    for name in needed:
        table.column(name)
    if not table.rows:
        raise DataError(f"{path} is empty: it has a header and no row")
    return table


def _parse(path: Path, content: bytes) -> tuple[tuple[str, ...], list[tuple[int, tuple[str, ...]]]]:
    lines = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig")  # decodes line by line
    reader = csv.reader(lines, strict=True)
    header = tuple(name.strip() for name in next(reader, []))
    if not header:
        raise DataError(f"{path} is empty")
    double = next((name for name, count in Counter(header).items() if count > 1), None)
    if double is not None:
        raise DataError(f"{path}: column {double!r} is there twice")
    return header, list(_filled_rows(path, header, reader))


def _filled_rows(
    path: Path, header: tuple[str, ...], reader: Iterator[list[str]]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    cells_read = 0
    for number, cells in enumerate(filter(None, reader), 1):
        line: int = reader.line_num  # type: ignore[attr-defined]
        if len(cells) != len(header):
            raise DataError(
                f"{path} line {line}: {len(cells)} cells where the header has {len(header)}"
            )
        cells_read += len(header)
        if cells_read > TABLE_CELLS or number > TABLE_ROWS:
            raise DataError(
                f"{path} line {line}: more than {TABLE_ROWS:,} rows or {TABLE_CELLS:,} cells"
            )
        yield line, tuple(cell.strip() for cell in cells)


def inside(text: str) -> bool:
    """Says whether a relative path with forward slashes stays inside its start folder.

    >>> inside("ade20k/a.jpg"), inside("../a.jpg"), inside("/etc/a.jpg"), inside("")
    (True, False, False, False)
    """
    path = PurePosixPath(text)
    return bool(text) and not path.is_absolute() and ".." not in path.parts
