"""Broden on disk (Bau et al. 2017): images with pixel maps and whole-image labels.

`index.csv` has one row per image: image, split, ih, iw, sh, sw, then one column per category. A
category cell is empty, or holds label numbers and names of maps, joined by `;`. The label of a
map's pixel is red + 256 x green, 0 for none. `label.csv` names the labels. Images and maps lie
below `images/`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.concepts import (
    Annotation,
    Concept,
    ImageRow,
    ListedImages,
    image_rows,
    inside,
)
from tuiprobe.datasets.dataset import safe_name
from tuiprobe.datasets.input_tables import InputTable, read_table
from tuiprobe.datasets.registry import DataSource
from tuiprobe.datasets.sample import Content, Sample, Stamp, read_file, stamp_file
from tuiprobe.errors import DataError, UnreadableImageError

_NOT_CATEGORIES = ("image", "split", "ih", "iw", "sh", "sw")
_LISTED = 20
_CATEGORY = re.compile(r"(?P<name>[^()]+?)\s*(?:\((?P<count>\d+)\))?")


class Broden(ListedImages):
    """The images of a Broden directory.

    A label that occurs in several categories belongs to the one with most images. An empty cell
    means that the image is not annotated for that category. If several maps show a label, its
    largest share counts.

    Args:
        root: The directory, for example `broden1_224`.

    Raises:
        DataError: If a table is missing, empty or inconsistent; names file and line.
    """

    def __init__(self, root: str | Path) -> None:
        root = Path(root).expanduser().absolute()
        if not root.is_dir():
            raise DataError(f"broden: {root} is no directory; give the one with index.csv")
        self.folder = root / "images"
        self.source, self.name = f"broden:{root}", safe_name(root.name)
        index = read_table(root / "index.csv", ("image", "split"))
        labels = read_table(root / "label.csv", ("number", "name", "category"))
        self.categories = tuple(n for n in index.header if n not in _NOT_CATEGORIES)
        if not self.categories:
            raise DataError(f"{index.source}: there is no column of a category")
        self.concepts, self._index_of = _read_labels(labels, frozenset(self.categories))
        columns = [index.header.index(category) for category in self.categories]
        self.rows = [
            replace(row, cells=tuple(row.cells[column] for column in columns))
            for row in image_rows(index)
        ]
        for row in self.rows:
            self._check_entries(index.source, row)
        self.digest = hashlib.sha256((index.digest + labels.digest).encode()).hexdigest()

    def stamp(self, sample: Sample) -> Stamp:
        """Returns sizes and times of the image and its maps."""
        return _joined(super().stamp(sample), [stamp_file(path) for path in self._maps(sample)])

    def read(self, sample: Sample) -> Content:
        """Reads the image and its maps.

        Raises:
            UnreadableImageError: If one of them cannot be read.
        """
        content = super().read(sample)
        maps = [read_file(path) for path in self._maps(sample)]
        return replace(
            content,
            stamp=_joined(content.stamp, [file.stamp for file in maps]),
            label_maps=tuple(file.data for file in maps if isinstance(file.data, bytes)),
        )

    def _maps(self, sample: Sample) -> list[Path]:
        cells = self.rows[sample.id].cells
        entries = (entry for cell in cells for entry in _entries(cell) if not _is_number(entry))
        return [self.folder / entry for entry in entries]

    def annotation(self, sample: Sample) -> Annotation:
        """Reads the labels and maps of one image.

        Raises:
            DataError: If a map is missing or damaged, or holds a number that no label has.
        """
        row = self.rows[sample.id]
        shares = np.zeros(len(self.concepts), dtype=np.float32)
        for category, cell in zip(self.categories, row.cells, strict=True):
            for entry in _entries(cell):
                if _is_number(entry):
                    shares[self._index_of[int(entry)]] = 1
                else:
                    indices, parts = self._map(entry, row, category)
                    np.maximum.at(shares, indices, parts)
        present = np.flatnonzero(shares)
        return Annotation(
            concepts=present.astype(np.int32),
            shares=shares[present],
            annotated=tuple(g for g, cell in enumerate(row.cells) if cell),
            train=bool(row.train),
        )

    def _map(
        self, entry: str, row: ImageRow, category: str
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Returns the indices of the concepts on one map, and the share of each."""
        path = self.folder / entry
        try:
            pixels = np.asarray(read_file(path).image())
        except UnreadableImageError as error:
            raise DataError(
                f"{path}: {error}; it is the {category} map of {row.image} "
                f"(index.csv line {row.line})"
            ) from error
        numbers = pixels[..., 0].astype(np.int64) + 256 * pixels[..., 1].astype(np.int64)
        counts = np.bincount(numbers.ravel())
        counts[0] = 0
        present = np.flatnonzero(counts)
        self._refuse_unknown(present, f"{path}: a pixel has")
        return self._index_of[present], (counts[present] / np.float32(numbers.size)).astype(
            np.float32
        )

    def _refuse_unknown(self, numbers: NDArray[np.int64], where: str) -> None:
        known = numbers < self._index_of.size
        known[known] = self._index_of[numbers[known]] >= 0
        if not known.all():
            strange = int(numbers[~known][0])
            raise DataError(
                f"{where} label number {strange}, which is not in label.csv "
                f"(its numbers end at {self._index_of.size - 1})"
            )

    def _check_entries(self, path: str | Path, row: ImageRow) -> None:
        """Refuses a cell that holds something else than label numbers and names of maps."""
        for category, cell in zip(self.categories, row.cells, strict=True):
            where = f"{path} line {row.line}, column {category}"
            for entry in _entries(cell):
                if _is_number(entry):
                    self._refuse_unknown(np.array([int(entry)]), f"{where}: there is")
                elif not entry.lower().endswith(".png") or not inside(entry):
                    raise DataError(
                        f"{where}: {entry!r} is neither a label number nor a png below images/"
                    )


