"""Merges the shards of stored vectors along the same fixed binary tree as those of images."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.errors import DataError
from tuiprobe.measure.embeddings.plan import row_set
from tuiprobe.measure.embeddings.shard_io import ALL, SAMPLE, RowShardReader, ShardOfRows
from tuiprobe.measure.embeddings.shards import RowShard
from tuiprobe.measure.merge import SHARD_FIELDS, MergedSet, merge_tree, shard_sums
from tuiprobe.measure.plan import Plan
from tuiprobe.probes.inputs import flatten_summary
from tuiprobe.run.directory import RunDir
from tuiprobe.run.row_records import LISTED_ROWS, RowsMeasured
from tuiprobe.run.row_samples import write_row_samples
from tuiprobe.spec import FINAL_TAP
from tuiprobe.stats import ActivationSummary


@dataclass(frozen=True, kw_only=True)
class MergedRows(MergedSet):
    """One set of vectors after merging.

    Attributes:
        rows: Number of rows, finite or not.
        nonfinite: Number of rows that are not finite.
        listed: The first of them.
    """

    rows: int
    nonfinite: int
    listed: tuple[int, ...]


def merge_rows(reader: RowShardReader, shards: Sequence[RowShard]) -> MergedRows:
    """Merges one or more shards of a set; checks each as it is read.

    Raises:
        UnusableShardError: If a shard must be measured again.
        DataError: If a shard has another fingerprint and mixing is not allowed, or no sampled
            row is finite.
    """
    collected: list[ShardOfRows] = []
    sums = []

    def load(leaf: int) -> dict[str, Any]:
        found = reader.read(shards[leaf])
        collected.append(found)
        sums.append(shard_sums(found.samples.compute()))
        return {ALL: found.stats, SAMPLE: found.samples}

    merged = merge_tree(0, len(shards), load)
    ids = np.concatenate([one.ids for one in collected])
    rows = row_set(reader.plan, shards[0].set_name)
    if not len(ids):
        raise DataError(f"{rows.source} holds no finite vector")
    moments, largest, smallest = merged[ALL].compute()
    summary = ActivationSummary(moments, largest, smallest, merged[SAMPLE].compute())
    arrays = flatten_summary(summary)
    for name, column in zip(SHARD_FIELDS, zip(*sums, strict=True), strict=True):
        arrays[f"shard_{name}"] = np.array(column)
    listed = [i for one in collected for i in one.nonfinite[1]]
    return MergedRows(
        arrays={f"{FINAL_TAP}/{name}": array for name, array in arrays.items()},
        features=np.concatenate([one.features for one in collected]),
        ids=ids,
        skipped=[],
        shards=len(shards),
        fingerprints=list(
            {one.fingerprint.model_dump_json(): one.fingerprint for one in collected}.values()
        ),
        pieces=1,
        rows=sum(shard.size for shard in shards),
        nonfinite=sum(one.nonfinite[0] for one in collected),
        listed=tuple(listed[:LISTED_ROWS]),
        contents=hashlib.sha256(b"".join(one.digest for one in collected)).hexdigest(),
    )


def write_rows(
    plan: Plan, directory: RunDir, merged: Mapping[str, MergedRows]
) -> dict[str, RowsMeasured]:
    """Publishes names and labels of the rows that are shown; returns what was measured, by set."""
    written = {}
    for name, one in merged.items():
        rows = row_set(plan, name)
        shown = np.unique(np.concatenate([one.ids, *_ends(one), one.listed])).astype(np.int64)
        listed = shown[shown >= 0].tolist()
        names = rows.vectors.names(listed)
        write_row_samples(directory, name, plan.key, listed, names, rows.labels)
        written[name] = RowsMeasured(
            rows=one.rows,
            nonfinite=one.nonfinite,
            nonfinite_rows=one.listed,
        )
    return written


def _ends(one: MergedRows) -> list[NDArray[np.int64]]:
    """Returns the rows at both ends of every channel."""
    ends = ("largest", "smallest")
    return [one.arrays[f"{FINAL_TAP}/{end}_sample_ids"].reshape(-1) for end in ends]
