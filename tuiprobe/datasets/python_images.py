"""Images that Python code holds: a torch Dataset, a list, or anything that yields pairs."""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    Subset,
    default_collate,
    default_convert,
)

from tuiprobe.datasets.dataset import Dataset
from tuiprobe.datasets.decode import rgb
from tuiprobe.datasets.hugging_face import HuggingFaceSet
from tuiprobe.datasets.sample import Content, Sample, Stamp, read_file, stamp_file
from tuiprobe.errors import DataError, TuiprobeError, UnreadableImageError, UsageError
from tuiprobe.plugins import in_code, in_words

_DIGITS = 7

_TRIED = 32
"""First images of which one must be readable."""

_UNREAD = object()
"""Stands for the label of an image that cannot be read."""

NO_LABEL = -1
"""Stands for what is neither the number nor the name of a class."""

_LABELS = ("targets", "labels", "_labels", "y")
_IMAGE_KEYS = ("image", "img", "images", "pixel_values", "jpg", "jpeg", "png", "path", "file_name")
_LABEL_KEYS = ("label", "labels", "class", "cls", "target", "y")
_PAIRS = ("_samples", "samples", "imgs")
_CLASSES = ("classes", "categories")

_IMAGES = (
    "give pairs of an image and a label, where an image is a PIL image, the path of a file, an "
    "array [H, W, 3] of uint8, or a tensor [3, H, W]: uint8 pixels, or preprocessed floats"
)


