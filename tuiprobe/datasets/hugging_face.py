"""Rows of Hugging Face's library: of the hub or its cache, a folder, a Parquet file, or memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from tuiprobe.datasets.input_tables import (
    SPLIT_COLUMNS,
    SeveralPartsError,
    is_part_column,
    parts_note,
    several_parts,
    tested_parts,
)
from tuiprobe.datasets.labels import by_class
from tuiprobe.datasets.registry import DataSource
from tuiprobe.datasets.sample import Content, Sample, Stamp, read_file, samples_of, stamp_file
from tuiprobe.errors import DataError, UnreadableImageError, UsageError
from tuiprobe.plugins import in_words

INSTALL = "hf: needs the Hugging Face library: pip install 'tuiprobe[hf]'"

FORM = "hf:OWNER/NAME:SPLIT, hf:OWNER/NAME:CONFIG:SPLIT, or hf:FOLDER[:SPLIT]"

_CHOOSE_PART = (
    "choose one part, for example parquet:FILE@split=test, or rows.filter in Python; remove "
    "the column if you want all parts"
)

_DIGITS = 9
"""Digits of a row number, zero-padded so that byte order is row order."""


class HuggingFaceSet:
    """Rows with an image column: the first one of type Image, else of bytes.

    The label is the column named `label`, of numbers or names, else the first of the type
    ClassLabel.

    Args:
        rows: A `datasets.Dataset`.
        source: Name of the set on the command line.
        name: Name of the set.
        split: What the paths of its images begin with.

    Raises:
        DataError: If it has no image column or no rows, or rows of several parts of the data.
    """

    def __init__(self, rows: Any, source: str, name: str, split: str = "rows") -> None:
        library = _library()
        self._rows = rows.with_format(None)
        self.source, self.name, self._split = source, name, split
        column = _column(self._rows, library.Image) or _column_of_bytes(self._rows)
        if column is None:
            columns = ", ".join(self._rows.column_names)
            raise DataError(f"{self.source} has no column of images (columns: {columns})")
        if len(self._rows) == 0:
            raise DataError(f"{self.source} has no rows")
        self.tested: list[bool] | None = None
        self.several_parts: SeveralPartsError | None = None
        for part in self._rows.column_names:
            if is_part_column(part, ("0",)):  # no other column is read for this
                self._find_parts(part)
        self._image = column
        self._encoded = self._rows.select_columns([column]).cast_column(
            column, library.Image(decode=False)
        )
        kind = str(getattr(self._rows.features.get("label"), "dtype", ""))
        known = kind.startswith(("int", "uint", "string", "large_string"))
        self._label = "label" if known else _column(self._rows, library.ClassLabel)

    def _find_parts(self, column: str) -> None:
        """Notes which rows a head is tested on; refuses other parts of the data."""
        parts = list(map(str, self._rows.select_columns([column])[:][column]))
        if error := several_parts(self.source, column, parts, _CHOOSE_PART):
            self.tested, self.several_parts = tested_parts(parts), error
            if self.tested is None or column.casefold() not in SPLIT_COLUMNS:
                raise error

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of a ClassLabel column, numbers of a numeric column; else empty."""
        return self._labelling[0]

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All rows, in order."""
        paths = (f"{self._split}/{i:0{_DIGITS}d}" for i in range(len(self._rows)))
        return samples_of(paths, self._labelling[1])

    @cached_property
    def _labelling(self) -> tuple[tuple[str, ...], list[int] | None]:
        if self._label is None:
            return (), None
        column = self._rows.select_columns([self._label])[:][self._label]
        if None in column or "" in column:
            return (), None
        if isinstance(column[0], str):
            return by_class(column)
        labels = [int(value) for value in column]
        if min(labels) < 0:
            return (), None  # the library uses -1 for a secret label
        names = getattr(self._rows.features[self._label], "names", None)
        if names is None:
            names = [str(number) for number in range(max(labels) + 1)]
        return tuple(str(name) for name in names), labels

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on how the rows were read."""
        unlabelled = () if self.classes else ("no column of known class labels: unlabelled",)
        return (*unlabelled, *parts_note(self.name, self.tested))

    def stamp(self, sample: Sample) -> Stamp:
        """Returns the size of a row's image, with size and times of the files of the rows."""
        size, path = self._stored[0][sample.id], self._stored[1][sample.id]
        if size is None and path is not None:
            return stamp_file(path)
        return Stamp(size, self._changed)

    @cached_property
    def _stored(self) -> tuple[list[int | None], list[str | None]]:
        """Returns the image size of each row, and the image's file if it is outside the row.

        Arrow knows the lengths without reading the images.
        """
        import pyarrow.compute

        columns = self._encoded.flatten().with_format("arrow")
        encoded, paths = (
            columns.select_columns([f"{self._image}.{part}"])[:].column(0)
            for part in ("bytes", "path")
        )
        return pyarrow.compute.binary_length(encoded).to_pylist(), paths.to_pylist()

    @cached_property
    def _changed(self) -> str | None:
        return self._times()

    def _times(self) -> str | None:
        """Returns size and times of the files that hold the rows; None for rows in memory."""
        files = [stamp_file(file["filename"]) for file in self._rows.cache_files]
        return ", ".join(f"{file.size} {file.changed}" for file in files) or None

    def read(self, sample: Sample) -> Content:
        """Reads the image of one row.

        Raises:
            UnreadableImageError: If it cannot be read.
        """
        try:
            entry = self._encoded[sample.id][self._image]
        except Exception as error:  # pyarrow raises various errors for damaged files
            raise UnreadableImageError(f"{type(error).__name__}: {error}") from error
        if entry is None:
            raise UnreadableImageError("the row has no image")
        if entry["bytes"] is None:
            return read_file(str(entry["path"]))
        return Content(entry["bytes"], Stamp(len(entry["bytes"]), self._times()))


