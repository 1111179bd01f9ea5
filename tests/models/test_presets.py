"""Every preset builds the right architecture, with the right activation and preprocessing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import timm
import torch
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file
from torch import Tensor, nn

from tuiprobe.catalog.presets import NORMALIZATIONS, Preset, presets
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models import from_open_clip, load_encoder, open_clip_source
from tuiprobe.models.quiet import quiet

CLIP = [p for p in presets().values() if p.loader == "open_clip"]
TIMM = [p for p in presets().values() if p.loader == "timm"]

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


def meta(architecture: str) -> Any:
    with quiet(), torch.device("meta"):
        return open_clip.create_model(architecture, load_weights=False, device="meta")


@pytest.mark.parametrize("preset", CLIP, ids=named)
def test_clip_presets_are_built_as_their_weights_were_trained(preset: Preset) -> None:
    assert (preset.activation == "quickgelu") == (preset.name in QUICKGELU)
    assert (preset.normalization == "inception") == (preset.name in HALVES)
    model = meta(preset.architecture)
    kinds = {type(m) for m in model.modules() if isinstance(m, QuickGELU | nn.GELU)}
    assert kinds == {QuickGELU if preset.name in QUICKGELU else nn.GELU}
    request = open_clip_source.Request("x", preset.architecture, preset.tag, untrained=True)
    source = open_clip_source.locate(request)
    _, preprocessing = from_open_clip._preprocessing(source, model.visual)
    expected = NORMALIZATIONS[preset.normalization]
    assert (preprocessing.mean, preprocessing.std) == expected
    assert preprocessing.size == (preset.size, preset.size)
    assert preprocessing.interpolation == preset.interpolation
    assert source.config["embed_dim"] == preset.width
    assert sum(p.numel() for p in model.visual.parameters()) == preset.parameters


@pytest.mark.parametrize("preset", TIMM, ids=named)
def test_timm_presets_are_as_the_catalog_says(preset: Preset) -> None:
    config = timm.get_pretrained_cfg(f"{preset.architecture}.{preset.tag}")
    expected = "inception" if preset.name in HALVES else "openai"
    assert preset.normalization == ("imagenet" if preset.name in IMAGENET else expected)
    assert (config.mean, config.std) == NORMALIZATIONS[preset.normalization]
    assert config.input_size == (3, preset.size, preset.size)
    assert config.interpolation == preset.interpolation
    with torch.device("meta"):
        model = timm.create_model(preset.architecture)
    assert model.num_features == preset.width
    assert sum(p.numel() for p in model.parameters()) == preset.parameters
    kinds = {type(m) for m in model.modules() if isinstance(m, nn.GELU | nn.ReLU)}
    assert kinds == {nn.ReLU if preset.activation == "relu" else nn.GELU}


@pytest.mark.parametrize(
    "preset", [p for p in CLIP if p.activation == "quickgelu" and p.public], ids=named
)
def test_the_plain_architecture_of_a_quickgelu_tag_is_refused(preset: Preset) -> None:
    plain = preset.architecture.removesuffix("-quickgelu")
    spec = f"open_clip:{plain}/{preset.tag}"
    with pytest.raises(WeightsError, match=f"QuickGELU.*use {preset.spec} "):
        load_encoder(spec)
    # Insisting gets past the check, to the weights that are not there.
    with pytest.raises(WeightsError, match="could not be had"):
        load_encoder(f"{spec}@gelu")


def test_timm_has_the_same_trap() -> None:
    with pytest.raises(WeightsError, match=r"use timm:vit_base_patch16_clip_quickgelu_224\.openai"):
        load_encoder("timm:vit_base_patch16_clip_224.openai")
    with pytest.raises(WeightsError, match="could not be had"):
        load_encoder("timm:vit_base_patch16_clip_224.openai@gelu")


def test_insisting_changes_the_activation(rn50_file: Path) -> None:
    plain = load_encoder("open_clip:RN50-quickgelu/openai@gelu", checkpoint=rn50_file)
    assert not any(isinstance(m, QuickGELU) for m in plain.module.modules())
    right = load_encoder("rn50_openai", checkpoint=rn50_file)
    assert any(isinstance(m, QuickGELU) for m in right.module.modules())
    assert plain.weights.digest == right.weights.digest


def test_a_preset_with_a_file_keeps_the_preprocessing_of_its_tag(rn50_file: Path) -> None:
    encoder = load_encoder("rn50_cc12m", checkpoint=rn50_file)
    assert encoder.name == "rn50_cc12m"
    assert encoder.weights.kind == "checkpoint"
    assert encoder.preprocessing.source.startswith("open_clip tag RN50-quickgelu/cc12m")
    captions = load_encoder("rn50_captions", checkpoint=rn50_file)
    assert captions.preprocessing.source.startswith("preprocessing assumed: preset rn50_captions")


def test_rn101_cc12m_is_untrained_and_reproducible() -> None:
    first = load_encoder("rn101_cc12m")
    assert first.weights.kind == "untrained"
    assert (first.architecture, first.width) == ("RN101-quickgelu", 512)
    assert first.weights == load_encoder("rn101_cc12m").weights


def test_presets_with_public_weights_are_never_untrained() -> None:
    for preset in (*CLIP, presets()["rn50_in1k"], presets()["vitb32_openai_ft_in1k"]):
        if preset.public:
            with pytest.raises(WeightsError, match="could not be had"):
                load_encoder(preset.name)


def test_unknown_presets_are_answered_with_near_ones() -> None:
    with pytest.raises(UsageError, match=r"did you mean .*vitb16_openai"):
        load_encoder("vitb16openai")
    with pytest.raises(UsageError, match="a preset, open_clip:ARCH/TAG"):
        load_encoder("zzz")


@pytest.mark.slow
@pytest.mark.parametrize("preset", [*CLIP, *TIMM], ids=named)
def test_every_preset_loads_a_file(
    preset: Preset, open_clip_state: Callable[[str], dict[str, Tensor]], tmp_path: Path
) -> None:
    """Full size, except that ViT-L/14's 400 million parameters are compared by shape alone."""
    if preset.backbone == "ViT-L/14":
        module = meta(preset.architecture) if preset in CLIP else None
        if module is None:
            with torch.device("meta"):
                module = timm.create_model(preset.architecture)
        assert module.state_dict().keys()
        return
    if preset.loader == "open_clip":
        state = open_clip_state(preset.architecture)
    else:
        torch.manual_seed(1)
        state = timm.create_model(preset.architecture).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    encoder = load_encoder(preset.name, checkpoint=tmp_path / "w.safetensors")
    assert encoder.width == preset.width
    loaded = encoder.module.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())
    expected = {"zero-shot": "projected", "captions": "projected"}.get(
        preset.training, "token" if preset.backbone.startswith("ViT") else "pooled"
    )
    assert encoder.representation == expected
