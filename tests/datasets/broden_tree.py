"""A small Broden written by hand in the layout of the real one: JPEG pictures, PNG maps."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

INDEX = ("image", "split", "ih", "iw", "sh", "sw", "color", "object", "part", "material",
         "scene", "texture")  # fmt: skip
LABELS = (
    (1, "black-c", "color(3)"),
    (4, "red-c", "color(2)"),
    (12, "cat", "object(2)"),
    (21, "fabric", "material(36);object(3)"),
    (40, "ear", "part(1)"),
    (41, "eye", "part(1)"),
    (300, "street-s", "scene(1)"),
    (301, "attic-s", "scene(1)"),
    (700, "dotted", "texture(1)"),
)


def write_map(path: Path, numbers: np.ndarray) -> None:
    """Writes label numbers [h, w] as red + 256 x green."""
    pixels = np.zeros((*numbers.shape, 3), dtype=np.uint8)
    pixels[..., 0], pixels[..., 1] = numbers % 256, numbers // 256
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_picture(path: Path, color: tuple[int, int, int], size: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), color).save(path, quality=95)


def write_table(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_labels(root: Path, labels: tuple = LABELS) -> None:
    header = ("number", "name", "category", "frequency", "coverage", "syns")
    write_table(root / "label.csv", header, [(*row, 3, 0.5, "") for row in labels])


def write_index(root: Path, rows: list[tuple]) -> None:
    write_table(root / "index.csv", INDEX, rows)


def write_tree(root: Path) -> Path:
    """Three images: a densely labelled one, a texture, a photo with two maps of parts."""
    images = root / "images"
    for name in ("ade20k/ADE_1.jpg", "dtd/dotted_1.jpg", "pascal/2008.jpg"):
        write_picture(images / name, (200, 30, 30))
    color = np.full((8, 8), 4)
    color[:2] = 1
    write_map(images / "ade20k/ADE_1_color.png", color)
    things = np.zeros((8, 8), dtype=int)
    things[:4, :4] = 12
    things[7, 7] = 21  # a material's label in the map of objects
    write_map(images / "ade20k/ADE_1_object.png", things)
    write_map(images / "dtd/dotted_1_color.png", np.full((8, 8), 1))
    ears, eyes = np.zeros((8, 8), dtype=int), np.zeros((8, 8), dtype=int)
    ears[0, :2], eyes[1, 0], eyes[0, 0] = 40, 41, 40
    write_map(images / "pascal/2008_part_1.png", ears)
    write_map(images / "pascal/2008_part_2.png", eyes)
    size = (16, 16, 8, 8)
    write_index(root, [
        ("pascal/2008.jpg", "val", *size, "", "",
         "pascal/2008_part_1.png;pascal/2008_part_2.png", "", "", ""),
        ("ade20k/ADE_1.jpg", "train", *size, "ade20k/ADE_1_color.png", "ade20k/ADE_1_object.png",
         "", "", "300;301", ""),
        ("dtd/dotted_1.jpg", "train", *size, "dtd/dotted_1_color.png", "", "", "", "", "700"),
    ])  # fmt: skip
    write_labels(root)
    return root
