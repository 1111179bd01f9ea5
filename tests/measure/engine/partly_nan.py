"""An encoder with a classifier that gives NaN for black images, infinity for white ones."""

import torch

from tests.measure.engine.colors import encoder_of
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import Head

WIDTH, CLASSES = 24, 6


class Mixed(torch.nn.Module):
    """Random mixtures of the pixels, and a channel that is large in every image."""

    def __init__(self) -> None:
        super().__init__()
        drawn = torch.randn(WIDTH, 192, generator=torch.Generator().manual_seed(1))
        self.mixture = torch.nn.Parameter(drawn, requires_grad=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        # A multiple of the rows one by one: a product of the batch would depend on its size.
        h = torch.stack([(self.mixture * (image.flatten() - 0.5)).sum(dim=1) for image in images])
        h[:, 5] += 60
        level = images.mean(dim=(1, 2, 3))
        h[level < 0.01, 3] = torch.nan
        h[level > 0.99, 7] = torch.inf
        return h


def build() -> Encoder:
    weight = torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(2))
    classes = tuple(f"class{i}" for i in range(CLASSES))
    head = Head(weight, None, classes, source="test")
    return encoder_of(Mixed(), WIDTH, classifier=head)
