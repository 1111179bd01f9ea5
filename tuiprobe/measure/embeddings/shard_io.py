"""The file of one shard of vectors: what it holds, and how it is checked when it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.content import DIGEST_BYTES
from tuiprobe.errors import DataError
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.embeddings.shards import RowShard
from tuiprobe.measure.plan import Plan
from tuiprobe.measure.resume import UnusableShardError, other_conditions
from tuiprobe.results import Fingerprint
from tuiprobe.run.arrays import Arrays
from tuiprobe.run.checked_arrays import CheckedArrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.row_records import LISTED_ROWS
from tuiprobe.run.shard_file import ShardFile, read_shard
from tuiprobe.stats import ChannelStats, SampleMoments

ALL, SAMPLE = "all/", "sample/"
"""Prefixes of the states over all rows, and over the sampled ones."""


def state_arrays(prefix: str, stats: ChannelStats | SampleMoments) -> Arrays:
    """Returns the state of an accumulator as arrays with a prefix."""
    return {f"{prefix}{name}": field.numpy() for name, field in stats.state_dict().items()}


def load_state(arrays: Arrays, prefix: str, stats: ChannelStats | SampleMoments) -> None:
    """Loads a state that `state_arrays` gave."""
    own = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    stats.load_state_dict(own)


@dataclass(frozen=True, eq=False)
class ShardOfRows:
    """A shard that was read and checked.

    Attributes:
        stats: Moments and both ends of each channel, over all its finite rows.
        samples: Per-row figures of its sampled rows.
        ids: int64 `[m]`, its sampled rows that are finite.
        features: float32 `[m, C]`, their vectors.
        nonfinite: Number of rows that are not finite, and the first of them.
        digest: SHA-256 of the rows.
        fingerprint: Fingerprint of the process that measured it.
    """

    stats: ChannelStats
    samples: SampleMoments
    ids: NDArray[np.int64]
    features: NDArray[np.float32]
    nonfinite: tuple[int, tuple[int, ...]]
    digest: bytes
    fingerprint: Fingerprint


@dataclass(frozen=True)
class RowShardReader:
    """Reads and checks the shards of a run of vectors.

    Attributes:
        plan: The plan of the run.
        directory: The run directory.
        fingerprint: Fingerprint of this process.
        mix: Whether to accept shards with another fingerprint.
    """

    plan: Plan
    directory: RunDir
    fingerprint: Fingerprint
    mix: bool = False

    def read(self, shard: RowShard) -> ShardOfRows:
        """Returns a published shard.

        Raises:
            UnusableShardError: If it is missing, damaged, or of another run or position.
            DataError: If it has another fingerprint and `mix` is false.
        """
        file = self.directory.shard_file(*shard.place)
        try:
            read = read_shard(self.directory, *shard.place, self.plan.set_keys[shard.set_name])
            if read.rows != (shard.start, shard.stop):
                raise DamagedFileError(f"{file} holds other rows than planned")
            found = self._checked(shard, read)
        except (DamagedFileError, KeyError, ValueError, TypeError) as error:
            said = str(error).partition("\n")[0]
            if not isinstance(error, DamagedFileError):
                said = f"{file} is damaged: {said}"
            raise UnusableShardError(said) from error
        if found.fingerprint.differences(self.fingerprint) and not self.mix:
            raise DataError(other_conditions(file, found.fingerprint, self.fingerprint))
        return found

    def _checked(self, shard: RowShard, read: ShardFile) -> ShardOfRows:
        arrays = read.arrays
        checked, width = CheckedArrays(read.entry, arrays), self.plan.encoder.width
        ids = checked.shaped("ids", "i8", None)
        features = checked.shaped("features", "f4", len(ids), width)
        listed = checked.shaped("nonfinite", "i8", None)
        count = int(read.metadata["nonfinite"])
        inside = all(_inside(one, shard) for one in (ids, listed))
        if not inside or len(listed) != min(count, LISTED_ROWS) or count > shard.size:
            raise checked.damaged("it names rows that are not of this shard")
        for field, empty in state_arrays(ALL, self.empty()).items():
            checked.shaped(field, empty.dtype.str, *empty.shape)
        for end in ("largest", "smallest"):
            rows = arrays[f"{ALL}{end}.sample_ids"]
            if not _inside(rows[rows != -1], shard, ordered=False):
                raise checked.damaged("it names rows that are not of this shard")
        stats, samples = self.empty(), SampleMoments(width)
        load_state(arrays, ALL, stats)
        load_state(arrays, SAMPLE, samples)
        if not np.array_equal(samples.compute().sample_ids, ids):
            raise checked.damaged("its figures are of other rows than its vectors")
        return ShardOfRows(
            stats=stats,
            samples=samples,
            ids=ids,
            features=features,
            nonfinite=(count, tuple(listed.tolist())),
            digest=checked.shaped("digest", "u1", DIGEST_BYTES).tobytes(),
            fingerprint=read.fingerprint,
        )

    def empty(self) -> ChannelStats:
        """Returns an accumulator that has seen no rows."""
        return ChannelStats(self.plan.encoder.width, k=self.plan.spec.top_k)


def place_of(shard: RowShard) -> str:
    """Returns the place of a shard, as its metadata says it."""
    return f"{shard.set_name} {shard.number} rows {shard.start} to {shard.stop}"


def _inside(rows: NDArray[Any], shard: RowShard, ordered: bool = True) -> bool:
    if not rows.size:
        return True
    ascending = not ordered or bool((np.diff(rows) > 0).all())
    return ascending and shard.start <= int(rows.min()) and int(rows.max()) < shard.stop
