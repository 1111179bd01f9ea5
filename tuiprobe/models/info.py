"""Describes the weights and the preprocessing of an encoder, measured from them."""

from __future__ import annotations

import hashlib
import io
import zipfile
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
    "pooling_of",
    "saved_script",
    "state_digest",
    "weights_info",
]


def state_digest(state: Mapping[str, Any]) -> str:
    """Computes the SHA-256 over name, dtype, shape and bytes of every tensor, sorted by name.

    Quantised modules also hold packed tensors and numbers.

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
        _add(digest, name, state[name])
    return digest.hexdigest()


def _add(digest: Any, name: str, value: object) -> None:
    if isinstance(value, tuple | list):
        for i, part in enumerate(value):
            _add(digest, f"{name}.{i}", part)
        return
    if not isinstance(value, torch.Tensor):
        digest.update(f"{name}\0{value!r}\0".encode())
        return
    if value.is_quantized:
        value = value.dequantize()
    tensor = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
    digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
    # Flattened first, because a scalar has no byte view.
    digest.update(tensor.flatten().view(torch.uint8).numpy().data)


def weights_info(
    module: torch.nn.Module, kind: Any, source: str, entries: tuple[str, ...] = ()
) -> WeightsInfo:
    """Returns the source of a module's weights, with their digest.

    Frozen TorchScript holds its weights as constants of its code.
    """
    state: Mapping[str, Any] = module.state_dict()
    if not state and isinstance(module, torch.jit.ScriptModule):
        with zipfile.ZipFile(io.BytesIO(saved_script(module))) as archive:
            names = [name for name in archive.namelist() if "/constants" in name]
            state = {name.partition("/")[2]: archive.read(name) for name in names}
    return WeightsInfo(
        kind=kind,
        source=source,
        digest=state_digest(state),
        entries=entries,
        initial_norms=initial_norms(state),
    )


def initial_norms(state: Mapping[str, Any]) -> int:
    """Returns the number of normalisation layers if none was trained; 0 if one was, or is not.

    Training makes the channels of a scale differ. A layer is known by a scale of one dimension.

    >>> layer = torch.nn.BatchNorm2d(4)
    >>> initial_norms(layer.state_dict())
    1
    >>> initial_norms(layer.state_dict() | {"bias": torch.randn(4)})
    0
    """
    vectors = {
        name: value
        for name, value in state.items()
        if isinstance(value, torch.Tensor) and value.ndim == 1 and value.numel() > 1
    }
    layers = [name.removesuffix("weight") for name in vectors if name.endswith("weight")]
    parts = ("weight", "bias", "running_mean", "running_var")
    held = (vectors[layer + part] for layer in layers for part in parts if layer + part in vectors)
    return 0 if any(bool((value != value[0]).any()) for value in held) else len(layers)


def pooling_of(module: torch.nn.Module) -> str:
    """Returns how a timm model pools its tokens; empty if it has no class token.

    A distilled one reads two tokens.
    """
    pooling = getattr(module, "global_pool", None)
    has_token = getattr(module, "cls_token", None) is not None and not hasattr(module, "head_dist")
    return pooling if isinstance(pooling, str) and has_token else ""


def saved_script(module: torch.jit.ScriptModule) -> bytes:
    """Returns the archive of a TorchScript module."""
    file = io.BytesIO()
    torch.jit.save(module, file)
    return file.getvalue()


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
