"""The data set interface of the engine: named samples in a fixed order, each readable."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tuiprobe.datasets.sample import UNREADABLE, Sample, Stamp
from tuiprobe.errors import DataError, UnreadableImageError
from tuiprobe.plaintext import plain, undecodable

if TYPE_CHECKING:
    from tuiprobe.datasets.sample import Content


@runtime_checkable
class Dataset(Protocol):
    """A readable set of images.

    `samples[i].id == i`; `source` is its name on the command line, for example
    `imagefolder:/data/val`.
    """

    @property
    def name(self) -> str:
        """Short name; its file-safe characters become the name of the set."""

    @property
    def source(self) -> str:
        """The name that the user typed."""

    @property
    def samples(self) -> Sequence[Sample]:
        """All samples, by id."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by label."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for readers of the report."""

    def stamp(self, sample: Sample) -> Stamp:
        """Returns the stamp of one sample without reading it."""

    def read(self, sample: Sample) -> Content:
        """Reads the stored content of one sample.

        Raises:
            UnreadableImageError: If it cannot be read.
        """


class WrappedDataset:
    """The images of another set; a subclass changes what is known of them.

    Args:
        images: The other set.
    """

    def __init__(self, images: Dataset) -> None:
        self.images = images
        self.name, self.source = images.name, images.source
        self.folder = getattr(images, "folder", None)
        self.class_folders = bool(getattr(images, "class_folders", False))
        self.tested: Sequence[bool] | None = getattr(images, "tested", None)
        self.several_parts: DataError | None = getattr(images, "several_parts", None)
        self.label_rows: Mapping[int, int] = getattr(images, "label_rows", {})

    @property
    def as_numbered(self) -> Sequence[str] | None:
        """Paths in the order in which other programs number them."""
        return getattr(self.images, "as_numbered", None)

    @property
    def samples(self) -> Sequence[Sample]:
        """All samples, by id."""
        return self.images.samples

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by label."""
        return self.images.classes

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for readers of the report."""
        return self.images.notes

    def stamp(self, sample: Sample) -> Stamp:
        """Returns the stamp of one sample without reading it."""
        return self.images.stamp(sample)

    def read(self, sample: Sample) -> Content:
        """Reads the stored content of one sample."""
        return self.images.read(sample)


def digest_of(dataset: Dataset, sample: Sample) -> bytes:
    """Returns the digest of one image; `UNREADABLE` if it cannot be read."""
    try:
        return dataset.read(sample).digest()
    except UnreadableImageError:
        return UNREADABLE


@dataclass(frozen=True)
class Suite:
    """Named sets of images that one run measures, the in-distribution set first.

    Attributes:
        name: Short name of the suite, used in the name of the run directory.
        source: What the user typed.
        sets: Set name to data set. Names are safe as file names.
        published: Set name to the published set that it is: `imagenet`, or a column of
            `tuiprobe.catalog.accuracies.SHIFTS`. Other sets have no entry.
        imagenet: By set name, the set's label for each of ImageNet's 1,000 classes, -1 if it
            has none. Only for sets whose class names do not show this (ObjectNet).
        concepts: Source of the suite's concept set.
        notes: Remarks for readers of the report, beyond the notes of each set.
        concept_set: Name of the set in `sets` that has concepts, once that source is opened. It
            is measured like the others, but only the concept probe reads it.
        targets: Names of the target sets in `sets`: images without labels whose accuracy is to be
            estimated.
    """

    name: str
    source: str
    sets: dict[str, Dataset] = field(default_factory=dict)
    published: Mapping[str, str] = field(default_factory=dict)
    imagenet: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    concepts: str | None = None
    notes: tuple[str, ...] = ()
    concept_set: str | None = None
    targets: tuple[str, ...] = ()

    @property
    def in_distribution_name(self) -> str:
        """Name of the in-distribution set, the first one."""
        return next(iter(self.sets))

    @property
    def in_distribution(self) -> Dataset:
        """The in-distribution set, the first one."""
        return self.sets[self.in_distribution_name]

    @property
    def separately_keyed(self) -> tuple[str, ...]:
        """Names of the sets that are not part of a run's key, as each has a separate key."""
        return (*((self.concept_set,) if self.concept_set is not None else ()), *self.targets)


def refuse_undecodable(text: str, subject: str) -> None:
    """Refuses a name whose bytes are not UTF-8, as the files of a run must be.

    Raises:
        DataError: If it is one; names it and the bytes.
    """
    if odd := undecodable(text):
        raise DataError(
            f"{subject} '{plain(text)}' has a name that is not UTF-8 ({odd}); rename it, for "
            "example with convmv -f latin1 -t utf8"
        )


def safe_name(text: str) -> str:
    """Returns `text` reduced to characters that are safe in file names on every system.

    >>> safe_name("my val/set")
    'my-val-set'
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.") or "data"


def free_name(name: str, used: Iterable[str], suffix: str = "") -> str:
    """Returns the name, or a variant that differs from all others on every file system.

    >>> free_name("val", ["val"], "-target"), free_name("x", ["X", "x-2"])
    ('val-target', 'x-3')
    """
    folded = {other.casefold() for other in used}
    numbered = (f"{name}{suffix}-{number}" for number in count(2))
    names = chain([name, f"{name}{suffix}"], numbered)
    return next(candidate for candidate in names if candidate.casefold() not in folded)
