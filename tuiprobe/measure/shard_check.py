"""Checks the arrays of a shard, so that an invalid shard is measured again.

A checksum shows that a shard is unchanged, not that an engine wrote it. A shard that passes these
checks can be loaded and merged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.content import DIGEST_BYTES
from tuiprobe.files import Entry
from tuiprobe.measure.shard_states import FINAL_IDS, IDS, LENGTHS, States, TapGroup, groups
from tuiprobe.run.arrays import Arrays
from tuiprobe.run.checked_arrays import CheckedArrays
from tuiprobe.spec import FINAL_TAP


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
    checked.shaped(FINAL_IDS, "<i8", None)
    if len(states) > 1:
        checked.counts(LENGTHS, "<i8", len(states) - 1)
    for group in groups(arrays, states):
        _check_group(checked, group, known)
    for tap, fields in states.items():
        if f"{tap}/rows" in arrays:
            checked.shaped(f"{tap}/rows", "f4", None, len(fields["moments.count"]))


def _check_group(checked: CheckedArrays, group: TapGroup, known: _Known) -> None:
    _check_ids(checked, group, known)  # first, for it bounds the lengths
    for field, empty in group.states[0].items():
        name, kind = group.prefix + field, empty.dtype.str
        shape = (sum(group.sizes(field)), *empty.shape[1:])
        if field == IDS:
            continue
        if field == "samples.leading":
            channels = np.repeat(group.sizes("moments.count"), group.lengths)
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


def _check_ids(checked: CheckedArrays, group: TapGroup, known: _Known) -> None:
    """Checks that each tap has seen images of this shard, and each once."""
    name = group.prefix + IDS
    ids = checked.shaped(name, "<i8", sum(group.sizes(IDS)))
    if not known.repeats(ids, group.lengths):
        for part in np.split(ids, np.cumsum(group.lengths)[:-1]):
            _refuse_foreign(checked, name, part, known)


class _Known:
    """The images of a shard, looked up a thousand at a time."""

    def __init__(self, planned: NDArray[np.int64]) -> None:
        self._there = np.zeros(int(planned.max(initial=-1)) + 2, dtype=bool)
        self._there[planned] = True  # the last one stands for -1
        self._planned = planned

    def repeats(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> bool:
        """Says whether every tap has seen all planned images in their order."""
        images = len(self._planned)
        whole = images > 0 and bool((lengths == images).all())
        return whole and bool((ids.reshape(-1, images) == self._planned).all())

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
    _refuse_foreign(checked, name, ids, known)
    return ids


def _refuse_foreign(
    checked: CheckedArrays, name: str, ids: NDArray[np.int64], known: _Known
) -> None:
    if len(np.unique(ids)) != len(ids) or not known.holds(ids):
        raise checked.damaged(f"{name} holds an image twice, or one that is not of this shard")


def _within(
    checked: CheckedArrays, name: str, kind: str, shape: tuple[int, ...],
    end: int | NDArray[np.int64],
) -> None:  # fmt: skip
    array = checked.shaped(name, kind, *shape)
    if not ((array >= -1) & (array < end)).all():
        raise checked.damaged(f"{name} holds {array.min()} to {array.max()}, which is out of range")


def _check_ends(checked: CheckedArrays, name: str, known: _Known, shape: tuple[int, ...]) -> None:
    """Checks that the top images of each channel are of this shard and have finite values."""
    ids = checked.shaped(name, "<i8", *shape)
    if not known.holds(ids, none=True):
        raise checked.damaged(f"{name} names an image that is not of this shard")
    values = checked.shaped(name.replace(".sample_ids", ".values"), "<f4", *shape)
    finite = np.isfinite(values)
    if not finite.all() and not (finite | (ids < 0)).all():
        raise checked.damaged(f"{name} names images whose values are not finite")
