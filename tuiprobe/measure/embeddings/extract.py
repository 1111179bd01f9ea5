"""Reads vectors shard by shard into the native core, and publishes each finished shard."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from tuiprobe.measure.embeddings.plan import RowSet, row_set
from tuiprobe.measure.embeddings.shard_io import ALL, SAMPLE, place_of, state_arrays
from tuiprobe.measure.embeddings.shards import RowShard
from tuiprobe.measure.live import LiveView
from tuiprobe.measure.plan import Plan
from tuiprobe.measure.shards import Shard
from tuiprobe.measure.stopping import StopRequest
from tuiprobe.models.taps import Tap
from tuiprobe.results import Fingerprint
from tuiprobe.run.arrays import Arrays, write_arrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.row_records import LISTED_ROWS
from tuiprobe.spec import FINAL_TAP
from tuiprobe.stats import ActivationStats, ChannelStats, SampleMoments


@dataclass(frozen=True)
class RowMeasure:
    """What the live view reads of a running shard: the figures of its sampled rows."""

    tap: Tap
    stats: ActivationStats


class RowExtraction:
    """Measures shards of vectors and publishes them.

    Args:
        plan: The plan of the run.
        directory: The run directory.
        fingerprint: Fingerprint to store in every shard.
        live: The live view to update.
        stop: The stop request, checked between batches.
    """

    def __init__(
        self,
        plan: Plan,
        directory: RunDir,
        fingerprint: Fingerprint,
        live: LiveView,
        stop: StopRequest,
    ) -> None:
        self._plan, self._directory, self._fingerprint = plan, directory, fingerprint
        self._live, self._stop = live, stop

    def run(self, shards: Sequence[Shard]) -> None:
        """Measures the shards in order; published shards are kept in any case.

        Raises:
            Interrupted: If a stop was requested.
            DataError: If a file cannot be read, or changed since the run was planned.
        """
        for shard in shards:
            assert isinstance(shard, RowShard)
            self._measure(shard)

    def _measure(self, shard: RowShard) -> None:
        rows, width = row_set(self._plan, shard.set_name), self._plan.encoder.width
        k = self._plan.spec.top_k
        shown = RowMeasure(Tap(FINAL_TAP, "vector", width, -1, 0), ActivationStats(width, k=k))
        current = _CurrentRows(ChannelStats(width, k=k), SampleMoments(width), shown)
        self._live.begin_shard(shard, {FINAL_TAP: shown})
        for start, stop in shard.ranges():
            self._stop.check()
            current.add(rows, start, rows.vectors.matrix.read(start, stop))
            self._live.advance(stop - start, 0, current.features)
        self._publish(shard, current)

    def _publish(self, shard: RowShard, current: _CurrentRows) -> None:
        width = self._plan.encoder.width
        arrays: Arrays = {
            **state_arrays(ALL, current.stats),
            **state_arrays(SAMPLE, current.samples),
            "ids": np.concatenate([np.empty(0, np.int64), *current.ids]),
            "features": np.concatenate([np.empty((0, width), np.float32), *current.features]),
            "nonfinite": np.array(current.listed, dtype=np.int64),
            "digest": np.frombuffer(current.digest.digest(), np.uint8),
        }
        metadata = {
            "key": self._plan.set_keys[shard.set_name],
            "place": place_of(shard),
            "fingerprint": self._fingerprint.model_dump_json(),
            "nonfinite": str(current.nonfinite),
            "seconds": f"{time.monotonic() - current.started:.3f}",
        }
        write_arrays(self._directory.shard_file(*shard.place), arrays, metadata)
        self._live.end_shard()


@dataclass
class _CurrentRows:
    """The shard that is being measured."""

    stats: ChannelStats
    samples: SampleMoments
    shown: RowMeasure
    ids: list[NDArray[np.int64]] = field(default_factory=list)
    features: list[NDArray[np.float32]] = field(default_factory=list)
    listed: list[int] = field(default_factory=list)
    nonfinite: int = 0
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256()

    def add(self, rows: RowSet, start: int, block: NDArray[np.float32]) -> None:
        """Adds a block of rows; those that are not finite are counted and left out whole."""
        self.digest.update(block.data)
        ids = np.arange(start, start + len(block), dtype=np.int64)
        finite = finite_rows(block)
        first, last = np.searchsorted(rows.sampled, (start, start + len(block)))
        chosen = rows.sampled[first:last]
        if not finite.all():
            wrong = ids[~finite]
            self.nonfinite += len(wrong)
            self.listed += wrong[: LISTED_ROWS - len(self.listed)].tolist()
            chosen = chosen[finite[chosen - start]]
        features = block[chosen - start].astype(np.float32)
        if not finite.all():
            block, ids = np.ascontiguousarray(block[finite]), ids[finite]
        self.stats.update(block, ids)
        if len(chosen):
            self.samples.update(features, chosen)
            self.shown.stats.update(features, chosen)
        self.ids.append(chosen)
        self.features.append(features)


def finite_rows(block: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Returns whether each row is finite: every value, and its norm in float32.

    Args:
        block: float16 or float32 `[n, C]`.

    >>> finite_rows(np.array([[3, 4], [np.nan, 1], [2e38, 2e38], [0, 0]], np.float32)).tolist()
    [True, False, False, True]
    """
    norms = torch.linalg.vector_norm(torch.from_numpy(block), dim=1, dtype=torch.float32)
    return np.asarray(norms.isfinite().numpy())


def digest_of_rows(rows: RowSet, shard: RowShard) -> bytes:
    """Computes the digest that a shard of these rows stores."""
    digest = hashlib.sha256()
    for start, stop in shard.ranges():
        digest.update(rows.vectors.matrix.read(start, stop).data)
    return digest.digest()
