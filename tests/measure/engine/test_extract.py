"""Extraction with an encoder whose activations the test chooses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from tests.measure.engine.conftest import measured, results, when_measuring
from tests.measure.engine.spread import memory
from tuiprobe.errors import RunError
from tuiprobe.measure.engine import running
from tuiprobe.measure.engine.machine import current_fingerprint
from tuiprobe.measure.run.arrays import read_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.status import Event, read_status, read_taps
from tuiprobe.stats import native_build
from tuiprobe.stats._native import native

IMAGES, BROKEN = 40, {7, 23}
OPTIONS: dict[str, Any] = {
    "model": "spread", "batch_size": 8, "shard_batches": 2, "top_k": 3, "max_unreadable": 0.2
}  # fmt: skip


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder whose image i is one pixel of brightness i; two cannot be read."""
    return write_numbers(tmp_path_factory.mktemp("numbers") / "val")


def write_numbers(folder: Path) -> Path:
    folder.mkdir()
    for i in range(IMAGES):
        Image.new("RGB", (1, 1), (i, 0, 0)).save(folder / f"{i:03}.png")
    for i in BROKEN:
        (folder / f"{i:03}.png").write_bytes(b"broken on purpose")
    return folder


def extract(numbers: Path, run: Path, **more: Any) -> tuple[dict[str, np.ndarray], list[Event]]:
    """Returns the arrays that a run left of its set, and what it told."""
    events: list[Event] = []
    directory = measured(numbers, run, listen=events.append, **{**OPTIONS, **more}).directory
    arrays = load_file(directory.statistics_file.path)
    result = {name.removeprefix("val/embedding/"): array for name, array in arrays.items()}
    return result | load_file(directory.features_file("val").path), events


def test_figures_belong_to_their_images(numbers: Path, tmp_path: Path) -> None:
    result, events = extract(numbers, tmp_path / "run")
    assert sorted(result["ids"].tolist()) == [i for i in range(IMAGES) if i not in BROKEN]
    assert np.allclose(result["features"][:, 0], result["ids"], atol=1e-3)
    assert result["largest_sample_ids"][0].tolist() == [39, 38, 37]
    assert result["smallest_sample_ids"][0].tolist() == [0, 1, 2]
    skipped = results(tmp_path / "run")["data"][0]["skipped"]
    assert {image["path"] for image in skipped} == {f"{i:03}.png" for i in BROKEN}
    assert sum(event.kind == "skipped" for event in events) == len(BROKEN)


@pytest.mark.parametrize("on_gpu", [False, True])
def test_running_out_of_memory_cuts_the_batch_and_counts_nothing_twice(
    on_gpu, numbers, tmp_path, monkeypatch
):
    whole, _ = extract(numbers, tmp_path / "whole")
    monkeypatch.setitem(memory, "images", 3)
    monkeypatch.setitem(memory, "on a GPU", on_gpu)
    cut, events = extract(numbers, tmp_path / "cut")
    assert np.array_equal(cut["ids"], whole["ids"])
    assert np.array_equal(cut["features"], whole["features"])
    for name in ("count", "mean", "largest_sample_ids", "leading_count"):
        assert np.allclose(cut[name], whole[name])
    last = [event for event in events if event.kind == "progress"][-1].data
    assert (last["done"], last["total"]) == (IMAGES, IMAGES)
    assert sum(event.kind == "skipped" for event in events) == len(BROKEN)
    warnings = [e.message for e in events if e.message.startswith("out of memory")]
    assert warnings == [
        f"out of memory: batches are cut into {pieces} pieces from here on, so the last bits of "
        "figures differ from those of an uncut run"
        for pieces in (2, 4)
    ]
    none = when_measuring(lambda: memory.update(images=0))
    with pytest.raises(RunError, match="one image at a time"):
        measured(numbers, tmp_path / "none", listen=none, **OPTIONS)


def test_the_live_view_agrees_with_the_end(numbers, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "MIN_SECONDS", 0.0)  # it follows every batch
    monkeypatch.setattr(running, "MAX_COST", 1e9)
    result, events = extract(numbers, tmp_path)
    run = RunDir(tmp_path)
    state = read_status(run, 0)
    assert state is not None
    tap = dict(read_taps(run, 0, state))["val", "embedding"]
    kurtosis = result["sample_kurtosis"][np.isfinite(result["sample_kurtosis"])]
    n, shares = len(kurtosis), tap.shares
    assert tap.n == n
    assert tap.kurtosis == pytest.approx(kurtosis.mean())
    assert tap.low < tap.kurtosis < tap.high
    assert shares == pytest.approx(result["share_sum"] / n)
    assert state.skipped == len(state.unreadable) == 2
    last = [event for event in events if event.kind == "progress"][-1].data
    assert (last["done"], last["total"], last["eta"]) == (IMAGES, IMAGES, 0)
    leading = np.bincount(result["sample_leading"], minlength=len(shares))
    assert tap.leads == pytest.approx(leading / n)
    first, _ = read_arrays(run.shard_file("val", 0))  # pictures are of one shard, and stay
    finite = np.isfinite(first["features"]).all(axis=1)
    ids, features = first["ids"][finite], first["features"][finite]
    assert len(state.ends["val"]) == min(8, len(shares))
    for channel, both in state.ends["val"].items():
        for pairs, sign in ((both.largest, -1), (both.smallest, 1)):
            order = np.lexsort((ids, sign * features[:, channel]))[: len(pairs)]
            assert [image for image, _ in pairs] == ids[order].tolist()
            assert [value for _, value in pairs] == features[order, channel].tolist()
    pictures = {int(path.stem) for path in (tmp_path / "thumbs" / "val").glob("*.jpg")}
    assert pictures
    assert pictures <= set(range(IMAGES)) - BROKEN


def test_the_fingerprint_names_the_code_that_computes_statistics(monkeypatch):
    on_cpu = current_fingerprint("cpu").flags["statistics"]
    assert on_cpu == f"native, {native_build()}"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    result = []
    for reason in ("", "no kernel image"):
        monkeypatch.setattr(native, "cuda_reason", lambda device, reason=reason: reason)
        result.append(current_fingerprint("cuda:0").flags["statistics"].partition(",")[0])
    assert result == ["cuda", "torch"]
