"""The whole job on real photographs, against a recomputation in float64."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.measure.engine.conftest import SMALL
from tests.measure.engine.oracle import Figures, figures_of
from tests.parts import part
from tuiprobe.inside.outliers.result import OutlierResult, Outliers
from tuiprobe.request import RunRequest, make_spec
from tuiprobe.results import Estimate, Figure
from tuiprobe.results.report import Report
from tuiprobe.show.cli.headless import run_requests

pytestmark = pytest.mark.slow

CLIP = "open_clip:RN50-quickgelu"
LAYERS = ("layer1", "layer3", "layer4")
IMAGES = 36  # an outlier channel is seen from 35 on
PLANTED = {17: 6.0, 400: -5.0, 901: 4.0}


@dataclass(frozen=True)
class Network:
    """An encoder with random weights, as its own library runs it.

    Attributes:
        model: What loads it here.
        module: All of it.
        trunk: The part of it that has the layers.
        preprocess: Makes a tensor of a picture.
        embed: Makes representations of tensors.
    """

    model: str
    module: nn.Module
    trunk: nn.Module
    preprocess: Callable[[Any], Tensor]
    embed: Callable[[Tensor], Tensor]


def clip() -> Network:
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    module = open_clip.create_model(CLIP.partition(":")[2], load_weights=False).eval()
    config = PreprocessCfg(**open_clip.get_model_preprocess_cfg(module))
    return Network(
        CLIP, module, module.visual, image_transform_v2(config, False), module.encode_image
    )


def small() -> Network:
    import timm
    from timm.data import create_transform, resolve_data_config

    module = timm.create_model(SMALL.partition(":")[2], pretrained=False).eval()
    return Network(
        SMALL, module, module, create_transform(**resolve_data_config(model=module)),
        lambda images: module.forward_head(module.forward_features(images), pre_logits=True),
    )  # fmt: skip


@pytest.fixture(scope="module", params=[small, pytest.param(clip, marks=pytest.mark.nightly)])
def network(request: pytest.FixtureRequest) -> Network:
    return drawn(request.param)


def drawn(make: Callable[[], Network]) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return make()


def probe(
    network: Network, data: Path, output: Path, layers: tuple[str, ...] = (), **changed: Tensor
) -> Report:
    """Runs the network from a checkpoint, in which some tensors may be changed."""
    files = {name: output.with_suffix(f".{name}") for name in ("pt", "txt")}
    torch.save({"state_dict": {**network.module.state_dict(), **changed}}, files["pt"])
    files["txt"].write_text("a photo of a {}.\n")  # no figure here is of the head: few prompts
    options = {"checkpoint": files["pt"], "layers": layers, "workers": 0}
    if network.model == CLIP:
        options["templates"] = files["txt"]
    spec = make_spec(network.model, f"imagefolder:{data}", options)
    assert run_requests([RunRequest(spec=spec, output=output)], from_list=False) == 0
    return Report.model_validate_json((output / "results.json").read_text())


@pytest.fixture(scope="module")
def report(network: Network, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return probe(network, photographs, tmp_path_factory.mktemp("run") / "run", LAYERS)


@pytest.fixture(scope="module")
def activations(network: Network, photographs: Path) -> dict[str, list[np.ndarray]]:
    """Returns float64 `[positions, C]` of every image in byte order of its path, by tap."""
    from PIL import Image

    seen: dict[str, list[np.ndarray]] = {"embedding": [], **{name: [] for name in LAYERS}}

    def keep(name: str):
        def hook(module: object, inputs: object, output: torch.Tensor) -> None:
            for image in output.double().numpy():
                seen[name].append(image.reshape(len(image), -1).T)

        return hook

    handles = [network.trunk.get_submodule(n).register_forward_hook(keep(n)) for n in LAYERS]
    paths = sorted(str(p.relative_to(photographs)) for p in photographs.rglob("*.jpg"))
    for start in range(0, len(paths), 16):
        images = [Image.open(photographs / p).convert("RGB") for p in paths[start : start + 16]]
        with torch.inference_mode():
            h = network.embed(torch.stack([network.preprocess(image) for image in images]))
        seen["embedding"] += [row[None] for row in h.double().numpy()]
    for handle in handles:
        handle.remove()
    return seen


def of(report: Report, tap: str) -> Outliers:
    return next(o for o in part(report, OutlierResult).taps if o.tap == tap)


def value(figure: Figure) -> float:
    assert isinstance(figure, Estimate), figure
    return figure.value


# The activations themselves differ in the last bits of float32, since batches are cut elsewhere.
CLOSE = 2e-4


@pytest.mark.parametrize("tap", ["embedding", *LAYERS])
def test_every_figure_equals_its_recomputation(tap, report, activations):
    result, images = of(report, tap), activations[tap]
    truth = figures_of(images)
    channels = images[0].shape[1]
    assert (result.channels, result.images) == (channels, IMAGES)
    assert result.rows == sum(len(image) for image in images)
    assert value(result.kurtosis) == pytest.approx(truth.kurtosis, rel=CLOSE)
    assert result.basis_reference == pytest.approx(3 * (channels - 1) / (channels + 1))
    assert value(result.persistence.value) == pytest.approx(truth.persistence, rel=CLOSE)
    effective = value(result.persistence.effective_channels)
    assert effective == pytest.approx(truth.effective_channels, rel=CLOSE)
    if tap == "embedding":  # inner taps take these two from one sampled position an image
        assert value(result.centred_kurtosis) == pytest.approx(truth.centred_kurtosis, rel=CLOSE)
        check_heights(result, truth)


def check_heights(result: Outliers, truth: Figures) -> None:
    columns = result.heights.columns
    assert columns.median == pytest.approx(truth.height, rel=CLOSE, abs=1e-3)
    for channel in result.heights.leading:
        assert value(channel.height) == pytest.approx(
            truth.height[channel.channel], rel=CLOSE, abs=1e-3
        )


@pytest.mark.parametrize("tap", ["embedding", *LAYERS])
def test_top_images_are_those_that_excite_the_channel_most(tap, report, activations, photographs):
    paths = sorted(str(p.relative_to(photographs)) for p in photographs.rglob("*.jpg"))
    for channel in of(report, tap).top_images:
        peaks = np.array([image[:, channel.channel].max() for image in activations[tap]])
        valleys = np.array([image[:, channel.channel].min() for image in activations[tap]])
        for images, extremes, sign in (
            (channel.largest, peaks, -1),
            (channel.smallest, valleys, 1),
        ):
            assert images
            best = np.sort(sign * extremes)[: len(images)] * sign
            scale = np.abs(extremes).max()
            assert [i.value for i in images] == pytest.approx(best, rel=CLOSE, abs=CLOSE * scale)
            for image in images:
                assert image.path == paths[image.sample_id]
                truth = extremes[image.sample_id]
                assert image.value == pytest.approx(truth, rel=CLOSE, abs=CLOSE * scale)


@pytest.mark.nightly
def test_planted_channels_are_found_and_no_others(photographs, tmp_path):
    network = drawn(clip)
    weight, bias = "visual.attnpool.c_proj.weight", "visual.attnpool.c_proj.bias"
    changed = {name: network.module.state_dict()[name].clone() for name in (weight, bias)}
    changed[weight] -= changed[weight].mean(0)
    changed[bias].zero_()
    for channel, offset in PLANTED.items():
        changed[bias][channel] = offset
    report = probe(network, photographs, tmp_path / "run", **changed)
    (result,) = part(report, OutlierResult).taps
    assert {c.channel for c in result.outlier_channels} == set(PLANTED)
    assert {c.channel: np.sign(c.mean) for c in result.outlier_channels} == {
        channel: np.sign(offset) for channel, offset in PLANTED.items()
    }
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan["model"]["weights"]["kind"] == "checkpoint"
