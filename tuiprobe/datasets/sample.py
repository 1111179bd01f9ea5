"""What is known of an image before it is read: its name, its label, its stamp."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat

from tuiprobe.errors import DataError


class UnreadableImageError(DataError):
    """One image cannot be decoded; the engine skips, counts and lists it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a data set.

    Attributes:
        id: Rank of `path` among all paths of its data set in byte order.
        path: Path relative to the root of the data set, with forward slashes.
        label: Index into the data set's `classes`.
    """

    id: int
    path: str
    label: int | None


def samples_of(paths: Iterable[str], labels: Iterable[int | None] | None) -> tuple[Sample, ...]:
    """Returns samples of paths in the order of a set, with their labels if there are any."""
    pairs = zip(paths, repeat(None) if labels is None else labels, strict=labels is not None)
    return tuple(Sample(id, path, label) for id, (path, label) in enumerate(pairs))


@dataclass(frozen=True, slots=True)
class Stamp:
    """A cheap substitute for the content of an image: if the content changed, the stamp differs.

    Attributes:
        size: Bytes of the file or member. Part of a run's key.
        changed: Time of the last change, or a digest; None if only reading the image can show a
            change.
    """

    size: int | None
    changed: str | None
