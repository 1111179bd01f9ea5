"""Activations as encoders send them, made of standard normal rows; for benchmarks and tests."""

from __future__ import annotations

from collections.abc import Callable

import torch

CLASSES = 100


def _normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def _layer_norm(z: torch.Tensor) -> torch.Tensor:
    weight, bias = _normal(2, z.shape[1])
    return torch.nn.functional.layer_norm(z, z.shape[1:], 1 + weight / 4, bias / 4)


def _outlier_channels(z: torch.Tensor) -> torch.Tensor:
    x = z.clone()
    x[:, 5 % z.shape[1]] += 20
    x[:, 70 % z.shape[1]] += 100
    return x


def _wide_channels(z: torch.Tensor) -> torch.Tensor:
    x = z.clone()
    x[:, ::50] *= 30
    return x


def _class_sorted(z: torch.Tensor) -> torch.Tensor:
    centres = _normal(CLASSES, z.shape[1])
    return z + centres.repeat_interleave(len(z) // CLASSES + 1, dim=0)[: len(z)]


def _dead_channels(z: torch.Tensor) -> torch.Tensor:
    x = z.relu()
    x[:, ::4] = 0
    return x


def _scaled(sigma: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda z: z * sigma


def _shifted(mean: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda z: z + mean


DISTRIBUTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    **{f"sigma {sigma:g}": _scaled(sigma) for sigma in (0.25, 1, 4, 30, 100)},
    **{f"mean {mean} sigma": _shifted(mean) for mean in (3, 5, 30)},
    "ReLU": torch.relu,
    "GELU": torch.nn.functional.gelu,
    "layer norm": _layer_norm,
    "two channels at 20 and 100 sigma": _outlier_channels,
    "2 % of channels 30 times larger": _wide_channels,
    "channel offsets N(0, 3)": lambda z: z + 3 * _normal(z.shape[1]),
    "class-sorted": _class_sorted,
    "a quarter of channels dead": _dead_channels,
}
"""Each takes standard normal rows `[N, C]` and returns activations of that shape."""
