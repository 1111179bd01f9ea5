"""Several encoders over one stream of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.measure.test_extract import BROKEN, IMAGES, extract, merged_val, plan_of
from tuiprobe.errors import DataError
from tuiprobe.measure.extract import Extraction
from tuiprobe.measure.fingerprint import current_fingerprint
from tuiprobe.measure.live import LiveView
from tuiprobe.measure.plan import Plan
from tuiprobe.measure.shared_decoding import Member, measure_together
from tuiprobe.measure.stopping import Interrupted, StopRequest
from tuiprobe.measure.unreadable import UnreadableLimit
from tuiprobe.run.arrays import read_arrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.status import StatusWriter


def member_of(plan: Plan, place: Path, unreadable: float = 0.2) -> Member:
    directory = RunDir(place)
    extraction = Extraction(
        plan,
        directory,
        current_fingerprint("cpu"),
        LiveView(directory, StatusWriter(directory), plan.set_plans, lambda event: None),
        StopRequest(directory.cancel_file),
        UnreadableLimit(plan.images, unreadable, 0, lambda event: None),
        lambda event: None,
    )
    return Member(extraction, {(s.set_name, s.number) for s in plan.shards["val"]})


def together(plan: Plan, *members: Member, workers: int = 0) -> None:
    measure_together(members, plan.shards["val"], plan.suite.sets, plan.stamps, workers)


def same_shards(plan: Plan, one: Path, other: Path) -> bool:
    for shard in plan.shards["val"]:
        a, b = (
            read_arrays(RunDir(place).shard_file("val", shard.number))[0] for place in (one, other)
        )
        if not all(np.array_equal(a[k], b[k], equal_nan=True) for k in a | b):
            return False
    return True


@pytest.mark.parametrize("workers", [0, 2])
def test_each_measures_what_it_would_have_measured_alone(tmp_path: Path, workers: int) -> None:
    plan = plan_of(capacity=99)
    extract(plan, tmp_path / "alone")
    members = [member_of(plan, tmp_path / name) for name in ("first", "second")]
    together(plan, *members, workers=workers)
    assert all(not member.missing and member.ended is None for member in members)
    assert same_shards(plan, tmp_path / "alone", tmp_path / "first")
    assert same_shards(plan, tmp_path / "alone", tmp_path / "second")


def test_only_missing_shards_are_measured(tmp_path: Path) -> None:
    plan = plan_of(capacity=99)
    member, behind = member_of(plan, tmp_path / "ahead"), member_of(plan, tmp_path / "behind")
    member.missing = {("val", 2)}
    together(plan, member, behind)
    assert [p.name for p in (tmp_path / "ahead" / "shards").iterdir()] == ["val-00002.safetensors"]
    assert len(merged_val(plan, RunDir(tmp_path / "behind")).ids) == IMAGES - len(BROKEN)


def test_one_that_runs_out_of_memory_leaves_the_others_and_can_go_on_alone(tmp_path: Path) -> None:
    plan, small = plan_of(capacity=99), plan_of(capacity=3)
    extract(plan, tmp_path / "alone")
    well, crowded = member_of(plan, tmp_path / "well"), member_of(small, tmp_path / "crowded")
    together(plan, crowded, well)
    assert not well.missing
    assert same_shards(plan, tmp_path / "alone", tmp_path / "well")
    assert crowded.crowded
    assert crowded.ended is None
    assert len(crowded.missing) == len(plan.shards["val"])


@pytest.mark.slow
def test_one_that_is_cancelled_or_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    plan = plan_of(capacity=99)
    cancelled, strict, well = (
        member_of(plan, tmp_path / "cancelled"),
        member_of(plan, tmp_path / "strict", unreadable=0.0),
        member_of(plan, tmp_path / "well"),
    )
    (tmp_path / "cancelled").mkdir(exist_ok=True)  # its live state may be there
    (tmp_path / "cancelled" / "cancel").touch()
    together(plan, cancelled, strict, well)
    assert isinstance(cancelled.ended, Interrupted)
    assert isinstance(strict.ended, DataError)
    assert not well.missing
    assert cancelled.missing
