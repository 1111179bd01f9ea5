"""How the samples of a set lie in files: their order, what is read at once, what is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.dataset import Dataset, digest_of
from tuiprobe.datasets.order import processing_order
from tuiprobe.datasets.sample import Stamp

if TYPE_CHECKING:
    from tuiprobe.results.subject import Check
    from tuiprobe.run.records import StoredFile
    from tuiprobe.spec import RunSpec

Ids: TypeAlias = NDArray[np.int64] | Sequence[int]

KEYED_CONTENTS = 8
"""Number of first images of each set whose content is part of the key.

Folders with equal names and sizes, such as BMP files of two corruptions, thus get different keys.
The contents of all images are compared when a run is resumed; see `tuiprobe.engine.resume`.
"""


@dataclass(frozen=True)
class Block:
    """Samples that are encoded already and were read at once.

    Attributes:
        values: float16 or float32 `[n, C]`, as they are stored.
        usable: bool `[n]`; the others count in no figure.
        digest: SHA-256 of the values.
    """

    values: NDArray[Any]
    usable: NDArray[np.bool_]
    digest: bytes


class SetLayout:
    """The layout of a set of images: each is read, stamped and digested alone.

    A set whose samples lie together has a layout of its own, as its attribute `layout`.

    Args:
        dataset: The set.

    Attributes:
        unit: What its samples are called, in the plural.
        alone: Whether each sample is read and digested alone; else a batch is, as a `Block`.
        width: Channels of samples that are encoded already; None for images.
        most_batches: Batches of the largest shard.
    """

    unit = "images"
    alone = True
    width: int | None = None
    most_batches = 8

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def with_options(self, spec: RunSpec, names: tuple[str, ...]) -> Dataset:
        """Returns the set with what options say of it; `names` are the class names of the user."""
        return self.dataset

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """The files that samples lie in together; none if each has a stamp."""
        return ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was understood of the set, for those who watch the run."""
        return ()

    def order(self, seed: int, limit: int) -> Ids:
        """Returns the ids of the samples to measure, in the order in which they are."""
        return processing_order(self.dataset.samples, seed)[:limit]

    def stamps(self, ids: Ids) -> dict[int, Stamp]:
        """Returns the stamps of some samples, in their order."""
        samples = self.dataset.samples
        return {i: self.dataset.stamp(samples[i]) for i in np.asarray(ids).tolist()}

    def batch(self, asked: int) -> int:
        """Returns the samples of a batch, of which the user asked for so many."""
        return asked

    def content(self, stamps: Mapping[int, Stamp]) -> dict[str, Any]:
        """Returns all inputs of the numbers of the set, without paths of folders.

        Of images these are path, label and size of each in order, and digests of the first ones.
        """
        samples = self.dataset.samples
        return {
            "listed": [(samples[i].path, samples[i].label, s.size) for i, s in stamps.items()],
            "contents": [self.digest([i]).hex() for i in islice(stamps, KEYED_CONTENTS)],
        }

    def labels(self) -> NDArray[np.int64]:
        """Returns the label of each sample, -1 for none."""
        labels = (sample.label for sample in self.dataset.samples)
        return np.array([-1 if label is None else label for label in labels], dtype=np.int64)

    def called(self, ids: Ids) -> str:
        """Returns the name for samples that are read at once."""
        return self.dataset.samples[int(ids[0])].path

    def digest(self, ids: Ids) -> bytes:
        """Returns the SHA-256 of samples that are read at once; `UNREADABLE` if none."""
        return digest_of(self.dataset, self.dataset.samples[int(ids[0])])

    def sampled(self, ids: NDArray[np.int64], seed: int) -> NDArray[np.bool_] | None:
        """Returns which samples, ascending, are kept with their representation; None for all."""
        return None

    def read_block(self, ids: Ids) -> Block:
        """Reads samples that lie together.

        Raises:
            DataError: If they cannot be read, or changed since the set was opened.
        """
        raise NotImplementedError

    def names(self, ids: Ids) -> dict[int, str]:
        """Returns the names of some samples, ascending; empty where they go by their index."""
        return {}

    def checks(self, set_name: str) -> Iterator[Check]:
        """Yields what a preflight says of the set besides its labels."""
        yield from ()


def layout_of(dataset: Dataset) -> SetLayout:
    """Returns the layout of a set; that of images if the set says nothing of it."""
    layout = getattr(dataset, "layout", None)
    return layout if isinstance(layout, SetLayout) else SetLayout(dataset)
