"""What was seen of a model's layers: statistics of all positions, and a sample of rows.

Tokens come batch first or sequence first; here is decided which dimension holds the batch.
"""

from __future__ import annotations

import math
import secrets
import threading
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuiprobe.datasets.layout import hash_ids
from tuiprobe.errors import UsageError
from tuiprobe.measure.engine.extract import MAX_ROWS, sampled_rows
from tuiprobe.models.taps import (
    Extract,
    NotTappableError,
    Tap,
    TapContext,
    UnknownBatchError,
    UnknownChannelsError,
    layout,
)
from tuiprobe.plaintext import matches
from tuiprobe.stats import ActivationStats

SEED = 0
_NAMED = 8  # modules that an error lists
_MANY = 50  # layers of which each call would cost a fourth of a small training step
_NO_LIMIT = np.uint64(2**64 - 1)
_HASHED_AHEAD = 1024  # images whose hashes are computed at once

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
    """The batch that entered the model.

    Attributes:
        images: Number of images.
        assumed: Whether the dimension of the input that holds them is unknown.
    """

    images: int
    assumed: bool


def batch_of(x: Tensor, model: nn.Module, batch_dim: int | None) -> InputBatch | None:
    """Returns the batch of a model's input; None of a scalar.

    Args:
        x: Images `[B, …]` or vectors `[B, C]`, or tokens: `[B, T, C]`, whole numbers `[B, T]`, or
            either with the first two dimensions exchanged.
        model: The model.
        batch_dim: Dimension of the batch in tokens.
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
            inner = (m for m in module.modules() if isinstance(m, nn.MultiheadAttention))
            return next((0 if attention.batch_first else 1 for attention in inner), None)
        if not name:
            return None
        name = name.rpartition(".")[0]


@dataclass(frozen=True)
class CallKind:
    """Which calls of a module are measured together.

    Attributes:
        number: Of the call within one pass of the model, from 1.
        training: Whether the model was in training mode.
    """

    number: int
    training: bool


class LayerStatistics:
    """The outputs of one layer since some moment.

    Args:
        tap: The layer and its layout.
        k: Images stored per channel and end.
        kind: Which calls of it.
    """

    def __init__(self, tap: Tap, k: int, kind: CallKind) -> None:
        self.tap, self.k, self.kind = tap, k, kind
        self.images = 0
        self._parts: dict[torch.device, ActivationStats] = {}
        self._rows: list[Tensor] = []
        self._ranks: list[NDArray[np.uint64]] = []  # hashes of the images whose rows are kept
        self._sampled = 0
        self._limit = _NO_LIMIT  # the largest hash with which an image joins the sample
        self._hashed, self._hashes = 0, np.empty(0, np.uint64)  # of images from the first one on

    def add(self, x: Tensor) -> None:
        """Adds the activations of one batch, in the layout of the tap.

        Raises:
            TypeError: If its dtype is not supported.
            ValueError: If its shape does not fit.
        """
        if x.device.type not in ("cpu", "cuda"):
            x = x.cpu()
        stats = self._parts.get(x.device)
        if stats is None:
            stats = ActivationStats(self.tap.channels, k=self.k, device=x.device)
        stats.update(x, channel_dim=self.tap.channel_dim)
        self._parts[x.device] = stats
        self._sample(x)
        self.images += len(x)

    def _sample(self, x: Tensor) -> None:
        """Keeps the rows of the images with the smallest hashes, a uniform sample of all."""
        at, end = self.images - self._hashed, self.images - self._hashed + len(x)
        if end > len(self._hashes):
            ahead = np.arange(self.images, self.images + max(len(x), _HASHED_AHEAD))
            self._hashed, self._hashes, at, end = self.images, hash_ids(ahead, SEED), 0, len(x)
        ranks = self._hashes[at:end]
        chosen = np.flatnonzero(ranks <= self._limit)
        if not len(chosen):
            return
        ids = torch.arange(self.images, self.images + len(x))
        rows = sampled_rows(x, ids, self.tap.channel_dim, SEED + 1)
        if len(chosen) < len(x):
            rows = rows[torch.from_numpy(chosen).to(x.device, non_blocking=True)]
        self._rows.append(rows.to(torch.float32, copy=True))  # the model may write over them
        self._ranks.append(ranks[chosen])
        self._sampled += len(chosen)
        if self._sampled >= 2 * MAX_ROWS:
            self._trim()

    def _trim(self) -> None:
        """Keeps the rows of the `MAX_ROWS` images with the smallest hashes."""
        ranks = np.concatenate(self._ranks)
        chosen = np.sort(np.argsort(ranks, kind="stable")[:MAX_ROWS])
        home = self._rows[-1].device
        rows = torch.cat([block.to(home) for block in self._rows])
        self._rows = [rows[torch.from_numpy(chosen).to(home)]]
        self._ranks, self._sampled = [ranks[chosen]], len(chosen)
        self._limit = ranks[chosen].max()

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """The devices of the activations so far."""
        return tuple(self._parts)

    def rows(self) -> NDArray[np.float32]:
        """Returns one seeded position of each image of a seeded sample, float32 `[m, C]`."""
        if self._sampled > MAX_ROWS:
            self._trim()
        if not self._rows:
            return np.empty((0, self.tap.channels), np.float32)
        return torch.cat([block.cpu() for block in self._rows]).numpy()

    @property
    def stats(self) -> ActivationStats:
        """The statistics of all devices together; a copy where there were several."""
        parts = list(self._parts.values())
        return parts[0] if len(parts) == 1 else self._merged()

    def _merged(self) -> ActivationStats:
        merged = ActivationStats(self.tap.channels, k=self.k)
        for part in self._parts.values():
            merged.merge(part)
        return merged

    def on_cpu(self) -> Self:
        """Returns a copy that other processes can read."""
        copied = type(self)(self.tap, self.k, self.kind)
        copied.merge(self)
        return copied

    def merge(self, other: LayerStatistics) -> None:
        """Adds what another process has seen of the layer; everything is on the CPU afterwards.

        Raises:
            ValueError: If its layout differs.
        """
        if (self.tap.channels, self.tap.kind) != (other.tap.channels, other.tap.kind):
            raise ValueError(f"processes disagree about the layout of {self.tap.name}")
        merged = self._merged()
        merged.merge(other._merged())
        self._parts = {torch.device("cpu"): merged}
        self._rows = [torch.from_numpy(self.rows()), torch.from_numpy(other.rows())]
        self._ranks = [*self._ranks, *other._ranks]
        self._sampled += other._sampled
        self.images += other.images


@dataclass(frozen=True)
class WatchOptions:
    """What a watch measures of every layer.

    Attributes:
        every: Of how many calls of the model one is measured; None for 1, or 10 of many layers.
        k: Images stored per channel and end.
        batch_dim: Dimension of the batch in tokens.
        channel_dim: Dimension of the channels where a module does not fix it.

    Raises:
        UsageError: If one is out of its range.
    """

    every: int | None = None
    k: int = 0
    batch_dim: int | None = None
    channel_dim: int | None = None

    def __post_init__(self) -> None:
        """Checks the ranges."""
        every, k = 1 if self.every is None else self.every, self.k
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise UsageError(f"every must be a whole number from 1, got {every!r}")
        if isinstance(k, bool) or not isinstance(k, int) or not 0 <= k <= 65536:
            raise UsageError(f"k must be a whole number from 0 to 65,536, got {k!r}")
        if self.batch_dim not in (None, 0, 1):
            raise UsageError(f"batch_dim must be 0, 1 or None, got {self.batch_dim!r}")
        if self.channel_dim not in (None, 1, -1):
            raise UsageError(f"channel_dim must be 1, -1 or None, got {self.channel_dim!r}")


class Layer:
    """One watched module, its layout once that is known, and what was seen of it.

    Args:
        path: Its name in the model.
        module: The module.
        options: What is measured of it.

    Attributes:
        name: Its name in figures: that in the model, and which calls where there are several.
        kind: Which of its calls; None before the first.
        assumed: Whether the batch of its tokens was assumed to be in front.
    """

    def __init__(self, path: str, module: nn.Module, options: WatchOptions) -> None:
        self.name, self.path, self.module, self._options = path, path, module, options
        self.kind: CallKind | None = None
        self.calls = 0
        self.assumed = False
        self.refused: str | None = None
        self._refused_shape: tuple[torch.Size, torch.dtype, InputBatch | None] | None = None
        self.order: int | None = None
        self.seen: LayerStatistics | None = None
        self.logged: LayerStatistics | None = None
        self._layout: tuple[int, Tap, Extract] | None = None

    def of_calls(self, kind: CallKind) -> Layer:
        """Returns the same module for other calls than those of `kind`."""
        assert self.kind is not None
        other = Layer(self.path, self.module, self._options)
        other.kind = kind
        if kind.number > 1:
            other.name += f"-call{kind.number}"
        if kind.training != self.kind.training:
            other.name += "-train" if kind.training else "-eval"
        return other

    def add(self, x: Tensor, model: nn.Module, batch: InputBatch | None) -> None:
        """Adds an output; one that cannot be read is refused, with its reason in `refused`.

        Args:
            x: The output.
            model: The model that holds the layer.
            batch: What entered the model.
        """
        assert self.kind is not None
        shape = None
        try:
            _refuse_unreadable(x)
            shape = x.shape, x.dtype, batch
            if self.refused and shape == self._refused_shape:
                return  # to find out again at each step would cost as much as the step
            tap, extract = self._layout_of(x, model, batch)
            y = extract(x)
            if not len(y):
                return
            seen = self.seen or LayerStatistics(tap, self._options.k, self.kind)
            seen.add(y)
            self.seen = seen
        except UnknownBatchError as error:
            self.refused = f"{error}: name the dimension of the batch with batch_dim"
        except UnknownChannelsError as error:
            self.refused = f"{error}: name it with channel_dim"
        except (NotTappableError, IndexError, TypeError, ValueError) as error:
            self.refused = str(error)
        else:
            self.refused = None
        self._refused_shape = shape

    def _layout_of(
        self, x: Tensor, model: nn.Module, batch: InputBatch | None
    ) -> tuple[Tap, Extract]:
        if self._layout is None or self._layout[0] != x.ndim:
            dim = self._options.batch_dim
            if dim is None:
                dim = declared_dim(model, self.path)
            images = batch.images if batch else x.size(dim if dim and x.ndim == 3 else 0)
            channel_dim = self._options.channel_dim
            scene = TapContext(model, images, batch_dim=dim, channel_dim=channel_dim)
            tap, extract = layout(self.path, self.module, x, scene)
            if self._layout is not None and tap.channels != self._layout[1].channels:
                raise ValueError(
                    f"its output changed from {self._layout[0]} dimensions to {x.ndim}"
                )
            self._layout = x.ndim, tap, extract
            self.assumed = x.ndim == 3 and dim is None and (batch is None or batch.assumed)
        return self._layout[1:]

    @property
    def statistics(self) -> LayerStatistics | None:
        """Statistics since the last log, or those of that log if nothing was seen since."""
        return self.seen if self.seen is not None else self.logged


class ObservedModel:
    """A model and what was seen of its layers: what is shown live, and what a directory keeps.

    Args:
        model: The model.
        patterns: Globs of the names of its layers.
        options: What is measured of them.

    Attributes:
        key: The key of its directories: nothing else has it, so nothing else is replaced.
        every: Of how many calls of the model one is measured.
        layers: The watched modules, each for the first calls of a pass in the mode of the model
            that was seen first.
        logged: The step of the last `log`, after which figures start over; None before the first.

    Raises:
        UsageError: If a pattern matches no module.
    """

    def __init__(self, model: nn.Module, patterns: tuple[str, ...], options: WatchOptions) -> None:
        self.model, self.patterns, self.options = model, patterns, options
        self.key = secrets.token_hex(32)
        self.layers = tuple(
            Layer(name, module, options) for name, module in _chosen(model, patterns)
        )
        self.every = options.every or (10 if len(self.layers) > _MANY else 1)
        self.logged: int | None = None
        self._other_calls: dict[tuple[int, CallKind], Layer] = {}
        self._lock = threading.RLock()

    def _layer_of(self, index: int, kind: CallKind) -> Layer:
        """Returns where the output of a call belongs; kinds of calls do not mix."""
        layer = self.layers[index]
        if layer.kind is None:
            layer.kind = CallKind(1, kind.training)
        if layer.kind == kind:
            return layer
        if (index, kind) not in self._other_calls:
            self._other_calls[index, kind] = layer.of_calls(kind)
        return self._other_calls[index, kind]

    @property
    def _all_layers(self) -> list[Layer]:
        return [*self.layers, *self._other_calls.values()]

    @property
    def layer_statistics(self) -> list[tuple[str, LayerStatistics]]:
        """Name and statistics of each measured layer, in the order of first calls."""
        with self._lock:
            layers = ((layer.name, layer.statistics) for layer in self._in_order())
            return [(name, seen) for name, seen in layers if seen is not None]

    def _in_order(self) -> list[Layer]:
        return sorted(
            self._all_layers, key=lambda layer: math.inf if layer.order is None else layer.order
        )

    @property
    def assumption(self) -> str:
        """Which dimension was assumed to be the batch; empty if that is known."""
        layers = [layer for layer in self._all_layers if layer.statistics and layer.assumed]
        names = ", ".join(layer.name for layer in layers)
        return names and f"dimension 0 was taken as the batch, batch_dim names another: {names}"

    @property
    def span(self) -> str:
        """Which calls the figures are of; empty if of all."""
        if self.logged is None:
            return ""
        return f"figures start over at each log, the last one at step {self.logged}"

    @property
    def refused(self) -> dict[str, str]:
        """Why layers are not measured, by name."""
        return {
            layer.name: layer.refused or "not called yet"
            for layer in self._all_layers
            if layer.refused or (layer.statistics is None and layer in self.layers)
        }


def _refuse_unreadable(x: Tensor) -> None:
    if x.is_nested:
        raise TypeError("its output is a nested tensor, not one rectangle")
    if x.is_meta:
        raise TypeError("its output is on the meta device and holds no values")


def _chosen(model: nn.Module, patterns: tuple[str, ...]) -> list[tuple[str, nn.Module]]:
    names = {name: module for name, module in model.named_modules() if name}
    chosen = [(n, m) for n, m in names.items() if any(matches(n, p) for p in patterns)]
    missed = [p for p in patterns if not any(matches(name, p) for name in names)]
    if missed or not chosen:
        some = ", ".join(list(names)[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        what = f"no module matches {', '.join(missed)}" if missed else "no layers were named"
        raise UsageError(f"{what}; the model has {some or 'no modules'}")
    return chosen
