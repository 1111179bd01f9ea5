"""Images and labels that a table lists: CSV or Parquet with a column of paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from tuiprobe.catalog.class_names import match_classes
from tuiprobe.datasets.dataset import Dataset, WrappedDataset
from tuiprobe.datasets.input_tables import (
    PATH_COLUMNS,
    SPLIT_COLUMNS,
    InputTable,
    SeveralPartsError,
    chosen_part,
    parts_note,
    read_table,
    tested_parts,
)
from tuiprobe.datasets.labels import LABEL_COLUMNS, label_column, numbered
from tuiprobe.datasets.registry import DataSource
from tuiprobe.datasets.sample import ImageFiles, Sample, samples_of
from tuiprobe.datasets.vectors.parquet import holds_bytes
from tuiprobe.errors import DataError
from tuiprobe.plaintext import first_names, path_key, plain


@dataclass(frozen=True)
class Listing:
    """The rows of a table about images.

    Attributes:
        file: The table.
        paths: The path of each image, as it is written.
        labels: The label of each.
        table: The table.
        used: Names of the columns that are read: of paths, of labels and of parts.
    """

    file: Path
    paths: list[str]
    labels: list[str] | None
    table: InputTable
    used: tuple[str | None, ...]

    def remarks(self, others: int = 0) -> list[str]:
        """Returns the columns and rows that are not used, in words.

        Args:
            others: Rows of other pictures.
        """
        words = self.table.not_used(self.used, others=others).in_words()
        return [f"{plain(self.file.name)}: {words}"] if words else []

    def several_parts(self, rows: Sequence[int]) -> SeveralPartsError | None:
        """Returns an error if some rows are of several parts of the data.

        Args:
            rows: The rows that count.
        """
        remedy = (
            f"choose one part, such as csv:{self.file.name}@split=test with its column and "
            "value, or remove the column if you want all parts"
        )
        return self.table.several_parts(remedy, rows, self.used[:2])

    def tested(self, rows: Sequence[int]) -> list[bool] | None:
        """Returns which of some rows are of a test part, if it has both parts of a fit.

        Args:
            rows: The rows that count.
        """
        parts = self.table.column(self.table.find(*SPLIT_COLUMNS))
        return tested_parts([parts[row] for row in rows])


def read_listing(file: Path, part: tuple[str, str] | None = None) -> Listing:
    """Reads a CSV or Parquet table with a column of paths.

    Args:
        file: The table.
        part: Column and value of the rows that count; None for all rows.

    Raises:
        DataError: If it cannot be read, has no column of paths or two rows of one image, or if some
            rows have a label and others have none.
    """
    table = read_table(file)
    if part is not None:
        table = table.part(*part)
    named_by = table.find(*PATH_COLUMNS)
    if named_by is None:
        raise DataError(
            f"{file}: no column names the images; call it path (the columns are "
            f"{first_names(table.header)})"
        )
    paths = table.column(named_by)
    if not all(paths):
        raise DataError(f"{file}: row {paths.index('')} has no path")
    for path, following in pairwise(sorted(map(path_key, paths))):
        if path == following:
            raise DataError(f"{file} lists {plain(path)} twice")
    column = label_column(table)
    labels = None if column is None else table.column(column)
    if labels is not None and not any(labels):
        labels = None
    if labels is not None and not all(labels):
        path = paths[labels.index("")]
        raise DataError(f"{file}: {plain(path)} has no label and others have: give all or none")
    split = table.find(*SPLIT_COLUMNS) if part is None else table.find(part[0].lower())
    if part is None and tested_parts(table.column(split)) is None:
        split = None
    return Listing(file, paths, labels, table, (named_by, column, split))


class ListedFiles(ImageFiles):
    """The images that a table lists, with its labels if it has a column of them.

    Args:
        file: The table. Paths are absolute, or relative to its folder.
        part: Column and value of the rows that count; None for all rows.

    Raises:
        DataError: If it cannot be read or lists no image, or if its images belong to several parts
            of the data other than those that a head is fitted to and tested on.
    """

    def __init__(self, file: Path, part: tuple[str, str] | None = None) -> None:
        self.folder = file.parent
        self.source, self.name = f"{file.suffix[1:].lower()}:{file}", file.stem
        if part is not None:
            self.source, self.name = f"{self.source}@{'='.join(part)}", f"{self.name}-{part[1]}"
        listing = read_listing(file, part)
        order = sorted(range(len(listing.paths)), key=lambda i: os.fsencode(listing.paths[i]))
        self.label_rows = dict(enumerate(order))
        self.as_numbered = listing.paths
        self._paths = [listing.paths[i] for i in order]
        self.tested, self.several_parts = listing.tested(order), listing.several_parts(order)
        if self.several_parts is not None and self.tested is None:
            raise self.several_parts
        self.notes = (*listing.remarks(), *parts_note(file.name, self.tested))
        self.classes: tuple[str, ...] = ()
        self._labels: list[int] | None = None
        if listing.labels is not None:
            values, self.classes = numbered(file, [listing.labels[i] for i in order])
            self._labels = values.tolist()

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples in byte order of their paths."""
        return samples_of(self._paths, self._labels)


