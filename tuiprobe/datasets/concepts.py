"""Images annotated with concepts: the data of the concept probe."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.dataset import Dataset, Suite, free_name, safe_name
from tuiprobe.datasets.input_tables import InputTable
from tuiprobe.datasets.sample import ImageFiles, Sample, samples_of
from tuiprobe.errors import DataError


@dataclass(frozen=True)
class Concept:
    """Something that may be in an image; names are unique within a category."""

    name: str
    category: str


@dataclass(frozen=True, eq=False)
class Annotation:
    """The concepts of one image.

    Attributes:
        concepts: int32 `[p]`, indices into the set's `concepts`, ascending.
        shares: float32 `[p]`, share of the image that shows each, in (0, 1]; 1 for labels of the
            whole image.
        annotated: Indices into the set's `categories` that this image was annotated for.
        train: Whether the image is in the split that selects directions; the other split
            confirms them.
    """

    concepts: NDArray[np.int32]
    shares: NDArray[np.float32]
    annotated: tuple[int, ...]
    train: bool


@runtime_checkable
class ConceptDataset(Dataset, Protocol):
    """A data set without classes whose images have concepts."""

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """All concepts; annotations refer to them by index."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories; each concept belongs to one."""

    @property
    def digest(self) -> str:
        """Digest of the tables behind the annotations; part of a run's key."""

    def annotation(self, sample: Sample) -> Annotation:
        """Reads the annotation of one image.

        Raises:
            DataError: If an entry cannot be used; names the file and the entry.
        """


def with_concepts(suite: Suite, dataset: ConceptDataset) -> Suite:
    """Returns the suite with the concept set as its last set, under a unique name."""
    name = free_name(safe_name(dataset.name), suite.sets, "-concepts")
    return replace(suite, sets={**suite.sets, name: dataset}, concept_set=name)


def concept_dataset(suite: Suite) -> ConceptDataset | None:
    """Returns the opened concept set of a suite."""
    if suite.concept_set is None:
        return None
    return cast(ConceptDataset, suite.sets[suite.concept_set])  # put in by with_concepts


@dataclass(frozen=True, eq=False)
class ImageRow:
    """A row about one image.

    Attributes:
        line: Its line in the table.
        image: Path of the image.
        train: Whether the image is in the split `train`, if the table has splits.
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


def image_rows(table: InputTable) -> list[ImageRow]:
    """Returns the rows of a table with a column `image`, in the byte order of their images.

    Raises:
        DataError: If an image is no path below a folder, or on two rows, or if a cell of the column
            `split` is neither `train` nor `val`.
    """
    rows = []
    for i, cells in enumerate(table.rows):
        where, named = table.where(i), dict(zip(table.header, cells, strict=True))
        if not inside(named["image"]):
            image = named["image"]
            raise DataError(f"{where}: image {image!r} is no path below the folder of images")
        split = named.get("split")
        if split not in ("train", "val", None):
            raise DataError(f"{where}: split is {split!r}; it must be train or val")
        train = None if split is None else split == "train"
        rows.append(ImageRow(table.numbers[i], named["image"], train, cells))
    rows.sort(key=lambda row: os.fsencode(row.image))
    for row, following in pairwise(rows):
        if row.image == following.image:
            raise DataError(
                f"{table.source}: {row.image} is on lines {row.line} and {following.line}"
            )
    return rows


def inside(text: str) -> bool:
    """Returns whether a relative path with forward slashes stays inside its start folder.

    >>> inside("ade20k/a.jpg"), inside("../a.jpg"), inside("/etc/a.jpg"), inside("")
    (True, False, False, False)
    """
    path = PurePosixPath(text)
    return bool(text) and not path.is_absolute() and ".." not in path.parts
