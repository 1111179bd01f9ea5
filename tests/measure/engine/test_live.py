"""What a running rank shows: the rule of the results on what was scanned, and its progress."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tuiprobe.inside.outliers.compute import figures_of_rows
from tuiprobe.measure.engine import running
from tuiprobe.measure.engine.extract import TapMeasure
from tuiprobe.measure.engine.live import LiveView
from tuiprobe.measure.engine.shards import Shard, split_into_shards
from tuiprobe.measure.run.counting import SetCount, count_images, published_shards
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.locks import this_host
from tuiprobe.measure.run.status import (
    MOST_MESSAGES,
    Event,
    LiveTap,
    Status,
    StatusWriter,
    read_status,
    read_taps,
)
from tuiprobe.measure.run.view import RunView
from tuiprobe.models.taps import Tap
from tuiprobe.show.tui.widgets.live_panels import outliers_of
from tuiprobe.spec import FINAL_TAP, RunSpec

WIDTH, BATCH = 64, 16


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Updates the view after every batch."""
    monkeypatch.setattr(running, "MIN_SECONDS", 0.0)
    monkeypatch.setattr(running, "MAX_COST", 1e9)


def rows_with_offset(n: int, height: float, seed: int = 0) -> np.ndarray:
    """Returns noise with one tall channel, 5, and one that is tall in every other row, 9."""
    rows = np.random.default_rng(seed).normal(size=(n, WIDTH)).astype(np.float32)
    rows[:, 5] -= height
    rows[::2, 9] += height
    return rows


def shards_of(name: str, n: int) -> tuple[Shard, ...]:
    return split_into_shards(name, np.arange(n), BATCH, 4)


def plans_of(*shards: Shard) -> tuple[SetCount, ...]:
    sets = dict.fromkeys(shard.set_name for shard in shards)
    of_set = {name: [s for s in shards if s.set_name == name] for name in sets}
    return tuple(
        SetCount(name, sum(item.size for item in each), len(each), each[0].size)
        for name, each in of_set.items()
    )


def view_of(place: Path, *shards: Shard) -> LiveView:
    """Returns the view of a rank that measures these shards, which are all of the run."""
    run = RunDir(place)
    view = LiveView(run, StatusWriter(run), plans_of(*shards), lambda event: None)
    view.begin(shards)
    return view


def measure(view: LiveView, shard: Shard, rows: np.ndarray, batches: int | None = None) -> None:
    """Measures a shard, or the first batches of it."""
    tap = TapMeasure(Tap(FINAL_TAP, "vector", WIDTH, -1, 0), RunSpec(model="m", data="d"), "cpu")
    view.begin_shard(shard, {FINAL_TAP: tap.stats})
    features: list[torch.Tensor] = []
    for ids in shard.batches[:batches]:
        features.append(torch.from_numpy(rows[ids]))
        tap.update(features[-1], torch.from_numpy(ids))
        view.advance(len(ids), 0, features)
    if batches is None:
        view.end_shard()


def read(place: Path, set_name: str = "val") -> tuple[Status, LiveTap]:
    state = read_status(RunDir(place), 0)
    assert state is not None
    return state, dict(read_taps(RunDir(place), 0, state))[set_name, FINAL_TAP]


@pytest.mark.parametrize("height", [4.0, 40.0])
def test_outlier_channels_are_those_that_the_results_would_name(height, tmp_path):
    rows, shards = rows_with_offset(160, height), shards_of("val", 160)
    view = view_of(tmp_path, *shards)
    for shard in shards:
        measure(view, shard, rows)
    _, tap = read(tmp_path)
    assert tap.scanned == 160
    named = {channel.channel for channel in figures_of_rows(rows).outlier_channels}
    assert named == ({5} if height > 6 else set())
    assert outliers_of(tap) == named


def test_readers_count_what_the_rank_itself_counts(tmp_path: Path) -> None:
    val, r = shards_of("val", 128), shards_of("r", 100)
    run, plans = RunDir(tmp_path), plans_of(*val, *r)
    run.plan_file.write_json(
        {
            "sets": [
                {"name": p.name, "planned": p.total, "shards": p.shards, "shard_images": 64}
                for p in plans
            ]
        }
    )
    for shard in (*val, r[0]):  # of an earlier attempt
        run.shard_file(*shard.id).write_bytes(b"")
    writer = StatusWriter(run)
    writer.begin()
    view = LiveView(run, writer, plans, lambda event: None)
    view.begin(r[1:])
    with run.locked():
        measure(view, r[1], rows_with_offset(100, 40.0), batches=2)
        count = RunView.read(run)
    assert {name: (of_set.done, of_set.total) for name, of_set in count.sets.items()} == {
        "val": (128, 128), "r": (64 + 32, 100),
    }  # fmt: skip
    progress = view._progress()
    assert (progress["done"], progress["total"]) == (count.measured, count.planned) == (224, 228)
    assert progress["eta"] == pytest.approx(4 / progress["rate"])
    assert RunView.read(run).measured == 192  # a kill loses the rest


