"""Images annotated with concepts: the data of the concept probe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.dataset import Dataset, Suite, free_name, safe_name
from tuiprobe.datasets.sample import Sample


@dataclass(frozen=True)
class Concept:
    """Something that may be in an image; names are unique within a category."""

    name: str
    category: str


@dataclass(frozen=True, eq=False)
class Annotation:
    """The concepts of one image.

    Attributes:
        concepts: int32 `[p]`, indices into the set's `concepts`, ascending.
        shares: float32 `[p]`, share of the image that shows each, in (0, 1]; 1 for labels of the
            whole image.
        annotated: Indices into the set's `categories` that this image was annotated for.
        train: Whether the image is in the split that selects directions; the other split
            confirms them.
    """

    concepts: NDArray[np.int32]
    shares: NDArray[np.float32]
    annotated: tuple[int, ...]
    train: bool


@runtime_checkable
class ConceptDataset(Dataset, Protocol):
    """A data set without classes whose images have concepts."""

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """All concepts; annotations refer to them by index."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories; each concept belongs to one."""

    @property
    def digest(self) -> str:
        """Digest of the tables behind the annotations; part of a run's key."""

    def annotation(self, sample: Sample) -> Annotation:
        """Reads the annotation of one image.

        Raises:
            DataError: If an entry cannot be used; names the file and the entry.
        """


def with_concepts(suite: Suite, dataset: ConceptDataset) -> Suite:
    """Returns the suite with the concept set as its last set, under a unique name."""
    name = free_name(safe_name(dataset.name), suite.sets, "-concepts")
    return replace(suite, sets={**suite.sets, name: dataset}, concept_set=name)


def concept_dataset(suite: Suite) -> ConceptDataset | None:
    """Returns the opened concept set of a suite; None if it has none."""
    if suite.concept_set is None:
        return None
    return cast(ConceptDataset, suite.sets[suite.concept_set])  # put there by with_concepts
