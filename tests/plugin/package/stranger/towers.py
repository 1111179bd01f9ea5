"""The encoder itself; here torch is needed."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from tuiprobe.models import Encoder, Head
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo


class Means(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = torch.nn.Linear(3, width, bias=False)
        torch.nn.init.eye_(self.mix.weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        h: torch.Tensor = self.mix(images.mean(dim=(2, 3))) + 0.1
        return h


def to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.resize((8, 8)))).permute(2, 0, 1).float() / 255


def build(width: int) -> Encoder:
    module = Means(width)
    rows = torch.zeros(3, width)
    rows[0, 2] = rows[1, 1] = rows[2, 0] = 1
    return Encoder(
        name="toy", architecture="means", representation="pooled", width=width,
        weights=WeightsInfo(kind="checkpoint", source="stranger", digest="0" * 64),
        preprocessing=PreprocessingInfo(
            size=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="bicubic", source="stranger"
        ),
        module=module, preprocess=to_tensor, forward=module,
        classifier=Head(rows, None, ("blue", "green", "red"), source="by hand"),
    )  # fmt: skip
