"""Concept sets from a folder of images and a CSV file that lists the concepts in each."""

from __future__ import annotations

from dataclasses import replace
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.concepts import Annotation, Concept, ImageRow, ListedImages, image_rows
from tuiprobe.datasets.dataset import safe_name
from tuiprobe.datasets.input_tables import InputTable, read_table
from tuiprobe.datasets.layout import hash_ids
from tuiprobe.datasets.list_files import open_csv
from tuiprobe.datasets.registry import DataSource
from tuiprobe.datasets.sample import Sample
from tuiprobe.errors import DataError

DEFAULT_CATEGORY = "concept"


class ConceptCsv(ListedImages):
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

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().absolute()
        self.folder = self.path.parent
        self.source, self.name = f"csv:{self.path}", safe_name(self.path.stem)
        table = read_table(self.path, ("image",))
        self.digest = table.digest
        self._is_concept = [name not in ("image", "split") for name in table.header]
        self.concepts = tuple(
            _concept(self.path, name) for name in compress(table.header, self._is_concept)
        )
        if not self.concepts:
            raise DataError(f"{self.path} names no concept: it has no column but image")
        self.categories = tuple(dict.fromkeys(c.category for c in self.concepts))
        number = {category: g for g, category in enumerate(self.categories)}
        self._group = np.array([number[c.category] for c in self.concepts])
        rows = image_rows(table)
        self._marks = [self._read_cells(table, row) for row in rows]
        self.rows = [replace(row, cells=()) for row in rows]

    def annotation(self, sample: Sample) -> Annotation:
        """Returns the concepts of one image in the CSV."""
        row = self.rows[sample.id]
        shares, annotated = self._marks[sample.id]
        present = np.flatnonzero(shares)
        hashed = int(hash_ids(np.array([sample.id], dtype=np.int64), 0)[0])
        return Annotation(
            concepts=present.astype(np.int32),
            shares=shares[present],
            annotated=annotated,
            train=hashed % 2 == 0 if row.train is None else row.train,
        )

    def _read_cells(
        self, table: InputTable, row: ImageRow
    ) -> tuple[NDArray[np.float32], tuple[int, ...]]:
        """Returns the share of each concept in an image, and the categories annotated for it."""
        where = f"{self.path} line {row.line}"
        values = list(compress(row.cells, self._is_concept))
        shares = np.array([_share(value) for value in values])
        invalid = np.flatnonzero(~((shares >= 0) & (shares <= 1)))
        if invalid.size:
            column = list(compress(table.header, self._is_concept))[invalid[0]]
            raise DataError(
                f"{where}, column {column}: {values[invalid[0]]!r} is no number between 0 and 1"
            )
        filled = np.bincount(self._group, weights=[bool(value) for value in values])
        annotated = np.flatnonzero(filled)
        torn = annotated[filled[annotated] < np.bincount(self._group)[annotated]]
        if torn.size:
            raise DataError(
                f"{where}: some cells of category {self.categories[torn[0]]!r} are empty and some "
                "are not; write 0 for what is absent, and leave all empty where it is not known"
            )
        return shares.astype(np.float32), tuple(annotated.tolist())


def _share(cell: str) -> float:
    try:
        return float(cell or 0)
    except ValueError:
        return float("nan")


def _concept(path: Path, header: str) -> Concept:
    category, colon, name = header.partition(":")
    concept = Concept(name, category) if colon else Concept(header, DEFAULT_CATEGORY)
    if not concept.name or not concept.category:
        raise DataError(f"{path}: the column {header!r} names no concept; write category:name")
    return concept


SOURCE = DataSource(
    forms=("csv:FILE",),
    open=open_csv,
    concept_forms=("csv:FILE",),
    concepts=ConceptCsv,
    is_path=True,
)
