"""Data sets that torchvision reads from existing files; nothing is downloaded."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tuiprobe.datasets.python_images import PythonImages
from tuiprobe.datasets.registry import DataSource
from tuiprobe.datasets.sample import Content, Sample, Stamp
from tuiprobe.errors import DataError, UsageError

FORM = "torchvision:NAME:FOLDER[:SPLIT]"

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


class TorchvisionSet(PythonImages):
    """One split of a data set of `READERS`, all of which list their labels.

    Args:
        text: The part after `torchvision:`, for example `CIFAR10:/data` or `CIFAR10:/data:train`.
        base: Folder that a relative path starts at; None for the working folder.

    Raises:
        UsageError: If name or split do not exist.
        DataError: If the files are missing or damaged.
    """

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
        arguments: dict[str, Any] = {"split": split} if split else {}
        if name in _TRAIN_OR_TEST:
            arguments = {"train": split == "train"}
        try:
            rows = getattr(torchvision.datasets, name)(str(root), **arguments)
        except Exception as error:  # each class raises other errors for missing files
            text = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(
                f"torchvision:{name}: {root} does not hold its files ({text}); nothing is "
                "downloaded: fetch them with torchvision first"
            ) from error
        source = ":".join(filter(None, ("torchvision", name, str(root), split)))
        name = "-".join(filter(None, (name.lower(), split)))
        super().__init__(rows, name, source=source, prefix=f"{split or 'all'}/")

    def stamp(self, sample: Sample) -> Stamp:
        """Returns the digest of all pixels if the set is held in memory.

        For other sets the stamp is empty, because torchvision does not say which file a row is
        read from. Then only reading an image shows whether it changed.
        """
        return self._stamp

    @cached_property
    def _stamp(self) -> Stamp:
        pixels = getattr(self.items, "data", None)
        if pixels is None or not hasattr(pixels, "shape"):
            return Stamp(None, None)
        return Stamp(None, hashlib.sha256(np.asarray(pixels).tobytes()).hexdigest())

    def read(self, sample: Sample) -> Content:
        """Returns one image, as torchvision decodes it; errors as for other images of Python."""
        return replace(super().read(sample), stamp=self._stamp)


SOURCE = DataSource(forms=("torchvision:NAME:DIR",), open=TorchvisionSet)
