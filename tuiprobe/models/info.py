"""Describes the weights and the preprocessing of an encoder, measured from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from tuiprobe.results.subject import Preprocessing as PreprocessingInfo
from tuiprobe.results.subject import Representation, Training
from tuiprobe.results.subject import Weights as WeightsInfo

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "PreprocessingInfo",
    "Representation",
    "Training",
    "WeightsInfo",
    "measured_normalisation",
    "state_digest",
    "weights_info",
]


def state_digest(state: Mapping[str, torch.Tensor]) -> str:
    """Computes the SHA-256 over name, dtype, shape and bytes of every tensor, sorted by name.

    The digest is of the loaded state, not of the file, so the same weights in another file format
    have the same digest.

    >>> a = {"w": torch.zeros(2), "b": torch.ones(1)}
    >>> state_digest(a) == state_digest(dict(reversed(a.items())))
    True
    >>> state_digest(a) == state_digest({"w": torch.zeros(2, 1), "b": torch.ones(1)})
    False
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().resolve_conj().resolve_neg().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        # Flattened first, because a scalar has no byte view.
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def weights_info(module: torch.nn.Module, kind: Any, source: str) -> WeightsInfo:
    """Returns where the weights of a module came from, with the digest of what it holds."""
    return WeightsInfo(kind=kind, source=source, digest=state_digest(module.state_dict()))


def measured_normalisation(
    preprocess: Callable[[Image], torch.Tensor], size: tuple[int, int]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Measures mean and deviation of a preprocessing, from a black and a white image of a size."""
    from PIL import Image

    black, white = (
        preprocess(Image.new("RGB", size, colour)).mean(dim=(1, 2)).double()
        for colour in ("black", "white")
    )
    std = 1 / (white - black)
    return tuple((-black * std).tolist()), tuple(std.tolist())
