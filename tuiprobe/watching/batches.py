"""Which dimension holds the batch: tokens come batch first or sequence first."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

_TRANSFORMERS = (
    nn.MultiheadAttention,
    nn.Transformer,
    nn.TransformerEncoder,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoder,
    nn.TransformerDecoderLayer,
)


@dataclass(frozen=True)
class InputBatch:
    """What entered the model.

    Attributes:
        images: Number of images.
        assumed: Whether nothing says which dimension of the input holds them.
    """

    images: int
    assumed: bool


def batch_of(x: Tensor, model: nn.Module, batch_dim: int | None) -> InputBatch | None:
    """Returns the batch of a model's input; None of a scalar.

    Args:
        x: Images `[B, …]` or vectors `[B, C]`, or tokens: `[B, T, C]`, whole numbers `[B, T]`, or
            either with the first two dimensions exchanged.
        model: The model.
        batch_dim: Dimension of the batch in tokens; None if it was not named.
    """
    if not x.ndim:
        return None
    if x.ndim == 3 or (x.ndim == 2 and not x.is_floating_point()):
        dim = declared_dim(model, "") if batch_dim is None else batch_dim
        return InputBatch(x.shape[dim or 0], assumed=dim is None)
    return InputBatch(len(x), assumed=False)


def declared_dim(model: nn.Module, name: str) -> int | None:
    """Returns the batch dimension inside a transformer of torch; None in any other module."""
    modules = dict(model.named_modules())
    while True:
        module = modules.get(name)
        if isinstance(module, _TRANSFORMERS):
            inner = (one for one in module.modules() if isinstance(one, nn.MultiheadAttention))
            return next((0 if one.batch_first else 1 for one in inner), None)
        if not name:
            return None
        name = name.rpartition(".")[0]
