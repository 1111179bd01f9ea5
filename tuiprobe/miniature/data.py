"""The miniature as a source of data: its labelled sets, its concept set, and its baseline.

The baseline of effective robustness are supervised runs of several sizes on the canonical set, with
their accuracy on `val` and on each shift; in logit space they lie near a line, which
`catalog/effective_robustness.py` fits.
"""

from __future__ import annotations

import csv
from functools import cached_property

import numpy as np

from tuiprobe.catalog.accuracies import ModelAccuracies
from tuiprobe.catalog.effective_robustness import ShiftFamily
from tuiprobe.datasets.concepts import Annotation, Concept
from tuiprobe.datasets.content import Content
from tuiprobe.datasets.dataset import Suite
from tuiprobe.datasets.registry import DataSource
from tuiprobe.datasets.sample import Sample, Stamp
from tuiprobe.errors import UsageError
from tuiprobe.miniature import concepts, weights, world
from tuiprobe.miniature.profiles import PROFILES, SHIFTS

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
    categories: tuple[str, ...] = concepts.CATEGORIES
    concepts = tuple(Concept(c.name, c.category) for c in concepts.CONCEPTS)
    digest = "miniature concepts, version 1"

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples; ids are image numbers."""
        return tuple(Sample(i, image_path(i), None) for i in range(world.size(CONCEPT_SET)))

    def annotation(self, sample: Sample) -> Annotation:
        """Returns the annotation of an image, which covers every category."""
        shares = concepts.pixel_shares([sample.id])[0]
        present = np.flatnonzero(shares)
        return Annotation(
            concepts=present.astype(np.int32),
            shares=shares[present],
            annotated=tuple(range(len(self.categories))),
            train=concepts.split(sample.id) == "train",
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
