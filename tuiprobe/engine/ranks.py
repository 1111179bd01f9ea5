"""Several processes, one run: torchrun's environment says who does which shards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from tuiprobe.errors import UsageError


@dataclass(frozen=True)
class Rank:
    """This process among those that share a run.

    Attributes:
        number: 0 to ``world - 1``.
        world: Number of processes.
        local: Number of the process on its host; picks the GPU.
        local_world: Number of processes on this host, which share its cores.
    """

    number: int = 0
    world: int = 1
    local: int = 0
    local_world: int = 1

    def owns(self, shard_index: int) -> bool:
        """Rank r takes shards r, r + W, r + 2 W, ...

        >>> [Rank(1, 3).owns(i) for i in range(5)]
        [False, True, False, False, True]
        """
        return shard_index % self.world == self.number

    @property
    def lock_name(self) -> str:
        """Name of the lock file: each rank of one launch has its own."""
        return "lock" if self.number == 0 else f"lock-{self.number}"


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
