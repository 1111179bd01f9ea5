"""Divides the shards of a run between processes, by RANK and WORLD_SIZE of their environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tuiprobe.errors import UsageError

_Item = TypeVar("_Item")


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
    """Reads RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE, whoever set them.

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
