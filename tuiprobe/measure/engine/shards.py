"""Shards: fixed lists of samples in fixed batches, the unit of work and of resuming.

The ranks of a run, processes that may be on several machines, divide them among each other.

In the file of a shard each field of all inner taps is one array: a file of few arrays is read and
checked several times as fast as one of hundreds. The parts of the taps follow each other along the
first axis, in the order of the plan: `states/<field>`, and `states/lengths`, the number of images
that each tap has seen. The representation keeps other numbers of images at its ends and stands
alone: `embedding/state.<field>`.

A shard that passes `check_shard` can be loaded and merged; any other is measured again. Its values
are not checked: the checksum shows that they are those that an engine wrote.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets import Suite
from tuiprobe.datasets.layout import Ids, layout_of
from tuiprobe.errors import UsageError
from tuiprobe.files import DIGEST_BYTES, Entry
from tuiprobe.measure.run.arrays import Arrays, CheckedArrays
from tuiprobe.measure.run.counting import ShardId
from tuiprobe.measure.run.records import SetRecord
from tuiprobe.spec import FINAL_TAP

_Item = TypeVar("_Item")

MAX_SHARD_BATCHES = 8
_USUAL_SHARDS = 20  # a delete-one-shard jackknife needs at least 16


@dataclass(frozen=True)
class Shard:
    """A fixed piece of one set's processing order.

    Attributes:
        set_name: Name of the set.
        number: Index among the set's shards, from 0.
        batches: Sample ids of each batch, in processing order.
        start: Index of the first sample in the set's processing order.
    """

    set_name: str
    number: int
    batches: tuple[Ids, ...]
    start: int

    @property
    def id(self) -> ShardId:
        """Set and number."""
        return self.set_name, self.number

    @property
    def ids(self) -> NDArray[np.int64]:
        """All sample ids, in processing order."""
        return np.concatenate([np.asarray(batch, dtype=np.int64) for batch in self.batches])

    @property
    def size(self) -> int:
        """Number of samples."""
        return sum(len(batch) for batch in self.batches)


def split_into_shards(
    set_name: str,
    order: Ids,
    batch_size: int,
    shard_batches: int | None = None,
    most_batches: int = MAX_SHARD_BATCHES,
) -> tuple[Shard, ...]:
    """Cuts a processing order into shards.

    Args:
        set_name: Name of the set.
        order: Sample ids in processing order.
        batch_size: Samples per batch.
        shard_batches: Batches per shard; None for about 20 shards.
        most_batches: Most batches per shard where the user names no number.

    >>> shards = split_into_shards("val", np.arange(10), batch_size=2, shard_batches=2)
    >>> [shard.size for shard in shards]
    [4, 4, 2]
    """
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    if shard_batches is None:
        shard_batches = min(max(len(batches) // _USUAL_SHARDS, 1), most_batches)
    return tuple(
        Shard(
            set_name=set_name,
            number=number,
            batches=tuple(batches[first : first + shard_batches]),
            start=first * batch_size,
        )
        for number, first in enumerate(range(0, len(batches), shard_batches))
    )


def set_record(suite: Suite, name: str, shards: Sequence[Shard] = (), key: str = "") -> SetRecord:
    """Returns the record of a set; without shards that of one of which nothing is planned.

    Args:
        suite: The sets.
        name: Its name; the notes of the suite are those of the first set.
        shards: Its shards.
        key: The key in its shards.
    """
    dataset, is_id_set = suite.sets[name], name == suite.in_distribution_name
    return SetRecord(
        name=name,
        source=dataset.source,
        found=len(dataset.samples),
        planned=sum(shard.size for shard in shards),
        shards=len(shards),
        shard_images=shards[0].size if shards else None,
        classes=dataset.classes,
        notes=(*dataset.notes, *suite.notes) if is_id_set else dataset.notes,
        published=suite.published.get(name),
        key=key,
        target=name in suite.targets,
        files=layout_of(dataset).files,
    )


@dataclass(frozen=True)
class Rank:
    """The position of this process among those that share a run.

    Attributes:
        number: Rank of the process, 0 to `world - 1`.
        world: Number of processes.
        local: Rank of the process on its host; selects the GPU.
        local_world: Number of processes on this host, which share its cores.
    """

    number: int = 0
    world: int = 1
    local: int = 0
    local_world: int = 1

    def share(self, shards: Sequence[_Item]) -> list[_Item]:
        """Returns the shards that this rank measures, of all shards of a run.

        >>> Rank(1, 3).share(range(8))
        [1, 4, 7]
        """
        return list(shards[self.number :: self.world])


def current_rank(environment: Mapping[str, str] = os.environ) -> Rank:
    """Reads RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE from the environment.

    Raises:
        UsageError: If they contradict each other.
    """
    try:
        rank = Rank(
            number=int(environment.get("RANK", "0")),
            world=int(environment.get("WORLD_SIZE", "1")),
            local=int(environment.get("LOCAL_RANK", "0")),
            local_world=int(environment.get("LOCAL_WORLD_SIZE", "1")),
        )
    except ValueError as error:
        raise UsageError(
            f"RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE must be whole numbers: {error}"
        ) from error
    if not 0 <= rank.number < rank.world or not 1 <= rank.local_world <= rank.world:
        raise UsageError(
            f"RANK {rank.number}, WORLD_SIZE {rank.world} and LOCAL_WORLD_SIZE "
            f"{rank.local_world} contradict each other: RANK counts from 0 to WORLD_SIZE - 1"
        )
    return rank


TapStates = Mapping[str, Arrays]
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


def groups(arrays: Mapping[str, NDArray[Any]], states: TapStates) -> Iterator[TapGroup]:
    """Yields the groups of a shard.

    Args:
        arrays: Arrays of its file.
        states: Empty states of the run's taps.

    Raises:
        KeyError: If an array is missing that says how many images there are.
    """
    final = np.array([len(arrays[FINAL_IDS])])
    yield TapGroup(prefix=_FINAL, taps=(FINAL_TAP,), states=(states[FINAL_TAP],), lengths=final)
    inner = _inner(states)
    if inner:
        empty = tuple(states[tap] for tap in inner)
        yield TapGroup(prefix=_INNER, taps=inner, states=empty, lengths=arrays[LENGTHS])


def _inner(states: TapStates) -> tuple[str, ...]:
    return tuple(tap for tap in states if tap != FINAL_TAP)


def stack_states(states: TapStates) -> Arrays:
    """Returns the arrays of a shard's file that hold the states of all taps."""
    arrays: Arrays = {_FINAL + field: array for field, array in states[FINAL_TAP].items()}
    inner = [states[tap] for tap in _inner(states)]
    if inner:
        arrays[LENGTHS] = np.array([len(state[IDS]) for state in inner])
        for field in inner[0]:
            arrays[_INNER + field] = np.concatenate([state[field] for state in inner])
    return arrays


