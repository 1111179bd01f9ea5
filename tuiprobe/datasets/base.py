"""What a data set is to the engine: named samples in a fixed order, and a way to open each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tuiprobe.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

    from tuiprobe.datasets.content import Content


class UnreadableImageError(DataError):
    """One image cannot be decoded; the engine skips, counts and lists it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a data set.

    Attributes:
        id: Rank of `path` among all paths of its data set in byte order.
        path: Path relative to the root of the data set, with forward slashes.
        label: Index into the data set's `classes`; None where the data carry no labels.
    """

    id: int
    path: str
    label: int | None


@dataclass(frozen=True, slots=True)
class Stamp:
    """A cheap stand-in for the content of an image: it differs where the content may.

    Attributes:
        size: Bytes of the file or member; None where there is none. Part of a run's key.
        changed: When it changed last, or what else tells; None if only reading it can.
    """

    size: int | None
    changed: str | None


class Dataset(Protocol):
    """A readable set of images.

    `samples[i].id == i`; `source` is what names it on a command line, for example
    `imagefolder:/data/val`.
    """

    @property
    def name(self) -> str:
        """Short name; what is safe of it in a file name becomes the name of the set."""
        ...

    @property
    def source(self) -> str:
        """What the user typed to name it."""
        ...

    @property
    def samples(self) -> Sequence[Sample]:
        """All samples, by id."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by label; empty where there are none."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the report should know."""
        ...

    def stamp(self, sample: Sample) -> Stamp:
        """Returns the stamp of one sample without reading it."""
        ...

    def read(self, sample: Sample) -> Content:
        """Reads what is stored for one sample.

        Raises:
            UnreadableImageError: If it cannot be read.
        """
        ...

    def open(self, sample: Sample) -> Image:
        """Decodes one sample to an RGB image.

        Raises:
            UnreadableImageError: If it cannot be read or decoded.
        """
        ...


@dataclass(frozen=True)
class Suite:
    """Named sets of images that one run measures, the in-distribution set first.

    Attributes:
        name: Short name of the suite, used in the name of the run directory.
        source: What the user typed.
        sets: Set name to data set. Names are safe as file names.
        published: Which published set each is, by set name: `imagenet`, or a column of
            `tuiprobe.catalog.accuracies.SHIFTS`. Others have no entry.
        imagenet: By set name, the set's own label for each of ImageNet's 1,000 classes, -1 where
            it has none; only for sets whose class names do not say so themselves (ObjectNet).
        concepts: Source of the suite's concept set; None where it names none.
        notes: What a reader of the report should know, beyond the notes of each set.
        concept_set: Which of `sets` carries concepts once that source is opened; it is measured
            like the others, and only the concept probe reads it.
    """

    name: str
    source: str
    sets: dict[str, Dataset] = field(default_factory=dict)
    published: Mapping[str, str] = field(default_factory=dict)
    imagenet: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    concepts: str | None = None
    notes: tuple[str, ...] = ()
    concept_set: str | None = None
