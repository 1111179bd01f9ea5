"""The miniature's sets as data sets of the engine."""

from functools import cached_property
from typing import TYPE_CHECKING

from tuiprobe.datasets.base import Sample, Stamp, Suite
from tuiprobe.datasets.content import Content
from tuiprobe.miniature import world
from tuiprobe.miniature.profiles import PROFILES

if TYPE_CHECKING:
    from PIL.Image import Image

STAMP = Stamp(None, "miniature, version 1")
"""Of every rendered image; another version of the world has another."""

NOTE = "rendered miniature world: a demonstration of the pipeline, never evidence about real models"


class MiniatureSet:
    """One set, rendered as it is read; ids are in byte order of the exported paths.

    Args:
        name: One of `world.SETS`.

    Raises:
        UsageError: Unknown set.
    """

    notes: tuple[str, ...] = (NOTE,)

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

    def stamp(self, sample: Sample) -> Stamp:
        """Return a constant of the world: what is rendered never changes."""
        return STAMP

    def read(self, sample: Sample) -> Content:
        """Render a sample."""
        return Content(self.open(sample), STAMP)

    def open(self, sample: Sample) -> "Image":
        """Return the image of a sample, 64 x 64 RGB.

        Raises:
            UsageError: The sample's id is out of range.
        """
        from PIL import Image

        return Image.fromarray(world.render(self.name, sample.id))


def dataset(name: str) -> MiniatureSet:
    """Return a set by name.

    >>> dataset("v2").samples[0].path
    'airplane/00000.png'
    """
    return MiniatureSet(name)


def suite() -> Suite:
    """Return the canonical set and the five shifts, `val` first."""
    names = ("val", *world.SHIFTS)
    return Suite("miniature", "miniature", {name: dataset(name) for name in names})