def split_states(arrays: Arrays, states: TapStates) -> dict[str, Arrays]:
    """Returns the state of each tap, as views of the arrays of a shard that was checked."""
    parts: dict[str, Arrays] = {}
    for group in groups(arrays, states):
        parts |= {tap: {} for tap in group.taps}
        for field in group.states[0]:
            array, start = arrays[group.prefix + field], 0
            for tap, size in zip(group.taps, group.sizes(field), strict=True):
                parts[tap][field] = array[start : start + size]
                start += size
    return parts


def check_shard(file: Entry, arrays: Arrays, planned: NDArray[np.int64], states: TapStates) -> None:
    """Checks that a shard has all arrays of this run, and that its images are planned.

    Args:
        file: File of the shard, for errors.
        arrays: Arrays by name.
        planned: Ids of its images, including unreadable ones.
        states: Empty states of the run's taps.

    Raises:
        DamagedFileError: If an array is missing, or of another type or shape.
    """
    checked = CheckedArrays(file, arrays)
    images = len(checked.shaped("ids", "i8", None))
    checked.shaped("features", "f4", images, len(states[FINAL_TAP]["moments.count"]))
    read = checked.shaped("images", "<i8", None)
    if len(np.unique(read)) != len(read) or not np.isin(read, planned).all():
        raise checked.damaged("images holds an image twice, or one that is not of this shard")
    checked.shaped("digests", "u1", len(read), DIGEST_BYTES)
    checked.shaped(FINAL_IDS, "<i8", None)
    if len(states) > 1:
        checked.counts(LENGTHS, "<i8", len(states) - 1)
    for group in groups(arrays, states):
        for field, empty in group.states[0].items():
            shape = (sum(group.sizes(field)), *empty.shape[1:])
            checked.shaped(group.prefix + field, empty.dtype.str, *shape)
    for tap, fields in states.items():
        if f"{tap}/rows" in arrays:
            checked.shaped(f"{tap}/rows", "f4", None, len(fields["moments.count"]))
