"""Taps: layouts known by construction, refusals with their reason, and what watch hands over."""

import pytest
import torch
from torch import Tensor, nn

from tests.models.conftest import toy
from tuiprobe.errors import UsageError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.taps import Tap


class ChannelsLast(nn.Module):
    """Works on NHWC, on a map whose side is the number of channels: ambiguous by shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.up = nn.Linear(channels, 3 * channels)
        self.act = nn.GELU()
        self.down = nn.Linear(3 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.act(self.up(self.norm(x))))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=2, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.AvgPool2d(1)
        self.identity = nn.Identity()
        self.twice = nn.Tanh()
        self.last = ChannelsLast(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=False)
        self.tokens = nn.LayerNorm(8)
        self.act = nn.GELU()
        self.never = nn.Linear(3, 3)
        self.squeeze = nn.Conv1d(8, 6, 1)
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.identity(self.pool(self.relu(self.stem(x))))
        x = self.twice(self.twice(x))
        x = self.last(x.permute(0, 2, 3, 1))
        x = x.flatten(1, 2).transpose(0, 1)
        x = self.act(self.tokens(self.attention(x, x, x, need_weights=False)[0]))
        return self.fc(self.squeeze(x.permute(1, 2, 0)).mean(2))


@pytest.fixture
def net() -> Encoder:
    torch.manual_seed(0)
    return toy(Net())


def test_layouts_are_those_of_the_construction(net: Encoder) -> None:
    layouts = {tap.name: (tap.kind, tap.channels, tap.channel_dim) for tap in net.taps()}
    assert layouts == {
        "stem": ("map", 8, 1),
        "pool": ("map", 8, 1),
        "last.norm": ("map", 8, -1),
        "last.up": ("map", 24, -1),
        "last.act": ("map", 24, -1),
        "last.down": ("map", 8, -1),
        "attention": ("token", 8, -1),
        "tokens": ("token", 8, -1),
        "act": ("token", 8, -1),
        "squeeze": ("token", 6, -1),
        "fc": ("vector", 5, -1),
        "embedding": ("vector", 5, -1),
    }


def test_what_cannot_be_tapped_says_why(net: Encoder) -> None:
    reasons = net.untappable()
    assert reasons["identity"] == "passes its input on unchanged"
    assert reasons["twice"] == "called 2 times in one forward pass"
    assert reasons["never"] == "not called in the forward pass"
    # An 8 x 8 map of 8 channels, and no layer around tells which is which.
    assert "which dimension of (2, 8, 8, 8)" in reasons["relu"]
    assert "which dimension of (2, 8, 8, 8)" in reasons["last"]
    for name, reason in (("twice", "called 2 times"), ("nothing", "no such module")):
        with (
            pytest.raises(UsageError, match=f"cannot tap '{name}' of net: .*{reason}"),
            net.watch([name], lambda tap, x: None),
        ):
            pass


def test_sequence_first_tokens_arrive_batch_first(net: Encoder) -> None:
    seen: dict[str, Tensor] = {}
    images = torch.randn(3, 3, 16, 16)
    with torch.inference_mode(), net.watch(net.taps(), lambda tap, x: seen.update({tap.name: x})):
        h = net.encode(images)
    assert seen["tokens"].shape == (3, 64, 8)
    assert seen["squeeze"].shape == (3, 64, 6)
    module = net.module
    # The mean over positions of what was handed over is what the next layer gets.
    assert torch.allclose(module.fc(seen["squeeze"].mean(1)), h, atol=1e-6)
    assert torch.equal(seen["embedding"], h)
    # An image's own row: encoding it alone gives the same tokens.
    alone: dict[str, Tensor] = {}
    with torch.inference_mode(), net.watch(["tokens"], lambda tap, x: alone.update({tap.name: x})):
        net.encode(images[1:2])
    assert torch.allclose(alone["tokens"][0], seen["tokens"][1], atol=1e-5)


def test_watching_ends_with_the_block_even_after_an_error(net: Encoder) -> None:
    calls: list[Tap] = []

    def callback(tap: Tap, x: Tensor) -> None:
        calls.append(tap)
        if tap.name == "embedding":
            raise RuntimeError("stop")

    with (
        pytest.raises(RuntimeError, match="stop"),
        torch.inference_mode(),
        net.watch(["stem", "embedding"], callback),
    ):
        net.encode(torch.zeros(1, 3, 16, 16))
    with torch.inference_mode():
        net.encode(torch.zeros(1, 3, 16, 16))
    assert [tap.name for tap in calls] == ["stem", "embedding"]
    assert not any(m._forward_hooks for m in net.module.modules())


def test_windows_in_the_batch_are_refused_and_an_oblong_map_keeps_its_aspect() -> None:
    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU())
            self.inner = nn.Linear(5, 5)

        def forward(self, x: Tensor) -> Tensor:
            y = self.inner(self.conv(x).permute(0, 2, 3, 1).reshape(-1, 64, 5))
            return y.reshape(x.shape[0], -1, 5).mean(1)

    windows = toy(Windows(), size=(16, 32))
    assert "does not keep one entry an image" in windows.untappable()["inner"]
    assert Tap("conv.1", "map", 5, 1) in windows.taps()


def test_half_precision_embeddings_are_float32() -> None:
    half = toy(Net(), dtype=torch.bfloat16)
    with torch.inference_mode():
        assert half.encode(torch.zeros(2, 3, 16, 16)).dtype == torch.float32
    assert next(half.module.parameters()).dtype == torch.bfloat16
