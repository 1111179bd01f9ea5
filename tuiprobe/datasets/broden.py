"""Broden on disk (Bau et al. 2017): images with pixel maps and whole-image labels.

`index.csv` has one row per image: image, split, ih, iw, sh, sw, then one column per category. A
category cell is empty, or holds label numbers and names of maps, joined by `;`. The label of a
map's pixel is red + 256 x green, 0 for none. `label.csv` names the labels. Images and maps lie
below `images/`.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.base import Sample, Stamp, UnreadableImageError, safe_name
from tuiprobe.datasets.concepts import Annotation, Concept
from tuiprobe.datasets.content import Content, read_file, stamp_file
from tuiprobe.datasets.csv_table import CsvTable, inside, read_table
from tuiprobe.datasets.registry import DataSource
from tuiprobe.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_NOT_CATEGORIES = ("image", "split", "ih", "iw", "sh", "sw")
_SHOWN = 20
_CATEGORY = re.compile(r"(?P<name>[^()]+?)\s*(?:\((?P<count>\d+)\))?")


@dataclass(frozen=True)
class _Row:
    line: int
    image: str
    train: bool
    cells: tuple[str, ...]  # one per category


class Broden:
    """The images of a Broden directory.

    A label that occurs in several categories belongs to the one with most images. An empty cell
    means that the image is not annotated for that category. If several maps show a label, its
    largest share counts.

    Args:
        root: The directory, such as `broden1_224`.

    Raises:
        DataError: If a table is missing, empty or inconsistent; names file and line.
    """

    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser().absolute()
        if not self.root.is_dir():
            raise DataError(f"broden: {self.root} is no directory; give the one with index.csv")
        self._index = read_table(self.root / "index.csv", ("image", "split"))
        labels = read_table(self.root / "label.csv", ("number", "name", "category"))
        self._columns = [n for n in self._index.header if n not in _NOT_CATEGORIES]
        numbers, concepts = _read_labels(labels, self._columns)
        if not concepts:
            raise DataError(f"{labels.path} names no concept")
        self.concepts: tuple[Concept, ...] = concepts
        self.categories: tuple[str, ...] = tuple(self._columns)
        self._place = np.full(max(numbers) + 1, -1, dtype=np.int32)
        self._place[numbers] = np.arange(len(numbers))
        self._rows = sorted(self._read_index(), key=lambda row: os.fsencode(row.image))
        self._refuse_doubles()
        self.digest = hashlib.sha256((self._index.digest + labels.digest).encode()).hexdigest()

    @property
    def source(self) -> str:
        """The name of this set on the command line."""
        return f"broden:{self.root}"

    @property
    def name(self) -> str:
        """Name of the directory."""
        return safe_name(self.root.name)

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples in byte order of their paths below `images/`."""
        return tuple(Sample(i, row.image, None) for i, row in enumerate(self._rows))

    def stamp(self, sample: Sample) -> Stamp:
        """Returns sizes and times of the image and its maps."""
        stamp = stamp_file(self.root / "images" / sample.path)
        return _joined(stamp, [stamp_file(path) for path in self._map_files(sample)])

    def read(self, sample: Sample) -> Content:
        """Reads the image and its maps.

        Raises:
            UnreadableImageError: If one of them cannot be read.
        """
        content = read_file(self.root / "images" / sample.path)
        maps = [read_file(path) for path in self._map_files(sample)]
        return replace(
            content,
            stamp=_joined(content.stamp, [one.stamp for one in maps]),
            beside=tuple(one.data for one in maps if isinstance(one.data, bytes)),
        )

    def open(self, sample: Sample) -> Image:
        """Decodes one image."""
        return read_file(self.root / "images" / sample.path).image()

    def _map_files(self, sample: Sample) -> list[Path]:
        cells = self._rows[sample.id].cells
        entries = (entry for cell in cells for entry in _entries(cell) if not _is_number(entry))
        return [self.root / "images" / entry for entry in entries]

    def annotation(self, sample: Sample) -> Annotation:
        """Reads the labels and maps of one image.

        Raises:
            DataError: If a map is missing or damaged, or holds a number that no label has.
        """
        row = self._rows[sample.id]
        shares = np.zeros(len(self.concepts), dtype=np.float32)
        for category, cell in zip(self._columns, row.cells, strict=True):
            for entry in _entries(cell):
                if _is_number(entry):
                    shares[self._place[int(entry)]] = 1
                else:
                    places, parts = self._map(entry, row, category)
                    np.maximum.at(shares, places, parts)
        present = np.flatnonzero(shares)
        return Annotation(
            concepts=present.astype(np.int32),
            shares=shares[present],
            annotated=tuple(g for g, cell in enumerate(row.cells) if cell),
            train=row.train,
        )

    def _map(
        self, entry: str, row: _Row, category: str
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Returns the indices of the concepts on one map, and the share of each."""
        path = self.root / "images" / entry
        try:
            pixels = np.asarray(read_file(path).image())
        except UnreadableImageError as error:
            raise DataError(
                f"{path}: {error}; it is the {category} map of {row.image} "
                f"({self._index.path.name} line {row.line})"
            ) from error
        numbers = pixels[..., 0].astype(np.int64) + 256 * pixels[..., 1].astype(np.int64)
        counts = np.bincount(numbers.ravel())
        found = np.flatnonzero(counts)
        found = found[found > 0]
        self._refuse_unknown(found, f"{path}: a pixel has")
        return self._place[found], (counts[found] / np.float32(numbers.size)).astype(np.float32)

    def _refuse_unknown(self, numbers: NDArray[np.int64], where: str) -> None:
        known = numbers < self._place.size
        known[known] = self._place[numbers[known]] >= 0
        if not known.all():
            strange = int(numbers[~known][0])
            raise DataError(
                f"{where} label number {strange}, which is not in label.csv "
                f"(its numbers end at {self._place.size - 1})"
            )

    def _read_index(self) -> list[_Row]:
        if not self._columns:
            raise DataError(f"{self._index.path}: there is no column of a category")
        header = self._index.header
        image, split = header.index("image"), header.index("split")
        places = [header.index(name) for name in self._columns]
        rows = []
        for line, cells in self._index.rows:
            where = f"{self._index.path} line {line}"
            if cells[split] not in ("train", "val"):
                raise DataError(f"{where}: split is {cells[split]!r}; it must be train or val")
            row = _Row(line, cells[image], cells[split] == "train", tuple(cells[p] for p in places))
            self._check(row, where)
            rows.append(row)
        return rows

    def _check(self, row: _Row, where: str) -> None:
        if not inside(row.image):
            raise DataError(f"{where}: image {row.image!r} is no path below images/")
        for category, cell in zip(self._columns, row.cells, strict=True):
            for entry in _entries(cell):
                if _is_number(entry):
                    number = np.array([int(entry)])
                    self._refuse_unknown(number, f"{where}, column {category}: there is")
                elif not entry.lower().endswith(".png") or not inside(entry):
                    raise DataError(
                        f"{where}, column {category}: {entry!r} is neither a label number nor a "
                        "png below images/"
                    )

    def _refuse_doubles(self) -> None:
        for one, other in pairwise(self._rows):
            if one.image == other.image:
                raise DataError(
                    f"{self._index.path}: {one.image} is on lines {one.line} and {other.line}"
                )


def _joined(stamp: Stamp, maps: list[Stamp]) -> Stamp:
    parts = [str(stamp.changed), *(f"{one.size} {one.changed}" for one in maps)]
    return Stamp(stamp.size, ", ".join(parts))


def _entries(cell: str) -> list[str]:
    return [entry for part in cell.split(";") if (entry := part.strip())]


def _is_number(entry: str) -> bool:
    return entry.isdecimal() and len(entry) < 10


def _read_labels(
    table: CsvTable, columns: list[str]
) -> tuple[NDArray[np.int64], tuple[Concept, ...]]:
    """Returns the label numbers and the concept of each; skips the row for 0, which means none."""
    number, name, category = (table.column(n) for n in ("number", "name", "category"))
    numbers: dict[int, None] = {}
    known = frozenset(columns)
    concepts: list[Concept] = []
    for line, cells in table.rows:
        where = f"{table.path} line {line}"
        if not _is_number(cells[number]) or int(cells[number]) > 0xFFFF:
            raise DataError(f"{where}: number {cells[number]!r} is not between 0 and 65535")
        if int(cells[number]) == 0:
            continue
        if int(cells[number]) in numbers:
            raise DataError(f"{where}: label number {cells[number]} is there twice")
        numbers[int(cells[number])] = None
        concepts.append(Concept(cells[name], _main_category(cells[category], known, where)))
    return np.array(list(numbers), dtype=np.int64), tuple(concepts)


def _main_category(text: str, columns: frozenset[str], where: str) -> str:
    """Returns the category with most images in a list such as `material(36);object(3)`."""
    best, most = "", -1
    for entry in _entries(text):
        found = _CATEGORY.fullmatch(entry)
        if found is None or found["name"] not in columns:
            raise DataError(
                f"{where}: category {entry!r} is none of index.csv: "
                f"{', '.join(sorted(columns)[:_SHOWN])}"
            )
        count = int(found["count"] or 0)
        if count > most:
            best, most = found["name"], count
    if not best:
        raise DataError(f"{where}: the category is empty")
    return best


SOURCE = DataSource(concept_forms=("broden:DIR",), concepts=Broden, is_path=True)
