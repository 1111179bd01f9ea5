"""timm encoders, from files that the tests write."""

from pathlib import Path

import pytest
import timm
import torch
from PIL import Image

from tests.models.conftest import load_saved
from tuiprobe.catalog.accuracies import published_row
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.checks.encoder_checks import check_encoder
from tuiprobe.models.load import load_encoder

NIGHT = pytest.mark.nightly


def saved(name: str, path: Path, **options: object) -> torch.nn.Module:
    torch.manual_seed(3)
    model = timm.create_model(name, **options).eval()
    torch.save({"state_dict": model.state_dict()}, path)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "dims"),
    [
        ("test_resnet.r160_in1k", "pooled",
         {"layer1.0": 1, "layer3": 1, "layer1.0.act1": 1, "maxpool": 1}),
        ("test_vit.r160_in1k", "token", {}),
        pytest.param(
            "swin_tiny_patch4_window7_224.ms_in1k", "pooled",
            {"layers.0.blocks.0": -1, "layers.1.downsample.norm": -1, "patch_embed.proj": 1},
            marks=NIGHT,
        ),
        ("test_convnext.r160_in1k", "pooled",
         {"stages.0.blocks.0": 1, "stages.0.blocks.0.norm": -1, "stages.0.blocks.0.mlp.act": -1,
          "stages.0.blocks.0.conv_dw": 1, "stem.1": 1}),
        ("mobilenetv3_large_100.ra_in1k", "pooled", {}),
    ],
)  # fmt: skip
def test_h_feeds_the_classifier_and_maps_know_their_channels(name, kind, dims, tmp_path):
    model = saved(name, tmp_path / "w.pt")
    encoder = load_encoder(f"timm:{name}", checkpoint=tmp_path / "w.pt")
    width = model.get_classifier().in_features
    assert (encoder.representation, encoder.width) == (kind, width)
    assert encoder.training == "unknown"  # a file of the user's: the tag does not vouch for it
    images = torch.randn(2, 3, *encoder.preprocessing.size)
    with torch.inference_mode():
        logits = model.get_classifier()(encoder.encode(images))
        assert torch.allclose(logits, model(images), atol=1e-5)
    config = model.pretrained_cfg
    assert encoder.preprocessing.mean == tuple(config["mean"])
    assert encoder.preprocessing.source.startswith(f"timm {name}")
    taps = {tap.name: tap for tap in encoder.taps()}
    assert {n: taps[n].channel_dim for n in dims} == dims
    assert all(taps[n].kind == "map" for n in dims)
    if kind == "token":
        assert (taps["blocks.0"].kind, taps["blocks.0"].prefix_tokens) == ("token", 1)
        assert taps["patch_embed"].prefix_tokens == 0
        assert taps["blocks.3.mlp.act"].channels == model.blocks[3].mlp.fc1.out_features


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_a_classifier_of_other_classes_or_none_is_taken_as_it_is(prefix, tmp_path):
    model = saved("test_resnet", tmp_path / "w.pt", num_classes=10)
    state = {f"{prefix}{name}": tensor for name, tensor in model.state_dict().items()}
    encoder = load_saved("timm:test_resnet", state, tmp_path / "w.pt")
    assert encoder.module.num_classes == 10
    assert encoder.preprocessing.source.startswith("preprocessing assumed")
    rest = {n: t for n, t in state.items() if ".fc." not in f".{n}"}
    backbone = load_saved("timm:test_resnet", rest, tmp_path / "w.pt")
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(backbone.encode(images), encoder.encode(images))
    assert encoder.classifier is not None
    assert backbone.classifier is None


@pytest.mark.parametrize(
    ("size", "extra", "named"),
    [(224, "mask_token", "pos_embed is"), (160, "pre_logits.fc.weight", "pre_logits.fc.weight")],
)
def test_timms_conversion_neither_interpolates_nor_leaves_out_a_layer(size, extra, named, tmp_path):
    model = saved("test_vit", tmp_path / "w.pt", num_classes=5, img_size=size)
    torch.save(model.state_dict() | {extra: torch.ones(1, 64)}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=named):
        load_encoder("timm:test_vit", checkpoint=tmp_path / "w.pt")


