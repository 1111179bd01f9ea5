"""Weights that tests share: a full-size CLIP and a tiny one, written once a session."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.hub_cache import put_tiny
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo
from tuiprobe.models.load import load_encoder
from tuiprobe.models.loaders.published_weights import quiet


@dataclass(frozen=True)
class Saved:
    """Random weights other than our own seed gives, and the file or folder that holds them."""

    state: dict[str, Tensor]
    path: Path


def toy(tower: nn.Module, size: tuple[int, int] = (16, 16), **options: Any) -> Encoder:
    """Returns an encoder of five channels around a tower."""
    return Encoder(
        name="net", architecture="net", representation="pooled", width=5,
        weights=WeightsInfo(kind="untrained", source="", digest="0"),
        preprocessing=PreprocessingInfo(
            size=size, mean=(0.5,), std=(0.5,), interpolation="bicubic", source="test"
        ),
        module=tower, preprocess=lambda image: torch.zeros(3, *size), forward=tower, **options,
    )  # fmt: skip


def load_saved(spec: str, state: Mapping[str, Any], file: Path) -> Encoder:
    """Writes weights to a file, and loads a model with them."""
    torch.save(state, file)
    return load_encoder(spec, checkpoint=file)


def has_logits_of(model: nn.Module, encoder: Encoder, images: Tensor, atol: float = 1e-4) -> bool:
    """Tells whether the head answers images as the model of a library does."""
    head = encoder.head()
    assert head is not None
    with torch.inference_mode():
        return torch.allclose(head.logits(encoder.encode(images)), model(images), atol=atol)


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def rn50(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Returns a safetensors file of RN50-quickgelu."""
    import open_clip

    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = open_clip.create_model("RN50-quickgelu", load_weights=False)
    path = tmp_path_factory.mktemp("weights") / "rn50.safetensors"
    save_file(model.state_dict(), path)
    return Saved(dict(model.state_dict()), path)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Returns the folder of a CLIP of one layer, which is also a repository of a hub's cache."""
    home = tmp_path_factory.mktemp("hub")
    state = put_tiny(home)
    return Saved(state, next(home.rglob("snapshots/*")))
