"""Device and batch size are chosen once; the next batch is sent ahead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.measure.conftest import write_pictures
from tuiprobe.cli.app import run_cli
from tuiprobe.errors import UsageError
from tuiprobe.measure.device import choose_device, statistics_device, usual_batch
from tuiprobe.measure.opening import settled
from tuiprobe.measure.ranks import Rank
from tuiprobe.measure.uploading import one_ahead
from tuiprobe.run.directory import RunDir
from tuiprobe.run.records import read_spec
from tuiprobe.spec import make_spec


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Returns which devices this machine pretends to have; every one of them can be used."""
    there = {"cuda": False, "mps": False}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there["mps"])
    monkeypatch.setattr(torch, "empty", lambda *size, device=None: None)
    return there


def test_auto_takes_the_best_device(machine: dict[str, bool]) -> None:
    assert choose_device("auto", Rank()) == "cpu"
    machine["mps"] = True
    assert choose_device("auto", Rank()) == "mps"
    machine["cuda"] = True
    assert choose_device("auto", Rank(5, 8, local=1, local_world=4)) == "cuda:1"


def test_a_resumed_run_keeps_its_device_where_there_is_one(machine: dict[str, bool]) -> None:
    machine["cuda"] = True
    assert choose_device("auto", Rank(), "cpu") == "cpu"
    assert choose_device("auto", Rank(), "mps") == "cuda:0"  # not here
    assert choose_device("cuda:3", Rank(), "cpu") == "cuda:3"  # by name
    assert choose_device("auto", Rank(1, 2, local=1), "cuda:0") == "cuda:1"
    machine["cuda"] = False
    assert choose_device("auto", Rank(), "cuda:0") == "cpu"


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="--device nonsense cannot be used here"):
        choose_device("nonsense", Rank())


def test_the_batch_size_is_kept_too(machine: dict[str, bool]) -> None:
    spec = make_spec(None, None, {})
    first = settled(spec, Rank(), None)
    assert (first.device, first.batch_size) == ("cpu", 32)
    machine["cuda"] = True
    assert settled(spec, Rank(), None).batch_size == 256
    again = settled(spec, Rank(), first)
    assert (again.device, again.batch_size) == ("cpu", 32)
    named = settled(make_spec(None, None, {"batch_size": 8}), Rank(), first)
    assert named.batch_size == 8


def test_statistics_of_other_devices_are_computed_on_the_cpu() -> None:
    devices = [statistics_device(one) for one in ("cpu", "cuda:1", "mps")]
    assert devices == ["cpu", "cuda:1", "cpu"]
    assert [usual_batch(one) for one in ("cpu", "cuda:0", "mps")] == [32, 256, 256]


@pytest.mark.slow
def test_a_run_begun_on_a_gpu_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "photos", 12)
    words = ["--headless", "--data", "imagefolder:photos"]
    assert run_cli([*words, "--batch-size", "256"]) == 0
    assert run_cli(words) == 0
    (run,) = (tmp_path / "runs").iterdir()
    spec = read_spec(RunDir(run))
    assert (spec.batch_size, spec.device) == (256, "cpu")


def test_the_next_item_is_sent_before_one_is_received() -> None:
    said: list[str] = []

    def send(item: int) -> int:
        said.append(f"send {item}")
        return item

    def receive(item: int) -> int:
        said.append(f"receive {item}")
        return item

    assert list(one_ahead(iter(range(3)), send, receive)) == [0, 1, 2]
    assert said == ["send 0", "send 1", "receive 0", "send 2", "receive 1", "receive 2"]


def test_what_was_fetched_before_a_failure_is_received_first() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the disk is gone")

    received: list[int] = []
    with pytest.raises(OSError, match="disk"):
        received.extend(one_ahead(items(), lambda one: one, lambda one: one))
    found = one_ahead(items(), lambda one: one, lambda one: one)
    assert [next(found), next(found)] == [1, 2]
