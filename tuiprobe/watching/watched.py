"""`tuiprobe.watch`: a context manager around anyone's torch code."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from torch.utils.module_tracker import ModuleTracker

from tuiprobe.errors import UsageError
from tuiprobe.models.taps import unwrapped_module
from tuiprobe.watching.figures import LayerFigures, figures_of, table
from tuiprobe.watching.layers import ObservedModel, batch_of
from tuiprobe.watching.observing import ROOT, Hook, register
from tuiprobe.watching.saving import LiveFiles, save

_LOADED_IN = os.getpid()


class Watched(ObservedModel):
    """A watched model; see `tuiprobe.watch`.

    Figures describe what was seen since the last `log` or `reset`, or since the block began. Right
    after `log` they describe what was logged. Each image takes about 24 bytes a layer until then.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: str | Iterable[str],
        *,
        k: int = 0,
        every: int = 1,
        batch_dim: int | None = None,
        output: str | Path | None = None,
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise UsageError(f"every must be a whole number from 1, got {every!r}")
        if isinstance(k, bool) or not isinstance(k, int) or not 0 <= k <= 65536:
            raise UsageError(f"k must be a whole number from 0 to 65,536, got {k!r}")
        if batch_dim not in (None, 0, 1):
            raise UsageError(f"batch_dim must be 0, 1 or None, got {batch_dim!r}")
        if not isinstance(output, str | os.PathLike | None):
            raise UsageError(f"output takes the path of a folder, not a {type(output).__name__}")
        super().__init__(unwrapped_module(model), _patterns(layers), every, k, batch_dim)
        self._compiled = model is not self.model and hasattr(model, "_orig_mod")
        self._local, self._autograd = threading.local(), ModuleTracker()
        self._steps = self._arrived = 0
        self._seconds = 0.0
        self._hooks: list[Hook] = []
        self._live = None if output is None else LiveFiles(Path(output), self)

    # The block.

    def __enter__(self) -> Self:
        """Places the hooks.

        Raises:
            RuntimeError: If it is watching already.
            UsageError: In a forked child.
        """
        if self._hooks:
            raise RuntimeError("this model is being watched by the same object already")
        _refuse_forked_child()
        if self._live is not None:
            self._live.begin()
        number = register(self)
        home = next(self.model.parameters(), torch.empty(0)).device
        seen = torch.zeros(1, dtype=torch.int64, device=home)
        try:
            place: Callable[[Any], RemovableHandle] = self.model.register_forward_pre_hook
            self._hooks.append(Hook(self, number, ROOT, seen, place))
            for index, layer in enumerate(self.layers):
                place = layer.module.register_forward_hook
                self._hooks.append(Hook(self, number, index, seen, place))
        except BaseException as error:
            self._remove()
            if self._live is not None:
                self._live.end(error)
            raise
        if self._compiled:
            torch.compiler.reset()  # code compiled before does not call new hooks
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes the hooks; saves the figures where an output was given."""
        self._remove()
        if self._live is None:
            return
        try:
            if error is None:
                self.save(self._live.path)
        except BaseException as reason:
            self._live.end(reason)
            raise
        self._live.end(error)

    def _remove(self) -> None:
        for hook in self._hooks:
            hook.handle.remove()
        self._hooks = []

    # What the hooks call.

    def observe(self, index: int, x: Tensor) -> None:
        """Takes an output of a layer, or an input of the model; nothing of a backward pass.

        There, activation checkpointing computes what was seen before.

        Raises:
            UsageError: In a forked child.
        """
        if self._autograd.is_bw:
            return
        _refuse_forked_child()
        begin = time.perf_counter()
        with self._lock:
            if index == ROOT:
                self._local.batch = batch_of(x, self.model, self.batch_dim)
                self._steps += 1
                return
            layer = self.layers[index]
            layer.calls += 1
            if ((self._steps or layer.calls) - 1) % self.every:
                return
            if layer.order is None:
                layer.order, self._arrived = self._arrived, self._arrived + 1
            with torch.no_grad():
                layer.add(x, self.model, getattr(self._local, "batch", None))
            if self._live is not None:
                self._live.show()
            self._seconds += time.perf_counter() - begin

    def refuse(self, index: int, reason: str) -> None:
        """Notes why an output of a layer is not measured."""
        self.layers[index].refused = reason

    # What it found.

    def figures(self) -> tuple[LayerFigures, ...]:
        """Returns the figures of the measured layers in the order of their first call."""
        with self._lock:
            return tuple(figures_of(name, seen) for name, seen in self.layer_statistics)

    def table(self) -> str:
        """Returns the figures as text, one line a layer, and what measuring cost."""
        measured = -(-self._steps // self.every)
        calls = f" of {measured:,} of {self._steps:,} calls" if self._steps else ""
        cost = f"measuring{calls} took {self._seconds:.2f} s"
        footer = [self.assumption, cost] if self.assumption else [cost]
        return table(self.figures(), self.refused, footer)

    def log(self, step: int, writer: Any) -> None:
        """Logs the figures of what was seen since the last call, and starts over.

        Scalars are named `tuiprobe/<layer>/<figure>`. Layers of which nothing was seen are absent.

        Args:
            step: Step of the training.
            writer: Anything with `add_scalar(name, value, step)` (TensorBoard) or
                `log(values, step=step)` (Weights & Biases).

        Raises:
            TypeError: If the writer has neither.
        """
        with self._lock:
            fresh = [
                (layer, seen) for layer in self._in_order() if (seen := layer.seen) is not None
            ]
            scalars = {
                f"tuiprobe/{layer.name}/{name}": value
                for layer, seen in fresh
                for name, value in figures_of(layer.name, seen).scalars().items()
            }
            if hasattr(writer, "add_scalar"):
                for name, value in scalars.items():
                    writer.add_scalar(name, value, step)
            elif hasattr(writer, "log"):
                if scalars:
                    writer.log(scalars, step=step)
            else:
                kind = type(writer).__name__
                raise TypeError(f"a writer has `add_scalar` or `log`; {kind} has neither")
            for layer, seen in fresh:
                layer.logged, layer.seen = seen, None

    def reset(self) -> None:
        """Forgets what was seen."""
        with self._lock:
            for layer in self.layers:
                layer.seen = layer.logged = None

    def save(self, directory: str | Path) -> None:
        """Writes a run directory that `tuiprobe open`, `report` and `compare` read.

        Saving again into the same directory replaces what this object saved there.

        Raises:
            DataError: If nothing was measured, or the directory holds something else.
            RunError: If it cannot be written.
        """
        with self._lock:
            save(self, Path(directory))

    def __repr__(self) -> str:
        """Shows model, layers and counts."""
        kind = type(self.model).__name__
        images = max((seen.images for _, seen in self.layer_statistics), default=0)
        return f"Watched({kind}, {len(self.layers)} layers, {images:,} images)"


def _refuse_forked_child() -> None:
    """Refuses a forked child, where the model itself would wait for OpenMP's threads for ever."""
    if os.getpid() != _LOADED_IN:
        raise UsageError("tuiprobe.watch cannot measure in a forked child; use spawn")


def _patterns(layers: object) -> tuple[str, ...]:
    patterns = layers.split() if isinstance(layers, str) else layers
    if isinstance(patterns, Iterable):
        patterns = tuple(patterns)
        if all(isinstance(pattern, str) for pattern in patterns):
            return patterns
    raise UsageError(f"layers takes patterns such as 'blocks.*', as text, not {layers!r}")
