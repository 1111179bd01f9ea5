"""Finds where activations can be read, and each tensor's layout, by one trial forward pass.

The layout is deduced, never guessed. Convolutions and pooling layers have their channels in
dimension 1, linear layers in the last. For any other module the channel dimension is the one whose
size is the output width of a layer inside it (or inside the nearest module around it); of a 4-D
tensor the other two dimensions must also have the aspect ratio of the input. If two candidates
remain, the layers decide if all of them are convolutions, or, for tokens, if the module has a
LayerNorm of that width, which normalises the last dimension. Otherwise the module cannot be tapped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from tuiprobe.errors import UsageError

Extract = Callable[[object], Tensor]
"""Converts a module's output to the tensor of a tap."""

PRE_PROJECTION = "pre_projection"
"""Extra tap of CLIP transformers: the pooled token before the projection.

Zero-shot and finetuned models both have this tensor.
"""

BATCH = 2
"""Images of the trial pass; with only one, the batch dimension would be ambiguous."""

_CONVOLUTIONS = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d
)  # fmt: skip
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_CHANNELS_SECOND = (*_CONVOLUTIONS, *_BATCH_NORMS, nn.GroupNorm)
_POOLS = (
    nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
)  # fmt: skip
_WIDTHS: dict[tuple[type[nn.Module], ...], str] = {
    (nn.Linear,): "out_features",
    _CONVOLUTIONS: "out_channels",
    _BATCH_NORMS: "num_features",
    (nn.GroupNorm,): "num_channels",
    (nn.MultiheadAttention,): "embed_dim",
}
"""Attribute that holds the output width of a layer with channels, by kind of layer."""
_UNCHANGED = (
    nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)  # fmt: skip
_UNCHANGED_NAMES = {"DropPath", "PatchDropout"}


_SCRIPTED = "it is TorchScript, which takes no hooks: pass the module that it was made from"


@dataclass(frozen=True)
class Tap:
    """A point in the encoder where activations are read.

    Attributes:
        name: Module name relative to the vision tower, or `embedding`.
        kind: `vector` `[B, C]`, `token` `[B, T, C]` or `map` (4-D).
        channels: C.
        channel_dim: Dimension that holds the channels: 1 or -1 for maps, else -1.
        prefix_tokens: Number of class and register tokens before the patches.
    """

    name: str
    kind: Literal["vector", "token", "map"]
    channels: int
    channel_dim: int = -1
    prefix_tokens: int = 0


@dataclass(frozen=True)
class DerivedTap:
    """An extra tap that reads something derived from a module's output.

    Attributes:
        module: The module to hook.
        extract: Converts its output to the tensor `[B, C]`.
    """

    module: nn.Module
    extract: Extract


