"""Extraction with an encoder whose activations the test chooses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from torch import nn

from tuiprobe.datasets import Sample, Suite, UnreadableImageError
from tuiprobe.datasets.base import Stamp
from tuiprobe.datasets.content import Content
from tuiprobe.errors import RunError
from tuiprobe.events import Event
from tuiprobe.measure.extract import Extraction
from tuiprobe.measure.fingerprint import current_fingerprint
from tuiprobe.measure.live import LiveView
from tuiprobe.measure.merge import MergedSet, empty_states, merge_set
from tuiprobe.measure.plan import Plan, make_plan
from tuiprobe.measure.resume import ShardReader
from tuiprobe.measure.stopping import StopRequest
from tuiprobe.measure.unreadable import UnreadableLimit
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo
from tuiprobe.run.directory import RunDir
from tuiprobe.run.status import StatusWriter
from tuiprobe.spec import RunSpec
from tuiprobe.stats import native_build
from tuiprobe.stats._native import native

IMAGES, BROKEN = 40, {7, 23}


class Numbers:
    """A data set whose image i is one pixel of brightness i."""

    source, classes, notes = "numbers", (), ()
    samples = tuple(Sample(i, f"{i:03}.png", None) for i in range(IMAGES))

    def stamp(self, sample: Sample) -> Stamp:
        return Stamp(None, "never")

    def read(self, sample: Sample) -> Content:
        return Content(self.open(sample), self.stamp(sample))

    def open(self, sample: Sample) -> Image.Image:
        if sample.id in BROKEN:
            raise UnreadableImageError("broken on purpose")
        return Image.new("RGB", (1, 1), (sample.id, 0, 0))


class Spread(nn.Module):
    """Brightness to four channels; refuses batches that are too large for its memory."""

    def __init__(self, capacity: int, on_gpu: bool = False) -> None:
        super().__init__()
        self.capacity, self.on_gpu = capacity, on_gpu

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.capacity:
            if self.on_gpu:
                raise torch.OutOfMemoryError("as a GPU says it")
            torch.empty(2**60, dtype=torch.uint8)
        brightness = images[:, 0, 0, 0] * 255
        return torch.stack([brightness, -brightness, brightness**2, brightness * 0 + 1], dim=1)


def to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def plan_of(capacity: int, on_gpu: bool = False) -> Plan:
    module = Spread(capacity, on_gpu)
    encoder = Encoder(
        name="py:test",
        architecture="spread",
        representation="pooled",
        width=4,
        weights=WeightsInfo(kind="checkpoint", source="test", digest="0" * 64),
        preprocessing=PreprocessingInfo(
            size=(1, 1), mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="none", source="test"
        ),
        module=module,
        preprocess=to_tensor,
        forward=module,
    )
    spec = RunSpec(
        model="py:test", data="numbers", batch_size=8, shard_batches=2, workers=0, top_k=3
    )
    return make_plan(spec, encoder, Suite("numbers", "numbers", {"val": Numbers()}))  # type: ignore[dict-item]


def extract(plan: Plan, place: Path) -> tuple[RunDir, list[Event]]:
    directory, said, shards = RunDir(place), list[Event](), plan.shards["val"]
    extraction = Extraction(
        plan,
        directory,
        current_fingerprint("cpu"),
        LiveView(directory, StatusWriter(directory), plan.set_plans, said.append),
        StopRequest(directory.cancel_file),
        UnreadableLimit(plan.images, 0.2, 0, said.append),
        said.append,
    )
    extraction.run(shards)
    return directory, said


def merged_val(plan: Plan, directory: RunDir) -> MergedSet:
    reader = ShardReader(directory, plan.set_keys, current_fingerprint("cpu"), empty_states(plan))
    return merge_set(plan, reader, plan.shards["val"])


def test_figures_belong_to_their_images(tmp_path: Path) -> None:
    plan = plan_of(capacity=99)
    directory, said = extract(plan, tmp_path)
    merged = merged_val(plan, directory)
    assert sorted(merged.ids.tolist()) == [i for i in range(IMAGES) if i not in BROKEN]
    assert np.allclose(merged.features[:, 0], merged.ids, atol=1e-3)
    assert merged.skipped == [(i, "broken on purpose") for i in dict(merged.skipped)]
    assert set(dict(merged.skipped)) == BROKEN
    assert merged.arrays["embedding/largest_sample_ids"][0].tolist() == [39, 38, 37]
    assert merged.arrays["embedding/smallest_sample_ids"][0].tolist() == [0, 1, 2]
    assert sum(e.kind == "skipped" for e in said) == len(BROKEN)


@pytest.mark.parametrize("on_gpu", [False, True])
def test_running_out_of_memory_cuts_the_batch_and_counts_nothing_twice(
    on_gpu: bool, tmp_path: Path
) -> None:
    whole = merged_val(plan := plan_of(99), extract(plan, tmp_path / "whole")[0])
    plan = plan_of(capacity=3, on_gpu=on_gpu)
    directory, said = extract(plan, tmp_path / "cut")
    cut = merged_val(plan, directory)
    assert cut.pieces == 4
    assert np.array_equal(cut.ids, whole.ids)
    assert np.array_equal(cut.features, whole.features)
    for name in ("count", "mean", "largest_sample_ids", "leading_count"):
        assert np.allclose(cut.arrays[f"embedding/{name}"], whole.arrays[f"embedding/{name}"])
    last = [e for e in said if e.kind == "progress"][-1].data
    assert (last["done"], last["total"]) == (40, 40)
    assert sum(e.kind == "skipped" for e in said) == len(BROKEN)
    assert [e.message for e in said if e.kind == "warning"] == [
        f"out of memory: batches are cut into {pieces} pieces from here on, so the figures are no "
        "longer bit-equal to those of a run that is not cut"
        for pieces in (2, 4)
    ]


def test_one_image_that_does_not_fit_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="one image at a time"):
        extract(plan_of(capacity=0), tmp_path)


def test_the_live_view_agrees_with_the_end(tmp_path: Path) -> None:
    plan = plan_of(capacity=99)
    directory, shards = RunDir(tmp_path), plan.shards["val"]
    status, told = StatusWriter(directory), list[Event]()
    live = LiveView(directory, status, plan.set_plans, told.append, plan.suite.sets)
    live.begin(shards)
    limit = UnreadableLimit(plan.images, 0.2, 0, status.hear)
    Extraction(
        plan, directory, current_fingerprint("cpu"), live,
        StopRequest(directory.cancel_file), limit, lambda event: None,
    ).run(shards)  # fmt: skip
    live._show()
    state = json.loads(directory.status_file(0).read_text())
    arrays = load_file(directory.status_file(0, "safetensors").path)
    shares = arrays["val/embedding/shares"]
    merged = merged_val(plan, directory)
    kurtosis = merged.arrays["embedding/sample_kurtosis"]
    counted = kurtosis[np.isfinite(kurtosis)]
    tap = state["taps"]["val/embedding"]
    assert tap["n"] == len(counted)
    assert tap["kurtosis"] == pytest.approx(counted.mean())
    assert tap["low"] < tap["kurtosis"] < tap["high"]
    assert shares == pytest.approx(merged.arrays["embedding/share_sum"] / len(counted))
    assert state["skipped"] == len(state["unreadable"]) == 2
    assert state["sequence"] >= 1
    assert (told[-1].data["done"], told[-1].data["total"], told[-1].data["eta"]) == (40, 40, 0)
    n, width = len(counted), len(shares)
    own = merged.arrays["embedding/sample_self_share"]
    cross = ((shares * n) @ (shares * n) - own.sum()) / (n * (n - 1))
    assert tap["persistence"] == pytest.approx((cross - 1 / width) / (own.mean() - 1 / width))
    assert tap["effective_channels"] == pytest.approx(1 / cross)
    leading = np.bincount(merged.arrays["embedding/sample_leading"], minlength=width)
    assert arrays["val/embedding/leads"] == pytest.approx(leading / n)
    ends = state["ends"]["val"]
    assert set(map(int, ends)) == set(np.argsort(-shares, kind="stable")[:8].tolist())
    for end in ("largest", "smallest"):
        ids = merged.arrays[f"embedding/{end}_sample_ids"]
        values = merged.arrays[f"embedding/{end}_values"]
        for channel, both in ends.items():
            assert [image for image, _ in both[end][:3]] == ids[int(channel)].tolist()
            assert [value for _, value in both[end][:3]] == values[int(channel)].tolist()
    pictures = [int(path.stem) for path in (tmp_path / "thumbs" / "val").glob("*.jpg")]
    assert pictures
    assert set(pictures) <= set(range(IMAGES)) - BROKEN


def test_the_fingerprint_names_the_code_that_computes_statistics(monkeypatch):
    on_cpu = current_fingerprint("cpu").flags["statistics"]
    assert on_cpu == f"native, {native_build()}"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    found = []
    for reason in ("", "no kernel image"):
        monkeypatch.setattr(native, "cuda_reason", lambda device, reason=reason: reason)
        found.append(current_fingerprint("cuda:0").flags["statistics"].partition(",")[0])
    assert found == ["cuda", "torch"]
