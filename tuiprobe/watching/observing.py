"""Hands a layer's output to its watch, in eager code and from inside a compiled graph.

`torch.compile` and `torch.export` cannot trace into the native core. There the hook calls the
custom operator `tuiprobe::observe`, which a graph keeps because it is declared to change the tensor
`seen`. An eager hook calls Python directly, which is cheaper.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from tuiprobe.models.taps import first_tensor
from tuiprobe.stats._input import is_fake

ROOT = -1
"""Index that stands for the call of the whole model."""
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
    """A forward hook, or a pre-hook of the whole model.

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
