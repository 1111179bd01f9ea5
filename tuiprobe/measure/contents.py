"""Checks that a run directory was measured on the images that exist now.

Every shard stores the digests of its images, and `samples.jsonl` their stamps. An image is not read
again if source and stamp are unchanged. If they differ, because a folder was moved, copied or
touched, the content decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tuiprobe.datasets.base import Stamp
from tuiprobe.datasets.content import DIGEST_BYTES
from tuiprobe.datasets.dataset import digest_of
from tuiprobe.errors import DataError
from tuiprobe.events import Event, Listener
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.plan import KEYED_CONTENTS, Plan
from tuiprobe.measure.plan_record import record_of
from tuiprobe.measure.shards import Shard
from tuiprobe.plaintext import encodable
from tuiprobe.run.directory import RunDir
from tuiprobe.run.records import read_plan, read_samples
from tuiprobe.run.shard_file import read_shard

_READERS = 8  # threads: reading waits for I/O, and hashing releases the GIL
_TOGETHER = 256  # images per batch; at most this many are read in vain


def compare_contents(
    plan: Plan, directory: RunDir, published: Sequence[Shard], listen: Listener
) -> bool:
    """Checks that published shards were measured on the images of the plan.

    Args:
        plan: The current plan of the run.
        directory: The run directory.
        published: The published shards, in processing order.
        listen: Told if contents are read.

    Returns:
        Whether `plan.json` and `samples.jsonl` must be rewritten, because their paths or stamps
        differ from the plan's.

    Raises:
        DataError: If the content of an image has changed; names the first one.
    """
    recorded = _recorded(plan, directory)
    doubtful = {
        shard.place: ids
        for shard in published
        if (ids := _doubtful(plan, shard, recorded.get(shard.set_name, {})))
    }
    if doubtful:
        count = sum(len(ids) for ids in doubtful.values())
        listen(
            Event(
                "stage",
                f"comparing the contents of {count:,} images with what was measured",
                {"stage": "compare"},
            )
        )
    with ThreadPoolExecutor(_READERS) as readers:
        for shard in published:
            ids = doubtful.get(shard.place, [])
            _compare(plan, directory, shard, ids, readers)
    return recorded != plan.stamps or not _plan_is(plan, directory)


def refuse_other_images(plan: Plan, directory: RunDir) -> None:
    """Refuses a directory whose key differs from the plan's because an image changed.

    Compares only what is part of the key: sizes, and contents of the first images of each set.

    Raises:
        DataError: If the list of images is the same but one of them differs; names that image.
    """
    try:
        if directory.read_key() in (None, plan.key):
            return
        listed = read_samples(directory)
        keys = {one.name: one.key or "" for one in read_plan(directory).sets}
        digests = {
            name: _digests(directory, shards[0], keys.get(name, ""))
            for name, shards in plan.shards.items()
            if directory.shard_file(*shards[0].place).exists()
        }
    except (DamagedFileError, ValueError, TypeError, AttributeError):
        return
    for name, dataset in plan.suite.sets.items():
        found = listed.get(name, {})
        samples = {i: dataset.samples[i] for i in plan.stamps[name]}
        if [(record.id, record.path, record.label) for record in found.values()] != [
            (i, encodable(sample.path), sample.label) for i, sample in samples.items()
        ]:
            return
        for place, (i, stamp) in enumerate(plan.stamps[name].items()):
            differs = found[i].size != stamp.size
            if place < KEYED_CONTENTS and i in digests.get(name, {}) and not differs:
                differs = digest_of(dataset, dataset.samples[i]) != digests[name][i]
            if differs:
                raise _differs(plan, directory, name, i)


def _recorded(plan: Plan, directory: RunDir) -> dict[str, dict[int, Stamp]]:
    """Returns the recorded stamps of the sets whose source is unchanged."""
    try:
        sources = {one.name: one.source for one in read_plan(directory).sets}
        listed = read_samples(directory)
    except (DamagedFileError, ValueError, TypeError, AttributeError):
        return {}  # no record: compare the contents
    return {
        name: {i: Stamp(record.size, record.changed) for i, record in listed.get(name, {}).items()}
        for name, dataset in plan.suite.sets.items()
        if sources.get(name) == dataset.source
    }


def _doubtful(plan: Plan, shard: Shard, recorded: Mapping[int, Stamp]) -> list[int]:
    """Returns the images of a shard that may have changed since they were measured."""
    stamps = plan.stamps[shard.set_name]
    ids = (i for batch in shard.batches for i in batch.tolist())
    return [i for i in ids if stamps[i].changed is None or recorded.get(i) != stamps[i]]


def _compare(
    plan: Plan, directory: RunDir, shard: Shard, ids: list[int], readers: ThreadPoolExecutor
) -> None:
    dataset = plan.suite.sets[shard.set_name]
    try:
        key = plan.set_keys[shard.set_name]
        measured = _digests(directory, shard, key) if ids else {}
    except DamagedFileError:
        return  # another rank's, of which only the head was read: it is measured again
    for some in _pieces(ids):
        found = list(readers.map(lambda i: digest_of(dataset, dataset.samples[i]), some))
        for i, digest in zip(some, found, strict=True):
            if measured.get(i) != digest:
                raise _differs(plan, directory, shard.set_name, i)


def _pieces(ids: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(ids), _TOGETHER):
        yield ids[first : first + _TOGETHER]


def _digests(directory: RunDir, shard: Shard, key: str) -> dict[int, bytes]:
    found = read_shard(directory, *shard.place, key)
    ids, digests = found.arrays.get("images"), found.arrays.get("digests")
    if ids is None or digests is None or digests.shape != (ids.size, DIGEST_BYTES):
        raise DamagedFileError(f"{found.entry} is damaged: it does not say which images it holds")
    rows = digests.astype(np.uint8)
    return {int(i): row.tobytes() for i, row in zip(ids.reshape(-1), rows, strict=True)}


def _plan_is(plan: Plan, directory: RunDir) -> bool:
    try:
        return read_plan(directory) == record_of(plan)
    except DamagedFileError:
        return False


def _differs(plan: Plan, directory: RunDir, set_name: str, sample_id: int) -> DataError:
    dataset = plan.suite.sets[set_name]
    return DataError(
        f"{dataset.samples[sample_id].path} of {dataset.source} is not the image that "
        f"{directory.path} was begun with: its content differs. Choose another --output, or "
        "--fresh to measure all images anew"
    )
