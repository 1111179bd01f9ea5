"""The miniature as a source of data, and written as ordinary files.

The source has labelled sets, a concept set and a baseline. Concepts are of Broden's six categories,
with exact pixel masks. Colour, object, part and material come as masks at half the image size;
scene and texture are labels of the entire image, as in Broden. Masks are read from the map the
image was painted from.

`export` writes `DIR/imagefolder/<set>/<class>/<number>.png` and `DIR/webdataset/<set>-<shard>.tar`
(png, cls, txt), so that the readers of real data can be tried. Everything is written next to DIR
first and renamed at the end.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuiprobe.catalog.accuracies import ModelAccuracies
from tuiprobe.catalog.effective_robustness import ShiftFamily
from tuiprobe.datasets.concepts import Annotation, Concept
from tuiprobe.datasets.dataset import Suite
from tuiprobe.datasets.layout import hash_ids
from tuiprobe.datasets.registry import DataSource
from tuiprobe.datasets.sample import Content, Sample, Stamp
from tuiprobe.errors import UsageError
from tuiprobe.miniature import weights, world
from tuiprobe.miniature.captions import TEMPLATES
from tuiprobe.miniature.objects import CLASS_NAMES, PART_NAMES, ObjectPart
from tuiprobe.miniature.palette import COLOR_NAMES, MATERIALS, SCENES, TEXTURES
from tuiprobe.miniature.raster import draw_map
from tuiprobe.miniature.scene import PROFILES, SHIFTS, Scene, SceneFigure

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

    Scene and texture hold for all of the image: 1 or 0. Column k belongs to `CONCEPTS[k]`.
    """
    shares = np.zeros((len(indices), len(CONCEPTS) + 1), dtype=np.float32)
    for row, index in enumerate(indices):
        scene = world.scene("concepts", index)
        for mask in masks(scene).values():
            counts = np.bincount(mask.ravel(), minlength=shares.shape[1])
            shares[row] += counts / np.float32(mask.size)
        shares[row, list(image_labels(scene).values())] = 1
    return shares[:, 1:]


BASELINE = "baseline.csv"
BASELINE_COLUMNS = ("model", "seed", "images", "steps", "val", *SHIFTS)


def baseline_rows() -> list[ModelAccuracies]:
    """Returns the shipped accuracies of the supervised runs."""
    lines = (weights.FOLDER / BASELINE).read_text(encoding="utf-8").splitlines()
    return [
        ModelAccuracies(
            table="miniature",
            model=row["model"],
            tag=f"seed {row['seed']}",
            training="supervised",
            baselines=frozenset({"miniature"}),
            imagenet=float(row["val"]),
            shifts={name: float(row[name]) for name in SHIFTS},
        )
        for row in csv.DictReader(lines)
    ]


FAMILY = ShiftFamily("val", SHIFTS, lambda: {"miniature": baseline_rows()})

STAMP = Stamp(None, "miniature, version 1")
"""The stamp of every rendered image; changes with the version of the world."""

NOTE = "rendered miniature world: a demonstration of the pipeline, never evidence about real models"


CONCEPT_SET = "concepts"


class Rendered:
    """Images that are rendered as they are read."""

    name: str
    notes: tuple[str, ...] = (NOTE,)

    def stamp(self, sample: Sample) -> Stamp:
        """Returns a constant, because rendered images never change."""
        return STAMP

    def read(self, sample: Sample) -> Content:
        """Renders a sample, 64 x 64 RGB.

        Raises:
            UsageError: If the sample's id is out of range.
        """
        from PIL import Image

        return Content(Image.fromarray(world.render(self.name, sample.id)), STAMP)


class MiniatureSet(Rendered):
    """One set; ids are in byte order of the exported paths.

    Args:
        name: One of `world.SETS`.

    Raises:
        UsageError: If the set is unknown.
    """

    def __init__(self, name: str) -> None:
        self._size = world.size(name)
        self.name = name
        self.source = f"miniature:{name}"
        self.labelled = PROFILES[name].labelled
        self.classes: tuple[str, ...] = world.CLASS_NAMES if self.labelled else ()

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples, by id."""
        return tuple(
            Sample(
                i, world.path(self.name, i), world.label(self.name, i) if self.labelled else None
            )
            for i in range(self._size)
        )


def image_path(index: int) -> str:
    """Returns the path of a picture of the concept set; byte order is index order."""
    return f"miniature/{index:05d}.png"


class MiniatureConcepts(Rendered):
    """The concept set; images and masks are rendered as they are read.

    Paths, order, concepts and shares are those of the same pictures in Broden's layout.
    """

    name = CONCEPT_SET
    source = "miniature"
    classes: tuple[str, ...] = ()
    categories: tuple[str, ...] = CATEGORIES
    concepts = tuple(Concept(c.name, c.category) for c in CONCEPTS)
    digest = "miniature concepts, version 1"

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples; ids are image numbers."""
        return tuple(Sample(i, image_path(i), None) for i in range(world.size(CONCEPT_SET)))

    def annotation(self, sample: Sample) -> Annotation:
        """Returns the annotation of an image, which covers every category."""
        shares = pixel_shares([sample.id])[0]
        present = np.flatnonzero(shares)
        return Annotation(
            concepts=present.astype(np.int32),
            shares=shares[present],
            annotated=tuple(range(len(self.categories))),
            train=split(sample.id) == "train",
        )


