"""Measures several encoders over the same images; each image is decoded once.

Every encoder publishes to its own run directory, so each run can be resumed separately.
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
from tuiprobe.measure.uploading import uploaded


@dataclass
class Member:
    """One of the encoders that share the decoding.

    Attributes:
        extraction: Measures the encoder's shards.
        missing: Set name and number of its shards that are not published yet.
        ended: The error that ended it, if it failed or was cancelled.
        crowded: Whether it ran out of memory next to the others; alone it may have enough.
    """

    extraction: Extraction
    missing: set[tuple[str, int]]
    ended: TuiprobeError | Interrupted | None = field(default=None, init=False)
    crowded: bool = field(default=False, init=False)

    @property
    def active(self) -> bool:
        """Whether the encoder is still measuring."""
        return bool(self.missing) and self.ended is None and not self.crowded

    def needs(self, shard: Shard) -> bool:
        """Says whether the encoder still has to measure a shard."""
        return self.active and shard.place in self.missing

    def attempt(self, step: Callable[[], None]) -> bool:
        """Executes a step; a failure ends this member only. Returns whether it is still active."""
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
    """Measures the members' missing shards; a failed or cancelled member does not stop others.

    Args:
        members: Encoders with the same shards. Their fields hold the result afterwards.
        shards: All shards, in the order of the plan.
        datasets: Data set by set name.
        stamps: Stamps of the images when the runs were planned.
        requested_workers: Number of decoding processes; None to choose it.

    Raises:
        TuiprobeError: If decoding fails for all members.
        Interrupted: If a stop was requested.
    """
    wanted = [shard for shard in shards if any(member.needs(shard) for member in members)]
    workers = choose_workers(requested_workers, sum(shard.size for shard in wanted))
    preprocesses = [member.extraction.preprocess for member in members]
    with decode_together(wanted, datasets, stamps, preprocesses, workers) as decoded:
        stream = uploaded(decoded, members[0].extraction.device)
        for shard in wanted:
            if not _any_active(members):
                return
            _measure(members, shard, islice(stream, len(shard.batches)))


def _measure(members: Sequence[Member], shard: Shard, batches: Iterator[tuple[Batch, ...]]) -> None:
    """Passes the batches of a shard to the members that need it, and publishes the shard."""
    taking = [i for i, one in enumerate(members) if one.needs(shard)]
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
            members[i].missing.discard(shard.place)


def _any_active(members: Sequence[Member]) -> bool:
    return any(member.active for member in members)
