"""What is published of a run: which shards can be used and which must be measured.

A shard is checked by the same rule when a run is resumed and when it is merged, whoever wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuiprobe.errors import DataError
from tuiprobe.events import Event, Listener
from tuiprobe.files import DamagedFileError, parse_json
from tuiprobe.measure.shards import Shard
from tuiprobe.results import Fingerprint
from tuiprobe.run.arrays import Arrays, read_arrays
from tuiprobe.run.directory import RunDir


class UnusableShardError(DamagedFileError):
    """A published shard is damaged, or is not what its name says; it must be measured again."""


@dataclass(frozen=True)
class ShardReader:
    """Reads the shards of one run, each checked.

    Attributes:
        directory: The run directory.
        keys: By set name, the key that its shards must carry.
        fingerprint: Of this process.
        mix: Accept shards made under another fingerprint.
    """

    directory: RunDir
    keys: Mapping[str, str]
    fingerprint: Fingerprint
    mix: bool = False

    def read(self, shard: Shard) -> tuple[Arrays, dict[str, str]]:
        """Returns the arrays and metadata of a published shard.

        Raises:
            UnusableShardError: If it is missing, damaged, or of another run or place.
            DataError: If it was made under another fingerprint and ``mix`` was not asked for.
        """
        file = self.directory.shard_file(shard.set_name, shard.number)
        try:
            arrays, metadata = read_arrays(file)
        except DamagedFileError as error:
            raise UnusableShardError(str(error)) from error
        if metadata.get("key") != self.keys[shard.set_name]:
            raise UnusableShardError(f"{file} belongs to another run or other images")
        try:
            found = Fingerprint.model_validate_json(metadata["fingerprint"])
            skipped = {int(i) for i, _ in parse_json(metadata["skipped"])}
            int(metadata["pieces"])
            ids = arrays["ids"]
        except (KeyError, ValueError, TypeError) as error:
            raise UnusableShardError(f"{file} is damaged: {error}") from error
        place = f"{shard.set_name} {shard.number}"
        planned = np.concatenate(shard.batches)
        expected = planned[~np.isin(planned, sorted(skipped))]
        if metadata.get("place", place) != place or not np.array_equal(ids, expected):
            raise UnusableShardError(f"{file} holds other images than planned")
        if found != self.fingerprint and not self.mix:
            raise DataError(
                f"{file} was measured under other conditions "
                f"({_difference(found, self.fingerprint)}), so the figures would not be bit-equal "
                "to one undisturbed run: --mix accepts that and says so in the report, --fresh "
                "starts anew"
            )
        return arrays, metadata


@dataclass(frozen=True)
class Inventory:
    """The shards of a run, sorted by whether they are done.

    Attributes:
        missing: Shards to measure, in order.
        done: Images in published shards, readable or not.
        unreadable: Unreadable images among them.
    """

    missing: tuple[Shard, ...]
    done: int
    unreadable: int


def take_inventory(reader: ShardReader, shards: Sequence[Shard], listen: Listener) -> Inventory:
    """Checks every published shard.

    Args:
        reader: Reads the shards of the run.
        shards: All shards of the run.
        listen: Told about shards that cannot be used.

    Raises:
        DataError: If shards of another fingerprint are there and may not be mixed.
    """
    missing, done, unreadable = [], 0, 0
    for shard in shards:
        if not reader.directory.shard_file(shard.set_name, shard.number).exists():
            missing.append(shard)
            continue
        try:
            _, metadata = reader.read(shard)
        except UnusableShardError as error:
            listen(Event("warning", f"{error}; it must be measured again", {}))
            missing.append(shard)
            continue
        done += shard.size
        unreadable += len(json.loads(metadata["skipped"]))
    return Inventory(tuple(missing), done, unreadable)


def _difference(found: Fingerprint, current: Fingerprint) -> str:
    before, now = found.model_dump(), current.model_dump()
    return ", ".join(
        f"{name} {before[name]} then, {now[name]} now"
        for name in before
        if before[name] != now[name]
    )
