"""The states of all taps in a shard's file, where each field of all inner taps is one array.

A file of few arrays is read and checked several times as fast as one of hundreds. The parts of the
taps follow each other along the first axis, in the order of the plan: `states/<field>`, and
`states/lengths`, the number of images that each tap has seen. The representation keeps other
numbers of images at its ends and stands alone: `embedding/state.<field>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuiprobe.run.arrays import Arrays
from tuiprobe.spec import FINAL_TAP

States = Mapping[str, Arrays]
"""State by tap: arrays by field."""

IDS: Final = "samples.sample_ids"
PER_IMAGE: Final = (IDS, "samples.kurtosis", "samples.self_share", "samples.leading")
_FINAL, _INNER = f"{FINAL_TAP}/state.", "states/"
FINAL_IDS: Final = _FINAL + IDS
LENGTHS: Final = _INNER + "lengths"


class TapGroup(NamedTuple):
    """Taps whose states lie in the same arrays.

    Attributes:
        prefix: What precedes the name of a field.
        taps: Their names, in order.
        states: Their empty states.
        lengths: int64 `[len(taps)]`, images that each has seen.
    """

    prefix: str
    taps: tuple[str, ...]
    states: tuple[Arrays, ...]
    lengths: NDArray[np.int64]

    def sizes(self, field: str) -> list[int]:
        """Returns the length of each tap's part of a field."""
        if field in PER_IMAGE:
            return [int(length) for length in self.lengths]
        return [len(state[field]) for state in self.states]


def groups(arrays: Mapping[str, NDArray[Any]], states: States) -> Iterator[TapGroup]:
    """Yields the groups of a shard.

    Args:
        arrays: Arrays of its file.
        states: Empty states of the run's taps.

    Raises:
        KeyError: If an array is missing that says how many images there are.
    """
    final = np.array([len(arrays[FINAL_IDS])])
    yield TapGroup(_FINAL, (FINAL_TAP,), (states[FINAL_TAP],), final)
    inner = _inner(states)
    if inner:
        empty = tuple(states[tap] for tap in inner)
        yield TapGroup(_INNER, inner, empty, arrays[LENGTHS])


def _inner(states: States) -> tuple[str, ...]:
    return tuple(tap for tap in states if tap != FINAL_TAP)


def stack_states(states: States) -> Arrays:
    """Returns the arrays of a shard's file that hold the states of all taps."""
    arrays: Arrays = {_FINAL + field: array for field, array in states[FINAL_TAP].items()}
    inner = [states[tap] for tap in _inner(states)]
    if inner:
        arrays[LENGTHS] = np.array([len(one[IDS]) for one in inner])
        for field in inner[0]:
            arrays[_INNER + field] = np.concatenate([one[field] for one in inner])
    return arrays


def split_states(arrays: Arrays, states: States) -> dict[str, Arrays]:
    """Returns the state of each tap, as views of the arrays of a shard that was checked."""
    parts: dict[str, Arrays] = {}
    for group in groups(arrays, states):
        parts |= {tap: {} for tap in group.taps}
        for field in group.states[0]:
            for tap, part in zip(group.taps, _cut(arrays, group, field), strict=True):
                parts[tap][field] = part
    return parts


def _cut(arrays: Arrays, group: TapGroup, field: str) -> Iterator[NDArray[Any]]:
    array, start = arrays[group.prefix + field], 0
    for size in group.sizes(field):
        yield array[start : start + size]
        start += size
