"""Checks that a run directory was measured on the images that exist now.

Every shard stores the digests of its images, and `samples.jsonl` their stamps. An image is not read
again if source and stamp are unchanged. If they differ, because a folder was moved, copied or
touched, the content decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

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
from tuiprobe.run.records import PlanRecord, read_plan
from tuiprobe.run.samples import listed_samples
from tuiprobe.run.shard_file import read_shard

_READERS = 8  # threads: reading waits for I/O, and hashing releases the GIL
_TOGETHER = 256  # images per batch; at most this many are read in vain


def compare_contents(plan: Plan, published: Sequence[Shard], listen: Listener) -> bool:
    """Checks that published shards were measured on the images of the plan.

    Args:
        plan: The current plan of the run.
        published: The published shards, in processing order.
        listen: Told if contents are read.

    Returns:
        Whether `plan.json` and `samples.jsonl` must be rewritten, because their paths or stamps
        differ from the plan's.

    Raises:
        DataError: If the content of an image has changed; names the first one.
    """
    recorded, before = _recorded(plan)
    doubtful = {
        shard.place: ids
        for shard in published
        if (ids := _doubtful(plan, shard, recorded.get(shard.set_name, {}), before))
    }
    if doubtful:
        of_images = sum(len(ids) for ids in doubtful.values())
        of_rows = sum(shard.size for shard in published if shard.place in doubtful)
        what = f"{of_rows:,} rows" if plan.row_sets else f"the contents of {of_images:,} images"
        message = f"comparing {what} with what was measured"
        listen(Event("stage", message, {"stage": "compare"}))
    with ThreadPoolExecutor(_READERS) as readers:
        for shard in published:
            _compare(plan, shard, doubtful.get(shard.place, []), readers)
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
        listed = listed_samples(directory)
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
                raise _differs(plan, name, i)


def _recorded(plan: Plan) -> tuple[dict[str, dict[int, Stamp]], PlanRecord | None]:
    """Returns the recorded stamps of the sets whose source is unchanged, and the recorded plan."""
    try:
        before = read_plan(plan.directory)
        listed = listed_samples(plan.directory)
    except (DamagedFileError, ValueError, TypeError, AttributeError):
        return {}, None  # no record: compare the contents
    sources = {one.name: one.source for one in before.sets}
    return {
        name: {i: Stamp(record.size, record.changed) for i, record in listed.get(name, {}).items()}
        for name, dataset in plan.suite.sets.items()
        if sources.get(name) == dataset.source or name in plan.row_sets
    }, before


def _doubtful(
    plan: Plan, shard: Shard, recorded: Mapping[int, Stamp], before: PlanRecord | None
) -> list[int]:
    """Returns the images of a shard that may have changed since they were measured.

    Of stored vectors these are the first rows of its batches, if a file was moved or touched.
    """
    if (rows := plan.row_sets.get(shard.set_name)) is not None:
        files = {} if before is None else {one.name: one.rows for one in before.sets}
        same = files.get(shard.set_name) == rows.record()
        return [] if same else [int(batch[0]) for batch in shard.batches]
    stamps = plan.stamps[shard.set_name]
    return [
        i for i in shard.ids.tolist() if stamps[i].changed is None or recorded.get(i) != stamps[i]
    ]


def _compare(plan: Plan, shard: Shard, ids: list[int], readers: ThreadPoolExecutor) -> None:
    try:
        measured = _digests(plan.directory, shard, plan.set_keys[shard.set_name]) if ids else {}
    except DamagedFileError:
        return  # another rank's, of which only the head was read: it is measured again
    for some in _pieces(ids):
        found = list(readers.map(partial(_digest, plan, shard), some))
        for i, digest in zip(some, found, strict=True):
            if measured.get(i) != digest:
                raise _differs(plan, shard.set_name, i, _batch_end(shard, i))


def _digest(plan: Plan, shard: Shard, sample_id: int) -> bytes:
    """Returns the digest of an image, or of the batch of vectors that begins with a row."""
    if (rows := plan.row_sets.get(shard.set_name)) is not None:
        return rows.digest(sample_id, _batch_end(shard, sample_id))
    dataset = plan.suite.sets[shard.set_name]
    return digest_of(dataset, dataset.samples[sample_id])


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


def _batch_end(shard: Shard, first: int) -> int:
    """Returns one past the last row of the batch of vectors that begins with a row."""
    return first + next((len(batch) for batch in shard.batches if batch[0] == first), 1)


def _differs(plan: Plan, set_name: str, sample_id: int, end: int = 0) -> DataError:
    dataset, begun = plan.suite.sets[set_name], plan.directory.path
    if set_name in plan.row_sets:
        return DataError(
            f"rows {sample_id:,} to {end - 1:,} of {dataset.source} are not those that {begun} was "
            "begun with: choose another --output, or --fresh to measure all rows anew"
        )
    return DataError(
        f"{dataset.samples[sample_id].path} of {dataset.source} is not the image that "
        f"{begun} was begun with: its content differs. Choose another --output, or "
        "--fresh to measure all images anew"
    )