def test_a_shard_that_two_ranks_measure_counts_once(tmp_path: Path) -> None:
    (shard, _), run = shards_of("val", 128), RunDir(tmp_path)
    view = view_of(tmp_path, *shards_of("val", 128))
    measure(view, shard, rows_with_offset(128, 40.0), batches=1)
    status = view._status.status
    ahead = status.model_copy(update={"images": 48})
    assert count_images(plans_of(*shards_of("val", 128)), set(), [status, ahead]).done == 48
    assert count_images(plans_of(*shards_of("val", 128)), {("val", 0)}, [ahead]).done == 64
    assert not published_shards(run)


def test_warnings_and_unreadable_images_survive_a_kill_and_stay_few(tmp_path: Path) -> None:
    run, now = RunDir(tmp_path), 100.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuiprobe.measure.run.status.time.monotonic", lambda: now)
        for rank in range(3):  # of a start with more ranks
            StatusWriter(run, rank, 3).begin()
        writer = StatusWriter(run)
        writer.begin()
        assert sorted(run.names("status")) == ["0.json"]
        writes = writer.status.sequence
        for number in range(1000):
            now += 0.01
            writer.record(Event("skipped", f"{number}.png: damaged"))
        writer.record(Event("warning", "caf\udce9: odd"))
        status = read_status(run, 0)
        assert 40 <= status.sequence - writes <= 60  # five times a second, not a thousand
        assert status.skipped > 950  # a kill loses what came in the last fifth of a second
        now += 1.0
        writer.flush()
    status = read_status(run, 0)
    assert (status.skipped, len(status.unreadable)) == (1000, MOST_MESSAGES)
    assert status.unreadable[-1] == "999.png: damaged"
    assert [message.message for message in status.messages] == ["caf\\udce9: odd"]


def test_the_last_class_of_a_head_is_seen_at_once(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    writer = StatusWriter(run)
    writer.begin()
    for done in (1, 25, 40):  # faster than the pace of the status
        data = {"stage": "head", "done": done, "total": 40, "rate": 900.0, "eta": 0.0}
        writer.record(Event("progress", "", data))
    status = read_status(run, 0)
    assert (status.phase, status.built, status.to_build) == ("head", 40, 40)


def test_the_time_left_is_that_of_the_last_ten_seconds(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr("tuiprobe.measure.engine.live.time.monotonic", lambda: now)
    (shard,) = split_into_shards("val", np.arange(2000), BATCH, 200)
    view, status = view_of(tmp_path, shard), None
    view.begin_shard(shard, {})
    for seconds in range(40):  # 32 images a second, then a quarter of that
        now += 1.0
        view.advance(32 if seconds < 20 else 8, 0)
        status = view._status.status
    assert (status.rate, status.eta) == (8.0, (2000 - 20 * 32 - 20 * 8) / 8.0)


def test_progress_of_several_ranks_is_that_of_all_that_run(tmp_path: Path) -> None:
    shards, run = shards_of("val", 256), RunDir(tmp_path)  # four shards of 64
    run.shard_file("val", 3).write_bytes(b"")
    under_way = {"set": "val", "phase": "extract", "images": 32, "rate": 5.0, "eta": 20.0}
    for rank, shard, host in ((1, 1, "elsewhere"), (2, 3, "elsewhere"), (3, 2, this_host())):
        other = StatusWriter(run, rank, 4)
        other.begin()
        other.update(host=host, shard=shard, **under_way)
        other.write()
    writer = StatusWriter(run, 0, 4)
    writer.begin()
    view = LiveView(run, writer, plans_of(*shards), lambda event: None)
    view.begin(shards[:1])
    measure(view, shards[0], rows_with_offset(256, 40.0), batches=2)
    progress = view._progress()
    # Rank 2 says so of a published shard, and rank 3 of this host holds no lock.
    assert (progress["done"], progress["total"], progress["ranks"]) == (64 + 32 + 32, 256, 3)
    assert progress["rate"] == pytest.approx(writer.status.rate + 10.0)
    assert writer.status.eta is not None
    assert progress["eta"] == max(writer.status.eta, 20.0)