def dataset(name: str) -> MiniatureSet:
    """Returns a set by name.

    >>> dataset("v2").samples[0].path
    'airplane/00000.png'
    """
    return MiniatureSet(name)


def _concepts(rest: str) -> MiniatureConcepts:
    if rest:
        raise UsageError(f"The miniature has one concept set: leave out {rest!r}.")
    return MiniatureConcepts()


def suite(name: str = "") -> Suite:
    """Returns one set by name, or the canonical set and the five shifts, `val` first."""
    if name:
        return Suite(f"miniature-{name}", f"miniature:{name}", {name: dataset(name)})
    names = ("val", *world.SHIFTS)
    return Suite("miniature", "miniature", {name: dataset(name) for name in names})


SOURCE = DataSource(
    forms=("miniature", "miniature:SET"),
    open=lambda name, _: dataset(name),
    suite=suite,
    concept_forms=("miniature",),
    concepts=_concepts,
    family=FAMILY,
)


LAYOUTS = ("imagefolder", "webdataset")
DEFAULT_SETS = ("val", *world.SHIFTS)
_SHARD = 1000


def export(
    directory: Path | str,
    *,
    sets: Sequence[str] = DEFAULT_SETS,
    layouts: Sequence[str] = LAYOUTS,
    images: int | None = None,
    progress: Callable[[str, int], None] = lambda part, images: None,
) -> Path:
    """Writes sets as files and returns the directory.

    Args:
        directory: Output directory; must not exist, or be empty.
        sets: Sets to write.
        layouts: Some of `LAYOUTS`.
        images: Most images per set, evenly spread over it; all by default.
        progress: Called with the name of each part that is written, and its images.

    Raises:
        UsageError: If a set or layout is unknown, or the directory is not empty or not writable.
    """
    target = Path(directory)
    for name in sets:
        world.size(name)
    for layout in layouts:
        if layout not in LAYOUTS:
            raise UsageError(f"Unknown layout {layout!r}; there are {', '.join(LAYOUTS)}.")
    if images is not None and images < 1:
        raise UsageError(f"Cannot export {images} images a set; give 1 or more.")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target} is not a new or empty directory; name another one.")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        for layout, write in (("imagefolder", _folders), ("webdataset", _shards)):
            if layout in layouts:
                for name in sets:
                    numbers = _numbers_of(name, images)
                    write(part / layout, name, numbers)
                    progress(f"{layout} {name}", len(numbers))
                (part / layout / "classes.txt").write_text(_lines(world.CLASS_NAMES))
                (part / layout / "templates.txt").write_text(_lines(TEMPLATES))
        # Replaces an empty directory; fails if it was filled in the meantime.
        part.replace(target)
    except OSError as error:
        raise UsageError(f"Cannot export to {target}: {error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _numbers_of(name: str, images: int | None) -> list[int]:
    """Returns the image numbers of a set, or `images` of them evenly spread."""
    total = world.size(name)
    count = total if images is None else min(images, total)
    return [i * total // count for i in range(count)]


def _lines(items: Sequence[str]) -> str:
    return "".join(f"{item}\n" for item in items)


def _png(name: str, index: int) -> bytes:
    """Returns an image as PNG; decoding gives exactly the pixels of `world.render`."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(world.render(name, index)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _folders(root: Path, name: str, numbers: list[int]) -> None:
    for index in numbers:
        path = root / name / world.path(name, index)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_png(name, index))


def _shards(root: Path, name: str, numbers: list[int]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(numbers), _SHARD):
        with tarfile.open(root / f"{name}-{start // _SHARD:06d}.tar", "w") as tar:
            for index in numbers[start : start + _SHARD]:
                _add(tar, f"{index:05d}.png", _png(name, index))
                _add(tar, f"{index:05d}.cls", str(world.label(name, index)).encode())
                _add(tar, f"{index:05d}.txt", world.caption(name, index).encode())


def _add(tar: tarfile.TarFile, member: str, content: bytes) -> None:
    info = tarfile.TarInfo(member)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
