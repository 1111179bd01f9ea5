"""Writes the concept set of the miniature in the layout of the Broden data set, for tests.

`index.csv`, `label.csv`, `category.csv`, `c_<category>.csv`, and `images/` with pictures and maps;
the label of a map pixel is red + 256 x green, 0 for none; maps are half the size of the picture.
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tuiprobe.miniature import data, world
from tuiprobe.miniature.data import CATEGORIES, image_path

if TYPE_CHECKING:
    from PIL.Image import Image

_FOLDER = "miniature"


def write_broden(root: Path, numbers: list[int]) -> None:
    """Writes images, maps and tables of the given images of the set `concepts`.

    A map without labels is written too; it means that the image shows nothing of its category.
    """
    from PIL import Image as Pictures

    folder = root / "images" / _FOLDER
    folder.mkdir(parents=True)
    rows = []
    for index in numbers:
        pixels = world.render("concepts", index)
        Pictures.fromarray(pixels).save(root / "images" / image_path(index), compress_level=1)
        scene = world.scene("concepts", index)
        cells = {k: str(v) for k, v in data.image_labels(scene).items()}
        for category, mask in data.masks(scene).items():
            cells[category] = f"{_FOLDER}/{index:05d}_{category}.png"
            _map(mask).save(root / "images" / cells[category], compress_level=1)
        head = [image_path(index), data.split(index)]
        side = data.MASK_SIZE
        rows.append([*head, *pixels.shape[:2], side, side, *(cells[name] for name in CATEGORIES)])
    _table(root / "index.csv", ("image", "split", "ih", "iw", "sh", "sw", *CATEGORIES), rows)
    _write_tables(root, data.pixel_shares(numbers))


def _map(mask: NDArray[np.uint16]) -> "Image":
    from PIL import Image as Pictures

    pixels = np.zeros((*mask.shape, 3), dtype=np.uint8)
    pixels[..., 0] = mask % 256
    pixels[..., 1] = mask // 256
    return Pictures.fromarray(pixels)


def _write_tables(root: Path, shares: NDArray[np.float32]) -> None:
    frequency = (shares > 0).sum(axis=0)
    coverage = shares.mean(axis=0)
    labels, categories = [], []
    for category in CATEGORIES:
        own = [c for c in data.CONCEPTS if c.category == category]
        seen = [int(frequency[c.number - 1]) for c in own]
        categories.append([category, own[0].number, own[-1].number, len(own), sum(seen)])
        coded = []
        for code, (concept, count) in enumerate(zip(own, seen, strict=True), start=1):
            cover = f"{coverage[concept.number - 1]:.6f}"
            kind = f"{category}({count})"
            labels.append([concept.number, concept.name, kind, count, cover, ""])
            coded.append([code, concept.number, concept.name, count, cover])
        header = ("code", "number", "name", "frequency", "coverage")
        _table(root / f"c_{category}.csv", header, coded)
    labels.sort(key=lambda row: int(str(row[0])))
    columns = ("number", "name", "category", "frequency", "coverage", "syns")
    _table(root / "label.csv", columns, labels)
    _table(root / "category.csv", ("name", "first", "last", "count", "frequency"), categories)


def _table(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