def _library() -> Any:
    try:
        import datasets as library
    except ImportError as error:
        raise DataError(INSTALL) from error
    if int(library.__version__.partition(".")[0]) < 4:
        raise DataError(
            f"datasets {library.__version__} can run code of data sets; install 4 or later: "
            "pip install 'tuiprobe[hf]'"
        )
    return library


def open_rows(text: str, base: Path | None = None) -> HuggingFaceSet:
    """Opens one split of a data set, and never runs the code of that data set.

    Args:
        text: The part after `hf:`; see `FORM`.
        base: Folder that a relative path starts at; None for the working folder.

    Raises:
        UsageError: If the text cannot be understood.
        DataError: If the library is missing or too old, or the data are not available or have no
            image column.
    """
    library = _library()
    name, config, split = _parts(text, base)
    if name.startswith("/"):
        rows, split = _from_disk(library, name, split)
    else:
        rows = _loaded(f"hf:{name}", library.load_dataset, name, config, split=split)
    source = f"hf:{':'.join(part for part in (name, config, split) if part)}"
    short = name.rstrip("/").rpartition("/")[2] + (f"-{split}" if split else "")
    return HuggingFaceSet(rows, source, short, split or "rows")


def parquet_rows(file: Path, part: tuple[str, str] | None = None) -> HuggingFaceSet:
    """Opens the images that a Parquet file holds, which the library copies to its cache once.

    Args:
        file: The file.
        part: Column and value of the rows that count; None for all rows.

    Raises:
        DataError: If the library is missing, or the file cannot be read or holds no images.
    """
    library, source = _library(), f"parquet:{file}"
    library.disable_progress_bars()  # they are drawn over messages
    rows = _loaded(source, library.load_dataset, "parquet", data_files=str(file), split="train")
    if part is None:
        return HuggingFaceSet(rows, source, file.stem)
    column, value = part
    if column not in rows.column_names:
        raise DataError(f"{source} has no column {column!r}: {', '.join(rows.column_names)}")
    cells = map(str, rows.select_columns([column])[:][column])
    rows = rows.select([i for i, cell in enumerate(cells) if cell == value])
    return HuggingFaceSet(rows, f"{source}@{'='.join(part)}", f"{file.stem}-{value}")


def _loaded(source: str, load: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    try:
        return load(*arguments, **options)
    except Exception as error:
        # Errors differ for network failures, missing names, gated sets, damaged files.
        raise DataError(f"{source} could not be loaded: {in_words(error)}") from error


def _parts(text: str, base: Path | None) -> tuple[str, str | None, str | None]:
    """Returns name or absolute folder, configuration and split."""
    name, *rest = text.split(":")
    if not name or len(rest) > 2 or not all(rest):
        raise UsageError(f"hf:{text} cannot be understood; write {FORM}")
    folder = ((base or Path.cwd()) / Path(name).expanduser()).absolute()
    if folder.is_dir():
        if len(rest) > 1:
            raise UsageError(f"hf:{text}: only a split may follow a folder on disk")
        return str(folder), None, rest[0] if rest else None
    if name.startswith(("/", ".", "~")):
        raise DataError(f"hf: {folder} is not a folder")
    if not rest:
        raise UsageError(f"hf:{text} names no split; write {FORM}")
    return name, rest[0] if len(rest) == 2 else None, rest[-1]


def _from_disk(library: Any, folder: str, split: str | None) -> tuple[Any, str | None]:
    try:
        rows = library.load_from_disk(folder)
    except Exception as error:
        raise DataError(
            f"hf: {folder} is no data set saved by save_to_disk: {in_words(error)}"
        ) from error
    if not isinstance(rows, library.DatasetDict):
        if split is not None:
            raise DataError(f"hf: {folder} holds no splits; leave out {split!r}")
        return rows, None
    if split is None and len(rows) == 1:
        split = next(iter(rows))
    if split not in rows:
        problem = f"no split {split!r}" if split else "several splits"
        raise DataError(f"hf: {folder} has {problem}; there are {', '.join(rows)}")
    return rows[split], split


def _column(rows: Any, kind: type) -> str | None:
    return next((str(n) for n, type_ in rows.features.items() if isinstance(type_, kind)), None)


def _column_of_bytes(rows: Any) -> str | None:
    """Returns the first column of bytes that are encoded images."""
    for name, kind in rows.features.items():
        fields = kind if isinstance(kind, dict) else {"bytes": kind}
        if str(getattr(fields.get("bytes"), "dtype", "")) in ("binary", "large_binary"):
            return str(name)
    return None


SOURCE = DataSource(forms=("hf:OWNER/NAME:SPLIT",), open=open_rows)
