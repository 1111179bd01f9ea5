"""Merges a set's shards along a fixed binary tree, so results are the same to the last bit.

Threads read, check and merge entire branches of the tree; what they do does not depend on how many
there are.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tuiprobe.errors import DataError
from tuiprobe.measure.arrays.tap_arrays import flatten_summary
from tuiprobe.measure.engine.machine import available_cores
from tuiprobe.measure.engine.plan import Plan
from tuiprobe.measure.engine.resume import ShardReader, UnusableShardError
from tuiprobe.measure.engine.shards import Shard, split_states
from tuiprobe.measure.run.arrays import Arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import write_record
from tuiprobe.measure.run.measurements import ROW_SAMPLE, write_features, write_statistics
from tuiprobe.measure.run.records import LISTED_LOST, Measured, MeasuredRecord, ShardFile
from tuiprobe.measure.run.samples import write_shown_samples
from tuiprobe.spec import FINAL_TAP
from tuiprobe.stats import ActivationStats, SampleSummary

TapStats = dict[str, ActivationStats]

_MOST_THREADS = 4  # Python's lock leaves no work for more
_BRANCH = 8  # shards that one thread merges; a power of two, so that they are a branch of the tree
SHARD_FIELDS: Final = ("share_sum", "share_square_sum", "images", "kurtosis_sum")
_OF_IMAGES: Final = ("features", "ids", "images", "digests", "lost")
"""Arrays of a shard that are kept when it is merged, with `<tap>/rows` of some inner taps."""


@dataclass(frozen=True)
class _Leaf:
    """What a shard holds besides the states that are merged.

    Attributes:
        file: The shard, with the arrays of single images alone.
        sums: The `SHARD_FIELDS` by tap.
    """

    file: ShardFile
    sums: dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class MergedSet:
    """One set after merging.

    Attributes:
        arrays: Arrays `<tap>/<field>`: the flattened ActivationSummary, `row_sample` of inner taps,
            and the `shard_...` sums of each shard.
        features: float32 `[n, C]`, final representations in processing order.
        ids: int64 `[n]`, their sample ids.
        record: How it was measured.
    """

    arrays: Arrays
    features: NDArray[np.float32]
    ids: NDArray[np.int64]
    record: MeasuredRecord


def merge_tree(
    lo: int,
    hi: int,
    load: Callable[[int], dict[str, Any]],
    spare: Callable[[dict[str, Any]], None] = lambda merged: None,
) -> dict[str, Any]:
    """Merges `load(lo) … load(hi - 1)` along a binary tree that depends only on `hi - lo`.

    Args:
        lo: First leaf.
        hi: One past the last leaf; at least `lo + 1`.
        load: Returns the statistics of a leaf, by tap.
        spare: Receives statistics that are merged into others, so that they can be used again.
    """
    if hi - lo == 1:
        return load(lo)
    half = 1 << ((hi - lo - 1).bit_length() - 1)  # the largest power of two below the count
    left = merge_tree(lo, lo + half, load, spare)
    right = merge_tree(lo + half, hi, load, spare)
    for tap, stats in left.items():
        stats.merge(right[tap])
    spare(right)
    return left


def merge_set(reader: ShardReader, shards: Sequence[Shard]) -> MergedSet:
    """Merges one or more shards of a set; checks each as it is read.

    Raises:
        UnusableShardError: If a shard must be measured again.
        DataError: If a shard has another fingerprint and mixing is not allowed, or no sampled
            vector is finite.
    """
    spares = deque[TapStats]()
    leaves: list[_Leaf] = []
    branches = _branches(reader, shards, spares)

    def load(_: int) -> TapStats:  # `merge_tree` asks for the branches in their order
        states, merged_leaves = next(branches)
        leaves.extend(merged_leaves)
        return states

    with closing(branches):
        merged = merge_tree(0, -(-len(shards) // _BRANCH), load, spares.append)
    files = [leaf.file for leaf in leaves]
    features, ids, read, digests, lost = (
        np.concatenate([file.arrays[name] for file in files]) for name in _OF_IMAGES
    )
    set_name = shards[0].set_name
    dataset = reader.plan.suite.sets[set_name]
    if len(lost) and not len(ids):
        raise DataError(f"{dataset.source} holds no finite vector")
    skipped = tuple(entry for file in files for entry in file.skipped)
    fingerprints = {file.fingerprint.model_dump_json(): file.fingerprint for file in files}
    order = np.argsort(read)
    record = MeasuredRecord(
        shards=len(shards),
        skipped=skipped,
        fingerprints=tuple(fingerprints.values()),
        pieces=max(file.pieces for file in files),
        contents=hashlib.sha256(read[order].tobytes() + digests[order].tobytes()).hexdigest(),
        read=sum(shard.size for shard in shards) - len(skipped),
        lost=len(lost),
        lost_ids=tuple(lost[:LISTED_LOST].tolist()),
    )
    return MergedSet(arrays=_flatten(merged, leaves), features=features, ids=ids, record=record)


def _branches(
    reader: ShardReader, shards: Sequence[Shard], spares: deque[TapStats]
) -> Generator[tuple[TapStats, list[_Leaf]]]:
    """Yields the branches of the tree in order; threads merge those that follow."""

    def merge(first: int) -> tuple[TapStats, list[_Leaf]]:
        leaves: list[_Leaf] = []

        def load(leaf: int) -> TapStats:
            states, others = _load(reader, shards[leaf], spares)
            leaves.append(others)
            return states

        last = min(first + _BRANCH, len(shards))
        return merge_tree(first, last, load, spares.append), leaves

    threads = min(available_cores(), _MOST_THREADS)
    with ThreadPoolExecutor(threads) as pool:
        starts: Iterator[int] = iter(range(0, len(shards), _BRANCH))
        coming = deque(pool.submit(merge, first) for first in islice(starts, threads + 1))
        try:
            while coming:
                yield coming.popleft().result()
                coming.extend(pool.submit(merge, first) for first in islice(starts, 1))
        finally:
            for future in coming:
                future.cancel()


def _load(reader: ShardReader, shard: Shard, spares: deque[TapStats]) -> tuple[TapStats, _Leaf]:
    """Reads a shard; copies what is merged, or all of its file would stay in memory."""
    file = reader.read(shard)
    try:
        states = spares.pop()
    except IndexError:
        states = reader.plan.accumulators()
    parts = split_states(file.arrays, reader.states)
    try:
        for tap, stats in states.items():
            stats.load_state_dict(parts[tap])
    except ValueError as error:
        raise UnusableShardError(f"{file.entry} is damaged: {error}") from error
    names = (*_OF_IMAGES, *(f"{tap}/rows" for tap in states))
    of_images = {name: file.arrays[name].copy() for name in names if name in file.arrays}
    sums = {tap: shard_sums(stats.samples.compute()) for tap, stats in states.items()}
    return states, _Leaf(replace(file, arrays=of_images), sums)


def write_merged(directory: RunDir, key: str, merged: Mapping[str, MergedSet]) -> None:
    """Publishes each set's `features`, then `statistics.safetensors` and `measured.json`."""
    for name, of_set in merged.items():
        write_features(directory, name, key, of_set.features, of_set.ids)
    write_statistics(directory, key, {name: of_set.arrays for name, of_set in merged.items()})
    measured = Measured(key=key, sets={name: of_set.record for name, of_set in merged.items()})
    write_record(directory.measured_file, measured.model_dump(mode="json"))


