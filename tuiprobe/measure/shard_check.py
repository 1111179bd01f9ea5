"""Checks the arrays of a shard, so that an invalid shard is measured again.

A checksum shows that a shard is unchanged, not that an engine wrote it. A shard that passes these
checks can be loaded and merged.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.content import DIGEST_BYTES
from tuiprobe.files import Entry
from tuiprobe.run.arrays import Arrays
from tuiprobe.run.checked_arrays import CheckedArrays
from tuiprobe.spec import FINAL_TAP

States = Mapping[str, Arrays]
"""Empty state by tap: names, types and shapes of its fields."""

_PER_IMAGE = {"samples.kurtosis", "samples.self_share", "samples.leading"}


def check_shard(file: Entry, arrays: Arrays, planned: NDArray[np.int64], states: States) -> None:
    """Checks all arrays of a shard, but not whether its images are the planned ones.

    Args:
        file: File of the shard, for errors.
        arrays: Arrays by name.
        planned: Ids of its images, including unreadable ones.
        states: Empty states of the run's taps.

    Raises:
        DamagedFileError: If an array is invalid.
    """
    checked, known = CheckedArrays(file, arrays), _Known(planned)
    images = len(checked.shaped("ids", "i8", None))
    width = len(states[FINAL_TAP]["moments.count"])
    checked.shaped("features", "f4", images, width)
    read = len(_own(checked, "images", known))
    checked.shaped("digests", "u1", read, DIGEST_BYTES)
    for tap, fields in states.items():
        _check_state(checked, f"{tap}/state.", fields, known)
        if f"{tap}/rows" in arrays:
            checked.shaped(f"{tap}/rows", "f4", None, len(fields["moments.count"]))


def _check_state(checked: CheckedArrays, prefix: str, fields: Arrays, known: _Known) -> None:
    images = len(_own(checked, f"{prefix}samples.sample_ids", known))
    channels = len(fields["moments.count"])
    for field, empty in fields.items():
        name, kind = f"{prefix}{field}", empty.dtype.str
        shape = (images,) if field in _PER_IMAGE else empty.shape
        if field == "samples.sample_ids":
            continue
        if field == "samples.leading":
            _within(checked, name, kind, shape, channels)
        elif field.endswith(".sample_ids"):
            _check_ends(checked, name, known, shape)
        elif field.endswith(".positions"):
            _within(checked, name, kind, shape, 2**31)
        elif kind.endswith("i8"):
            checked.counts(name, kind, *shape)
        elif field.startswith("samples."):
            checked.take(name, kind, *shape)
        else:
            checked.shaped(name, kind, *shape)


class _Known:
    """The images of a shard, looked up a thousand at a time."""

    def __init__(self, planned: NDArray[np.int64]) -> None:
        self._there = np.zeros(int(planned.max(initial=-1)) + 2, dtype=bool)
        self._there[planned] = True  # the last one stands for -1
        self._planned = planned

    def are_all(self, ids: NDArray[np.int64]) -> bool:
        """Says whether the ids are those of the plan, in its order, none left out."""
        return np.array_equal(ids, self._planned)

    def holds(self, ids: NDArray[np.int64], none: bool = False) -> bool:
        """Says whether all ids are of the shard; `none` allows -1 too."""
        if not ids.size:
            return True
        end = len(self._there) - 1
        if not -1 <= ids.min() <= ids.max() < end:
            return False
        self._there[end] = none
        return bool(self._there[ids].all())


def _own(checked: CheckedArrays, name: str, known: _Known) -> NDArray[np.int64]:
    ids = checked.shaped(name, "<i8", None)
    if known.are_all(ids):
        return ids
    if len(np.unique(ids)) != len(ids) or not known.holds(ids):
        raise checked.damaged(f"{name} holds an image twice, or one that is not of this shard")
    return ids


def _within(checked: CheckedArrays, name: str, kind: str, shape: tuple[int, ...], end: int) -> None:
    array = checked.shaped(name, kind, *shape)
    if array.size and not -1 <= array.min() <= array.max() < end:
        raise checked.damaged(f"{name} holds {array.min()} to {array.max()}, not -1 to {end - 1}")


def _check_ends(checked: CheckedArrays, name: str, known: _Known, shape: tuple[int, ...]) -> None:
    """Checks that the top images of each channel are of this shard and have finite values."""
    ids = checked.shaped(name, "<i8", *shape)
    if not known.holds(ids, none=True):
        raise checked.damaged(f"{name} names an image that is not of this shard")
    values = checked.shaped(name.replace(".sample_ids", ".values"), "<f4", *shape)
    finite = np.isfinite(values)
    if not finite.all() and not (finite | (ids < 0)).all():
        raise checked.damaged(f"{name} names images whose values are not finite")
