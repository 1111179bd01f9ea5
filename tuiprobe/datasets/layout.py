"""How the samples of a set lie in files: their order, what is read at once, what is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.dataset import Dataset, digest_of
from tuiprobe.datasets.list_files import labelled
from tuiprobe.datasets.sample import Sample, Stamp

if TYPE_CHECKING:
    from tuiprobe.results.subject import Check, StoredFile
    from tuiprobe.spec import RunSpec

Ids: TypeAlias = NDArray[np.int64] | Sequence[int]

KEYED_CONTENTS = 8
"""Number of first images of each set whose content is part of the key.

Folders with equal names and sizes (BMP files of two corruptions) thus get different keys.
The contents of all images are compared when a run is resumed; see `tuiprobe.measure.engine.resume`.
"""


@dataclass(frozen=True)
class SampleBlock:
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
    """The layout of a set of images: each is read, stamped and digested by itself.

    A set whose samples lie together brings its layout as its attribute `layout`.

    Args:
        dataset: The set.

    Attributes:
        unit: What its samples are called, in the plural.
        one_file_each: Whether each sample is read and digested by itself; else a batch is,
            as a `SampleBlock`.
        width: Channels of samples that are encoded already; None for images.
        most_batches: Batches of the largest shard.
    """

    unit = "images"
    one_file_each = True
    width: int | None = None
    most_batches = 8

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def with_options(self, spec: RunSpec, names: tuple[str, ...]) -> Dataset:
        """Returns the set with what options say of it; `names` are the class names of the user.

        Raises:
            DataError: If the file of labels cannot be used, or lacks an image.
        """
        if spec.labels is None:
            return self.dataset
        return labelled(self.dataset, Path(spec.labels), names)

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """The files that samples lie in together; none if each has a stamp."""
        return ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was understood of the set, for those who watch the run."""
        return ()

    def order(self, seed: int, limit: int) -> Ids:
        """Returns the ids of the samples to measure, in processing order."""
        return processing_order(self.dataset.samples, seed)[:limit]

    def stamps(self, ids: Ids) -> dict[int, Stamp]:
        """Returns the stamps of some samples, in their order."""
        samples = self.dataset.samples
        return {i: self.dataset.stamp(samples[i]) for i in np.asarray(ids).tolist()}

    def batch(self, requested: int) -> int:
        """Returns the number of samples per batch; the user asked for `requested`."""
        return requested

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

    def read_block(self, ids: Ids) -> SampleBlock:
        """Reads samples that lie together.

        Raises:
            DataError: If they cannot be read, or changed since the set was opened.
        """
        raise NotImplementedError

    def names(self, ids: Ids) -> dict[int, str]:
        """Returns the names of some samples, ascending; empty where they go by their index."""
        return {}

    def checks(self, set_name: str) -> Iterator[Check]:
        """Yields the preflight checks of the set, except those of its labels."""
        yield from ()


def layout_of(dataset: Dataset) -> SetLayout:
    """Returns the layout of a set; that of images if the set says nothing of it."""
    layout = getattr(dataset, "layout", None)
    return layout if isinstance(layout, SetLayout) else SetLayout(dataset)


def processing_order(samples: Sequence[Sample], seed: int) -> NDArray[np.int64]:
    """Returns sample ids in the order they are processed.

    Within each class the samples are shuffled; the j-th of n samples of a class is then placed at
    (j + u) / n of the order, where u is uniform and drawn per sample, so every prefix holds
    every class in proportion, within one image. The shuffle hashes (seed, id) instead of drawing
    from a random generator, whose stream may change between NumPy releases.

    Args:
        samples: Samples with `samples[i].id == i`.
        seed: Any integer.

    Returns:
        Permutation of `range(len(samples))`.

    >>> order = processing_order([Sample(i, str(i), i // 50) for i in range(100)], seed=0)
    >>> sum(i < 50 for i in order[:20].tolist()) in (9, 10, 11)
    True
    """
    ids = np.arange(len(samples), dtype=np.int64)
    labels = np.array([-1 if s.label is None else s.label for s in samples], dtype=np.int64)
    shuffle = hash_ids(ids, seed)
    by_class = np.lexsort((shuffle, labels))
    _, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    rank = np.arange(len(ids)) - np.repeat(starts, counts)
    jitter = hash_ids(by_class, seed + 1) / 2.0**64
    turn = (rank + jitter) / np.repeat(counts, counts)
    return by_class[np.lexsort((by_class, turn))].astype(np.int64)


def hash_ids(values: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """Hashes each value under a seed by SplitMix64 (Steele, Lea, Flood 2014)."""
    state = np.uint64((seed * 0xD1342543DE82EF95 + 1) % 2**64)
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + state
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
        return z ^ (z >> np.uint64(31))