class PythonImages:
    """Images and labels that an object gives by number.

    What can only be iterated is read once and stays in memory. An image that comes without
    a label, or with None, has none.

    Args:
        data: Has `len` and gives `(image, label)` by number, as a torch Dataset does, or yields
            these pairs; a dict with `image` and `label` is one too. Of a `DataLoader` the images of
            its Dataset count that it draws. Or images and labels as two arrays.
        name: Name of the set; None for that of the class.
        labelled: Whether labels are read; a target set has none.
        source: Name of the set on the command line.
        prefix: What the paths of its images begin with.

    Attributes:
        items: What was given, by number.
        rows: Names of the model's outputs, which number the labels where the data name no class.

    Raises:
        UsageError: If it is none of these, or its first image is no image.
        DataError: If it is empty, or draws at random.
    """

    def __init__(
        self,
        data: object,
        name: str | None = None,
        *,
        labelled: bool = True,
        source: str | None = None,
        prefix: str = "",
    ) -> None:
        self.rows: tuple[str, ...] = ()
        self.name = name or name_of(data)
        self.source = source or f"py:{self.name}"
        collate = getattr(data, "collate_fn", default_collate)
        self._remarks: list[str] = []
        if isinstance(data, DataLoader) and collate not in (default_collate, default_convert):
            self._remarks.append("not used: collate_fn of the DataLoader")
        self.items: Any = _numbered(data)
        self._labelled, self._prefix = labelled, prefix
        if len(self.items) == 0:
            raise DataError(f"{self.source} holds no image")
        index, first = self._first_readable()
        if first.digest() != self._read(index)[0].digest():
            raise DataError(
                f"{self._nth(index)} differs each time it is read, because its transform is "
                "random: give the data with the transform for validation"
            )
        self._of_files = isinstance(self._item(index)[0], str | os.PathLike)
        self.tensor_size = None if first.prepared is None else tuple(first.prepared.shape[1:])

    def _first_readable(self) -> tuple[int, Content]:
        """Returns the first image that can be read, and its index.

        Raises:
            UsageError: If it is no image.
            DataError: If none of the first can be read; says why the first of all cannot.
        """
        failure: TuiprobeError | None = None
        for index in range(min(len(self.items), _TRIED)):
            try:
                return index, self._read(index)[0]
            except (UnreadableImageError, UsageError) as error:
                failure = failure or error
        assert failure is not None, "there is an image"
        raise failure

    @cached_property
    def _labels(self) -> list[int | str | None] | None:
        """The label of each image, a number or a name.

        Where it comes with an image that cannot be read, it is None.
        """
        if not self._labelled:
            return None
        found = self._found_labels()
        read = [i for i, label in enumerate(found) if label is not _UNREAD]
        labels: list[int | str | None] = [None] * len(found)
        for i in read:
            labels[i] = _label(found[i])
        without = [i for i in read if labels[i] is None]
        if len(without) == len(read):
            return None
        if without:
            index = without[0]
            raise DataError(
                f"{self._nth(index)} has no label and others have: give all of them labels, or none"
            )
        if NO_LABEL in labels:
            index = labels.index(NO_LABEL)
            raise DataError(
                f"{self._nth(index)} has the label {_described(found[index])}: give the number of "
                "its class, from 0, or its name"
            )
        return labels

    def _found_labels(self) -> list[Any]:
        """Returns the labels that the data list, or those of all images; each is then read once."""
        found, last = labels_of(self.items), len(self.items) - 1
        if found is not None and all(
            _label(found[i]) == _label(self._label_at(i, found[i])) for i in (0, last)
        ):
            return found
        return [self._label_at(i, _UNREAD) for i in range(last + 1)]

    def _label_at(self, index: int, otherwise: Any) -> Any:
        """Returns the label of an image; `otherwise` if the image cannot be read."""
        try:
            image, label = self._item(index)
            return otherwise if image is None else label
        except UnreadableImageError:
            return otherwise

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names by label: of the data, else of the model's outputs, else numbers."""
        if self._labels is None:
            return ()
        labels = [label for label in self._labels if label is not None]
        numbers = [label for label in labels if isinstance(label, int)]
        if len(numbers) < len(labels):
            if numbers:
                raise DataError(f"{self.source} has names and numbers as labels: give one of them")
            return tuple(sorted(set(map(str, labels)), key=os.fsencode))
        count = max(numbers) + 1
        if names := classes_of(self.items, count):
            return names
        if 0 < len(self.rows) < count:
            raise DataError(
                f"{self._nth(self._labels.index(count - 1))} has the label {count - 1}, and the "
                f"model {len(self.rows)} outputs, numbered from 0: give the numbers of its outputs"
            )
        return self.rows or tuple(map(str, range(count)))

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All images, by number."""
        number_of = {name: label for label, name in enumerate(self.classes)}
        labels: Sequence[int | str | None] = self._labels or [None] * len(self.items)
        samples = []
        for i, label in enumerate(labels):
            file = self._file(i)
            path = f"{self._prefix}{i:0{_DIGITS}d}"
            path += f"/{Path(file).name}" if file is not None else ""
            samples.append(Sample(i, path, number_of[label] if isinstance(label, str) else label))
        return tuple(samples)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on what is not used, and that tensors are not preprocessed."""
        if self.tensor_size is None:
            return tuple(self._remarks)
        height, width = self.tensor_size
        return (
            *self._remarks,
            f"{self.source} gives tensors [3, {height}, {width}]: they are taken as preprocessed, "
            "and no other preprocessing is applied to them",
        )

    def stamp(self, sample: Sample) -> Stamp:
        """Returns the stamp of a file; an empty one of others, which only reading can compare."""
        file = self._file(sample.id)
        return Stamp(None, None) if file is None else stamp_file(file)

    def _file(self, index: int) -> str | None:
        """Returns the path that stands for an image."""
        image = self._item(index)[0] if self._of_files else None
        return os.fspath(image) if isinstance(image, str | os.PathLike) else None

    def read(self, sample: Sample) -> Content:
        """Returns one image.

        Raises:
            UnreadableImageError: If it cannot be read or decoded.
            DataError: If its label is not the one that was listed.
        """
        try:
            content, label = self._read(sample.id)
        except UsageError as error:  # what is no image among images
            raise UnreadableImageError(str(error)) from error
        labels = self._labels
        if labels is not None and labels[sample.id] is None:
            raise UnreadableImageError(f"{self._nth(sample.id)}: it failed when labels were read")
        if labels is not None and label != labels[sample.id]:
            raise DataError(
                f"{self._nth(sample.id)} has the label {label}, but the list of labels (targets, "
                f"labels or samples) says {labels[sample.id]}: correct the list, or rename it"
            )
        return content

    def _read(self, index: int) -> tuple[Content, int | str | None]:
        image, label = self._item(index)
        try:
            content = _content(image)
        except Exception as error:  # an opened image may be cut
            raise UnreadableImageError(f"{self._nth(index)}: {in_words(error)}") from error
        if content is None:
            raise UsageError(f"{self._nth(index)} is no image ({_described(image)}): {_IMAGES}")
        return content, _label(label)

    def _item(self, index: int) -> tuple[Any, Any]:
        try:
            return _pair(self.items[index])
        except Exception as error:  # the user's code may raise anything
            raise UnreadableImageError(f"{self._nth(index)}: {in_code(error)}") from error

    def _nth(self, index: int) -> str:
        return f"image {index} of {self.source}"


