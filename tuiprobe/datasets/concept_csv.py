"""Concept sets from a folder of images and a CSV file that lists the concepts in each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.base import Sample, Stamp, safe_name
from tuiprobe.datasets.concepts import Annotation, Concept
from tuiprobe.datasets.content import Content, read_file, stamp_file
from tuiprobe.datasets.csv_table import inside, read_table
from tuiprobe.datasets.order import hash_ids
from tuiprobe.datasets.registry import DataSource
from tuiprobe.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

DEFAULT_CATEGORY = "concept"


@dataclass(frozen=True, eq=False)
class _ImageRow:
    line: int
    image: str
    split: str
    shares: NDArray[np.float32]
    annotated: tuple[int, ...]


class ConceptCsv:
    """Images and a CSV with columns `image`, optionally `split`, then one per concept.

    The header of a concept's column is `category:name` or `name`. A cell holds 0, 1, or the share
    of the image that shows the concept. For each image, the cells of one category are all filled,
    or all empty if the image was not annotated for it. Paths are relative to the CSV. Without
    `split` (train or val), a fixed hash assigns half of the images to train and half to val.

    Args:
        path: The CSV file.

    Raises:
        DataError: If it cannot be used; names file, line and column.
    """

    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().absolute()
        self._table = read_table(self.path, ("image",))
        self._split = "split" if "split" in self._table.header else None
        columns = [name for name in self._table.header if name not in ("image", self._split)]
        if not columns:
            raise DataError(f"{self.path} names no concept: it has no column beside image")
        self.concepts: tuple[Concept, ...] = tuple(_concept(self.path, name) for name in columns)
        self.categories: tuple[str, ...] = tuple(dict.fromkeys(c.category for c in self.concepts))
        self._places = [self._table.column(name) for name in columns]
        number = {category: g for g, category in enumerate(self.categories)}
        self._group = np.array([number[c.category] for c in self.concepts])
        rows = sorted(self._rows(), key=lambda row: os.fsencode(row.image))
        for one, other in pairwise(rows):
            if one.image == other.image:
                raise DataError(f"{self.path}: {one.image} is on lines {one.line} and {other.line}")
        self._sorted = rows
        self.digest = self._table.digest

    @property
    def source(self) -> str:
        """The name of this set on the command line."""
        return f"csv:{self.path}"

    @property
    def name(self) -> str:
        """Name of the file, without its extension."""
        return safe_name(self.path.stem)

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples in byte order of their paths."""
        return tuple(Sample(i, row.image, None) for i, row in enumerate(self._sorted))

    @cached_property
    def _hashed(self) -> NDArray[np.bool_]:
        hashed = hash_ids(np.arange(len(self._sorted), dtype=np.int64), 0)
        return np.asarray(hashed % np.uint64(2) == 0)

    def stamp(self, sample: Sample) -> Stamp:
        """Returns size and times of an image file."""
        return stamp_file(self.path.parent / sample.path)

    def read(self, sample: Sample) -> Content:
        """Reads an image file."""
        return read_file(self.path.parent / sample.path)

    def open(self, sample: Sample) -> Image:
        """Decodes one image."""
        return self.read(sample).image()

    def annotation(self, sample: Sample) -> Annotation:
        """Returns what the CSV says about one image."""
        row = self._sorted[sample.id]
        present = np.flatnonzero(row.shares)
        return Annotation(
            concepts=present.astype(np.int32),
            shares=row.shares[present],
            annotated=row.annotated,
            train=row.split == "train" if row.split else bool(self._hashed[sample.id]),
        )

    def _rows(self) -> list[_ImageRow]:
        image = self._table.column("image")
        split = None if self._split is None else self._table.column(self._split)
        rows = []
        for line, cells in self._table.rows:
            where = f"{self.path} line {line}"
            side = "" if split is None else cells[split]
            if split is not None and side not in ("train", "val"):
                raise DataError(f"{where}: split is {side!r}; it must be train or val")
            if not inside(cells[image]):
                raise DataError(
                    f"{where}: image {cells[image]!r} is no path below the CSV's folder"
                )
            values = [cells[place] for place in self._places]
            filled = np.array([bool(value) for value in values])
            shares = np.array(
                [self._share(value, k, where) for k, value in enumerate(values)], dtype=np.float32
            )
            rows.append(_ImageRow(line, cells[image], side, shares, self._annotated(filled, where)))
        return rows

    def _share(self, cell: str, k: int, where: str) -> float:
        try:
            share = float(cell or 0)
        except ValueError:
            share = -1
        if not 0 <= share <= 1:
            column = self._table.header[self._places[k]]
            raise DataError(f"{where}, column {column}: {cell!r} is no number between 0 and 1")
        return share

    def _annotated(self, filled: NDArray[np.bool_], where: str) -> tuple[int, ...]:
        cells = np.bincount(self._group, weights=filled)
        annotated = np.flatnonzero(cells)
        torn = annotated[cells[annotated] < np.bincount(self._group)[annotated]]
        if torn.size:
            raise DataError(
                f"{where}: some cells of category {self.categories[torn[0]]!r} are empty and some "
                "are not; write 0 for what is absent, and leave all empty where it is not known"
            )
        return tuple(annotated.tolist())


def _concept(path: Path, header: str) -> Concept:
    category, colon, name = header.partition(":")
    concept = Concept(name, category) if colon else Concept(header, DEFAULT_CATEGORY)
    if not concept.name or not concept.category:
        raise DataError(f"{path}: the column {header!r} names no concept; write category:name")
    return concept


SOURCE = DataSource(concept_forms=("csv:FILE",), concepts=ConceptCsv, is_path=True)
