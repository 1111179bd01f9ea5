"""From what a checkpoint holds to named weights: wrappers, prefixes, and how much is too much."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from torch import Tensor

from tuiprobe.errors import WeightsError
from tuiprobe.models.stored import Module, StoredTensor, Unread
from tuiprobe.plaintext import plain

State = dict[str, Tensor]

_WRAPPERS = ("state_dict_ema", "model_ema", "ema_state_dict", "state_dict", "model", "module")
"""Keys under which training code keeps the weights; averaged weights are preferred."""

_PREFIXES = ("module.", "_orig_mod.", "model.")
"""Added to every name by DataParallel, torch.compile and training modules."""

_MOST_NAMES = 100_000
_LONGEST_NAME = 1_000
_MOST_WRAPPERS = 16
_MOST_ATTRIBUTES = 500_000
"""Budgets of a checkpoint, each far above any real one's and small in memory and time."""

_SHOWN = 4
_LONGEST = 200


def check_names(names: Collection[str], path: Path) -> None:
    """Refuses more or longer names than any model has."""
    if len(names) > _MOST_NAMES:
        raise WeightsError(f"{path} holds {len(names):,} tensors, above {_MOST_NAMES:,}")
    longest = max(map(len, names), default=0)
    if longest > _LONGEST_NAME:
        raise WeightsError(
            f"{path} holds a name of {longest:,} characters, above {_LONGEST_NAME:,}; save it "
            "again under the model's own names"
        )


def unwrap(loaded: object, path: Path) -> dict[str, StoredTensor]:
    """Returns the described tensors of the innermost wrapper."""
    for _ in range(_MOST_WRAPPERS):
        if not isinstance(loaded, dict):
            break
        inner = next((k for k in _WRAPPERS if isinstance(loaded.get(k), dict)), None)
        if inner is None:
            break
        loaded = loaded[inner]
    else:
        raise WeightsError(
            f"{path} wraps its weights more than {_MOST_WRAPPERS} deep, or in themselves; save "
            "only the state_dict"
        )
    if isinstance(loaded, Module):
        loaded = _attributes(loaded, path)
    if not isinstance(loaded, dict):
        raise WeightsError(f"{path} holds a {_kind(loaded)} and no named weights")
    named = {str(name): value for name, value in loaded.items()}
    check_names(named, path)
    for name, value in named.items():
        if isinstance(value, Unread) and value.tensor:
            raise WeightsError(
                f"{path} holds {value.kind} ({listed([name])}); save it as an ordinary dense "
                "floating-point tensor"
            )
    state = {name: value for name, value in named.items() if isinstance(value, StoredTensor)}
    if not state:
        raise WeightsError(f"{path} holds no weights; its entries are {listed(named)}")
    return state


def _kind(loaded: object) -> str:
    if isinstance(loaded, StoredTensor):
        return "Tensor"
    return loaded.kind if isinstance(loaded, Unread) else type(loaded).__name__


def _attributes(module: Module, path: Path) -> dict[str, object]:
    """Returns the tensors below a module of TorchScript, named by the way to them.

    Modules may be shared, so that a small file has more ways than could ever be walked.
    """
    found: dict[str, object] = {}
    left, waiting = _MOST_ATTRIBUTES, [("", module)]
    while waiting:
        prefix, one = waiting.pop()
        left -= 1 + len(one.attributes)
        if left < 0 or len(prefix) > _LONGEST_NAME:
            raise WeightsError(
                f"the modules of {path} are nested without end, or more than {_MOST_ATTRIBUTES:,} "
                "attributes; save only the state_dict"
            )
        for name, value in one.attributes.items():
            if isinstance(value, Module):
                waiting.append((f"{prefix}{name}.", value))
            elif isinstance(value, StoredTensor | Unread):
                found[f"{prefix}{name}"] = value
    return found


def without_prefix(state: State) -> State:
    """Takes off what training code put before every name, however often.

    >>> one = Tensor([0])
    >>> list(without_prefix({"module._orig_mod.w": one, "module._orig_mod.b": one}))
    ['w', 'b']
    """
    taken = 0
    while prefix := next((p for p in _PREFIXES if all(n.startswith(p, taken) for n in state)), ""):
        taken += len(prefix)
    return {name[taken:]: tensor for name, tensor in state.items()}


def listed(names: Iterable[str]) -> str:
    """Returns the first of some names, shortened, for a message."""
    items = [plain(n if len(n) <= _LONGEST else f"{n[:_LONGEST]}…") for n in names]
    return ", ".join(items[:_SHOWN]) + (", …" if len(items) > _SHOWN else "")
