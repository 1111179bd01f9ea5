"""Concept labels of the miniature: Broden's six categories, with exact pixel masks.

Colour, object, part and material come as masks at half the image size; scene and texture are
labels of the whole image, as in Broden. Masks are read from the map the image was painted from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.layout import hash_ids
from tuiprobe.miniature import world
from tuiprobe.miniature.objects import CLASS_NAMES, PART_NAMES, ObjectPart
from tuiprobe.miniature.palette import COLOR_NAMES, MATERIALS, SCENES, TEXTURES
from tuiprobe.miniature.raster import draw_map
from tuiprobe.miniature.scene import Scene, SceneFigure

PIXEL_CATEGORIES = ("color", "object", "part", "material")
IMAGE_CATEGORIES = ("scene", "texture")
CATEGORIES = (*PIXEL_CATEGORIES, *IMAGE_CATEGORIES)
MASK_SIZE = 32


@dataclass(frozen=True)
class NumberedConcept:
    """One concept; `number` starts at 1, because 0 means none in a mask."""

    number: int
    name: str
    category: str


_NAMES = {
    # Broden's suffixes distinguish the colour orange and the scene sky from objects.
    "color": [f"{name}-c" for name in COLOR_NAMES],
    "object": CLASS_NAMES,
    "part": PART_NAMES,
    "material": MATERIALS,
    "scene": [f"{name}-s" for name in SCENES],
    "texture": TEXTURES,
}
CONCEPTS: tuple[NumberedConcept, ...] = tuple(
    NumberedConcept(number, name, category)
    for number, (category, name) in enumerate(
        ((category, name) for category in CATEGORIES for name in _NAMES[category]), start=1
    )
)
_NUMBER = {(concept.category, concept.name): concept.number for concept in CONCEPTS}


def split(index: int) -> str:
    """Returns `train` or `val`, half of the images each, by a fixed hash of the number.

    An object is in about 120 of the 4,000 images, and a concept needs 30 in each split.
    """
    hashed = hash_ids(np.array([index], dtype=np.int64), 0)[0]
    return "train" if hashed % np.uint64(2) == 0 else "val"


def image_labels(scene: Scene) -> dict[str, int]:
    """Returns the numbers of the scene and of the texture of the main object."""
    return {
        "scene": _NUMBER["scene", f"{scene.scene}-s"],
        "texture": _NUMBER["texture", scene.figures[0].texture],
    }


def masks(scene: Scene) -> dict[str, NDArray[np.uint16]]:
    """Returns a mask of concept numbers `[32, 32]` for colour, object, part and material."""
    canvas = draw_map(scene)
    step = len(canvas.ids) // MASK_SIZE
    ids = canvas.ids[step // 2 :: step, step // 2 :: step]
    result = {}
    for category in PIXEL_CATEGORIES:
        numbers = [
            0 if figure is None or part is None else _number(category, figure, part)
            for figure, part in canvas.parts
        ]
        result[category] = np.array(numbers, dtype=np.uint16)[ids]
    return result


def _number(category: str, figure: SceneFigure, part: ObjectPart) -> int:
    if category == "object":
        return _NUMBER["object", CLASS_NAMES[figure.label]]
    if category == "part":
        return _NUMBER["part", part.name]
    if category == "material":
        return _NUMBER["material", figure.material] if part.role in ("main", "shaded") else 0
    chosen = {"main": figure.color, "shaded": figure.color, "accent": figure.accent}
    # Other roles are colour names, except glass, which counts as no colour.
    return _NUMBER.get(("color", f"{chosen.get(part.role, part.role)}-c"), 0)


def pixel_shares(indices: Sequence[int]) -> NDArray[np.float32]:
    """Returns the share of each image that shows each concept, float32 `[images, concepts]`.

    Scene and texture hold for the whole image: 1 or 0. Column k belongs to `CONCEPTS[k]`.
    """
    shares = np.zeros((len(indices), len(CONCEPTS) + 1), dtype=np.float32)
    for row, index in enumerate(indices):
        scene = world.scene("concepts", index)
        for mask in masks(scene).values():
            counts = np.bincount(mask.ravel(), minlength=shares.shape[1])
            shares[row] += counts / np.float32(mask.size)
        shares[row, list(image_labels(scene).values())] = 1
    return shares[:, 1:]
