"""Merges a set's shards along a fixed binary tree, so results are the same to the last bit."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tuiprobe.checksums import write_json
from tuiprobe.measure.plan import Plan
from tuiprobe.measure.resume import ShardReader
from tuiprobe.measure.shards import Shard
from tuiprobe.measure.tap_statistics import INNER_TOP_K
from tuiprobe.probes.inputs import flatten_summary
from tuiprobe.results import Fingerprint
from tuiprobe.run.arrays import Arrays, write_arrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.records import ROW_SAMPLE, Measured, MeasuredRecord
from tuiprobe.run.row_records import RowsMeasured
from tuiprobe.spec import FINAL_TAP
from tuiprobe.stats import ActivationStats, SampleSummary

States = dict[str, ActivationStats]

_READERS = 2  # threads: reading waits for the disk, and checksums release the GIL
_AHEAD = 4  # shards in memory besides the one that is merged
SHARD_FIELDS: Final = ("share_sum", "share_square_sum", "images", "kurtosis_sum")


@dataclass
class _Collected:
    """Values collected from each shard in addition to the mergeable state."""

    features: list[NDArray[np.float32]] = field(default_factory=list)
    ids: list[NDArray[np.int64]] = field(default_factory=list)
    contents: list[tuple[NDArray[np.int64], NDArray[np.uint8]]] = field(default_factory=list)
    rows: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    sums: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    skipped: list[tuple[int, str]] = field(default_factory=list)
    fingerprints: list[Fingerprint] = field(default_factory=list)
    pieces: int = 1


@dataclass(frozen=True)
class MergedSet:
    """One set after merging.

    Attributes:
        arrays: Arrays `<tap>/<field>`: the flattened ActivationSummary, `row_sample` of inner taps,
            and the `shard_...` sums of each shard.
        features: float32 `[n, C]`, final representations in processing order.
        ids: int64 `[n]`, their sample ids.
        skipped: Sample id and reason of each unreadable image.
        shards: Number of shards merged.
        fingerprints: The distinct fingerprints among them.
        pieces: Largest number of forward passes per batch.
        contents: SHA-256 over ids and digests of all images read, in the order of their ids.
    """

    arrays: Arrays
    features: NDArray[np.float32]
    ids: NDArray[np.int64]
    skipped: list[tuple[int, str]]
    shards: int
    fingerprints: list[Fingerprint]
    pieces: int
    contents: str | None = None


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
        spare: Told about statistics that are merged into others, so that they can be used again.
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


def empty_states(plan: Plan) -> dict[str, Arrays]:
    """Returns the empty state of each tap, by tap and field."""
    return {
        tap: {name: field.numpy() for name, field in stats.state_dict().items()}
        for tap, stats in _accumulators(plan).items()
    }


def _accumulators(plan: Plan) -> States:
    inner = {tap.name: ActivationStats(tap.channels, k=INNER_TOP_K) for tap in plan.taps}
    return {FINAL_TAP: ActivationStats(plan.encoder.width, k=plan.spec.top_k), **inner}


def published_shards(plan: Plan, directory: RunDir) -> list[Shard]:
    """Returns the shards whose files exist, in the order of the plan, without reading them."""
    return [one for one in plan.all_shards if directory.shard_file(*one.place).exists()]


def merge_set(plan: Plan, reader: ShardReader, shards: Sequence[Shard]) -> MergedSet:
    """Merges one or more shards of a set; checks each as it is read.

    Raises:
        UnusableShardError: If a shard must be measured again.
        DataError: If a shard has another fingerprint and mixing is not allowed.
    """
    collected, spares = _Collected(), list[States]()
    read = _read_ahead(reader, shards)

    def load(leaf: int) -> States:
        arrays, metadata = next(read)
        collected.features.append(arrays["features"])
        collected.ids.append(arrays["ids"])
        collected.contents.append((arrays["images"], arrays["digests"]))
        collected.skipped += [(int(i), str(r)) for i, r in json.loads(metadata["skipped"])]
        fingerprint = Fingerprint.model_validate_json(metadata["fingerprint"])
        if fingerprint not in collected.fingerprints:
            collected.fingerprints.append(fingerprint)
        collected.pieces = max(collected.pieces, int(metadata["pieces"]))
        states = spares.pop() if spares else _accumulators(plan)
        parts = _by_tap(arrays)
        for tap, stats in states.items():
            stats.load_state_dict(parts[tap])
            collected.sums.setdefault(tap, []).append(shard_sums(stats.samples.compute()))
            if f"{tap}/rows" in arrays:
                collected.rows.setdefault(tap, []).append(arrays[f"{tap}/rows"])
        return states

    with closing(read):
        merged = merge_tree(0, len(shards), load, spares.append)
    return MergedSet(
        arrays=_flatten(merged, collected),
        features=np.concatenate(collected.features),
        ids=np.concatenate(collected.ids),
        skipped=collected.skipped,
        shards=len(shards),
        fingerprints=collected.fingerprints,
        pieces=collected.pieces,
        contents=_contents(collected),
    )


def _contents(collected: _Collected) -> str:
    ids, digests = (np.concatenate(column) for column in zip(*collected.contents, strict=True))
    order = np.argsort(ids)
    return hashlib.sha256(ids[order].tobytes() + digests[order].tobytes()).hexdigest()


def write_merged(
    directory: RunDir,
    key: str,
    merged: Mapping[str, MergedSet],
    rows: Mapping[str, RowsMeasured] | None = None,
) -> None:
    """Publishes each set's `features`, then `statistics.safetensors` and `measured.json`.

    Args:
        directory: The run directory.
        key: Key of the run.
        merged: The merged sets, by name.
        rows: What was measured of stored vectors, by set.

    The last file records the checksums of the others, so files of different merges cannot be mixed
    up.
    """
    features: dict[str, str] = {}
    for name, one in merged.items():
        arrays: Arrays = {"features": one.features, "ids": one.ids}
        features[name] = write_arrays(directory.features_file(name), arrays, {"key": key})
    statistics = {f"{s}/{k}": a for s, one in merged.items() for k, a in one.arrays.items()}
    record = Measured(
        key=key,
        statistics=write_arrays(directory.statistics_file, statistics, {"key": key}),
        sets={
            name: MeasuredRecord(
                shards=one.shards,
                skipped=tuple(one.skipped),
                fingerprints=tuple(one.fingerprints),
                pieces=one.pieces,
                features=features[name],
                contents=one.contents,
                rows=(rows or {}).get(name),
            )
            for name, one in merged.items()
        },
    )
    write_json(directory.measured_file, record.model_dump(mode="json"))


def _by_tap(arrays: Arrays) -> dict[str, Arrays]:
    """Returns the state of each tap in the arrays of a shard."""
    parts: dict[str, Arrays] = {}
    for name, array in arrays.items():
        tap, found, field_name = name.partition("/state.")
        if found:
            parts.setdefault(tap, {})[field_name] = array
    return parts


def _read_ahead(
    reader: ShardReader, shards: Sequence[Shard]
) -> Generator[tuple[Arrays, dict[str, str]]]:
    """Yields the content of shards in order; threads read and verify those that follow."""
    with ThreadPoolExecutor(_READERS) as pool:
        coming = deque(pool.submit(reader.read, shard) for shard in shards[:_AHEAD])
        try:
            for shard in (*shards[_AHEAD:], *[None] * len(coming)):
                content = coming.popleft().result()
                if shard is not None:
                    coming.append(pool.submit(reader.read, shard))
                yield content
        finally:
            for one in coming:
                one.cancel()


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


def _flatten(merged: States, collected: _Collected) -> Arrays:
    arrays: Arrays = {}
    for tap, stats in merged.items():
        for name, array in flatten_summary(stats.compute()).items():
            arrays[f"{tap}/{name}"] = array
        columns = zip(*collected.sums[tap], strict=True)
        for name, column in zip(SHARD_FIELDS, columns, strict=True):
            arrays[f"{tap}/shard_{name}"] = np.array(column)
        if tap in collected.rows:
            arrays[f"{tap}/{ROW_SAMPLE}"] = np.concatenate(collected.rows[tap])
    return arrays
