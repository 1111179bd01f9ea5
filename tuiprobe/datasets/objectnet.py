"""ObjectNet in its published layout: `images/<folder>/*.png` and `mappings/`."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuiprobe.datasets.imagefolder import ImageFolder
from tuiprobe.datasets.registry import DataSource
from tuiprobe.datasets.sample import Content, ImageFiles, Sample
from tuiprobe.errors import DataError, UnreadableImageError
from tuiprobe.files import parse_json, read_regular
from tuiprobe.plaintext import text_of

if TYPE_CHECKING:
    from PIL.Image import Image

BORDER = 2
"""Pixels of the red frame that are cropped on each side, as the authors require."""

IMAGENET_CLASSES = 1000

FOLDERS = "folder_to_objectnet_label.json"
TO_IMAGENET = "objectnet_to_imagenet_1k.json"
IMAGENET_NAMES = "imagenet_to_label_2012_v2"
TORCH_ORDER = "pytorch_to_imagenet_2012_id.json"


class ObjectNet(ImageFiles):
    """The images of the 113 classes that ObjectNet shares with ImageNet.

    `classes` are the names of ObjectNet in the byte order of its folders. Its `mappings/` files say
    which ImageNet classes correspond to each.

    Args:
        root: The folder with `images` and `mappings`, or its parent
            (`objectnet-1.0`).

    Raises:
        DataError: If either is missing or the mappings are inconsistent; names file and key.
    """

    name: str = "objectnet"

    def __init__(self, root: str | Path) -> None:
        root = _inner(Path(root).expanduser().absolute())
        self.folder, self.source = root / "images", f"objectnet:{root}"
        self._images = ImageFolder(self.folder)
        folder = next(
            (f for f in (root / "mappings", root, root.parent) if (f / TO_IMAGENET).is_file()), None
        )
        if folder is None:
            raise DataError(
                f"objectnet: {root / 'mappings' / TO_IMAGENET} is missing; the folder mappings/ of "
                "the download maps classes of ImageNet to those of ObjectNet"
            )
        names, imagenet = _read_mappings(folder)
        present = [name for name in self._images.classes if name in imagenet]
        if not present:
            raise DataError(
                f"objectnet: no folder in {self.folder} is one of the {len(imagenet)} that "
                f"{TO_IMAGENET} names"
            )
        self._labels = {name: label for label, name in enumerate(present)}
        self.classes = tuple(names[name] for name in present)
        answers = [-1] * IMAGENET_CLASSES
        for index, name in reversed(list(enumerate(present))):  # the first one wins
            for label in imagenet[name]:
                answers[label] = index
        self.imagenet = tuple(answers)
        self._missing = len(imagenet) - len(present)

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """The images of the shared classes, in byte order of their paths below `images`."""
        labelled = (
            (s.path, self._labels.get(s.path.partition("/")[0])) for s in self._images.samples
        )
        shared = ((path, label) for path, label in labelled if label is not None)
        return tuple(Sample(i, path, label) for i, (path, label) in enumerate(shared))

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on how the folders were read."""
        notes = list(self._images.notes)
        unshared = len(self._images.classes) - len(self.classes)
        if unshared:
            notes.append(f"{unshared} folders of classes that ImageNet lacks are left out")
        if self._missing:
            notes.append(f"{self._missing} folders that share a class with ImageNet are missing")
        return tuple(notes)

    def read(self, sample: Sample) -> Content:
        """Reads the file of a sample, whose frame is cropped when it is decoded."""
        content = super().read(sample)
        return replace(content, decode=lambda data: _without_frame(content.decode(data)))


def _without_frame(image: Image) -> Image:
    width, height = image.size
    if min(width, height) <= 2 * BORDER:
        raise UnreadableImageError(f"{width} x {height} pixels: nothing but frame")
    return image.crop((BORDER, BORDER, width - BORDER, height - BORDER))


def _inner(root: Path) -> Path:
    if (root / "images").is_dir():
        return root
    for path in sorted(root.glob("objectnet-1.0*")) if root.is_dir() else ():
        if (path / "images").is_dir():
            return path
    raise DataError(f"objectnet: {root} has no folder images/; give the folder objectnet-1.0")


def _read_mappings(folder: Path) -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    """Returns ObjectNet's name of each folder, and the ImageNet labels of those that have any."""
    names = _read_json(folder / FOLDERS)
    folders = {name: folder_name for folder_name, name in names.items()}
    label_of = _imagenet_labels(folder)
    imagenet = {}
    for name, joined in _read_json(folder / TO_IMAGENET).items():
        if name not in folders:
            raise DataError(f"{folder / TO_IMAGENET}: {name!r} is not in {FOLDERS}")
        labels = [label_of.get(part) for part in joined.split("; ")]
        known = tuple(label for label in labels if label is not None)
        if len(known) < len(labels):
            raise DataError(
                f"{folder / TO_IMAGENET}: {name!r} names {joined!r}, not all of which are in "
                f"{IMAGENET_NAMES}"
            )
        imagenet[folders[name]] = known
    return names, imagenet


def _imagenet_labels(folder: Path) -> dict[str, int]:
    """Returns the ImageNet label of each of ImageNet's names, in the usual label order."""
    path = folder / IMAGENET_NAMES
    lines = [line.strip() for line in _read(path).splitlines()]
    labels: dict[str, int] = {}
    for label, line in _read_json(folder / TORCH_ORDER, int).items():
        if not label.isdecimal() or int(label) >= IMAGENET_CLASSES or not 0 <= line < len(lines):
            raise DataError(f"{folder / TORCH_ORDER}: {label!r}: {line} is no line of {path}")
        labels[lines[line]] = int(label)
    return labels


def _read_json(path: Path, kind: type = str) -> dict[str, Any]:
    try:
        content = parse_json(_read(path))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(v, kind) for v in content.values()):
        raise DataError(f"{path} does not map names to {kind.__name__}")
    return content


def _read(path: Path) -> str:
    try:
        return text_of(read_regular(path))
    except (OSError, ValueError, DataError) as error:
        raise DataError(f"objectnet: cannot read {path}: {error}") from error


SOURCE = DataSource(forms=("objectnet:DIR",), open=lambda root, _: ObjectNet(root), is_path=True)