def python_images(data: object, name: str, labelled: bool = True) -> Dataset:
    """Returns a set of what Python code gave; of Hugging Face's rows their image column counts."""
    library = sys.modules.get("datasets")  # a program that has rows of it has imported it
    if library is not None and isinstance(data, library.Dataset):
        return HuggingFaceSet(data, f"py:{name}", name)
    return PythonImages(data, name, labelled=labelled)


def name_of(data: object) -> str:
    """Returns the name of a data set: that of its class, or `images` of what Python itself has."""
    data = data.dataset if isinstance(data, DataLoader) else data
    while isinstance(data, Subset):
        data = data.dataset
    kind = type(data)
    return "images" if kind.__module__ == "builtins" else kind.__name__


def _numbered(data: object) -> Any:
    """Returns a sequence of the items; reads into memory those that can only be iterated."""
    data = _drawn(data) if isinstance(data, DataLoader) else data
    if isinstance(data, Subset) and len(data) and isinstance(data.indices[0], bool | np.bool_):
        raise UsageError("a Subset takes the numbers of images, not a boolean mask")
    if isinstance(data, tuple | list) and len(data) == 2 and getattr(data[0], "ndim", 0) == 4:
        if len(data[0]) != len(data[1]):
            raise UsageError(f"{len(data[0]):,} images and {len(data[1]):,} labels: give one each")
        return list(zip(*data, strict=True))
    if not isinstance(data, Mapping | Image.Image | bytes):
        by_number = hasattr(data, "__getitem__") and hasattr(data, "__len__")
        if by_number and not isinstance(data, IterableDataset):
            return data
        if isinstance(data, Iterable):
            try:
                return [_content_of(item) for item in data]
            except Exception as error:  # the user's code may raise anything
                raise DataError(f"{name_of(data)} failed: {in_code(error)}") from error
    raise UsageError(
        f"{_described(data)} is no set of images: give a folder, a torch Dataset, or pairs of "
        "image and label"
    )


def _drawn(loader: DataLoader[Any]) -> Any:
    """Returns the Dataset of a loader, or those of its items that the sampler names.

    Raises:
        UsageError: If it draws others each time.
    """
    data: Any = loader.dataset
    if isinstance(data, IterableDataset):
        return data
    batches, most = loader.batch_sampler, 2 * len(data)
    plain_batches = batches is None or type(batches) is BatchSampler  # drop_last loses no image
    sampler: Any = getattr(batches, "sampler", loader.sampler) if plain_batches else None
    numbers: list[set[int]] = []
    try:
        with torch.random.fork_rng(devices=[]):
            for _ in range(2):
                drawn = sampler if sampler is not None else chain.from_iterable(batches or ())
                numbers.append({_index(number) for number in islice(drawn, most)})
    except Exception as error:  # the user's code may raise anything
        raise DataError(f"the sampler of {name_of(loader)} failed: {in_code(error)}") from error
    if numbers[0] != numbers[1]:
        raise UsageError(
            f"the sampler of the DataLoader ({type(sampler or batches).__name__}) draws other "
            "images each time: give its dataset, or torch.utils.data.Subset(dataset, indices)"
        )
    if len(numbers[0]) == len(data):
        return data
    if not numbers[0] or max(numbers[0]) >= len(data) or min(numbers[0]) < 0:
        raise UsageError(f"the sampler of the DataLoader names none of the {len(data):,} images")
    return Subset(data, sorted(numbers[0]))


