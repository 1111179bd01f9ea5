"""Data sets that torchvision reads from existing files; nothing is downloaded."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tuiprobe.datasets.content import Content, StoredImages
from tuiprobe.datasets.python_images import classes_of, labels_of
from tuiprobe.datasets.registry import DataSource
from tuiprobe.datasets.sample import Sample, Stamp, UnreadableImageError
from tuiprobe.errors import DataError, UsageError

FORM = "torchvision:NAME:FOLDER[:SPLIT]"

_DIGITS = 7


READERS: dict[str, tuple[str, ...]] = {
    "CIFAR10": ("test", "train"),
    "CIFAR100": ("test", "train"),
    "Caltech101": (),
    "Caltech256": (),
    "Country211": ("test", "valid", "train"),
    "DTD": ("test", "val", "train"),
    "EuroSAT": (),
    "FGVCAircraft": ("test", "val", "train", "trainval"),
    "FashionMNIST": ("test", "train"),
    "Flowers102": ("test", "val", "train"),
    "Food101": ("test", "train"),
    "GTSRB": ("test", "train"),
    "Imagenette": ("val", "train"),
    "KMNIST": ("test", "train"),
    "MNIST": ("test", "train"),
    "OxfordIIITPet": ("test", "trainval"),
    "RenderedSST2": ("test", "val", "train"),
    "STL10": ("test", "train"),
    "SUN397": (),
    "SVHN": ("test", "train", "extra"),
    "StanfordCars": ("test", "train"),
    "USPS": ("test", "train"),
}
"""Classification sets with their splits, of which the first is the default."""

_TRAIN_OR_TEST = frozenset(("CIFAR10", "CIFAR100", "FashionMNIST", "KMNIST", "MNIST", "USPS"))
"""Sets that take `train=True` in place of `split="train"`."""


class TorchvisionSet(StoredImages):
    """One split of a data set of `READERS`, all of which list their labels.

    Args:
        text: The part after `torchvision:`, such as `CIFAR10:/data` or `CIFAR10:/data:train`.
        base: Folder that a relative path starts at; None for the working folder.

    Raises:
        UsageError: If name or split do not exist.
        DataError: If the files are missing or damaged.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, text: str, base: Path | None = None) -> None:
        import torchvision.datasets

        name, _, rest = text.partition(":")
        folder, _, split = rest.partition(":")
        splits = READERS.get(name)
        if splits is None:
            raise UsageError(f"torchvision:{name} is not known; there are {', '.join(READERS)}")
        if not folder:
            raise UsageError(f"torchvision:{text} names no folder; write {FORM}")
        if split and split not in splits:
            known = ", ".join(splits) or "none to choose from"
            raise UsageError(f"torchvision:{text}: splits of {name} are {known}")
        split = split or next(iter(splits), "")
        root = ((base or Path.cwd()) / Path(folder).expanduser()).absolute()
        self.source = f"torchvision:{name}:{root}" + (f":{split}" if split else "")
        self.name = f"{name.lower()}-{split}" if split else name.lower()
        self._split = split or "all"
        arguments: dict[str, Any] = {"split": split} if split else {}
        if name in _TRAIN_OR_TEST:
            arguments = {"train": split == "train"}
        try:
            self._rows: Any = getattr(torchvision.datasets, name)(str(root), **arguments)
        except Exception as error:  # each class has its own errors for missing files
            text = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(
                f"torchvision:{name}: {root} does not hold its files ({text}); nothing is "
                "downloaded: fetch them with torchvision first"
            ) from error
        if len(self._rows) == 0:
            raise DataError(f"{self.source} holds no image")
        labels = labels_of(self._rows)
        assert labels is not None, f"{name} lists its labels"
        self._labels = labels

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names by label; numbers if torchvision has no names."""
        count = max(int(label) for label in self._labels) + 1
        return classes_of(self._rows, count) or tuple(str(number) for number in range(count))

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All images in torchvision's order."""
        return tuple(
            Sample(i, f"{self._split}/{i:0{_DIGITS}d}", int(label))
            for i, label in enumerate(self._labels)
        )

    def stamp(self, sample: Sample) -> Stamp:
        """Returns the digest of all pixels if the set is held in memory.

        For other sets the stamp is empty, because torchvision does not say which file a row is
        read from. Then only reading an image shows whether it changed.
        """
        return self._stamp

    @cached_property
    def _stamp(self) -> Stamp:
        pixels = getattr(self._rows, "data", None)
        if pixels is None or not hasattr(pixels, "shape"):
            return Stamp(None, None)
        return Stamp(None, hashlib.sha256(np.asarray(pixels).tobytes()).hexdigest())

    def read(self, sample: Sample) -> Content:
        """Returns one image, as torchvision decodes it, as RGB.

        Raises:
            UnreadableImageError: If it cannot be read or decoded.
        """
        try:
            image = self._rows[sample.id][0].convert("RGB")
        except Exception as error:  # Pillow and torchvision raise many kinds
            raise UnreadableImageError(f"{type(error).__name__}: {error}") from error
        return Content(image, self._stamp)


SOURCE = DataSource(forms=("torchvision:NAME:DIR",), open=TorchvisionSet)
