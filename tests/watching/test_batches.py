"""Which dimension of tokens a watch takes as the batch."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tuiprobe
from tests.watching.networks import WIDTH, pictures
from tuiprobe.errors import UsageError

LENGTH, COUNT = 7, 4


def encoder(batch_first: bool) -> nn.TransformerEncoder:
    """Returns torch's transformer with seeded weights."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 64, 0.0, batch_first=batch_first)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def tokens(count: int = COUNT) -> Tensor:
    """Returns seeded tokens `[count, LENGTH, WIDTH]`."""
    return torch.randn(count, LENGTH, WIDTH, generator=torch.Generator().manual_seed(1))


class Called(nn.Module):
    """Hides that its transformer is sequence first, and ends in a vector for each image."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.mixed = encoder(batch_first=False), nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, 24)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.mixed(self.inner(x)).mean(0))
        return out


class Images(nn.Module):
    """Takes images and computes sequence first."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.mixed = encoder(batch_first=False), nn.Linear(WIDTH, WIDTH)
        self.stem = nn.Conv2d(3, WIDTH, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).expand(-1, -1, LENGTH).permute(2, 0, 1)
        out: Tensor = self.mixed(self.inner(x))
        return out


@pytest.mark.parametrize("count", [COUNT, LENGTH])
@pytest.mark.parametrize("part", [False, True])
def test_torchs_transformers_say_where_their_batch_is(count: int, part: bool) -> None:
    first, second, x = encoder(True), encoder(False), tokens(count)
    layers = "layers.* layers.0.self_attn layers.0.linear1 layers.1.norm2"
    results = []
    for model, batch in ((first, x), (second, x.transpose(0, 1))):
        with tuiprobe.watch(model, layers) as watched:
            (model.layers[0] if part else model)(batch)
        results.append({layer.layer: (layer.images, layer.kurtosis) for layer in watched.figures()})
        assert watched.assumption == ""
    assert results[0] == results[1]
    assert {images for images, _ in results[0].values()} == {count}


def test_elsewhere_the_front_is_taken_and_said_unless_another_is_named() -> None:
    model, x = Called(), tokens().transpose(0, 1)
    with tuiprobe.watch(model, "mixed inner.layers.0") as taken:
        model(x)
    assert {layer.layer: layer.images for layer in taken.figures()} == {"mixed": LENGTH}
    assert "dimension 0 was taken as the batch, batch_dim names another: mixed" in taken.table()
    assert "name the dimension of the batch with batch_dim" in taken.refused["inner.layers.0"]
    with tuiprobe.watch(model, "mixed inner.layers.0 head", batch_dim=1) as named:
        model(x)
    assert {layer.images for layer in named.figures()} == {COUNT}
    assert len(named.figures()) == 3
    assert named.assumption == ""
    with tuiprobe.watch(model, "mixed", batch_dim=1) as part:
        model.mixed(x)
    assert part.figures()[0].images == COUNT


@pytest.mark.parametrize(("count", "named"), [(COUNT, None), (LENGTH, 1)])
def test_images_say_how_many_they_are(count: int, named: int | None) -> None:
    model = Images()
    with tuiprobe.watch(model, "mixed inner.layers.* stem", batch_dim=named) as watched:
        model(pictures(count))
    assert [layer.images for layer in watched.figures()] == [count] * 4
    assert watched.assumption == ""
    if named:
        with tuiprobe.watch(model, "mixed") as unknown:
            model(pictures(count))
        reason = r"its output (7, 7, 32) may be batch or sequence first: name the dimension"
        assert reason in unknown.refused["mixed"]


def test_a_layer_that_is_refused_costs_no_walk_through_the_model_at_each_step(monkeypatch):
    model, walks = Images(), []
    with tuiprobe.watch(model, "mixed") as watched:
        model(pictures(LENGTH))
        walk = nn.Module.named_modules
        monkeypatch.setattr(
            nn.Module, "named_modules", lambda *args, **kw: walks.append(1) or walk(*args, **kw)
        )
        model(pictures(LENGTH))
    assert "mixed" in watched.refused
    assert walks == []


@pytest.mark.parametrize("batch_dim", [2, -1, "1"])
def test_another_dimension_is_refused(batch_dim: Any) -> None:
    with pytest.raises(UsageError, match="batch_dim must be 0, 1 or None"):
        tuiprobe.watch(encoder(True), "layers.*", batch_dim=batch_dim)
