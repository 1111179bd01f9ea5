"""Images that say what is in them: the data of the concept probe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.base import Dataset, Sample, Suite
from tuiprobe.datasets.registry import safe_name


@dataclass(frozen=True)
class Concept:
    """Something that may be in an image; names are unique within a category."""

    name: str
    category: str


@dataclass(frozen=True, eq=False)
class Annotation:
    """What is in one image.

    Attributes:
        concepts: int32 `[p]`, places in the set's `concepts`, rising.
        shares: float32 `[p]`, which part of the image shows each, in (0, 1]; 1 where the label
            is for the whole image.
        annotated: places in the set's `categories` that this image was annotated for.
        train: whether it belongs to the split that chooses directions; the others confirm.
    """

    concepts: NDArray[np.int32]
    shares: NDArray[np.float32]
    annotated: tuple[int, ...]
    train: bool


class ConceptDataset(Dataset, Protocol):
    """A data set without classes whose images carry concepts."""

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """All concepts, in the order that annotations count them."""
        ...

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories; each concept belongs to one."""
        ...

    @property
    def digest(self) -> str:
        """Changes with the tables that annotations come from; part of a run's key."""
        ...

    def annotation(self, sample: Sample) -> Annotation:
        """Reads what is in one image.

        Raises:
            DataError: Naming the file and the entry that cannot be used.
        """
        ...


def with_concepts(suite: Suite, dataset: ConceptDataset) -> Suite:
    """Returns the suite with the concept set as its last set, under a name of its own."""
    name = safe_name(dataset.name)
    while name in suite.sets:
        name += "-concepts"
    return replace(suite, sets={**suite.sets, name: dataset}, concept_set=name)


def concept_dataset(suite: Suite) -> ConceptDataset | None:
    """Returns the opened concept set of a suite, if it has one."""
    if suite.concept_set is None:
        return None
    return cast(ConceptDataset, suite.sets[suite.concept_set])  # put there by with_concepts
