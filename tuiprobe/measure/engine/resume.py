"""Checks what a resumed run can reuse: intact shards, measured on images that are unchanged.

The same check applies to a shard when a run is resumed and when it is merged, whichever process
wrote it. Every shard stores the digests of its images, and `samples.jsonl` their stamps. An image
is not read again if source and stamp are unchanged. If they differ, because a folder was moved,
copied or touched, the content decides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.layout import KEYED_CONTENTS, Ids
from tuiprobe.datasets.sample import Stamp
from tuiprobe.errors import DataError
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.engine.plan import Plan, record_of
from tuiprobe.measure.engine.shards import Shard, TapStates, check_shard
from tuiprobe.measure.run.arrays import CheckedArrays
from tuiprobe.measure.run.counting import ShardId
from tuiprobe.measure.run.records import PlanRecord, ShardFile, read_plan, read_shard
from tuiprobe.measure.run.samples import samples_of_lines
from tuiprobe.measure.run.status import Event, Listener
from tuiprobe.plaintext import encodable
from tuiprobe.results import Fingerprint

_READERS = 8  # threads: reading waits for I/O, and hashing releases the GIL
_TOGETHER = 256  # images per batch; at most this many are read in vain


class UnusableShardError(DamagedFileError):
    """A published shard is damaged or does not match its name; it must be measured again."""


@dataclass(frozen=True)
class ShardReader:
    """Reads and checks the shards of one run.

    Attributes:
        plan: The plan of the run.
        fingerprint: Fingerprint of this process.
        mix: Whether to accept shards with another fingerprint.
    """

    plan: Plan
    fingerprint: Fingerprint
    mix: bool = False

    @cached_property
    def states(self) -> TapStates:
        """The empty state of each tap."""
        return {
            tap: {name: field.numpy() for name, field in stats.state_dict().items()}
            for tap, stats in self.plan.accumulators().items()
        }

    def read(self, shard: Shard, *, with_arrays: bool = True) -> ShardFile:
        """Returns a published shard.

        Args:
            shard: The shard as planned.
            with_arrays: Whether to read and check its arrays too.

        Raises:
            UnusableShardError: If it is missing, damaged, or of another run or position.
            DataError: If it has another fingerprint and `mix` is false.
        """
        planned, key = shard.ids, self.plan.set_keys[shard.set_name]
        try:
            file = read_shard(self.plan.directory, *shard.id, key, with_arrays=with_arrays)
            skipped = [i for i, _ in file.skipped]
            if len(set(skipped)) != len(skipped) or not np.isin(skipped, planned).all():
                raise file.entry.damaged("it skipped other images")
            if with_arrays:
                self._check(file, shard.set_name, planned)
        except DamagedFileError as error:
            raise UnusableShardError(str(error)) from error
        differences = ", ".join(
            f"{name} {before} then, {now} now"
            for name, (before, now) in file.fingerprint.differences(self.fingerprint).items()
        )
        if differences and not self.mix:
            raise DataError(
                f"{file.entry} was measured under other conditions ({differences}), so the figures "
                "would differ in their last bits from those of an uninterrupted run: --mix accepts "
                "that and notes it in the report, --fresh starts over"
            )
        return file

    def _check(self, file: ShardFile, set_name: str, planned: NDArray[np.int64]) -> None:
        try:
            readable = planned[~np.isin(planned, [i for i, _ in file.skipped])]
            lost = CheckedArrays(file.entry, file.arrays).shaped("lost", "i8", None)
            if len(np.unique(lost)) != len(lost) or not np.isin(lost, planned).all():
                raise file.entry.damaged("it left out other samples")
            sampled = self.plan.layouts[set_name].sampled(readable, self.plan.spec.seed)
            if sampled is not None:
                readable = readable[sampled]
            readable = readable[~np.isin(readable, lost)]
            if not np.array_equal(file.arrays["ids"], readable):
                raise DamagedFileError(f"{file.entry} holds other images than planned")
            check_shard(file.entry, file.arrays, planned, self.states)
        except (KeyError, ValueError, TypeError) as error:
            cause = str(error).partition("\n")[0]
            raise file.entry.damaged(cause) from error


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


def check_shards(
    reader: ShardReader,
    shards: Sequence[Shard],
    listen: Listener,
    of_rank: Collection[ShardId] | None = None,
) -> Inventory:
    """Checks every published shard, and deletes those of this rank that cannot be used.

    Of several ranks, each reads all of its shards and only the headers of the others, which are
    read whole when they are merged. Else a resume would read everything as often as there are
    ranks.

    Args:
        reader: Reads the shards of the run.
        shards: All shards of the run.
        listen: Receives a warning for each shard that cannot be used.
        of_rank: Set and number of the shards of this rank; None for all.

    Raises:
        DataError: If a shard has another fingerprint and mixing is not allowed.
    """
    missing, published, unreadable = [], [], 0
    for shard in shards:
        is_of_rank = of_rank is None or shard.id in of_rank
        file = reader.plan.directory.shard_file(*shard.id)
        if not file.exists():
            if is_of_rank:
                missing.append(shard)
            continue
        try:
            skipped = reader.read(shard, with_arrays=is_of_rank).skipped
        except UnusableShardError as error:
            if is_of_rank:
                listen(Event("warning", f"{error}; it must be measured again", {}))
                missing.append(shard)
                file.unlink()
            continue
        published.append(shard)
        unreadable += len(skipped)
    return Inventory(tuple(missing), tuple(published), unreadable)


def compare_contents(plan: Plan, published: Sequence[Shard], listen: Listener) -> bool:
    """Checks that published shards were measured on the images of the plan.

    Args:
        plan: The current plan of the run.
        published: The published shards, in processing order.
        listen: Receives an event if contents are read.

    Returns:
        Whether `plan.json` and `samples.jsonl` must be rewritten, because their paths or stamps
        differ from the plan's.

    Raises:
        DataError: If the content of an image has changed; names the first one.
    """
    recorded, before = _recorded(plan)
    doubtful = {
        shard.id: units
        for shard in published
        if (units := _doubtful(plan, shard, recorded.get(shard.set_name, {}), before))
    }
    if doubtful:
        count = sum(len(unit) for units in doubtful.values() for unit in units)
        message = f"comparing {count:,} {plan.unit} with what was measured"
        listen(Event("stage", message, {"stage": "compare"}))
    with ThreadPoolExecutor(_READERS) as readers:
        for shard in published:
            _compare(plan, shard, doubtful.get(shard.id, []), readers)
    return recorded != plan.stamps or before != record_of(plan)


def refuse_other_images(plan: Plan) -> None:
    """Refuses a directory whose key differs from the plan's because an image changed.

    Compares only what is part of the key: sizes, and contents of the first images of each set.

    Raises:
        DataError: If the list of images is the same but one of them differs; names that image.
    """
    directory = plan.directory
    try:
        if directory.read_key() in (None, plan.key):
            return
        records_by_set = samples_of_lines(directory)
        digests = {
            record.name: read_shard(directory, record.name, 0, record.key).digests()
            for record in read_plan(directory).sets
            if directory.shard_file(record.name, 0).exists()
        }
    except DamagedFileError:
        return
    for name, dataset in plan.suite.sets.items():
        records = records_by_set.get(name, {})
        samples = {i: dataset.samples[i] for i in plan.stamps[name]}
        if [(record.id, record.path, record.label) for record in records.values()] != [
            (i, encodable(sample.path), sample.label) for i, sample in samples.items()
        ]:
            return
        for index, (i, stamp) in enumerate(plan.stamps[name].items()):
            differs = records[i].size != stamp.size
            if index < KEYED_CONTENTS and i in digests.get(name, {}) and not differs:
                differs = plan.layouts[name].digest([i]) != digests[name][i]
            if differs:
                raise _differs(plan, name, [i])


def _recorded(plan: Plan) -> tuple[dict[str, dict[int, Stamp]], PlanRecord | None]:
    """Returns the recorded stamps of the sets whose source is unchanged, and the recorded plan."""
    try:
        before = read_plan(plan.directory)
        records_by_set = samples_of_lines(plan.directory)
    except DamagedFileError:
        return {}, None  # no record: compare the contents
    sources = {record.name: record.source for record in before.sets}
    return {
        name: {i: Stamp(of.size, of.changed) for i, of in records_by_set.get(name, {}).items()}
        for name, dataset in plan.suite.sets.items()
        if sources.get(name) == dataset.source
    }, before


def _doubtful(
    plan: Plan, shard: Shard, recorded: Mapping[int, Stamp], before: PlanRecord | None
) -> list[Ids]:
    """Returns the ids of samples that may have changed since they were measured.

    Of samples that lie together these are all batches, if a file was moved or touched.
    """
    layout, stamps = plan.layouts[shard.set_name], plan.stamps[shard.set_name]
    if not layout.one_file_each:
        files = {} if before is None else {record.name: record.files for record in before.sets}
        return [] if files.get(shard.set_name) == layout.files else list(shard.batches)
    return [
        [i] for i in shard.ids.tolist() if stamps[i].changed is None or recorded.get(i) != stamps[i]
    ]


def _compare(plan: Plan, shard: Shard, units: Sequence[Ids], readers: ThreadPoolExecutor) -> None:
    try:
        key = plan.set_keys[shard.set_name]
        measured = read_shard(plan.directory, *shard.id, key).digests() if units else {}
    except DamagedFileError:
        return  # another rank's, of which only the head was read: it is measured again
    digest = plan.layouts[shard.set_name].digest
    for first in range(0, len(units), _TOGETHER):
        together = units[first : first + _TOGETHER]
        for ids, content in zip(together, list(readers.map(digest, together)), strict=True):
            if measured.get(int(ids[0])) != content:
                raise _differs(plan, shard.set_name, ids)


def _differs(plan: Plan, set_name: str, ids: Ids) -> DataError:
    layout, begun = plan.layouts[set_name], plan.directory.path
    return DataError(
        f"{layout.called(ids)} of {layout.dataset.source}: its content has changed since {begun} "
        f"was begun; choose another --output, or measure all {layout.unit} again with --fresh"
    )
