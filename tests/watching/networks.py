"""Small networks to watch."""

import torch
from torch import Tensor, nn

WIDTH = 32
LAYERS = "stem blocks.* head"


class Net(nn.Module):
    """A convolution, residual blocks over tokens, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.head = nn.Linear(WIDTH, 24)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = x + block(x)
        out: Tensor = self.head(x.mean(1))
        return out


def network(seed: int = 0) -> Net:
    """Returns a network with seeded weights in evaluation mode."""
    torch.manual_seed(seed)
    return Net().eval()


def pictures(count: int, seed: int = 1) -> Tensor:
    """Returns seeded noise in the shape of images."""
    return torch.randn(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))


class Giving(nn.Module):
    """Gives whatever it was made with, and passes images through a layer called `inner`."""

    def __init__(self, wrap: object) -> None:
        super().__init__()
        self.inner, self.odd = nn.Linear(3, WIDTH), Odd(wrap)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        self.odd(x)
        return x


class Odd(nn.Module):
    """A module whose output is no single tensor."""

    def __init__(self, wrap: object) -> None:
        super().__init__()
        self.wrap = wrap

    def forward(self, x: Tensor) -> object:
        return self.wrap(x)  # type: ignore[operator]
