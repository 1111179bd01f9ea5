"""Device and batch size are chosen once; the next batch is sent ahead."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from tests.measure.engine.conftest import write_pictures
from tuiprobe.measure.engine import machine as engine_machine
from tuiprobe.measure.engine.decoding import Batch, uploaded
from tuiprobe.measure.engine.machine import choose_device, has_bfloat16, statistics_device
from tuiprobe.measure.engine.opening import with_device
from tuiprobe.measure.engine.shards import Rank
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.records import read_spec
from tuiprobe.request import make_spec
from tuiprobe.show.cli.app import run_cli


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
    assert (choose_device("auto", Rank()), statistics_device("mps")) == ("mps", "cpu")
    machine["cuda"] = True
    assert choose_device("auto", Rank(5, 8, local=1, local_world=4)) == "cuda:1"
    assert statistics_device("cuda:1") == "cuda:1"


def test_a_resumed_run_keeps_its_device_where_there_is_one(machine: dict[str, bool]) -> None:
    machine["cuda"] = True
    assert choose_device("auto", Rank(), "cpu") == "cpu"
    assert choose_device("auto", Rank(), "mps") == "cuda:0"  # not here
    assert choose_device("cuda:3", Rank(), "cpu") == "cuda:3"  # by name
    assert choose_device("auto", Rank(1, 2, local=1), "cuda:0") == "cuda:1"
    machine["cuda"] = False
    assert choose_device("auto", Rank(), "cuda:0") == "cpu"


def test_the_batch_size_is_kept_too(machine: dict[str, bool]) -> None:
    spec = make_spec(None, None, {})
    first = with_device(spec, Rank(), None)
    assert (first.device, first.batch_size) == ("cpu", 32)
    machine["cuda"] = True
    assert with_device(spec, Rank(), None).batch_size == 256
    again = with_device(spec, Rank(), first)
    assert (again.device, again.batch_size) == ("cpu", 32)
    named = with_device(make_spec(None, None, {"batch_size": 8}), Rank(), first)
    assert named.batch_size == 8


@pytest.mark.slow
def test_a_run_begun_on_a_gpu_is_found_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "photos", 12)
    words = ["--headless", "--data", "imagefolder:photos"]
    assert run_cli([*words, "--batch-size", "256"]) == 0
    assert run_cli(words) == 0
    (run,) = (tmp_path / "runs").iterdir()
    spec = read_spec(RunDir(run))
    assert (spec.batch_size, spec.device) == (256, "cpu")


def test_the_next_batch_is_copied_before_one_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the batch after it cannot be read: those before are measured first."""
    stream = SimpleNamespace(record_event=lambda: None, wait_event=lambda event: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    steps: list[str] = []

    class Images:
        def __init__(self, number: int) -> None:
            self.number = number

        def pin_memory(self) -> Images:
            return self

        def to(self, device: str, non_blocking: bool) -> Images:
            steps.append(f"copy {self.number}")
            return self

        def record_stream(self, stream: object) -> None:
            steps.append(f"measure {self.number}")

    def batches() -> Any:
        for number in range(3):
            images = cast(torch.Tensor, Images(number))
            yield (Batch(images, torch.tensor([number]), skipped=(), seen=(), digests=b""),)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(uploaded(batches(), "cuda:0"))
    assert steps == ["copy 0", "copy 1", "measure 0", "copy 2", "measure 1", "measure 2"]


@pytest.mark.parametrize(
    ("device", "instructions", "has"),
    [
        ("cpu", "avx2 avx512f avx512_bf16", True),
        ("cpu", "avx2 amx_tile amx_bf16", True),
        ("cpu", "avx2 avx512f", False),
        ("mps", "avx512_bf16", False),
        ("cuda:0", "", True),
    ],
)
def test_a_device_says_whether_it_multiplies_in_bfloat16(monkeypatch, device, instructions, has):
    monkeypatch.setattr(engine_machine, "_processor", lambda: ("", instructions))
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation
    )
    assert has_bfloat16(device) is has
