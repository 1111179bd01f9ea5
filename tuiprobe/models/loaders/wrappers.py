"""What files of weights hold: the innermost named tensors, and other values.

Wrappers and prefixes that training code adds are removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from tuiprobe.catalog.class_names import imagenet_labels, imagenet_names
from tuiprobe.datasets.torchfiles.stored import Module, StoredTensor, Unread
from tuiprobe.errors import WeightsError
from tuiprobe.limits import NAME_LENGTH, PICKLE_VALUES, WRAPPERS
from tuiprobe.plaintext import first_names, plain
from tuiprobe.results.base import LONGEST_TEXT

_Named = TypeVar("_Named")

_WRAPPERS = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema", "state_dict", "model", "module"
)  # fmt: skip
"""Keys under which training code stores the weights; averaged weights come first."""

_PREFIXES = ("module.", "model.")
"""Prefixes that DataParallel and training modules add to every name."""

_COMPILED = "_orig_mod."
"""What torch.compile adds to the names of a model, or of the blocks that it compiled."""


def unwrap(
    loaded: object, path: Path
) -> tuple[dict[str, StoredTensor], tuple[str, ...], dict[str, object]]:
    """Returns the tensor descriptions of the innermost wrapper, the `entries` and the other values.

    The other values are those of all wrappers, like names of classes, the outermost first, and the
    attributes of a TorchScript module that are no tensors.

    Raises:
        WeightsError: If there are no weights, or several sets of them.
    """
    loaded, entries, metadata = _innermost(loaded, path)
    if isinstance(loaded, Module):
        metadata = {str(k): v for k, v in loaded.attributes.items()} | metadata
        loaded = _attributes(loaded, path)
    if not isinstance(loaded, dict):
        raise WeightsError(f"{path} holds a {_kind(loaded)} and no named weights")
    named = {str(name): value for name, value in loaded.items()}
    for name, value in named.items():
        if isinstance(value, Unread) and value.tensor:
            raise WeightsError(
                f"{path} holds {value.kind} ({first_names([name])}); save it as an ordinary dense "
                "floating-point tensor"
            )
    state = {name: value for name, value in named.items() if isinstance(value, StoredTensor)}
    if not state:
        raise WeightsError(f"{path} holds no weights; its entries are {first_names(named)}")
    return state, entries, {k: v for k, v in metadata.items() if k not in state}


def _innermost(loaded: object, path: Path) -> tuple[object, tuple[str, ...], dict[str, object]]:
    """Returns what the wrappers hold, the `entries`, and the other values of all wrappers."""
    entries: tuple[str, ...] = ()
    metadata: dict[str, object] = {}
    for _ in range(WRAPPERS):
        if not isinstance(loaded, dict):
            return loaded, entries, metadata
        sets = [str(name) for name, value in loaded.items() if _holds_weights(value)]
        known = [k for k in _WRAPPERS if isinstance(loaded.get(k), dict)]
        wrapper = next((k for k in known if k in sets), next(iter(known), None))
        wrapper = wrapper or _only_wrapper(loaded, sets, path)
        metadata = {str(k): v for k, v in loaded.items() if k != wrapper} | metadata
        if wrapper is None:
            return loaded, entries, metadata
        others = [name for name in sets if name != wrapper]
        entries = entries or ((wrapper, *others) if others else ())
        loaded = loaded[wrapper]
    raise WeightsError(
        f"{path} wraps its weights more than {WRAPPERS} deep, or in themselves; save only the "
        "state_dict"
    )


def _holds_weights(value: object) -> bool:
    """Returns whether an entry holds matrices by name; metrics and random states hold none."""
    if not isinstance(value, dict):
        return False
    inner = [value[name] for name in _WRAPPERS if isinstance(value.get(name), dict)]
    return any(
        isinstance(tensor, StoredTensor) and len(tensor.size) > 1
        for named in (value, *inner)
        for tensor in named.values()
    )


def _only_wrapper(loaded: dict[object, object], sets: list[str], path: Path) -> str | None:
    """Returns the entry that wraps the weights, if one does."""
    if any(isinstance(value, StoredTensor) and len(value.size) > 1 for value in loaded.values()):
        return None
    if len(sets) > 1:
        raise WeightsError(
            f"{path} holds several sets of weights ({first_names(sets)}): save only the one to "
            "measure"
        )
    return next(iter(sets), None)


def _kind(loaded: object) -> str:
    if isinstance(loaded, StoredTensor):
        return "Tensor"
    return loaded.kind if isinstance(loaded, Unread) else type(loaded).__name__


def _attributes(module: Module, path: Path) -> dict[str, object]:
    """Returns the tensors below a TorchScript module, named by their path.

    The number of paths is limited: modules may be shared, so a small file can have too many paths
    to visit.
    """
    tensors: dict[str, object] = {}
    left, waiting = PICKLE_VALUES, [("", module)]
    while waiting:
        prefix, module = waiting.pop()
        left -= 1 + len(module.attributes)
        if left < 0 or len(prefix) > NAME_LENGTH:
            raise WeightsError(
                f"the modules of {path} are nested without end, or more than {PICKLE_VALUES:,} "
                "attributes; save only the state_dict"
            )
        for name, value in module.attributes.items():
            if isinstance(value, Module):
                waiting.append((f"{prefix}{name}.", value))
            elif isinstance(value, StoredTensor | Unread):
                tensors[f"{prefix}{name}"] = value
    return tensors


def class_names(
    metadata: Mapping[str, object], rows: int, source: str
) -> tuple[tuple[str, ...], str]:
    """Returns the names of the rows of a classifier that other values in its file give.

    Numbers are no names; ImageNet's in their order are those of prompts.

    Args:
        metadata: The values, for example `class_to_idx`, by name; they may be in other mappings.
        rows: The number of rows, which the names must fit.
        source: Where the values are, for messages.

    Returns:
        The names, and where they are; both empty if there are none.

    Raises:
        WeightsError: If two of them contradict each other.

    >>> class_names({"hyper_parameters": {"class_to_idx": {"tree": 1, "bus": 0}}}, 2, "w.pt")
    (('bus', 'tree'), 'class_to_idx of w.pt')
    """
    found: dict[tuple[str, ...], str] = {}
    waiting, seen = [metadata], set[int]()
    while waiting:
        values = waiting.pop()
        nested = [v for v in values.values() if isinstance(v, Mapping) and id(v) not in seen]
        waiting += nested
        seen.update(map(id, nested))
        for key in filter(_NAMES.fullmatch, map(str, values)):
            names = _in_order(values.get(key))
            if len(names) == rows and not all(map(_NUMBERED.fullmatch, names)):
                found.setdefault(names, key)
    if len(found) > 1:
        (one, first), (other, second) = list(found.items())[:2]
        row = next(i for i in range(rows) if one[i] != other[i])
        raise WeightsError(
            f"{source} names its classes twice: row {row} is {plain(one[row])!r} by {first} and "
            f"{plain(other[row])!r} by {second}; save it with the right names only"
        )
    names, key = next(iter(found.items()), ((), ""))
    if imagenet_labels(names) == tuple(range(len(imagenet_names()))):
        names = imagenet_names()
    return names, f"{key} of {source}" if names else ""


_NAMES = re.compile(
    "class_to_idx|idx_to_class|id2label|label2id|classes_?|class_names|label_names", re.IGNORECASE
)
"""Entries in which training code stores the names of classes."""

_NUMBERED = re.compile(r"(LABEL_)?\d+")
"""Names that are made of numbers."""


def _in_order(value: object) -> tuple[str, ...]:
    """Returns names in the order of their numbers; none if they are something else."""
    if isinstance(value, Mapping):
        turned = all(isinstance(number, int) for number in value.values())
        by_number = {str(v if turned else k): k if turned else v for k, v in value.items()}
        value = [by_number.get(str(i)) for i in range(len(value))]
    if not isinstance(value, list | tuple):
        return ()
    names = [name.strip() for name in value if isinstance(name, str)]
    right = len(names) == len(value) and all(0 < len(name) <= LONGEST_TEXT for name in names)
    return tuple(names) if right else ()


def without_prefix(state: Mapping[str, _Named]) -> dict[str, _Named]:
    """Removes known prefixes that are common to all names, repeatedly, and those of compilation.

    >>> list(without_prefix({"module._orig_mod.w": 1, "module._orig_mod.b": 2}))
    ['w', 'b']
    """
    names = [name.replace(_COMPILED, "") for name in state]
    if len(set(names)) == len(state):
        state = dict(zip(names, state.values(), strict=True))
    start = 0
    while prefix := next((p for p in _PREFIXES if all(n.startswith(p, start) for n in state)), ""):
        start += len(prefix)
    return {name[start:]: tensor for name, tensor in state.items()}
