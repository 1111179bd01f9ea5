"""Encoders from torchvision, folders, a cached repository, and functions of the user's."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision import models as vision

from tuiprobe.errors import RunError, UsageError, WeightsError
from tuiprobe.models.load import load_encoder

State = Callable[[str], dict[str, Tensor]]
MEAN = [0.1, 0.2, 0.3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "width"),
    [("resnet18", "pooled", 512), ("vit_b_32", "token", 768), ("efficientnet_b0", "pooled", 1280)],
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
    with torch.inference_mode():
        head = encoder.head()
        assert head is not None
        assert torch.allclose(head.logits(encoder.encode(images)), model(images), atol=1e-4)
    assert head.classes[0] == "tench"
    assert encoder.preprocessing.source.startswith(f"torchvision {name}/IMAGENET1K_V1")
    assert encoder.taps()[-1].name == "embedding"


def test_torchvision_shared_activations_are_not_tapped(tmp_path: Path) -> None:
    """Its residual blocks call one ReLU twice: an image would come twice in a batch."""
    torch.save(vision.resnet18(weights=None).state_dict(), tmp_path / "w.pth")
    encoder = load_encoder("torchvision:resnet18", checkpoint=tmp_path / "w.pth")
    assert "called 2 times" in encoder.untappable()["layer1.0.relu"]
    assert "layer1.0" in {tap.name for tap in encoder.taps()}
    assert encoder.preprocessing.source.startswith("preprocessing assumed")


def test_torchvision_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"did you mean .*resnet50"):
        load_encoder("torchvision:resnet5O")
    with pytest.raises(WeightsError, match="it has IMAGENET1K_V1, IMAGENET1K_V2"):
        load_encoder("torchvision:resnet50/V9")
    with pytest.raises(WeightsError, match="names no weights"):
        load_encoder("torchvision:resnet50")
    with pytest.raises(UsageError, match="no linear classifier"):
        load_encoder("torchvision:squeezenet1_0", checkpoint=tmp_path / "w.pth")


def open_clip_folder(folder: Path, state: dict[str, Tensor]) -> None:
    import open_clip

    config = {
        "model_cfg": open_clip.get_model_config("RN50-quickgelu"),
        "preprocess_cfg": {"mean": MEAN, "std": [0.5, 0.5, 0.5], "interpolation": "bilinear"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(state, folder / "open_clip_model.safetensors")


@pytest.mark.slow
def test_an_open_clip_folder(tmp_path: Path, open_clip_state: State) -> None:
    state = open_clip_state("RN50-quickgelu")
    open_clip_folder(tmp_path / "model", state)
    encoder = load_encoder(f"open_clip:local-dir:{tmp_path / 'model'}")
    loaded = encoder.module.state_dict()
    assert all(torch.equal(loaded[n], t) for n, t in state.items())
    assert encoder.preprocessing.mean == tuple(MEAN)
    assert encoder.preprocessing.interpolation == "bilinear"
    assert encoder.weights.kind == "checkpoint"
    (tmp_path / "model" / "open_clip_model.safetensors").unlink()
    with pytest.raises(WeightsError, match="holds no weights"):
        load_encoder(f"open_clip:local-dir:{tmp_path / 'model'}")
    (tmp_path / "model" / "open_clip_config.json").write_text("{}")
    with pytest.raises(WeightsError, match="is no open_clip configuration"):
        load_encoder(f"open_clip:local-dir:{tmp_path / 'model'}")
    with pytest.raises(WeightsError, match=r"holds no open_clip_config\.json"):
        load_encoder(f"open_clip:local-dir:{tmp_path}")


def timm_folder(folder: Path) -> dict[str, Tensor]:
    torch.manual_seed(5)
    model = timm.create_model("resnet18", num_classes=7)
    config = {
        "architecture": "resnet18",
        "num_classes": 7,
        "num_features": 512,
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
    assert head is not None
    assert head.weight.shape == (7, 512)
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="is no timm model folder"):
        load_encoder(f"timm:local-dir:{tmp_path / 'model'}")


def cached(home: Path, repository: str) -> Path:
    """Returns the snapshot folder of a repository, in the layout of the hub's cache."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    root = home / "hub" / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    folder = root / "snapshots" / commit
    folder.mkdir(parents=True)
    return folder


def test_an_unreachable_repository_is_one_message() -> None:
    for spec in ("open_clip:hf-hub:nobody/nothing", "timm:hf-hub:nobody/nothing"):
        with pytest.raises(WeightsError, match=r"nobody/nothing.* could not be had") as error:
            load_encoder(spec)
        assert "\n" not in str(error.value)


BUILDER = """
import torch
from tuiprobe.models import Encoder
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo

def build():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4))
    return Encoder(
        name="mine", architecture="mlp", representation="pooled", width=4,
        weights=WeightsInfo(kind="checkpoint", source="mine", digest="0"),
        preprocessing=PreprocessingInfo(
            size=(2, 2), mean=(0.5,), std=(0.5,), interpolation="bicubic", source="mine"
        ),
        module=module, preprocess=None, forward=module,
    )

def wrong():
    return 3

def broken():
    raise ValueError("no disk")
"""


def test_a_function_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "builder_of_mine.py").write_text(BUILDER)
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    encoder = load_encoder("py:builder_of_mine:build", dtype="bfloat16")
    assert encoder.name == "py:builder_of_mine:build"
    with torch.inference_mode():
        assert encoder.encode(torch.zeros(2, 3, 2, 2)).shape == (2, 4)
    assert next(encoder.module.parameters()).dtype == torch.bfloat16
    assert sys.path == before
    with pytest.raises(UsageError, match="returned a int"):
        load_encoder("py:builder_of_mine:wrong")
    with pytest.raises(RunError, match="ValueError: no disk"):
        load_encoder("py:builder_of_mine:broken")
    with pytest.raises(UsageError, match="has no function 'none'"):
        load_encoder("py:builder_of_mine:none")
    with pytest.raises(UsageError, match="cannot import 'nothing_here'"):
        load_encoder("py:nothing_here:build")
    with pytest.raises(UsageError, match="py:MODULE:FUNCTION"):
        load_encoder("py:builder_of_mine")
    with pytest.raises(UsageError, match="does not go with it"):
        load_encoder("py:builder_of_mine:build", checkpoint=tmp_path / "w.pt")
