"""Every preset builds the right architecture, with the right activation and preprocessing."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import pytest
import timm
import torch
from torch import Tensor

from tuiprobe.catalog.published_models import NORMALIZATIONS, Preset, presets
from tuiprobe.errors import WeightsError
from tuiprobe.models import info
from tuiprobe.models.checks.encoder_checks import built_activations
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import measured_normalisation
from tuiprobe.models.load import load_encoder
from tuiprobe.models.loaders import from_open_clip, from_timm
from tuiprobe.models.loaders.checkpoints import Checkpoint
from tuiprobe.models.loaders.published_weights import quiet
from tuiprobe.models.registry import ModelRequest

pytestmark = pytest.mark.slow

CLIP = [p for p in presets().values() if p.loader == "open_clip"]
TIMM = [p for p in presets().values() if p.loader == "timm"]

BY_DAY = {preset.architecture: preset for preset in (*CLIP, *TIMM)}
"""The last preset of each architecture; the others come by night."""

# From the papers and model cards, not from the libraries under test.
QUICKGELU = {
    *(f"{b}_{p}" for b in ("rn50", "rn101") for p in ("openai", "yfcc15m", "cc12m")),
    *("vitb32_openai", "vitb32_laion400m", "vitb16_openai", "vitl14_openai"),
    *("rn50_captions", "rn101_captions"),
}
HALVES = {"vitl14_laion2b", "vitl14_laion2b_ft_in1k", "vitb16_in1k", "vitb32_in1k"}
IMAGENET = {"rn50_in1k", "rn50_a1_in1k", "rn101_in1k", "rn101_a1_in1k"}


def named(preset: Preset) -> str:
    return preset.name


@lru_cache
def meta(loader: str, architecture: str) -> Any:
    """Returns a model whose tensors have shapes and hold no memory."""
    with quiet(), torch.device("meta"):
        if loader == "open_clip":
            return open_clip.create_model(architecture, load_weights=False, device="meta")
        return timm.create_model(architecture)


@pytest.mark.parametrize(
    "preset", [p for p in CLIP if p.activation == "quickgelu" and p.public], ids=named
)
def test_the_plain_architecture_of_a_quickgelu_tag_is_refused(preset: Preset) -> None:
    plain = preset.architecture.removesuffix("-quickgelu")
    spec = f"open_clip:{plain}/{preset.tag}"
    with pytest.raises(WeightsError, match=f"QuickGELU.*use {preset.spec} "):
        load_encoder(spec)
    # Insisting gets past the check, to the weights that are not there.
    with pytest.raises(WeightsError, match="are not available"):
        load_encoder(f"{spec}@gelu")


def test_an_encoder_without_public_weights_is_untrained_and_reproducible() -> None:
    state = torch.random.get_rng_state()
    first = load_encoder("rn50_captions")
    assert first.weights.kind == "untrained"
    assert (first.architecture, first.width) == ("RN50-quickgelu", 1024)
    assert first.weights == load_encoder("rn50_captions").weights
    assert torch.equal(state, torch.random.get_rng_state())


def test_presets_with_public_weights_are_never_untrained() -> None:
    for preset in (*CLIP, presets()["rn50_in1k"], presets()["vitb32_openai_ft_in1k"]):
        if preset.public:
            with pytest.raises(WeightsError, match="are not available"):
                load_encoder(preset.name)


@pytest.fixture
def by_shape(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, Tensor]], Encoder]:
    """Returns a function that loads an encoder on the device that has shapes but no numbers."""

    def load(spec: str, state: dict[str, Tensor]) -> Encoder:
        for module in (from_open_clip, from_timm):
            monkeypatch.setattr(module, "read_checkpoint", lambda path: Checkpoint(state))
        monkeypatch.setattr(info, "state_digest", lambda state: "no numbers")
        monkeypatch.setattr(info, "initial_norms", lambda state: 0)
        create = open_clip.create_model
        monkeypatch.setattr(open_clip, "create_model", partial(create, device="meta"))
        monkeypatch.setattr(from_timm, "classifier_of_file", lambda *layer_and_file: None)
        monkeypatch.setattr(from_timm, "_answers", lambda *layer_and_features: True)
        with torch.device("meta"):
            return load_encoder(spec, checkpoint="w.pt", device="meta")

    return load


@pytest.mark.parametrize(
    "preset",
    [
        pytest.param(p, id=p.name, marks=() if BY_DAY[p.architecture] is p else pytest.mark.nightly)
        for p in (*CLIP, *TIMM)
    ],
)
def test_every_preset_loads_a_checkpoint(preset, by_shape):
    """The whole way from name to encoder at full size; files with numbers are loaded elsewhere."""
    encoder = by_shape(preset.name, meta(preset.loader, preset.architecture).state_dict())
    assert encoder.width == preset.width
    assert encoder.parameters() == preset.parameters
    assert encoder.weights.kind == "checkpoint"
    # Both traps, on the encoder that a run would use.
    built = built_activations(encoder)
    assert built == (set() if preset.activation == "relu" else {preset.activation})
    assert (preset.activation == "quickgelu") == (preset.name in QUICKGELU)
    usual = "imagenet" if preset.name in IMAGENET else "openai"
    assert preset.normalization == ("inception" if preset.name in HALVES else usual)
    preprocessing = encoder.preprocessing
    mean_and_std = (preprocessing.mean, preprocessing.std)
    assert mean_and_std == NORMALIZATIONS[preset.normalization]
    assert preprocessing.size == (preset.size, preset.size)
    assert preprocessing.interpolation == preset.interpolation
    if preset.loader == "open_clip":  # timm keeps both as tensors, which have no numbers here
        mean, _ = measured_normalisation(encoder.preprocess, preprocessing.size)
        assert mean == pytest.approx(mean_and_std[0], abs=1e-3)
    expected = {"zero-shot": "projected", "captions": "projected"}.get(
        preset.training, "token" if preset.backbone.startswith("ViT") else "pooled"
    )
    assert encoder.representation == expected
    assert encoder.training == preset.training


def test_a_file_keeps_the_preprocessing_of_its_tag_and_the_activation_insisted_on(by_shape):
    state = meta("open_clip", "RN50-quickgelu").state_dict()
    encoder = by_shape("rn50_cc12m", state)
    assert encoder.name == "rn50_cc12m"
    assert encoder.preprocessing.source.startswith("open_clip tag RN50-quickgelu/cc12m")
    captions = by_shape("rn50_captions", state)
    assert captions.preprocessing.source.startswith("preprocessing assumed: preset rn50_captions")
    for spec in ("open_clip:RN50-quickgelu/openai@gelu", "open_clip:RN50/openai@gelu"):
        insisted = by_shape(spec, state)
        assert insisted.tag == "openai"
        assert built_activations(insisted) == {"gelu"}
    assert insisted.architecture == "RN50"


def test_published_weights_of_a_preset_are_known_by_any_name(monkeypatch):
    def loaded(spec: str, checkpoint: Path | None = None) -> str:
        return load_encoder(spec, checkpoint=checkpoint).training

    def build(request: ModelRequest) -> Any:
        architecture, _, tag = request.rest.partition(".")
        kind = "pretrained" if request.checkpoint is None else "checkpoint"
        return SimpleNamespace(
            name=request.name, loader="timm", architecture=architecture, tag=tag,
            weights=SimpleNamespace(kind=kind), training="unknown", use_channels_last=lambda: None,
        )  # fmt: skip

    loader = replace(from_timm.LOADER, load=build)
    monkeypatch.setattr(from_timm, "LOADER", loader)
    assert loaded("timm:resnet50.tv_in1k") == "supervised"
    assert loaded("timm:vit_base_patch16_clip_224.openai_ft_in1k") == "finetuned"
    assert loaded("timm:resnet50.gluon_in1k") == "unknown"
    assert loaded("timm:resnet50.tv_in1k", Path("mine.pt")) == "unknown"
    assert loaded("rn50_in1k", Path("mine.pt")) == "supervised"
