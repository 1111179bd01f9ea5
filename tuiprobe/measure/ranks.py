"""Divides the shards of a run between processes, as set in torchrun's environment."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuiprobe.errors import UsageError
from tuiprobe.run.directory import RunDir
from tuiprobe.run.locks import held_locks, is_held

_NAMED = 8  # most ranks listed in a message


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

    def owns(self, shard_index: int) -> bool:
        """Says whether this rank measures a shard: rank r measures r, r + W, r + 2 W, ...

        >>> [Rank(1, 3).owns(i) for i in range(5)]
        [False, True, False, False, True]
        """
        return self.owner(shard_index) == self.number

    def owner(self, shard_index: int) -> int:
        """Returns the rank that measures a shard."""
        return shard_index % self.world

    @property
    def lock_name(self) -> str:
        """Name of the lock file, a different one for each rank."""
        return _lock_name(self.number)


def _lock_name(number: int) -> str:
    return "lock" if number == 0 else f"lock-{number}"


def who_is_missing(directory: RunDir, rank: Rank, absent: Sequence[int]) -> str:
    """Says which ranks have not published their shards yet, and what to do.

    Args:
        directory: The run directory.
        rank: Rank of this process, which is done.
        absent: Index in the plan of each missing shard.
    """
    held = held_locks()
    shards = Counter(rank.owner(i) for i in absent)
    waiting = [n for n in sorted(shards) if is_held(directory.at(_lock_name(n)), held)]
    away = [n for n in sorted(shards) if n not in waiting]
    said = [f"rank {rank.number} of {rank.world} is done, without results yet"]
    if waiting:
        said.append(f"{_shards_of(waiting, shards)}, running on this machine")
    if away:
        said.append(
            f"{_shards_of(away, shards)}, not running on this machine: start what runs nowhere "
            f"(RANK={away[0]} WORLD_SIZE={rank.world}, the same command), or finish the run in one "
            "process with the same command outside torchrun"
        )
    return "; ".join([*said, "the last rank to finish writes the results"])


def _shards_of(ranks: Sequence[int], shards: Mapping[int, int]) -> str:
    count = sum(shards[n] for n in ranks)
    names = ", ".join(str(n) for n in ranks[:_NAMED]) + (", ..." if len(ranks) > _NAMED else "")
    missing = "1 shard is missing" if count == 1 else f"{count} shards are missing"
    return f"{missing} of {'rank' if len(ranks) == 1 else 'ranks'} {names}"


def current_rank(environment: Mapping[str, str] = os.environ) -> Rank:
    """Reads RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE as torchrun sets them.

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
            f"{rank.local_world} contradict each other; start the ranks with torchrun"
        )
    return rank
