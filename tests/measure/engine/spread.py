"""An encoder that turns the brightness of one pixel into four channels, in little memory."""

import torch
from torch import nn

from tests.measure.engine.colors import encoder_of
from tuiprobe.models.encoder import Encoder

memory = {"images": 99, "on a GPU": False}
"""How many images fit, and how the lack of memory is told; tests change both."""


class Spread(nn.Module):
    """Brightness to four channels; refuses batches that are too large for its memory."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > min(self.capacity, memory["images"]):
            if memory["on a GPU"]:
                raise torch.OutOfMemoryError("as a GPU says it")
            torch.empty(2**60, dtype=torch.uint8)
        brightness = images[:, 0, 0, 0] * 255
        return torch.stack([brightness, -brightness, brightness**2, brightness * 0 + 1], dim=1)


def build(capacity: int = 99) -> Encoder:
    return encoder_of(Spread(capacity), 4)


def small() -> Encoder:
    """Builds one whose memory holds three images."""
    return build(capacity=3)