@dataclass
class TapTable:
    """Taps, each with the module to hook and how to read it, and the refused modules."""

    entries: dict[str, tuple[Tap, nn.Module, Extract]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class NotTappableError(Exception):
    """Why the output of a module cannot be read as activations."""


class UnknownBatchError(NotTappableError):
    """Why the dimension that holds the images is not known."""


class UnknownChannelsError(NotTappableError):
    """Why the dimension that holds the channels is not known."""


@dataclass(frozen=True)
class TapContext:
    """What the layout of an output is deduced from besides the module itself.

    Attributes:
        tower: The module that holds all others.
        batch: Images in the batch.
        image: Height and width of the input.
        tokens: Number of patches, and of class and register tokens, of a vision transformer.
        batch_dim: Dimension of the batch in 3-D outputs; None if it is the one of that size.
        channel_dim: Dimension of the channels, 1 or -1, where a module does not fix it; None if it
            is deduced.
    """

    tower: nn.Module
    batch: int
    image: tuple[int, int] | None = None
    tokens: tuple[int, int] = (0, 0)
    batch_dim: int | None = None
    channel_dim: int | None = None

    @cached_property
    def modules(self) -> Mapping[str, nn.Module]:
        """All modules by name."""
        return dict(self.tower.named_modules())


def unwrapped_module(model: nn.Module) -> nn.Module:
    """Returns the module that compiled and parallel wrappers hold."""
    if not isinstance(model, nn.Module):
        raise UsageError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod  # type: ignore[assignment]
        else:
            return model


def discover(
    tower: nn.Module,
    forward: Callable[[Tensor], Tensor],
    images: Tensor,
    extra_taps: Mapping[str, DerivedTap],
) -> TapTable:
    """Finds every tap of the tower by one forward pass over `images` `[2, 3, H, W]`."""
    named = {name: module for name, module in tower.named_modules() if name}
    modules = {n: m for n, m in named.items() if not isinstance(m, torch.jit.ScriptModule)}
    extra = {name: tap.module for name, tap in extra_taps.items()}
    outputs = _trial({**modules, **extra}, forward, images)
    tokens = _token_counts(tower)
    table = TapTable(refused=dict.fromkeys(named.keys() - modules.keys(), _SCRIPTED))
    scene = TapContext(tower, BATCH, (images.shape[2], images.shape[3]), tokens)
    for name, module in modules.items():
        try:
            tensor = _only_output(outputs[name])
            tap, extract = layout(name, module, tensor, scene)
            table.entries[name] = (tap, module, extract)
        except NotTappableError as error:
            table.refused[name] = str(error)
    for name, derived in extra_taps.items():
        tensor = derived.extract(outputs[name][0])
        tap = Tap(name, "vector", tensor.shape[-1])
        table.entries[name] = (tap, derived.module, derived.extract)
    return table


def _trial(
    modules: Mapping[str, nn.Module], forward: Callable[[Tensor], Tensor], images: Tensor
) -> dict[str, list[object]]:
    """Runs the encoder once and returns all outputs of every module."""
    outputs: dict[str, list[object]] = {name: [] for name in modules}

    def recorder(name: str) -> Callable[[nn.Module, object, object], None]:
        return lambda module, inputs, output: outputs[name].append(output)

    handles = [module.register_forward_hook(recorder(n)) for n, module in modules.items()]
    try:
        with torch.inference_mode():
            forward(images)
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def _only_output(outputs: list[object]) -> Tensor:
    if not outputs:
        raise NotTappableError("not called in the forward pass")
    if len(outputs) > 1:
        raise NotTappableError(f"called {len(outputs)} times in one forward pass")
    tensor = first_tensor(outputs[0])
    if tensor is None:
        raise NotTappableError(f"its output is a {type(outputs[0]).__name__}, not one tensor")
    return tensor


def first_tensor(output: object) -> Tensor | None:
    """Returns the tensor of a module's output, if it has exactly one.

    Attention layers return `(tensor, None)`. Several tensors do not make one activation.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple) and output and isinstance(output[0], Tensor):
        return output[0] if all(other is None for other in output[1:]) else None
    return None


def _read(output: object) -> Tensor:
    tensor = first_tensor(output)
    assert tensor is not None, "the trial pass saw a tensor here"
    return tensor


def layout(name: str, module: nn.Module, tensor: Tensor, scene: TapContext) -> tuple[Tap, Extract]:
    """Returns the tap of a module's output, and how to read it.

    Args:
        name: Name of the module.
        module: The module.
        tensor: Its output in a forward pass.
        scene: What the pass ran on.

    Raises:
        NotTappableError: If the output is no activations, or their layout is ambiguous.
    """
    if isinstance(module, _UNCHANGED) or type(module).__name__ in _UNCHANGED_NAMES:
        raise NotTappableError("passes its input on unchanged")
    if not tensor.is_floating_point():
        raise NotTappableError(f"its output is {tensor.dtype}")
    layers = _surrounding(name, module, scene.modules, scene.tower)
    shape = tuple(tensor.shape)
    if tensor.ndim == 3 and _batch_dim(shape, scene) == 1:
        # Sequence first: passed on as a batch-first view.
        dim = _channel_dim(module, (shape[1], shape[0], shape[2]), layers, [-1], scene)
        tap = _token_tap(name, shape[0], shape[dim], scene.tokens)
        return tap, lambda o: _read(o).transpose(0, 1)
    if tensor.ndim not in (2, 3, 4) or (tensor.ndim != 3 and shape[0] != scene.batch):
        raise NotTappableError(f"its output {shape} does not keep one entry an image in front")
    if tensor.ndim == 2:
        return Tap(name, "vector", shape[1]), _read
    if tensor.ndim == 3:
        if _channel_dim(module, shape, layers, [1, -1], scene) == 1:
            return Tap(name, "token", shape[1]), lambda o: _read(o).transpose(1, 2)
        return _token_tap(name, shape[1], shape[2], scene.tokens), _read
    dim = _channel_dim(module, shape, layers, [1, -1], scene)
    return Tap(name, "map", shape[dim], dim), _read


def _batch_dim(shape: tuple[int, ...], scene: TapContext) -> int:
    """Returns the dimension of a 3-D output that holds the images."""
    possible = (0, 1) if scene.batch_dim is None else (scene.batch_dim,)
    fitting = [dim for dim in possible if shape[dim] == scene.batch]
    if len(fitting) == 2:
        raise UnknownBatchError(f"its output {shape} may be batch or sequence first")
    if not fitting:
        where = "in front" if possible[0] == 0 else "in the second dimension"
        raise UnknownBatchError(f"its output {shape} does not keep one entry an image {where}")
    return fitting[0]


def _token_tap(name: str, length: int, channels: int, tokens: tuple[int, int]) -> Tap:
    patches, prefix = tokens
    return Tap(name, "token", channels, -1, prefix if length == patches + prefix else 0)


def _channel_dim(
    module: nn.Module,
    shape: tuple[int, ...],
    layers: list[nn.Module],
    candidates: list[int],
    scene: TapContext,
) -> int:
    """Returns the channel dimension, 1 or -1; refuses an ambiguous layout."""
    if scene.image is not None and len(shape) == 4:
        candidates = [dim for dim in candidates if _is_grid(shape, dim, scene.image)]
        if not candidates:
            raise NotTappableError(f"its output {shape} holds no image grid")
    known = _known_dim(module, scene)
    if known is None:
        widths = {width for layer in layers for width in _widths(layer)}
        candidates = [dim for dim in candidates if shape[dim] in widths]
        if len(candidates) > 1:
            candidates = _decided(shape, layers, module)
        if len(candidates) != 1:
            raise UnknownChannelsError(
                f"which dimension of {shape} holds the channels is not known"
            )
        return candidates[0]
    if known not in candidates:
        raise NotTappableError(f"its output {shape} has its channels in an unexpected place")
    return known


def _known_dim(module: nn.Module, scene: TapContext) -> int | None:
    if isinstance(module, (*_CHANNELS_SECOND, *_POOLS)):
        return 1
    if isinstance(module, nn.Linear) or type(module) is nn.LayerNorm:
        return -1
    return scene.channel_dim


def _decided(shape: tuple[int, ...], layers: list[nn.Module], module: nn.Module) -> list[int]:
    """Decides by the layers between two dimensions of layer width, if possible."""
    if all(isinstance(layer, _CHANNELS_SECOND) for layer in layers):
        return [1]
    # Only exact LayerNorms count, because subclasses like LayerNorm2d permute; and only for
    # tokens, because ConvNeXt permutes maps around them.
    norms = [layer for layer in module.modules() if type(layer) is nn.LayerNorm]
    return [-1] if len(shape) == 3 and (shape[-1],) in [_widths(n) for n in norms] else []


def _is_grid(shape: tuple[int, ...], dim: int, image: tuple[int, int]) -> bool:
    """Returns whether the two spatial dimensions have the image's aspect ratio."""
    rows, columns = (shape[2], shape[3]) if dim == 1 else (shape[1], shape[2])
    return rows * image[1] == columns * image[0] or rows == columns == 1


def _surrounding(
    name: str, module: nn.Module, modules: Mapping[str, nn.Module], tower: nn.Module
) -> list[nn.Module]:
    """Returns the layers of the module, or of its nearest parent that has any."""
    while True:
        layers = [layer for layer in module.modules() if _widths(layer)]
        if layers or not name:
            return layers
        name = name.rpartition(".")[0]
        module = modules.get(name, tower)


def _widths(layer: nn.Module) -> tuple[int, ...]:
    """Returns the output width of a layer with channels; else an empty tuple."""
    if isinstance(layer, nn.LayerNorm):
        return (layer.normalized_shape[-1],)
    return tuple(
        getattr(layer, name) for kinds, name in _WIDTHS.items() if isinstance(layer, kinds)
    )


def _token_counts(tower: nn.Module) -> tuple[int, int]:
    """Returns the numbers of patches and prefix tokens of a vision transformer, else `(0, 0)`."""
    for module in (tower, getattr(tower, "trunk", None)):
        if module is None:
            continue
        grid = getattr(module, "grid_size", None)
        if grid is not None and hasattr(module, "class_embedding"):  # open_clip
            return int(grid[0]) * int(grid[1]), 1
        patches = getattr(getattr(module, "patch_embed", None), "num_patches", None)
        if patches is not None:  # timm
            return int(patches), int(getattr(module, "num_prefix_tokens", 0))
    grids = [getattr(module, "num_patches", None) for module in tower.modules()]
    patches = next((count for count in grids if isinstance(count, int)), None)
    if patches is None or not hasattr(tower, "config"):
        return 0, 0
    named = {name.rpartition(".")[2]: value for name, value in tower.named_parameters()}
    prefix = (named[name] for name in _PREFIXES if name in named)  # transformers
    return patches, sum(value.numel() // value.shape[-1] for value in prefix)


_PREFIXES = ("class_embedding", "cls_token", "distillation_token", "register_tokens")
"""Parameters of models of `transformers` that are tokens before the patches."""
