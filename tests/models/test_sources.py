"""Encoders from torchvision, folders and a cached repository."""

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models as vision

from tests.models.conftest import has_logits_of, load_saved
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.load import load_encoder

MEAN = [0.1, 0.2, 0.3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "width"),
    [
        ("resnet18", "pooled", 512),
        ("vit_b_32", "token", 768),
        pytest.param("efficientnet_b0", "pooled", 1280, marks=pytest.mark.nightly),
    ],
)
def test_torchvision(name: str, kind: str, width: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = vision.get_model(name, weights=None).eval()
    torch.save(model.state_dict(), tmp_path / "w.pth")
    spec = f"torchvision:{name}/IMAGENET1K_V1"
    encoder = load_encoder(spec, checkpoint=tmp_path / "w.pth")
    assert (encoder.representation, encoder.width) == (kind, width)
    assert encoder.training == "unknown"  # never taken for zero-shot
    images = torch.randn(2, 3, 224, 224)
    assert has_logits_of(model, encoder, images)
    assert encoder.head().classes[0] == "tench"
    assert encoder.preprocessing.source.startswith(f"torchvision {name}/IMAGENET1K_V1")
    assert encoder.taps()[-1].name == "embedding"


@pytest.mark.parametrize(
    ("name", "layer", "prefix"),
    [("resnet18", "fc", "model.net."), ("mobilenet_v3_small", "classifier.3", "")],
)
def test_a_torchvision_classifier_of_other_classes_or_none(name, layer, prefix, tmp_path):
    torch.manual_seed(0)
    model = vision.get_model(name, num_classes=5).eval()
    state = {f"{prefix}{key}": tensor for key, tensor in model.state_dict().items()}
    encoder = load_saved(f"torchvision:{name}", state, tmp_path / "w.pth")
    images = torch.randn(2, 3, 64, 64)
    assert has_logits_of(model, encoder, images)
    rest = {n: t for n, t in state.items() if not n.endswith(f"{layer}.bias")}
    without = load_saved(f"torchvision:{name}", rest, tmp_path / "w").head()
    assert torch.equal(without.weight, encoder.head().weight)
    assert not without.bias.any()
    ends = (f"{layer}.weight", f"{layer}.bias")
    rest = {n: t for n, t in state.items() if not n.endswith(ends)}
    backbone = load_saved(f"torchvision:{name}", rest, tmp_path / "w.pth")
    with torch.inference_mode():
        assert torch.equal(backbone.encode(images), encoder.encode(images))
    assert backbone.classifier is None


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "fc"),
        ("efficientnet_b0", "classifier.1"),
        pytest.param("vit_b_32", "heads.head", marks=pytest.mark.nightly),
    ],
)
def test_a_torchvision_classifier_behind_a_dropout_or_in_place_of_its_block(name, layer, tmp_path):
    torch.manual_seed(0)
    images = torch.randn(2, 3, 224, 224)
    width = vision.get_model(name).get_submodule(layer).in_features
    block = nn.Sequential(nn.Dropout(), nn.Linear(width, 5))
    places = [(layer, block), (layer.partition(".")[0], nn.Linear(width, 5))]
    for place, classifier in places:
        model = vision.get_model(name)
        model.set_submodule(place, classifier)
        model.eval()
        encoder = load_saved(f"torchvision:{name}", model.state_dict(), tmp_path / "w.pth")
        assert has_logits_of(model, encoder, images)
    model = vision.get_model(name)
    model.set_submodule(layer, nn.Sequential(nn.Linear(width, 8), nn.ReLU(), nn.Linear(8, 5)))
    torch.save(model.state_dict(), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=rf"{layer}\.2\.weight"):
        load_encoder(f"torchvision:{name}", checkpoint=tmp_path / "w.pth")


def test_a_torchvision_classifier_that_has_no_bias(tmp_path: Path) -> None:
    state = vision.get_model("maxvit_t", num_classes=5).state_dict()
    head = load_saved("torchvision:maxvit_t", state, tmp_path / "w.pth").head()
    assert torch.equal(head.weight, state["classifier.5.weight"])
    assert head.bias is None


def test_torchvision_shared_activations_are_not_tapped(tmp_path: Path) -> None:
    """Its residual blocks call one ReLU twice: an image would come twice in a batch."""
    state = vision.resnet18(weights=None).state_dict()
    encoder = load_saved("torchvision:resnet18", state, tmp_path / "w.pth")
    assert "called 2 times" in encoder.untappable()["layer1.0.relu"]
    assert "layer1.0" in {tap.name for tap in encoder.taps()}
    assert encoder.preprocessing.source.startswith("preprocessing assumed")
    with pytest.raises(UsageError, match="no linear classifier"):
        load_encoder("torchvision:squeezenet1_0", checkpoint=tmp_path / "w.pth")


def timm_folder(folder: Path) -> dict[str, Tensor]:
    torch.manual_seed(5)
    model = timm.create_model("test_resnet", num_classes=7)
    config = {
        "architecture": "test_resnet",
        "num_classes": 7,
        "num_features": model.num_features,
        "pretrained_cfg": {**model.pretrained_cfg, "mean": MEAN, "num_classes": 7},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, default=str))
    save_file(model.state_dict(), folder / "model.safetensors")
    return dict(model.state_dict())


def test_a_timm_folder(tmp_path: Path) -> None:
    state = timm_folder(tmp_path / "model")
    encoder = load_encoder(f"timm:local-dir:{tmp_path / 'model'}")
    loaded = encoder.module.state_dict()
    assert all(torch.equal(loaded[n], t) for n, t in state.items())
    assert encoder.preprocessing.mean == tuple(MEAN)
    head = encoder.head()
    assert head.weight.shape == (7, encoder.width)
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="is no timm model folder"):
        load_encoder(f"timm:local-dir:{tmp_path / 'model'}")
