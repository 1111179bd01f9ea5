"""Several encoders over the same images: each image is decoded once, each encoder measures its own.

Every encoder publishes into its own run directory, so each of these runs can be resumed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from tuiprobe.datasets import Dataset
from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.decoding import Batch, Stamps, choose_workers, decode_together
from tuiprobe.measure.extract import Extraction, out_of_memory
from tuiprobe.measure.failures import explaining_failures
from tuiprobe.measure.shards import Shard
from tuiprobe.measure.stopping import Interrupted


@dataclass
class Member:
    """One encoder among those that share the decoding.

    Attributes:
        extraction: Measures its shards.
        missing: Set name and number of the shards that it has to measure; published ones leave.
        ended: Why it takes no further part, if it failed or was cancelled.
        crowded: Whether it ran out of memory beside the others; alone it may have enough.
    """

    extraction: Extraction
    missing: set[tuple[str, int]]
    ended: TuiprobeError | Interrupted | None = field(default=None, init=False)
    crowded: bool = field(default=False, init=False)

    @property
    def active(self) -> bool:
        """Whether it still takes part."""
        return bool(self.missing) and self.ended is None and not self.crowded

    def needs(self, shard: Shard) -> bool:
        """Whether it takes part in measuring a shard."""
        return self.active and (shard.set_name, shard.number) in self.missing

    def attempt(self, step: Callable[[], None]) -> bool:
        """Takes a step; where it fails, this member ends and the others go on."""
        try:
            with explaining_failures():
                step()
        except (TuiprobeError, Interrupted) as reason:
            self.crowded = out_of_memory(reason.__cause__)
            if not self.crowded:
                self.ended = reason
        return self.active


def measure_together(
    members: Sequence[Member],
    shards: Iterable[Shard],
    datasets: dict[str, Dataset],
    stamps: Stamps,
    requested_workers: int | None,
) -> None:
    """Measures what the members miss; one that fails or is cancelled does not stop the others.

    Args:
        members: Encoders with the same shards. Afterwards they say how far each one came.
        shards: All shards, in the order of the plan.
        datasets: Data set of each set name.
        stamps: What the images looked like when the runs were planned.
        requested_workers: Worker processes that decode; None picks.

    Raises:
        TuiprobeError: If no image can be decoded any more, for any of them.
        Interrupted: If the process was asked to stop.
    """
    wanted = [shard for shard in shards if any(member.needs(shard) for member in members)]
    workers = choose_workers(requested_workers, sum(shard.size for shard in wanted))
    preprocesses = [member.extraction.preprocess for member in members]
    with decode_together(wanted, datasets, stamps, preprocesses, workers) as stream:
        for shard in wanted:
            if not _any_active(members):
                return
            _measure(members, shard, islice(stream, len(shard.batches)))


def _measure(members: Sequence[Member], shard: Shard, batches: Iterator[tuple[Batch, ...]]) -> None:
    """Hands the batches of a shard to the members that need it, and publishes what is whole."""
    taking = [i for i, member in enumerate(members) if member.needs(shard)]
    for i in taking:
        members[i].extraction.begin(shard)
    for together in batches:
        if not _any_active(members):
            return
        taking = [
            i
            for i in taking
            if members[i].attempt(partial(members[i].extraction.take, together[i]))
        ]
    for i in taking:
        if members[i].attempt(members[i].extraction.publish):
            members[i].missing.discard((shard.set_name, shard.number))


def _any_active(members: Sequence[Member]) -> bool:
    return any(member.active for member in members)
