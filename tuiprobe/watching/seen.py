"""What was seen of a model's layers: statistics of all positions, and a sample of rows."""

from __future__ import annotations

import math
import secrets
import threading

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuiprobe.datasets.order import hash_ids
from tuiprobe.errors import UsageError
from tuiprobe.globs import matches
from tuiprobe.measure.tap_statistics import MAX_ROWS, sampled_rows
from tuiprobe.models.taps import (
    Extract,
    NotTappableError,
    Tap,
    TapContext,
    UnknownBatchError,
    layout,
)
from tuiprobe.stats import ActivationStats
from tuiprobe.watching.batches import InputBatch, declared_dim

SEED = 0
_NAMED = 8  # modules that an error lists


class Seen:
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
        kept = np.sort(np.argsort(self._ranks, kind="stable")[:MAX_ROWS])
        home = self._rows[-1].device
        rows = torch.cat([one.to(home) for one in self._rows])
        self._rows = [rows[torch.from_numpy(kept).to(home)]]
        self._ranks = self._ranks[kept]

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """Where activations were."""
        return tuple(self._parts)

    def rows(self) -> NDArray[np.float32]:
        """Returns one seeded position of each image of a seeded sample, float32 `[m, C]`."""
        if len(self._ranks) > MAX_ROWS:
            self._trim()
        if not self._rows:
            return np.empty((0, self.tap.channels), np.float32)
        return torch.cat([one.cpu() for one in self._rows]).numpy()

    @property
    def stats(self) -> ActivationStats:
        """The statistics of all devices together; a copy where there were several."""
        parts = list(self._parts.values())
        if len(parts) == 1:
            return parts[0]
        whole = ActivationStats(self.tap.channels, k=self.k)
        for part in parts:
            whole.merge(part)
        return whole


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
        self.seen: Seen | None = None
        self.logged: Seen | None = None
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
            seen = self.seen or Seen(tap, self._k)
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
    def shown(self) -> Seen | None:
        """What figures describe: since the last log, or what that log described."""
        return self.seen if self.seen is not None else self.logged


class Observed:
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
    def shown(self) -> list[tuple[str, Seen]]:
        """What figures describe of each measured layer, by name, in the order of first calls."""
        with self._lock:
            found = ((one.name, one.shown) for one in self._in_order())
            return [(name, seen) for name, seen in found if seen is not None]

    def _in_order(self) -> list[Layer]:
        return sorted(self.layers, key=lambda one: math.inf if one.order is None else one.order)

    @property
    def assumption(self) -> str:
        """Which dimension was taken as the batch where nothing says so; empty if that is known."""
        names = ", ".join(one.name for one in self.layers if one.shown and one.assumed)
        return names and f"dimension 0 was taken as the batch, batch_dim names another: {names}"

    @property
    def refused(self) -> dict[str, str]:
        """Why layers are not measured, by name."""
        return {
            one.name: one.refused or "not called yet"
            for one in self.layers
            if one.shown is None or one.refused
        }


def _refuse_unreadable(x: Tensor) -> None:
    if x.is_nested:
        raise TypeError("its output is a nested tensor, not one rectangle")
    if x.is_meta:
        raise TypeError("its output is on the meta device and holds no values")


def _chosen(model: nn.Module, patterns: tuple[str, ...]) -> list[tuple[str, nn.Module]]:
    names = {name: module for name, module in model.named_modules() if name}
    found = {
        name: module for name, module in names.items() if any(matches(name, p) for p in patterns)
    }
    missed = [p for p in patterns if not any(matches(name, p) for name in names)]
    if missed or not found:
        some = ", ".join(list(names)[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        what = f"no module matches {', '.join(missed)}" if missed else "no layers were named"
        raise UsageError(f"{what}; the model has {some or 'no modules'}")
    return list(found.items())
