"""Target sets: images whose accuracy is to be estimated, read without their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from tuiprobe.datasets.dataset import Dataset, Suite
from tuiprobe.datasets.load import load_suite
from tuiprobe.datasets.sample import Sample, Stamp
from tuiprobe.datasets.set_names import free_name, safe_name
from tuiprobe.errors import DataError, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

    from tuiprobe.datasets.content import Content


@dataclass(frozen=True)
class Target:
    """A data set of any source whose labels and class names are ignored.

    Attributes:
        images: The data set.
    """

    images: Dataset
    classes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.images.name

    @property
    def source(self) -> str:
        """The name that the user typed."""
        return self.images.source

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples, by id, without labels."""
        return tuple(
            sample if sample.label is None else Sample(sample.id, sample.path, None)
            for sample in self.images.samples
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """The data set's remarks."""
        return self.images.notes

    def stamp(self, sample: Sample) -> Stamp:
        """Returns the stamp of one sample without reading it."""
        return self.images.stamp(sample)

    def read(self, sample: Sample) -> Content:
        """Reads the stored content of one sample."""
        return self.images.read(sample)

    def open(self, sample: Sample) -> Image:
        """Decodes one sample to an RGB image."""
        return self.images.open(sample)


def load_target(source: str) -> Target:
    """Opens the images named by `--target`.

    Args:
        source: A source of `--data` that is one set.

    Raises:
        DataError: If it cannot be used; names the option and the source.
    """
    try:
        sets = tuple(load_suite(source).sets.values())
        if len(sets) > 1:
            raise DataError(f"it has {len(sets)} sets; name one of them")
        if not len(sets[0].samples):
            raise DataError("it has no image")
    except (DataError, UsageError) as error:
        raise DataError(f"--target {source}: {error}") from error
    return Target(sets[0])


def with_targets(suite: Suite, targets: Sequence[Target]) -> Suite:
    """Returns the suite with target sets as its last sets, each under a unique name.

    They come after the concept set, so that no other set is renamed by a target. A target whose
    name is taken is called `NAME-target`, `NAME-target-2` and so on.
    """
    sets, names = dict(suite.sets), []
    for target in targets:
        names.append(free_name(safe_name(target.name), sets, "-target"))
        sets[names[-1]] = target
    return replace(suite, sets=sets, targets=tuple(names))
