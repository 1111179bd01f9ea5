"""The live view of a rank: the rule of the results on what was scanned, and progress by set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tuiprobe.measure import live
from tuiprobe.measure.live import LiveView, planned_sets
from tuiprobe.measure.shards import Shard, split_into_shards
from tuiprobe.measure.tap_statistics import TapMeasure
from tuiprobe.models.taps import Tap
from tuiprobe.probes.outliers.of_rows import figures_of_rows
from tuiprobe.run.directory import RunDir
from tuiprobe.run.live import LiveTap, RankState, read_state, read_taps
from tuiprobe.spec import FINAL_TAP
from tuiprobe.tui.livewatch import outliers_of

WIDTH, BATCH = 64, 16


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Updates the view after every batch."""
    monkeypatch.setattr(live, "MIN_SECONDS", 0.0)
    monkeypatch.setattr(live, "MAX_COST", 1e9)


def rows_with_offset(n: int, height: float, seed: int = 0) -> np.ndarray:
    """Returns noise with one tall channel, 5, and one that is tall in every other row, 9."""
    rows = np.random.default_rng(seed).normal(size=(n, WIDTH)).astype(np.float32)
    rows[:, 5] -= height
    rows[::2, 9] += height
    return rows


def shards_of(name: str, n: int) -> tuple[Shard, ...]:
    return split_into_shards(name, np.arange(n), BATCH, 4)


def measure(view: LiveView, shard: Shard, rows: np.ndarray, batches: int | None = None) -> None:
    """Measures a shard, or the first batches of it."""
    tap = TapMeasure(Tap(FINAL_TAP, "vector", WIDTH, -1, 0), "all", 8, "cpu", 0, 0)
    view.begin_shard(shard, {FINAL_TAP: tap})
    features: list[torch.Tensor] = []
    for ids in shard.batches[:batches]:
        features.append(torch.from_numpy(rows[ids]))
        tap.update(features[-1], torch.from_numpy(ids))
        view.advance(len(ids), 0, features)
    if batches is None:
        view.end_shard()


def read(place: Path, set_name: str = "val") -> tuple[RankState, LiveTap]:
    state = read_state(RunDir(place), 0)
    assert state is not None
    return state, dict(read_taps(RunDir(place), 0, state))[set_name, FINAL_TAP]


@pytest.mark.parametrize("height", [4.0, 40.0])
def test_outlier_channels_are_those_that_the_results_would_name(
    height: float, tmp_path: Path
) -> None:
    rows, shards = rows_with_offset(160, height), shards_of("val", 160)
    view = LiveView(RunDir(tmp_path), 0, planned_sets(shards, shards), lambda event: None)
    for shard in shards:
        measure(view, shard, rows)
    _, tap = read(tmp_path)
    assert tap.scanned == 160
    named = {one.channel for one in figures_of_rows(rows).outlier_channels}
    assert named == ({5} if height > 6 else set())
    assert outliers_of(tap) == named


def test_a_shard_that_is_measured_again_counts_once(tmp_path: Path) -> None:
    rows, shards = rows_with_offset(128, 40.0), shards_of("val", 128)
    view = LiveView(RunDir(tmp_path), 0, planned_sets(shards, shards), lambda event: None)
    measure(view, shards[0], rows)
    measure(view, shards[1], rows, batches=3)  # memory runs out
    measure(view, shards[1], rows)
    state, tap = read(tmp_path)
    assert (tap.scanned, tap.n) == (128, 128)
    assert state.sets["val"].model_dump() == {"total": 128, "kept": 0, "done": 128, "skipped": 0}


def test_wide_representations_are_scanned_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_SCANNED_VALUES", 4 * WIDTH)
    rows, shards = rows_with_offset(64, 40.0), shards_of("val", 64)
    view = LiveView(RunDir(tmp_path), 0, planned_sets(shards, shards), lambda event: None)
    measure(view, shards[0], rows)
    _, tap = read(tmp_path)
    assert (tap.n, tap.scanned) == (64, 16)


def test_progress_by_set_tells_what_earlier_attempts_measured(tmp_path: Path) -> None:
    val, r = shards_of("val", 128), shards_of("r", 100)
    planned = planned_sets((*val, *r), r[1:])
    assert {name: (one.kept, one.total) for name, one in planned.items()} == {
        "val": (128, 128), "r": (64, 100),
    }  # fmt: skip
    view = LiveView(RunDir(tmp_path), 0, planned, lambda event: None)
    measure(view, r[1], rows_with_offset(100, 40.0), batches=2)
    state, _ = read(tmp_path, "r")
    assert (state.done, state.total) == (32, 36)
    assert [one.through for one in state.sets.values()] == [128, 96]


def test_ends_are_the_extreme_values_with_their_images(tmp_path: Path) -> None:
    rows, shards = rows_with_offset(160, 40.0), shards_of("val", 160)
    view = LiveView(RunDir(tmp_path), 0, planned_sets(shards, shards), lambda event: None)
    for shard in shards:
        measure(view, shard, rows)
    state, _ = read(tmp_path)
    ends = state.ends["val"][5]
    order = np.argsort(rows[:, 5])
    assert [image for image, _ in ends.strongest] == order[:8].tolist()  # the most negative ones
    assert [image for image, _ in ends.other] == order[::-1][:8].tolist()
    assert ends.strongest[0][1] == rows[order[0], 5]
    assert not ends.crosses
