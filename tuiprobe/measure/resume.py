"""Determines which published shards can be used and which must be measured.

The same check applies to a shard when a run is resumed and when it is merged, whichever process
wrote it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.vectors import RowSet
from tuiprobe.errors import DataError
from tuiprobe.events import Event, Listener
from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.measure.shard_check import check_shard
from tuiprobe.measure.shard_states import States
from tuiprobe.measure.shards import Shard
from tuiprobe.results import Fingerprint
from tuiprobe.run.checked_arrays import CheckedArrays
from tuiprobe.run.counting import Place
from tuiprobe.run.directory import RunDir
from tuiprobe.run.shard_file import ShardFile, read_shard

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
        row_sets: The sets of stored vectors, of which a sample is kept.
        mix: Whether to accept shards with another fingerprint.
    """

    directory: RunDir
    keys: Mapping[str, str]
    fingerprint: Fingerprint
    states: States
    row_sets: Mapping[str, RowSet] = field(default_factory=dict)
    mix: bool = False

    def read(self, shard: Shard, *, whole: bool = True) -> ShardFile:
        """Returns a published shard.

        Args:
            shard: The shard as planned.
            whole: Whether to read and check its arrays too.

        Raises:
            UnusableShardError: If it is missing, damaged, or of another run or position.
            DataError: If it has another fingerprint and `mix` is false.
        """
        planned = shard.ids
        try:
            found = read_shard(self.directory, *shard.place, self.keys[shard.set_name], whole=whole)
            skipped = [i for i, _ in found.skipped]
            if len(set(skipped)) != len(skipped) or not np.isin(skipped, planned).all():
                raise DamagedFileError(f"{found.entry} is damaged: it skipped other images")
            if whole:
                self._check(found, shard.set_name, planned)
        except DamagedFileError as error:
            raise UnusableShardError(str(error)) from error
        if found.fingerprint.differences(self.fingerprint) and not self.mix:
            raise DataError(other_conditions(found.entry, found.fingerprint, self.fingerprint))
        return found

    def _check(self, found: ShardFile, set_name: str, planned: NDArray[np.int64]) -> None:
        try:
            readable = planned[~np.isin(planned, [i for i, _ in found.skipped])]
            if (rows := self.row_sets.get(set_name)) is not None:
                lost = CheckedArrays(found.entry, found.arrays).shaped("nonfinite", "i8", None)
                readable = readable[rows.keeps(readable)]
                readable = readable[~np.isin(readable, lost)]
                if len(np.unique(lost)) != len(lost) or not np.isin(lost, planned).all():
                    raise DamagedFileError(f"{found.entry} is damaged: it left out other rows")
            if not 1 <= int(found.metadata["pieces"]) <= _MOST_PIECES:
                raise ValueError("pieces is out of range")
            if not np.array_equal(found.arrays["ids"], readable):
                raise DamagedFileError(f"{found.entry} holds other images than planned")
            check_shard(found.entry, found.arrays, planned, self.states)
        except (KeyError, ValueError, TypeError) as error:
            cause = str(error).partition("\n")[0]
            raise DamagedFileError(f"{found.entry} is damaged: {cause}") from error


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

    @property
    def images(self) -> int:
        """Number of images in the missing shards."""
        return sum(shard.size for shard in self.missing)


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
            found = reader.read(shard, whole=mine)
        except UnusableShardError as error:
            if mine:
                listen(Event("warning", f"{error}; it must be measured again", {}))
                missing.append(shard)
                file.unlink()
            continue
        published.append(shard)
        unreadable += len(found.skipped)
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
