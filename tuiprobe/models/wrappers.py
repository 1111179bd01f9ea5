"""Extracts named weights from a checkpoint: removes wrappers and prefixes, enforces limits."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from tuiprobe.errors import WeightsError
from tuiprobe.limits import NAME_LENGTH, PICKLE_VALUES, WRAPPERS
from tuiprobe.plaintext import first_names
from tuiprobe.torchfiles.stored import Module, StoredTensor, Unread

StateDict = dict[str, Tensor]

_WRAPPERS = ("state_dict_ema", "model_ema", "ema_state_dict", "state_dict", "model", "module")
"""Keys under which training code stores the weights; averaged weights come first."""

_PREFIXES = ("module.", "_orig_mod.", "model.")
"""Prefixes that DataParallel, torch.compile and training modules add to every name."""


def unwrap(loaded: object, path: Path) -> dict[str, StoredTensor]:
    """Returns the tensor descriptions of the innermost wrapper."""
    for _ in range(WRAPPERS):
        if not isinstance(loaded, dict):
            break
        inner = next((k for k in _WRAPPERS if isinstance(loaded.get(k), dict)), None)
        if inner is None:
            break
        loaded = loaded[inner]
    else:
        raise WeightsError(
            f"{path} wraps its weights more than {WRAPPERS} deep, or in themselves; save "
            "only the state_dict"
        )
    if isinstance(loaded, Module):
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
    return state


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


def without_prefix(state: StateDict) -> StateDict:
    """Removes known prefixes that are common to all names, repeatedly.

    >>> w = Tensor([0])
    >>> list(without_prefix({"module._orig_mod.w": w, "module._orig_mod.b": w}))
    ['w', 'b']
    """
    taken = 0
    while prefix := next((p for p in _PREFIXES if all(n.startswith(p, taken) for n in state)), ""):
        taken += len(prefix)
    return {name[taken:]: tensor for name, tensor in state.items()}
