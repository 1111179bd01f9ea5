"""An encoder whose channels are known: mean red, green and blue, and two that tell nothing."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import Head
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo

WIDTH = 5


class Means(torch.nn.Module):
    """Means of the three colours, a corner pixel, and a constant; NaN for a black image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        colors = images.mean(dim=(2, 3))
        corner = images[:, 1, 0, 0]
        h = torch.stack([*colors.T, corner, torch.full_like(corner, 0.3)], dim=1)
        h[colors.sum(dim=1) < 0.05] = torch.nan
        return h


def to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.resize((8, 8)))).permute(2, 0, 1).float() / 255


def encoder_of(
    module: torch.nn.Module,
    width: int,
    preprocess: Callable[[Image.Image], torch.Tensor] = to_tensor,
    classifier: Head | None = None,
) -> Encoder:
    """Returns a module as an encoder with a representation of so many channels."""
    return Encoder(
        name="py:test", architecture="means", representation="pooled", width=width,
        weights=WeightsInfo(kind="checkpoint", source="test", digest="0" * 64),
        preprocessing=PreprocessingInfo(
            size=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="bicubic", source="test"
        ),
        module=module, preprocess=preprocess, forward=module, classifier=classifier,
    )  # fmt: skip


def build() -> Encoder:
    return encoder_of(Means(), WIDTH)
