"""The set ``concepts`` with what is in each image, as the concept probe reads it."""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tuiprobe.datasets.base import Sample, Stamp
from tuiprobe.datasets.concepts import Annotation, Concept
from tuiprobe.datasets.content import Content
from tuiprobe.miniature import concepts, world
from tuiprobe.miniature.broden import COLUMNS, image_path
from tuiprobe.miniature.data import NOTE, STAMP

if TYPE_CHECKING:
    from PIL.Image import Image

_SET = "concepts"


class MiniatureConcepts:
    """Pictures are rendered and masks drawn as they are read.

    Paths, order, concepts and shares are those of the exported Broden layout.
    """

    name = _SET
    source = "miniature"
    notes: tuple[str, ...] = (NOTE,)
    classes: tuple[str, ...] = ()
    categories: tuple[str, ...] = COLUMNS
    concepts = tuple(Concept(c.name, c.category) for c in concepts.CONCEPTS)
    digest = "miniature concepts, version 1"

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples; ids are image numbers."""
        return tuple(Sample(i, image_path(i), None) for i in range(world.size(_SET)))

    def stamp(self, sample: Sample) -> Stamp:
        """Return a constant of the world: what is rendered never changes."""
        return STAMP

    def read(self, sample: Sample) -> Content:
        """Render a sample."""
        return Content(self.open(sample), STAMP)

    def open(self, sample: Sample) -> "Image":
        """Return the picture of a sample, 64 x 64 RGB."""
        from PIL import Image

        return Image.fromarray(world.render(_SET, sample.id))

    def annotation(self, sample: Sample) -> Annotation:
        """Return what is in an image; all are annotated for every category."""
        shares = concepts.pixel_shares([sample.id])[0]
        present = np.flatnonzero(shares)
        return Annotation(
            concepts=present.astype(np.int32),
            shares=shares[present],
            annotated=tuple(range(len(self.categories))),
            train=concepts.split(sample.id) == "train",
        )
