"""Maps with channels last: which encoders have them, and that figures stay what they are."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

from tuiprobe.measure.engine.extract import TapMeasure
from tuiprobe.measure.engine.machine import current_fingerprint
from tuiprobe.measure.run.arrays import Arrays
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import state_digest
from tuiprobe.models.load import load_encoder
from tuiprobe.spec import RunSpec

CONVOLUTIONAL = ("timm:test_resnet", "torchvision:mobilenet_v3_small")


def written(name: str, path: Path) -> Path:
    """Writes random weights of an architecture from a fixed seed."""
    library, _, architecture = name.partition(":")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        if library == "timm":
            model = timm.create_model(architecture)
        else:
            model = torchvision.models.get_model(architecture)
        for layer in model.modules():  # statistics other than those that change nothing
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.5, 2)
    torch.save(model.state_dict(), path)
    return path


def plain(encoder: Encoder) -> Encoder:
    """Takes the channels last back."""
    encoder.memory_format = torch.contiguous_format
    encoder.module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return encoder


def arrays_of(measure: TapMeasure) -> Arrays:
    """Returns the state and the sampled rows of a tap."""
    rows = measure.rows()
    assert rows is not None
    return {**measure.state(), "rows": rows}


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_figures_are_those_of_maps_with_channels_second(name: str, tmp_path: Path) -> None:
    path = written(name, tmp_path / "w.pt")
    encoder, other = load_encoder(name, checkpoint=path), plain(load_encoder(name, checkpoint=path))
    assert encoder.memory_format is torch.channels_last
    assert encoder.weights.digest == other.weights.digest
    assert state_digest(encoder.module.state_dict()) == state_digest(other.module.state_dict())
    images, ids = torch.randn(4, 3, 64, 64), torch.arange(4)
    taps = [tap for tap in encoder.taps() if tap.kind == "map"][::9]
    assert taps == [tap for tap in other.taps() if tap.kind == "map"][::9]
    results, strides = [], []
    for encoded in (encoder, other):
        measures = {
            tap.name: TapMeasure(tap, RunSpec(model="m", data="d"), "cpu", 4) for tap in taps
        }

        def take(tap, x, measures=measures):  # type: ignore[no-untyped-def]
            strides.append(x.stride(tap.channel_dim) == 1)
            measures[tap.name].update(x, ids)

        with torch.inference_mode(), encoded.watch(taps, take):
            h = encoded.encode(images)
        results.append((h, {tap: arrays_of(measure) for tap, measure in measures.items()}))
    assert sum(strides[: len(taps)]) > len(taps) / 2
    (h, arrays), (expected, expected_arrays) = results
    torch.testing.assert_close(h, expected, rtol=1e-4, atol=1e-5)
    for tap in taps:
        measured, reference = arrays[tap.name], expected_arrays[tap.name]
        sigma = float(np.sqrt(reference["moments.m2"].max() / reference["moments.count"][0]))
        for field in ("moments.mean", "samples.kurtosis", "rows"):
            np.testing.assert_allclose(
                measured[field], reference[field], rtol=1e-3, atol=1e-3 * sigma
            )


def test_a_transformer_stays_as_it_is(tmp_path: Path) -> None:
    name = "timm:test_vit"
    encoder = load_encoder(name, checkpoint=written(name, tmp_path / "w.pt"))
    assert encoder.memory_format is torch.contiguous_format


def test_shards_of_another_memory_format_differ_in_their_fingerprint() -> None:
    last = current_fingerprint("cpu", memory_format=torch.channels_last)
    assert last.flags["memory_format"] == "channels_last"
    assert last != current_fingerprint("cpu")
