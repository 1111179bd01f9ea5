"""Encoders of torchvision and timm compute what their libraries compute from the same file."""

from pathlib import Path

import pytest
import timm
import torch
from torchvision import models as vision

from tests.models.conftest import has_logits_of, load_saved
from tools.architectures import rows, timm_specs, torchvision_specs
from tuiprobe.models.load import load_encoder
from tuiprobe.models.loaders.from_module import made_pictures
from tuiprobe.models.loaders.published_weights import quiet

FEW = (
    "torchvision:mnasnet0_5/IMAGENET1K_V1",  # its layers ask for a version
    "timm:test_vit.r160_in1k",
    "timm:deit_tiny_distilled_patch16_224.fb_in1k",  # two classifiers of two tokens
    "timm:dla46_c.in1k",  # a convolution of one pixel
)


@pytest.mark.slow
def test_some_architectures() -> None:
    assert [row for row in rows(FEW) if not row.same] == []


REFUSED = {"torchvision:squeezenet1_0/IMAGENET1K_V1", "torchvision:squeezenet1_1/IMAGENET1K_V1"}
"""They end in a ReLU behind their last convolution, so no linear layer answers over any h."""


@pytest.mark.nightly
@pytest.mark.parametrize("specs", [torchvision_specs, timm_specs])
def test_every_architecture(specs) -> None:
    compared = list(rows(specs()))
    assert [row for row in compared if not row.same and row.spec not in REFUSED] == []
    assert all(row.refused for row in compared if row.spec in REFUSED)


def test_classifiers_that_were_distilled_read_one_representation(tmp_path: Path) -> None:
    torch.manual_seed(0)
    name = "levit_128s"
    model = timm.create_model(name).eval()
    encoder = load_saved(f"timm:{name}", model.state_dict(), tmp_path / "w.pth")
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        h = model.forward_head(model.forward_features(images), pre_logits=True)
        assert torch.allclose(encoder.encode(images), h, atol=1e-4)


@pytest.mark.parametrize("name", ["efficientvit_m0", "repvit_m0_9"])  # of the second several
def test_a_classifier_of_batch_normalisation_and_a_linear_layer(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=5).eval()
    for layer, buffer in model.named_buffers():
        if layer.endswith("running_mean"):
            buffer.add_(torch.randn_like(buffer))  # its linear layer alone gives other answers
    encoder = load_saved(f"timm:{name}", model.state_dict(), tmp_path / "w.pth")
    images = torch.randn(2, 3, 224, 224)
    assert has_logits_of(model, encoder, images)


def test_a_distilled_transformer_of_other_classes_or_none(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=5).eval()
    state = model.state_dict()
    encoder = load_saved("timm:deit_tiny_distilled_patch16_224", state, tmp_path / "w.pth")
    images = torch.randn(2, 3, 224, 224)
    assert has_logits_of(model, encoder, images, 1e-5)
    heads = ("head.", "head_dist.")
    rest = {n: t for n, t in state.items() if not n.startswith(heads)}
    backbone = load_saved("timm:deit_tiny_distilled_patch16_224", rest, tmp_path / "w.pth")
    assert backbone.head() is None
    assert backbone.width == encoder.width


@pytest.mark.slow
def test_own_networks_that_may_normalise_their_input(tmp_path: Path) -> None:
    torch.manual_seed(0)
    name = "googlenet"
    plain = {"weights": None, "num_classes": 5, "init_weights": False}
    trained = vision.get_model(name, transform_input=True, aux_logits=False, **plain).eval()
    encoder = load_saved(f"torchvision:{name}", trained.state_dict(), tmp_path / "w.pth")
    transform = vision.get_model_weights(name).DEFAULT.transforms()
    images = torch.stack([transform(picture) for picture in made_pictures()])
    assert (encoder.preprocessing.size, encoder.preprocessing.assumed) == ((224, 224), True)
    assert "transform_input assumed" in encoder.preprocessing.source
    with torch.inference_mode():
        assert torch.equal(torch.stack([*map(encoder.preprocess, made_pictures())]), images)
        assert has_logits_of(trained, encoder, images, 1e-5)
    tagged = load_encoder(f"torchvision:{name}/IMAGENET1K_V1", checkpoint=tmp_path / "w.pth")
    assert (tagged.architecture, tagged.preprocessing.assumed) == (name, False)


@pytest.mark.slow
def test_torchscript_says_whether_it_normalises_its_input(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = {"weights": None, "num_classes": 5, "init_weights": False}
    model = vision.get_model("inception_v3", **plain).eval()  # with auxiliary classifiers
    with quiet():
        torch.jit.save(torch.jit.script(model), tmp_path / "w.pt")
    encoder = load_encoder("torchvision:inception_v3", checkpoint=tmp_path / "w.pt")
    assert encoder.architecture != "inception_v3"  # so are the keys of its runs
    assert "transform_input" not in encoder.preprocessing.source
    images = torch.randn(2, 3, 299, 299)
    assert has_logits_of(model, encoder, images, 1e-5)


def test_a_transformer_of_a_registered_size(tmp_path: Path) -> None:
    model = vision.get_model("vit_b_16", weights=None, image_size=384, num_classes=3)
    names = {"mlp.0.": "mlp.linear_1.", "mlp.3.": "mlp.linear_2."}  # of earlier versions
    state = model.state_dict()
    for now, earlier in names.items():
        state = {name.replace(now, earlier): tensor for name, tensor in state.items()}
    encoder = load_saved("torchvision:vit_b_16", state, tmp_path / "w.pth")
    assert encoder.preprocessing.size == (384, 384)
    loaded = encoder.module.state_dict()
    assert all(torch.equal(loaded[name], t) for name, t in model.state_dict().items())
    assert "IMAGENET1K_SWAG_LINEAR_V1 differs" in encoder.preprocessing.source.replace(" and ", " ")