class Relabelled(WrappedDataset):
    """The images of a set with labels from a table; a target set has none.

    Args:
        images: The set.
        classes: Class names by label.
        labels: The label of each image.
        remarks: Where the labels are from, and what of it was not used.
    """

    def __init__(
        self,
        images: Dataset,
        classes: tuple[str, ...] = (),
        labels: Sequence[int] | None = None,
        remarks: Sequence[str] = (),
    ) -> None:
        super().__init__(images)
        self._classes, self._labels, self._remarks = classes, labels, remarks

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by label."""
        return self._classes

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples, by id."""
        return samples_of((sample.path for sample in self.images.samples), self._labels)

    @property
    def notes(self) -> tuple[str, ...]:
        """The data set's remarks, and where the labels are from."""
        return (*self.images.notes, *self._remarks)


def labelled(images: Dataset, file: Path, names: tuple[str, ...] = ()) -> Relabelled:
    """Returns a set with the labels of a table, which are joined to its images by their paths.

    Args:
        images: The set.
        file: A table of paths, as in the set, and labels; it may list more images.
        names: Class names in label order; empty for those of the table.

    Raises:
        DataError: If the table cannot be read, has no label of an image, or says that the images
            belong to several parts of the data.
    """
    listing = read_listing(file)
    at = {path_key(path): i for i, path in enumerate(listing.paths)}
    keys = [path_key(sample.path) for sample in images.samples]
    rows = [at[key] for key in keys if key in at]
    missing = [images.samples[i].path for i, key in enumerate(keys) if key not in at]
    tested, several_parts = listing.tested(rows), listing.several_parts(rows)
    if several_parts is not None and (tested is None or listing.labels is None or missing):
        raise several_parts
    if listing.labels is None:
        raise DataError(f"{file}: no column holds labels; call it {LABEL_COLUMNS[0]}")
    if missing:
        remedy = (
            "measure them by --target, and give the labels that there are to `tuiprobe label RUN "
            f"--answers-from {plain(file.name)}`"
            if rows
            else f"its paths are {first_names(listing.paths[:7])}"
        )
        raise DataError(
            f"{file} has no label of {len(missing):,} of {len(images.samples):,} images of "
            f"{images.source}, such as {plain(missing[0])}; {remedy}"
        )
    texts = [listing.labels[row] for row in rows]
    values, classes = numbered(file, texts, names)
    others = len(at) - len(at.keys() & set(keys))
    remarks = [*listing.remarks(others), *parts_note(file.name, tested)]
    if len(images.classes) > 1:
        contrast = _contrast(images, [classes[value] for value in values.tolist()])
        remarks.insert(0, f"labels are those of {plain(file.name)}, {contrast}")
    relabelled = Relabelled(images, classes, values.tolist(), remarks)
    relabelled.label_rows = dict(enumerate(rows))
    if several_parts is not None:
        relabelled.tested, relabelled.several_parts = tested, several_parts
    return relabelled


def _contrast(images: Dataset, labels: Sequence[str]) -> str:
    """Returns on how many images other labels differ from those of a set, in words.

    Args:
        images: The set.
        labels: The name of the other class of each image.
    """
    names, samples = list(dict.fromkeys(labels)), images.samples
    known = match_classes(names, images.classes).known
    if not any(row is not None for row in known):
        return f"not those of {images.source}"
    row_of = dict(zip(names, known, strict=True))
    other = [
        sample.path
        for sample, name in zip(samples, labels, strict=True)
        if sample.label != row_of[name]
    ]
    if not other:
        return f"equal to those of {images.source}"
    return (
        f"not those of {images.source}: {len(other):,} of {len(samples):,} images have another, "
        f"such as {plain(other[0])}"
    )


def open_csv(text: str, base: Path | None = None) -> ListedFiles:
    """Opens the images that a CSV file lists, of all rows or of one part: `FILE@COLUMN=VALUE`."""
    path, part = chosen_part(text)
    return ListedFiles(path.expanduser().absolute(), part)


def open_parquet_images(text: str, base: Path | None = None) -> Dataset:
    """Opens the images that a Parquet file lists or holds.

    Raises:
        DataError: If it cannot be read, or does neither.
    """
    path, part = chosen_part(text)
    file = path.expanduser().absolute()
    if not holds_bytes(file):
        return ListedFiles(file, part)
    from tuiprobe.datasets.hugging_face import parquet_rows

    return parquet_rows(file, part)


SOURCE = DataSource(forms=("parquet:FILE",), open=open_parquet_images, is_path=True)
