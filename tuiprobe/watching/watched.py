"""`tuiprobe.watch`: a context manager around anyone's torch code.

A layer's output reaches its watch in eager code and from inside a compiled graph.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import torch
from torch import Tensor, distributed, nn
from torch.utils.hooks import RemovableHandle
from torch.utils.module_tracker import ModuleTracker

from tuiprobe.errors import DataError, UsageError
from tuiprobe.models.taps import first_tensor, unwrapped_module
from tuiprobe.stats._native import is_fake
from tuiprobe.watching.layer_figures import LayerFigures, figures_of, html_table, table
from tuiprobe.watching.layers import (
    CallKind,
    Layer,
    LayerStatistics,
    ObservedModel,
    WatchOptions,
    batch_of,
)
from tuiprobe.watching.saving import LiveFiles, save

ROOT = -1
"""Index that stands for the call of the model itself."""
END = -2
"""Index that stands for its return."""


class ActivationObserver(Protocol):
    """What receives outputs."""

    def observe(self, index: int, x: Tensor) -> None: ...  # noqa: D102

    def refuse(self, index: int, reason: str) -> None: ...  # noqa: D102

    def end_pass(self) -> None: ...  # noqa: D102


_is_exporting = getattr(torch.compiler, "is_exporting", lambda: False)  # torch 2.7
_nothing = nullcontext().__exit__  # takes anything and returns None
_numbers = itertools.count()
_observers: weakref.WeakValueDictionary[int, ActivationObserver] = weakref.WeakValueDictionary()


def register(observer: ActivationObserver) -> int:
    """Returns a number by which a graph names the observer; it keeps no reference to it."""
    number = next(_numbers)
    _observers[number] = observer
    return number


@torch.library.custom_op("tuiprobe::observe", mutates_args=("seen",))
def _observe(x: Tensor, seen: Tensor, number: int, index: int) -> None:
    """Hands `x` to an observer; does nothing once the observer has ended.

    Args:
        x: Output of a layer, or an input of the model for `ROOT`.
        seen: int64 `[1]`, counts calls; its change keeps the operator in a graph, in order. It is
            no buffer of the model, as those are broadcast, averaged and copied.
        number: Number of the observer.
        index: Index of the layer, or `ROOT`.
    """
    seen += 1
    observer = _observers.get(number)
    if observer is not None:
        observer.observe(index, x)


@_observe.register_fake
def _(x: Tensor, seen: Tensor, number: int, index: int) -> None:
    """Computes nothing while a graph is traced."""


class Hook:
    """A forward hook, or a pre-hook of the model itself.

    Only the model itself is watched: a copy has no hook, and an unpickled model one that does
    nothing, even where tuiprobe is not installed.

    Args:
        observer: What receives the outputs.
        number: Its number.
        index: Index of the layer, `ROOT` or `END`.
        seen: What the operator changes.
        register: Registers the hook at its module.
    """

    def __init__(
        self,
        observer: ActivationObserver,
        number: int,
        index: int,
        seen: Tensor,
        register: Callable[[Any], RemovableHandle],
    ) -> None:
        self.observer, self.number, self.index, self.seen = observer, number, index, seen
        self.handle = register(self)

    def __call__(self, module: nn.Module, inputs: Any, output: Any = None) -> None:
        """Hands on the only tensor of a layer's output, or the first of the model's inputs."""
        if self.index == END:
            if not torch.compiler.is_compiling():
                self.observer.end_pass()
            return
        if self.index == ROOT:
            tensors = [value for value in inputs if isinstance(value, Tensor)]
            x = tensors[0] if tensors else None  # `next` with a default breaks a graph of torch 2.5
        else:
            x = first_tensor(output)
        if x is None:
            if self.index != ROOT:
                kind = type(output).__name__
                self.observer.refuse(self.index, f"its output is a {kind}, not one tensor")
        elif torch.compiler.is_compiling():
            # An exported program may change no tensor from outside that is not a buffer.
            seen = torch.zeros(1, dtype=torch.int64) if _is_exporting() else self.seen
            _observe(x.detach(), seen, self.number, self.index)
        elif not is_fake(x) and not torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
            self.observer.observe(self.index, x.detach())

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Returns an object that does nothing and is removed with the memo, once all is copied."""
        end = nullcontext()
        memo[id(end)] = end
        hooks = memo.get(id(self.handle.hooks_dict_ref()), {})
        weakref.finalize(end, hooks.pop, self.handle.id, None)
        return _nothing

    def __reduce__(self) -> Any:
        """Pickles `_nothing` by names of Python alone."""
        return getattr, (nullcontext(), "__exit__")


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
        options: WatchOptions,
        output: str | Path | None = None,
        overwrite: bool = False,
    ) -> None:
        if not isinstance(output, str | os.PathLike | None):
            raise UsageError(f"output takes the path of a folder, not a {type(output).__name__}")
        super().__init__(unwrapped_module(model), _patterns(layers), options)
        self._compiled = model is not self.model and hasattr(model, "_orig_mod")
        self._local, self._autograd = threading.local(), ModuleTracker()
        self._steps = self._arrived = 0
        self._seconds = 0.0
        self._hooks: list[Hook] = []
        self._live = None if output is None else LiveFiles(Path(output), self, overwrite)

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
            hook: Callable[[Any], RemovableHandle] = self.model.register_forward_pre_hook
            self._hooks.append(Hook(self, number, ROOT, seen, hook))
            for index, layer in enumerate(self.layers):
                hook = layer.module.register_forward_hook
                self._hooks.append(Hook(self, number, index, seen, hook))
            hook = self.model.register_forward_hook
            self._hooks.append(Hook(self, number, END, seen, hook))
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
        """Removes the hooks; saves the figures, also after an error, where an output was given.

        A block in which nothing was measured ends with a warning: an error would end the training
        behind it.
        """
        self._remove()
        if self._live is None:
            return
        try:
            if error is None or self.layer_statistics:
                self.save(self._live.path)
        except BaseException as reason:
            self._live.end(error or reason)
            if error is not None:
                error.add_note(f"what tuiprobe.watch measured is not saved: {reason}")
            elif isinstance(reason, DataError) and not self.layer_statistics:
                warnings.warn(f"tuiprobe.watch: {reason}", stacklevel=2)
            else:
                raise
        else:
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
                self._local.batch = batch_of(x, self.model, self.options.batch_dim)
                self._local.calls = Counter()
                self._steps += 1
                return
            called = self.layers[index]
            called.calls += 1
            calls = getattr(self._local, "calls", None)  # None outside a pass of the whole model
            if calls is not None:
                calls[index] += 1
            if ((self._steps or called.calls) - 1) % self.every:
                return
            number = 1 if calls is None else calls[index]
            layer = self._layer_of(index, CallKind(number, self.model.training))
            if layer.order is None:
                layer.order, self._arrived = self._arrived, self._arrived + 1
            with torch.no_grad():
                layer.add(x, self.model, getattr(self._local, "batch", None))
            if self._live is not None:
                self._live.show()
            self._seconds += time.perf_counter() - begin

    def end_pass(self) -> None:
        """Ends a pass of the model: what calls a layer from now on is no second call of it."""
        self._local.calls = None

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
        return table(self.figures(), self.refused, self._footer())

    def _repr_html_(self) -> str:
        """Shows the table in a notebook."""
        return html_table(self.figures(), self.refused, self._footer())

    def _footer(self) -> list[str]:
        measured = -(-self._steps // self.every)
        calls = f" of {measured:,} of {self._steps:,} calls" if self._steps else ""
        cost = f"measuring{calls} took {self._seconds:.2f} s"
        return [*filter(None, (self.assumption, self.span)), cost]

    @property
    def output(self) -> Path | None:
        """The run directory of the block."""
        return None if self._live is None else self._live.path

    def gather(self, group: Any = None) -> Watched:
        """Returns the statistics of all processes of a distributed training, on each of them.

        Every process calls it at the same time. What is returned can be shown, logged and saved;
        what this process has seen stays as it is.

        Args:
            group: A group of `torch.distributed`; None for all processes. Without an initialised
                group, this process stands alone.

        Raises:
            UsageError: If the processes watch different layers, or disagree about a layout.
        """
        with self._lock:
            mine = {
                (index, layer.kind): seen.on_cpu()
                for index, layer in self._numbered()
                if layer.kind is not None and (seen := layer.statistics) is not None
            }
        names = [layer.path for layer in self.layers]
        parts: list[Any] = [(names, mine)]
        if distributed.is_available() and distributed.is_initialized():
            parts *= distributed.get_world_size(group)
            distributed.all_gather_object(parts, (names, mine), group)
        if any(other != names for other, _ in parts):
            raise UsageError("the processes watch different layers, so nothing can be gathered")
        gathered = type(self)(self.model, self.patterns, options=self.options)
        gathered.key = self.key  # so that a later one replaces what an earlier one saved
        gathered._steps, gathered._seconds = self._steps, self._seconds
        gathered.logged = self.logged
        try:
            for _, seen in parts:
                gathered._take(seen)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return gathered

    def _numbered(self) -> list[tuple[int, Layer]]:
        others = ((index, layer) for (index, _), layer in self._other_calls.items())
        return [*enumerate(self.layers), *others]

    def _take(self, seen: dict[tuple[int, CallKind], LayerStatistics]) -> None:
        for (index, kind), statistics in seen.items():
            layer = self._layer_of(index, kind)
            if layer.seen is None:
                layer.order, self._arrived = self._arrived, self._arrived + 1
                layer.seen = statistics
            else:
                layer.seen.merge(statistics)

    def log(self, step: int, writer: Any) -> None:
        """Logs the figures of what was seen since the last call, and starts over.

        Scalars are named `tuiprobe/<layer>/<figure>`. Layers of which nothing was seen are absent.

        Args:
            step: Step of the training.
            writer: Anything with `add_scalar(name, value, step)` (TensorBoard),
                `log_metrics(values, step=step)` (a logger of Lightning) or
                `log(values, step=step)` (Weights & Biases).

        Raises:
            TypeError: If the writer has none of them.
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
            _write(scalars, step, writer)
            for layer, seen in fresh:
                layer.logged, layer.seen = seen, None
            self.logged = step

    def reset(self) -> None:
        """Forgets what was seen."""
        with self._lock:
            for layer in self._all_layers:
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
        layers = f"{len(self.layers)} layer{'' if len(self.layers) == 1 else 's'}"
        return f"Watched({kind}, {layers}, {images:,} image{'' if images == 1 else 's'})"


def _write(scalars: dict[str, float], step: int, writer: Any) -> None:
    if hasattr(writer, "add_scalar"):
        for name, value in scalars.items():
            writer.add_scalar(name, value, step)
        return
    log = getattr(writer, "log_metrics", None) or getattr(writer, "log", None)
    if log is None:
        kind = type(writer).__name__
        raise TypeError(f"a writer has `add_scalar`, `log_metrics` or `log`; {kind} has none")
    if scalars:
        log(scalars, step=step)


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
