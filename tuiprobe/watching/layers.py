"""What was seen of a model's layers: statistics of all positions, and a sample of rows.

Tokens come batch first or sequence first; here is decided which dimension holds the batch.
"""

from __future__ import annotations

import math
import secrets
import threading
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuiprobe.datasets.order import hash_ids
from tuiprobe.engine.extract import MAX_ROWS, sampled_rows
from tuiprobe.errors import UsageError
from tuiprobe.models.taps import (
    Extract,
    NotTappableError,
    Tap,
    TapContext,
    UnknownBatchError,
    layout,
)
from tuiprobe.plaintext import matches
from tuiprobe.stats import ActivationStats

SEED = 0
_NAMED = 8  # modules that an error lists

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
            inner = (m for m in module.modules() if isinstance(m, nn.MultiheadAttention))
            return next((0 if attention.batch_first else 1 for attention in inner), None)
        if not name:
            return None
        name = name.rpartition(".")[0]


class LayerStatistics:
    """The outputs of one layer since some moment.

    Args:
        tap: The layer and its layout.
        k: Images kept per channel and end.
    """

    def __init__(self, tap: Tap, k: int) -> None:
        self.tap, self.k = tap, k
        self.images = 0
        self._parts: dict[torch.device, ActivationStats] = {}
        self._rows: list[Tensor] = []
        self._ranks = np.empty(0, np.uint64)  # hashes of the images whose rows are kept

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
        ids = np.arange(self.images, self.images + len(x), dtype=np.int64)
        self.images += len(x)
        self._sample(x, ids)

    def _sample(self, x: Tensor, ids: NDArray[np.int64]) -> None:
        """Keeps the rows of the images with the smallest hashes, a uniform sample of all."""
        ranks = hash_ids(ids, SEED)
        full = len(self._ranks) >= MAX_ROWS
        chosen = np.flatnonzero(ranks < self._ranks.max()) if full else np.arange(len(ids))
        if not len(chosen):
            return
        images = torch.from_numpy(chosen).to(x.device, non_blocking=True)
        rows = sampled_rows(x, torch.from_numpy(ids), self.tap.channel_dim, SEED + 1)
        self._rows.append(rows[images].float())
        self._ranks = np.concatenate([self._ranks, ranks[chosen]])
        if len(self._ranks) >= 2 * MAX_ROWS:
            self._trim()

    def _trim(self) -> None:
        chosen = np.sort(np.argsort(self._ranks, kind="stable")[:MAX_ROWS])
        home = self._rows[-1].device
        rows = torch.cat([block.to(home) for block in self._rows])
        self._rows = [rows[torch.from_numpy(chosen).to(home)]]
        self._ranks = self._ranks[chosen]

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """The devices of the activations so far."""
        return tuple(self._parts)

    def rows(self) -> NDArray[np.float32]:
        """Returns one seeded position of each image of a seeded sample, float32 `[m, C]`."""
        if len(self._ranks) > MAX_ROWS:
            self._trim()
        if not self._rows:
            return np.empty((0, self.tap.channels), np.float32)
        return torch.cat([block.cpu() for block in self._rows]).numpy()

    @property
    def stats(self) -> ActivationStats:
        """The statistics of all devices together; a copy where there were several."""
        parts = list(self._parts.values())
        if len(parts) == 1:
            return parts[0]
        merged = ActivationStats(self.tap.channels, k=self.k)
        for part in parts:
            merged.merge(part)
        return merged


class Layer:
    """One watched module, its layout once that is known, and what was seen of it.

    Args:
        name: Its name in the model.
        module: The module.
        k: Images kept per channel and end.
        batch_dim: Dimension of the batch in outputs of tokens; None if it was not named.

    Attributes:
        assumed: Whether the batch of its tokens was taken to be in front.
    """

    def __init__(self, name: str, module: nn.Module, k: int, batch_dim: int | None) -> None:
        self.name, self.module, self._k, self._batch_dim = name, module, k, batch_dim
        self.calls = 0
        self.assumed = False
        self.refused: str | None = None
        self.order: int | None = None
        self.seen: LayerStatistics | None = None
        self.logged: LayerStatistics | None = None
        self._layout: tuple[int, Tap, Extract] | None = None

    def add(self, x: Tensor, model: nn.Module, batch: InputBatch | None) -> None:
        """Adds an output; one that cannot be read is refused, with its reason in `refused`.

        Args:
            x: The output.
            model: The model that holds the layer.
            batch: What entered the model; None if that is not known.
        """
        try:
            _refuse_unreadable(x)
            tap, extract = self._layout_of(x, model, batch)
            y = extract(x)
            if not len(y):
                return
            seen = self.seen or LayerStatistics(tap, self._k)
            seen.add(y)
            self.seen = seen
        except UnknownBatchError as error:
            self.refused = f"{error}: name the dimension of the batch with batch_dim"
        except (NotTappableError, IndexError, TypeError, ValueError) as error:
            self.refused = str(error)
        else:
            self.refused = None

    def _layout_of(
        self, x: Tensor, model: nn.Module, batch: InputBatch | None
    ) -> tuple[Tap, Extract]:
        if self._layout is None or self._layout[0] != x.ndim:
            dim = self._batch_dim
            if dim is None:
                dim = declared_dim(model, self.name)
            images = batch.images if batch else x.size(dim if dim and x.ndim == 3 else 0)
            scene = TapContext(model, images, batch_dim=dim)
            tap, extract = layout(self.name, self.module, x, scene)
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
        every: Of how many calls one is measured.
        k: Images kept per channel and end.
        batch_dim: Dimension of the batch in tokens; None if it was not named.

    Attributes:
        key: The key of its directories: nothing else has it, so nothing else is replaced.
        layers: The watched layers.

    Raises:
        UsageError: If a pattern matches no module.
    """

    def __init__(
        self,
        model: nn.Module,
        patterns: tuple[str, ...],
        every: int,
        k: int,
        batch_dim: int | None,
    ) -> None:
        self.model, self.patterns, self.every, self.k = model, patterns, every, k
        self.batch_dim = batch_dim
        self.key = secrets.token_hex(32)
        self.layers = tuple(
            Layer(name, module, k, batch_dim) for name, module in _chosen(model, patterns)
        )
        self._lock = threading.RLock()

    @property
    def layer_statistics(self) -> list[tuple[str, LayerStatistics]]:
        """Name and statistics of each measured layer, in the order of first calls."""
        with self._lock:
            layers = ((layer.name, layer.statistics) for layer in self._in_order())
            return [(name, seen) for name, seen in layers if seen is not None]

    def _in_order(self) -> list[Layer]:
        return sorted(
            self.layers, key=lambda layer: math.inf if layer.order is None else layer.order
        )

    @property
    def assumption(self) -> str:
        """Which dimension was taken as the batch where nothing says so; empty if that is known."""
        names = ", ".join(layer.name for layer in self.layers if layer.statistics and layer.assumed)
        return names and f"dimension 0 was taken as the batch, batch_dim names another: {names}"

    @property
    def refused(self) -> dict[str, str]:
        """Why layers are not measured, by name."""
        return {
            layer.name: layer.refused or "not called yet"
            for layer in self.layers
            if layer.statistics is None or layer.refused
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
