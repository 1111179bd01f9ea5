"""Determines which published shards can be used and which must be measured.

The same check applies to a shard when a run is resumed and when it is merged, whichever process
wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuiprobe.errors import DataError
from tuiprobe.events import Event, Listener
from tuiprobe.files import DamagedFileError, Entry, parse_json
from tuiprobe.measure.shard_check import check_shard
from tuiprobe.measure.shard_states import States, with_stacked_states
from tuiprobe.measure.shards import Shard
from tuiprobe.results import Fingerprint
from tuiprobe.run.arrays import Arrays, read_arrays, read_metadata
from tuiprobe.run.counting import Place
from tuiprobe.run.directory import RunDir

_MOST_PIECES = 2**20


class UnusableShardError(DamagedFileError):
    """A published shard is damaged or does not match its name; it must be measured again."""


@dataclass(frozen=True)
class ShardReader:
    """Reads and checks the shards of one run.

    Attributes:
        directory: The run directory.
        keys: The required key of a set's shards, by set name.
        fingerprint: Fingerprint of this process.
        states: Empty states of the run's taps; see `tuiprobe.measure.merge.empty_states`.
        mix: Whether to accept shards with another fingerprint.
    """

    directory: RunDir
    keys: Mapping[str, str]
    fingerprint: Fingerprint
    states: States
    mix: bool = False

    def read(self, shard: Shard) -> tuple[Arrays, dict[str, str]]:
        """Returns the arrays and metadata of a published shard.

        Raises:
            UnusableShardError: If it is missing, damaged, or of another run or position.
            DataError: If it has another fingerprint and `mix` is false.
        """
        file = self.directory.shard_file(*shard.place)
        try:
            arrays, metadata = read_arrays(file)
        except DamagedFileError as error:
            raise UnusableShardError(str(error)) from error
        planned = np.concatenate(shard.batches)
        found, skipped = self._accepted(shard, metadata, planned)
        try:
            if not 1 <= int(metadata["pieces"]) <= _MOST_PIECES:
                raise ValueError("pieces is out of range")
            ids, arrays = arrays["ids"], with_stacked_states(arrays, self.states)
        except (KeyError, ValueError, TypeError) as error:
            first = str(error).partition("\n")[0]
            raise UnusableShardError(f"{file} is damaged: {first}") from error
        if not np.array_equal(ids, planned[~np.isin(planned, skipped)]):
            raise UnusableShardError(f"{file} holds other images than planned")
        try:
            check_shard(file, arrays, planned, self.states)
        except DamagedFileError as error:
            raise UnusableShardError(str(error)) from error
        self._refuse_mixed(file, found)
        return arrays, metadata

    def read_head(self, shard: Shard) -> dict[str, str]:
        """Returns the metadata of a published shard without its arrays.

        Raises:
            UnusableShardError: If it is missing, or of another run or position.
            DataError: If it has another fingerprint and `mix` is false.
        """
        file = self.directory.shard_file(*shard.place)
        try:
            metadata = read_metadata(file)
        except DamagedFileError as error:
            raise UnusableShardError(str(error)) from error
        found, _ = self._accepted(shard, metadata, np.concatenate(shard.batches))
        self._refuse_mixed(file, found)
        return metadata

    def _accepted(
        self, shard: Shard, metadata: Mapping[str, str], planned: NDArray[np.int64]
    ) -> tuple[Fingerprint, list[int]]:
        """Returns fingerprint and unreadable images; refuses a shard of another run or position."""
        file = self.directory.shard_file(*shard.place)
        if metadata.get("key") != self.keys[shard.set_name]:
            raise UnusableShardError(f"{file} belongs to another run or other images")
        try:
            found = Fingerprint.model_validate_json(metadata["fingerprint"])
            skipped = _skipped(metadata["skipped"], planned)
        except (KeyError, ValueError, TypeError) as error:
            first = str(error).partition("\n")[0]
            raise UnusableShardError(f"{file} is damaged: {first}") from error
        place = f"{shard.set_name} {shard.number}"
        if metadata.get("place", place) != place:
            raise UnusableShardError(f"{file} holds other images than planned")
        return found, skipped

    def _refuse_mixed(self, file: Entry, found: Fingerprint) -> None:
        if found.differences(self.fingerprint) and not self.mix:
            raise DataError(other_conditions(file, found, self.fingerprint))


def _skipped(text: str, planned: NDArray[np.int64]) -> list[int]:
    """Returns the ids of the unreadable images of a shard."""
    entries = parse_json(text)
    ids = [int(i) for i, reason in entries if isinstance(reason, str) and isinstance(i, int)]
    if len(ids) != len(entries) or len(set(ids)) != len(ids) or not np.isin(ids, planned).all():
        raise ValueError("skipped names other images than planned")
    return ids


@dataclass(frozen=True)
class Inventory:
    """The state of a run's shards.

    Attributes:
        missing: Shards of this rank to measure, in order.
        published: Shards that can be used, as far as this rank has read them.
        unreadable: Number of unreadable images in them.
    """

    missing: tuple[Shard, ...]
    published: tuple[Shard, ...]
    unreadable: int


def take_inventory(
    reader: ShardReader,
    shards: Sequence[Shard],
    listen: Listener,
    own: Collection[Place] | None = None,
) -> Inventory:
    """Checks every published shard, and deletes those of this rank that cannot be used.

    Of several ranks, each reads its own shards whole and only the heads of the others, which are
    read whole when they are merged. Else a resume would read everything as often as there are
    ranks.

    Args:
        reader: Reads the shards of the run.
        shards: All shards of the run.
        listen: Told about shards that cannot be used.
        own: Set and number of the shards of this rank; None for all.

    Raises:
        DataError: If a shard has another fingerprint and mixing is not allowed.
    """
    missing, published, unreadable = [], [], 0
    for shard in shards:
        mine, file = own is None or shard.place in own, reader.directory.shard_file(*shard.place)
        if not file.exists():
            missing += [shard] * mine
            continue
        try:
            metadata = reader.read(shard)[1] if mine else reader.read_head(shard)
        except UnusableShardError as error:
            if mine:
                listen(Event("warning", f"{error}; it must be measured again", {}))
                missing.append(shard)
                file.unlink()
            continue
        published.append(shard)
        unreadable += len(json.loads(metadata["skipped"]))
    return Inventory(tuple(missing), tuple(published), unreadable)


def other_conditions(file: Entry, found: Fingerprint, current: Fingerprint) -> str:
    """Says that a shard was measured under other conditions, which, and what to do."""
    differences = ", ".join(
        f"{name} {before} then, {now} now"
        for name, (before, now) in found.differences(current).items()
    )
    return (
        f"{file} was measured under other conditions ({differences}), so the figures would not be "
        "bit-equal to one undisturbed run: --mix accepts that and says so in the report, --fresh "
        "starts anew"
    )