def _index(number: Any) -> int:
    """Returns the number of an image; a truth, as of a mask, is none."""
    if isinstance(number, bool | np.bool_):
        raise TypeError("a boolean mask: give the numbers of the images")
    return operator.index(number)


def _content_of(item: object) -> tuple[object, object]:
    """Returns an item whose image is read, since the file of an opened one may be closed next."""
    image, label = _pair(item)
    return (rgb(image) if isinstance(image, Image.Image) else image), label


def _pair(item: Any) -> tuple[Any, Any]:
    """Returns image and label of an item; further fields are left out."""
    if isinstance(item, Mapping):
        image = next((item[key] for key in _IMAGE_KEYS if key in item), item)
        return image, next((item[key] for key in _LABEL_KEYS if key in item), None)
    if isinstance(item, tuple | list):
        return (item[0], item[1]) if len(item) > 1 else (item[0] if item else None, None)
    return item, None


def _label(label: Any) -> int | str | None:
    """Returns a label as a number or a name; `NO_LABEL` if it is neither, None if it is None."""
    if label is None or isinstance(label, str):
        return label
    try:
        return max(operator.index(label), NO_LABEL)
    except (TypeError, ValueError, RuntimeError):
        return NO_LABEL


def _content(image: Any) -> Content | None:
    """Returns the measured form of an image."""
    nothing = Stamp(None, None)
    if isinstance(image, str | os.PathLike):
        return read_file(os.fspath(image))
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim in (2, 3):
        image = Image.fromarray(image)
    if isinstance(image, Image.Image):
        return Content(rgb(image), nothing)
    if not isinstance(image, Tensor) or image.ndim != 3 or image.shape[0] != 3:
        return None
    if image.dtype == torch.uint8:
        return Content(Image.fromarray(image.permute(1, 2, 0).cpu().numpy()), nothing)
    if not image.is_floating_point():
        return None
    tensor = torch.empty(image.shape).copy_(image.detach())  # a plain one, in float32
    values = tensor.numpy()
    return Content(values.tobytes(), nothing, decode=partial(_picture, values), prepared=tensor)


def _picture(values: Any, data: bytes) -> Image.Image:
    """Returns a tensor for people to look at, from its smallest value in black to its largest."""
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low or 1.0) * 255
    return Image.fromarray(np.nan_to_num(scaled).astype(np.uint8).transpose(1, 2, 0).copy())


def _described(thing: Any) -> str:
    """Describes what was given in place of images, an image or a label."""
    kind = type(thing).__name__
    if isinstance(thing, Mapping):
        return f"{kind} of {', '.join(map(str, thing))}"
    if hasattr(thing, "shape"):
        return f"{kind} {[*thing.shape]}"
    return f"{kind} {thing}" if isinstance(thing, int | float) else kind


def labels_of(rows: Any) -> list[Any] | None:
    """Returns the labels that a Dataset lists, without reading an image."""
    if isinstance(rows, Subset):
        labels = labels_of(rows.dataset)
        return None if labels is None else [labels[int(i)] for i in rows.indices]
    for attributes, pairs in ((_LABELS, False), (_PAIRS, True)):
        for attribute in attributes:
            values = getattr(rows, attribute, None)
            if values is not None and hasattr(values, "__len__") and len(values) == len(rows):
                return [_pair(value)[1] for value in values] if pairs else list(values)
    return None


def classes_of(rows: Any, count: int) -> tuple[str, ...]:
    """Returns the class names that a Dataset lists; empty if it lists fewer than `count`."""
    while isinstance(rows, Subset):
        rows = rows.dataset
    for attribute in _CLASSES:
        names = getattr(rows, attribute, None)
        if isinstance(names, list | tuple) and len(names) >= count:
            return tuple(str(n[0] if isinstance(n, tuple) else n) for n in names)
    return ()
