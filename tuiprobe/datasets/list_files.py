"""Images and labels that a table lists: CSV or Parquet with a column of paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Final

from tuiprobe.datasets.content import ImageFiles
from tuiprobe.datasets.dataset import Dataset, WrappedDataset
from tuiprobe.datasets.input_tables import PATH_COLUMNS, NotUsed, read_table
from tuiprobe.datasets.labels import LABEL_COLUMNS, label_column, numbered
from tuiprobe.datasets.registry import DataSource
from tuiprobe.datasets.sample import Sample, samples_of
from tuiprobe.datasets.vectors.parquet import holds_bytes
from tuiprobe.errors import DataError
from tuiprobe.plaintext import first_names, path_key, plain

SPLIT_COLUMNS: Final = ("split", "subset")
"""Names of a column that says which part of a data set each image is of."""

_FITTED: Final = frozenset(("train", "training", "val", "valid", "validation", "dev"))
_TESTED: Final = frozenset(("test", "testing"))


@dataclass(frozen=True)
class Listing:
    """The rows of a table about images.

    Attributes:
        file: The table.
        paths: The path of each image, as it is written.
        labels: The label of each; None without a column of labels.
        not_used: What of the table is not used.
        tested: Whether each image is of the test part; None where the table names no parts to fit
            to and to test on.
    """

    file: Path
    paths: list[str]
    labels: list[str] | None
    not_used: NotUsed
    tested: list[bool] | None = None


def read_listing(file: Path) -> Listing:
    """Reads a CSV or Parquet table with a column of paths.

    Raises:
        DataError: If it cannot be read, has no column of paths or two rows of one image, or if some
            rows have a label and others have none.
    """
    table = read_table(file)
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
    split = table.find(*SPLIT_COLUMNS)
    tested = _tested(table.column(split))
    used = (named_by, column, None if tested is None else split)
    return Listing(file, paths, labels, table.not_used(used), tested)


def _tested(parts: Sequence[str]) -> list[bool] | None:
    """Returns which images are of a test part, where all others are of a train or validation part.

    >>> _tested(["train", "Test", "val"]), _tested(["train", "x"]), _tested(["test", "test"])
    ([False, True, False], None, None)
    """
    folded = [part.lower() for part in parts]
    named = set(folded)
    if not named <= _FITTED | _TESTED or not named & _FITTED or not named & _TESTED:
        return None
    return [part in _TESTED for part in folded]


class ListedFiles(ImageFiles):
    """The images that a table lists, with its labels if it has a column of them.

    Args:
        file: The table. Paths are absolute, or relative to its folder.

    Raises:
        DataError: If it cannot be read or lists no image.
    """

    def __init__(self, file: Path) -> None:
        self.folder = file.parent
        self.source, self.name = f"{file.suffix[1:].lower()}:{file}", file.stem
        listing = read_listing(file)
        self.notes = tuple(filter(None, [_remark(file, listing.not_used), _parts(file, listing)]))
        order = sorted(range(len(listing.paths)), key=lambda i: os.fsencode(listing.paths[i]))
        self._paths = [listing.paths[i] for i in order]
        self.tested = None if listing.tested is None else [listing.tested[i] for i in order]
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
    """The images of a set with other labels than its own; a target set has none.

    Args:
        images: The set.
        classes: Class names by label.
        labels: The label of each image; None without.
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
        DataError: If the table cannot be read, or has no label of an image.
    """
    listing = read_listing(file)
    if listing.labels is None:
        raise DataError(f"{file}: no column holds labels; call it {LABEL_COLUMNS[0]}")
    at = {path_key(path): i for i, path in enumerate(listing.paths)}
    keys = [path_key(sample.path) for sample in images.samples]
    missing = [images.samples[i].path for i, key in enumerate(keys) if key not in at]
    if missing:
        raise DataError(
            f"{file} has no label of {len(missing):,} of {len(images.samples):,} images of "
            f"{images.source}, such as {plain(missing[0])}; its paths are "
            f"{first_names(listing.paths[:7])}"
        )
    texts = [listing.labels[at[key]] for key in keys]
    values, classes = numbered(file, texts, names)
    others = len(at) - len(at.keys() & set(keys))
    remark = _remark(file, replace(listing.not_used, others=others))
    parts = _parts(file, listing)
    remarks = [f"labels are those of {file.name}", *filter(None, [remark, parts])]
    relabelled = Relabelled(images, classes, values.tolist(), remarks)
    if listing.tested is not None:
        relabelled.tested = [listing.tested[at[key]] for key in keys]
    return relabelled


def _parts(file: Path, listing: Listing) -> str:
    """Returns what the parts of a table are used for; empty where it names none."""
    if listing.tested is None:
        return ""
    tested = sum(listing.tested)
    return (
        f"{plain(file.name)}: --head probe is fitted to its train part "
        f"({len(listing.tested) - tested:,}) and judged by its test part ({tested:,}); other heads "
        "answer both"
    )


def _remark(file: Path, not_used: NotUsed) -> str:
    words = not_used.in_words()
    return f"{plain(file.name)}: {words}" if words else ""


def open_csv(text: str, base: Path | None = None) -> ListedFiles:
    """Opens the images that a CSV file lists."""
    return ListedFiles(Path(text).expanduser().absolute())


def open_parquet_images(text: str, base: Path | None = None) -> Dataset:
    """Opens the images that a Parquet file lists or holds.

    Raises:
        DataError: If it cannot be read, or does neither.
    """
    file = Path(text).expanduser().absolute()
    if not holds_bytes(file):
        return ListedFiles(file)
    from tuiprobe.datasets.hugging_face import parquet_rows

    return parquet_rows(file)


SOURCE = DataSource(forms=("parquet:FILE",), open=open_parquet_images, is_path=True)
