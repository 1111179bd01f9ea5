"""Inner channels set to zero: what comes after sees the zeros, what came before does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.models.conftest import toy
from tuiprobe.errors import UsageError
from tuiprobe.models.ablated import ablation_in_words, parse_ablations
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.taps import DerivedTap


class Tower(nn.Module):
    """A convolution, a skip connection around a block, and a token layer that returns a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 4, stride=4)
        self.block = nn.Sequential(nn.ReLU(), nn.Conv2d(6, 6, 1))
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.last = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.block(x)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        out: Tensor = self.last(tokens.mean(1))
        return out


def encoder(**options: Any) -> Encoder:
    torch.manual_seed(0)
    return toy(Tower(), **options)


def seen(ablated: Encoder, *names: str) -> tuple[Tensor, dict[str, Tensor]]:
    outputs: dict[str, Tensor] = {}
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with (
        torch.inference_mode(),
        ablated.watch(names, lambda t, x: outputs.update({t.name: x.clone()})),
    ):
        return ablated.encode(images), outputs


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("stem", lambda tower, x: x * torch.tensor([1, 0, 1, 1, 0, 1]).view(1, 6, 1, 1)),
        ("attention", lambda tower, x: x * torch.tensor([1, 0, 1, 1, 0, 1])),
    ],
)
def test_the_encoder_goes_on_from_the_zeros(name: str, change: Callable[..., Tensor]) -> None:
    ablated, plain = encoder(), encoder()
    ablated.ablate(name, (1, 4), "zero")
    h, outputs = seen(ablated, name, "last")
    before, _ = seen(plain, name)
    tower = plain.tower
    original = getattr(tower, name).forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        out = original(*args, **kwargs)
        return (change(tower, out[0]), out[1]) if isinstance(out, tuple) else change(tower, out)

    getattr(tower, name).forward = forward
    expected, _ = seen(plain, name)
    torch.testing.assert_close(h, expected)
    assert not torch.allclose(h, before)
    zeros = outputs[name].movedim(1, -1) if name == "stem" else outputs[name]
    assert not zeros[..., [1, 4]].any()
    assert zeros[..., [0, 2, 3, 5]].any()
    assert {n: each.channels for n, each in ablated.ablated.items()} == {name: (1, 4)}


def test_the_mean_is_collected_from_the_plain_encoder_and_then_set() -> None:
    ablated, plain = encoder(), encoder()
    ablated.ablate("stem", (1, 4), "mean")
    with pytest.raises(UsageError, match="not known yet"):
        seen(ablated, "stem")
    with ablated.ablated["stem"].collecting():
        h, _ = seen(ablated, "stem")
    expected, outputs = seen(plain, "stem")
    assert torch.equal(h, expected)  # collecting changes nothing
    means = outputs["stem"].movedim(1, -1).reshape(-1, 6).double().mean(0).float()[[1, 4]]
    torch.testing.assert_close(ablated.ablated["stem"].values, means)
    _, after = seen(ablated, "stem")
    torch.testing.assert_close(after["stem"][:, [1, 4]], means.view(1, 2, 1, 1).expand(3, 2, 4, 4))
    assert torch.equal(after["stem"][:, [0, 2, 3, 5]], outputs["stem"][:, [0, 2, 3, 5]])


def test_shuffled_channels_are_those_of_another_image_by_sample_ids() -> None:
    ablated, plain = encoder(), encoder()
    ablated.ablate("stem", (1, 4), "shuffle")
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(1))

    def stem(encoder: Encoder, ids: Tensor | None) -> Tensor:
        outputs: list[Tensor] = []
        with (
            torch.inference_mode(),
            encoder.watch(["stem"], lambda t, x: outputs.append(x.clone())),
        ):
            encoder.encode(images, ids)
        return outputs[0]

    before, ids = stem(plain, None), torch.arange(8) + 5
    after = stem(ablated, ids)
    assert torch.equal(after, stem(ablated, ids))
    assert not torch.equal(after, stem(ablated, ids + 1))
    assert torch.equal(stem(ablated, None), before)  # no ids: a check of the encoder
    assert torch.equal(after[:, [0, 2, 3, 5]], before[:, [0, 2, 3, 5]])
    donors = [
        next(j for j in range(8) if torch.equal(after[i][[1, 4]], before[j][[1, 4]]))
        for i in range(8)
    ]
    assert sorted(donors) == list(range(8))
    assert donors != list(range(8))


def test_a_tensor_that_others_read_is_not_changed() -> None:
    ablated, plain = encoder(), encoder()
    ablated.ablate("block.0", (2,), "zero")  # a ReLU on the input of a skip connection
    assert torch.equal(seen(ablated, "stem")[1]["stem"], seen(plain, "stem")[1]["stem"])


def test_what_cannot_be_ablated_is_named() -> None:
    tower = Tower()
    derived = DerivedTap(tower.last, lambda out: out * 2)  # type: ignore[arg-type, return-value, operator]
    holder = toy(tower, extra_taps={"doubled": derived})
    holder.ablate("doubled", (0,), "zero")
    with pytest.raises(UsageError, match="ablate the layer before it"):
        seen(holder)
    with pytest.raises(UsageError, match="stem has no channel 6: there are 0 to 5"):
        encoder().ablate("stem", (6,), "zero")
    with pytest.raises(UsageError, match="no such module"):
        encoder().ablate("layer9", (0,), "zero")
    for text in ("", "layer3", "layer3:", ":3", "layer3:a", "layer3:1,", "a:-1"):
        with pytest.raises(UsageError, match="is no TAP:CHANNELS"):
            parse_ablations([text])
    with pytest.raises(UsageError, match="reprobe RUN --ablate channel:17"):
        parse_ablations(["embedding:17"])
    assert ablation_in_words("a", (1,), "zero") == "a without channel 1 (set to zero)"
