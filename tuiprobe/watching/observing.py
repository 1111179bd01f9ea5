"""Hands a layer's output to its watch, in eager code and from inside a compiled graph.

`torch.compile` and `torch.export` cannot trace into the native core. There the hook calls the
custom operator `tuiprobe::observe`, which a graph keeps because it is declared to change the tensor
`seen`. An eager hook calls Python directly, which is cheaper.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.jit._trace import is_tracing

from tuiprobe.models.taps import first_tensor

ROOT = -1
"""Index that stands for the call of the whole model."""


class ActivationObserver(Protocol):
    """What receives outputs."""

    def observe(self, index: int, x: Tensor) -> None: ...  # noqa: D102

    def refuse(self, index: int, reason: str) -> None: ...  # noqa: D102


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
        seen: int64 `[1]`, counts calls; its change keeps the operator in a graph, in order.
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
    """A forward hook, or a pre-hook of the whole model.

    A copied or unpickled model keeps a hook that does nothing: only the model itself is watched.

    Args:
        observer: What receives the outputs.
        number: Its number.
        index: Index of the layer, or `ROOT`.
        root: The whole model, which holds the buffer `seen`.
        buffer: Name of that buffer.
    """

    def __init__(
        self, observer: ActivationObserver, number: int, index: int, root: nn.Module, buffer: str
    ) -> None:
        self.observer, self.number, self.index = observer, number, index
        self.root, self.buffer = root, buffer

    def __call__(self, module: nn.Module, inputs: Any, output: Any = None) -> None:
        """Hands on the only tensor of a layer's output, or the first of the model's inputs."""
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
            seen = getattr(self.root, self.buffer)
            _observe(x.detach(), seen, self.number, self.index)
        elif not isinstance(x, FakeTensor) and not is_tracing():  # type: ignore[no-untyped-call]
            self.observer.observe(self.index, x.detach())

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Returns a hook that does nothing."""
        return ignore

    def __reduce__(self) -> Any:
        """Pickles as a hook that does nothing."""
        return _ignoring, ()


def ignore(module: nn.Module, inputs: Any, output: Any = None) -> None:
    """Does nothing: the hook of a copy of a watched model."""


def _ignoring() -> Any:
    return ignore