def write_names(plan: Plan, merged: Mapping[str, MergedSet]) -> None:
    """Publishes names and labels of samples without lines: those kept, at an end, or lost."""
    for name, layout in plan.layouts.items():
        if layout.one_file_each or (of_set := merged.get(name)) is None:
            continue
        ends = (
            of_set.arrays[f"{FINAL_TAP}/{end}_sample_ids"].reshape(-1)
            for end in ("largest", "smallest")
        )
        shown = np.unique(np.concatenate([of_set.ids, *ends, of_set.record.lost_ids])).astype(
            np.int64
        )
        numbers = shown[shown >= 0].tolist()
        columns = {"labels": layout.labels()[numbers]} if layout.dataset.classes else {}
        for of in ("label_rows", "answer_rows"):
            if len(rows := getattr(layout.dataset, of, ())):
                columns[of] = np.array([rows[i] for i in numbers], dtype=np.int64)
        names = layout.names(numbers)
        write_shown_samples(plan.directory, name, plan.key, numbers, names, columns)


def shard_sums(samples: SampleSummary) -> tuple[Any, ...]:
    """Returns the sums of one shard for the jackknife, in the order of `SHARD_FIELDS`."""
    kurtosis = np.asarray(samples.kurtosis)
    counted = np.isfinite(kurtosis)
    return (
        np.asarray(samples.share_sum),
        float(samples.share_square_sum),
        int(counted.sum()),
        float(kurtosis[counted].sum()),
    )


def _flatten(merged: TapStats, leaves: Sequence[_Leaf]) -> Arrays:
    arrays: Arrays = {}
    for tap, stats in merged.items():
        for name, array in flatten_summary(stats.compute()).items():
            arrays[f"{tap}/{name}"] = array
        columns = zip(*(leaf.sums[tap] for leaf in leaves), strict=True)
        for name, column in zip(SHARD_FIELDS, columns, strict=True):
            arrays[f"{tap}/shard_{name}"] = np.array(column)
        name = f"{tap}/rows"
        rows = [leaf.file.arrays[name] for leaf in leaves if name in leaf.file.arrays]
        if rows:
            arrays[f"{tap}/{ROW_SAMPLE}"] = np.concatenate(rows)
    return arrays