def _joined(stamp: Stamp, maps: list[Stamp]) -> Stamp:
    parts = [str(stamp.changed), *(f"{of_map.size} {of_map.changed}" for of_map in maps)]
    return Stamp(stamp.size, ", ".join(parts))


def _entries(cell: str) -> list[str]:
    return [entry for part in cell.split(";") if (entry := part.strip())]


def _is_number(entry: str) -> bool:
    return entry.isdecimal() and len(entry) < 10


def _read_labels(
    table: InputTable, categories: frozenset[str]
) -> tuple[tuple[Concept, ...], NDArray[np.int32]]:
    """Returns the concepts, and for each label number the index of its concept, -1 for none.

    The row for number 0, which means no label, is skipped.
    """
    concepts: dict[int, Concept] = {}
    for i, cells in enumerate(table.rows):
        where, named = table.where(i), dict(zip(table.header, cells, strict=True))
        number = int(named["number"]) if _is_number(named["number"]) else -1
        if not 0 <= number <= 0xFFFF:
            raise DataError(f"{where}: number {named['number']!r} is not between 0 and 65535")
        if number in concepts:
            raise DataError(f"{where}: label number {number} appears twice")
        if number:
            category = _main_category(named["category"], categories, where)
            concepts[number] = Concept(named["name"], category)
    if not concepts:
        raise DataError(f"{table.source} names no concept")
    index_of = np.full(max(concepts) + 1, -1, dtype=np.int32)
    index_of[list(concepts)] = np.arange(len(concepts))
    return tuple(concepts.values()), index_of


def _main_category(text: str, categories: frozenset[str], where: str) -> str:
    """Returns the category with most images in a list like `material(36);object(3)`."""
    best, most = "", -1
    for entry in _entries(text):
        match = _CATEGORY.fullmatch(entry)
        if match is None or match["name"] not in categories:
            raise DataError(
                f"{where}: category {entry!r} is none of index.csv: "
                f"{', '.join(sorted(categories)[:_LISTED])}"
            )
        count = int(match["count"] or 0)
        if count > most:
            best, most = match["name"], count
    if not best:
        raise DataError(f"{where}: the category is empty")
    return best


SOURCE = DataSource(concept_forms=("broden:DIR",), concepts=Broden, is_path=True)
