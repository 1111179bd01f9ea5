"""Images that say what is in them: the data of the concept probe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.base import Dataset, Sample, Suite
from tuiprobe.datasets.load import naming
from tuiprobe.errors import UsageError

CONCEPT_SOURCES = ("miniature", "broden:DIR", "csv:FILE")


@dataclass(frozen=True)
class Concept:
    """Something that may be in an image; names are unique within a category."""

    name: str
    category: str


@dataclass(frozen=True, eq=False)
class Annotation:
    """What is in one image.

    Attributes:
        concepts: int32 ``[p]``, places in the set's `concepts`, rising.
        shares: float32 ``[p]``, which part of the image shows each, in (0, 1]; 1 where the label
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
    def name(self) -> str:
        """Short name, safe as a file name."""
        ...

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


def load_concepts(source: str) -> ConceptDataset:
    """Opens the concept set a user named.

    Args:
        source: One of :data:`CONCEPT_SOURCES`.

    Raises:
        UsageError: If no such kind of source exists.
        DataError: If the source exists but cannot be used.
    """
    with naming(source):
        return _opened(source)


def _opened(source: str) -> ConceptDataset:
    kind, _, rest = source.partition(":")
    if source == "miniature":
        from tuiprobe.miniature.concept_data import MiniatureConcepts

        return MiniatureConcepts()
    if kind == "broden" and rest:
        from tuiprobe.datasets.broden import Broden

        return Broden(rest)
    if kind == "csv" and rest:
        from tuiprobe.datasets.concept_csv import ConceptCsv

        return ConceptCsv(rest)
    raise UsageError(
        f"unknown concept source {source!r}; give one of: {', '.join(CONCEPT_SOURCES)}, or none"
    )


def with_concepts(suite: Suite, dataset: ConceptDataset) -> Suite:
    """Returns the suite with the concept set as its last set, under a name of its own."""
    name = dataset.name
    while name in suite.sets:
        name += "-concepts"
    return replace(suite, sets={**suite.sets, name: dataset}, concept_set=name)


def concept_dataset(suite: Suite) -> ConceptDataset | None:
    """Returns the opened concept set of a suite, if it has one."""
    if suite.concept_set is None:
        return None
    return cast(ConceptDataset, suite.sets[suite.concept_set])  # put there by with_concepts