def test_the_training_size_is_the_default_and_the_test_size_is_asked_for(tmp_path: Path) -> None:
    saved("resnet18", tmp_path / "w.pt")
    config = timm.get_pretrained_cfg("resnet18.a1_in1k")
    assert (config.input_size[1], config.test_input_size[1]) == (224, 288)
    encoder = load_encoder("timm:resnet18.a1_in1k", checkpoint=tmp_path / "w.pt")
    assert encoder.preprocessing.size == (224, 224)
    assert encoder.preprocessing.source.endswith(f"crop {config.crop_pct} {config.crop_mode}")
    tested = load_encoder("timm:resnet18.a1_in1k@288", checkpoint=tmp_path / "w.pt")
    assert tested.preprocessing.size == (288, 288)
    assert f"crop {config.test_crop_pct} " in tested.preprocessing.source
    image = Image.new("RGB", (400, 300))
    assert tested.preprocess(image).shape == (3, 288, 288)
    assert encoder.preprocess(image).shape == (3, 224, 224)
    with pytest.raises(UsageError, match="has no configuration for 320 px"):
        load_encoder("timm:resnet18.a1_in1k@320", checkpoint=tmp_path / "w.pt")
    rows = [published_row("timm:resnet18.a1_in1k", size) for size in (224, 288)]
    assert rows[0] != rows[1]
    with pytest.raises(WeightsError, match="does not fit timm:test_resnet"):
        load_encoder("timm:test_resnet", checkpoint=tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="does not fit timm:test_vit"):
        load_encoder("timm:test_vit", checkpoint=tmp_path / "w.pt")


def test_a_model_without_weights_is_refused_unbuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "create_model", None)
    for name in ("vit_giant_patch14_224", "vit_giant_patch14_224.untrained"):
        with pytest.raises(WeightsError, match=r"random ones.*FILE, or take one .*vit_"):
            load_encoder(f"timm:{name}")


@pytest.mark.parametrize(
    ("name", "default", "asked"),
    [
        ("test_vit.r160_in1k", "token", "avg"),
        pytest.param("vit_small_patch16_dinov3.lvd1689m", "avg", "token", marks=NIGHT),
    ],
)
def test_the_pooling_is_asked_for_and_said(name, default, asked, tmp_path):
    model = saved(name, tmp_path / "w.pt")
    usual, same, other = (
        load_encoder(f"timm:{name}{option}", checkpoint=tmp_path / "w.pt")
        for option in ("", f"@{default}", f"@{asked}")
    )
    images = torch.randn(2, 3, *usual.preprocessing.size)
    with torch.inference_mode():
        tokens = model.forward_features(images)
        means = tokens[:, model.num_prefix_tokens :].mean(1)
        pooled = {"token": tokens[:, 0], "avg": means}
        for encoder, pooling in ((usual, default), (same, default), (other, asked)):
            expected = model.fc_norm(pooled[pooling])
            assert torch.allclose(encoder.encode(images), expected, atol=1e-4)
            (check,) = (c for c in check_encoder(encoder) if c.name == "pooling")
            assert f"h is {'its class' if pooling == 'token' else 'the mean'}" in check.detail
    assert (same.architecture, other.architecture) == (
        usual.architecture,
        f"{usual.architecture}@{asked}",
    )
    assert (usual.classifier is None, other.classifier) == (default == "avg", None)


def test_a_pooling_that_a_model_does_not_have_is_refused(tmp_path: Path) -> None:
    saved("test_resnet", tmp_path / "w.pt")
    with pytest.raises(UsageError, match="@token"):
        load_encoder("timm:test_resnet.r160_in1k@token", checkpoint=tmp_path / "w.pt")
    encoder = load_encoder("timm:test_resnet.r160_in1k", checkpoint=tmp_path / "w.pt")
    assert "pooling" not in {check.name for check in check_encoder(encoder)}
