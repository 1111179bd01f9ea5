"""Checkpoint files: read without running code, unwrapped, and loaded completely or not at all."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from tuiprobe.errors import WeightsError
from tuiprobe.models.quiet import quiet
from tuiprobe.models.torchscript import is_torchscript, read_torchscript

State = dict[str, Tensor]

_WRAPPERS = ("state_dict_ema", "model_ema", "ema_state_dict", "state_dict", "model", "module")
"""Keys under which training code keeps the weights; averaged weights are preferred."""

_PREFIXES = ("module.", "_orig_mod.", "model.")
"""Added to every name by DataParallel, torch.compile and training modules."""

_BOOKKEEPING = ("num_batches_tracked", "position_ids", "relative_position_index", "attn_mask")
"""Buffers that libraries add and drop between versions; they hold nothing learned."""

_SHOWN = 4
_LONGEST = 200


def read_checkpoint(path: Path) -> State:
    """Returns the tensors of a checkpoint file by name, wrappers and common prefixes removed.

    Reads safetensors, ``.pt``, ``.pth`` or ``.bin`` through ``torch.load(weights_only=True)``, and
    the tensors of TorchScript archives such as OpenAI's.

    Raises:
        WeightsError: If the file is missing, damaged, would run code, or holds no weights.
    """
    if not path.is_file():
        raise WeightsError(f"there is no checkpoint file {path}; check --checkpoint")
    loaded = _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
    return _unwrap(loaded, path)


def _is_safetensors(path: Path) -> bool:
    return path.suffix == ".safetensors"


def _read_safetensors(path: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _read_torch(path: Path) -> object:
    try:
        if is_torchscript(path):
            return read_torchscript(path)
        with quiet():  # It warns of pickle protocols that it then reads or refuses anyway.
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "weights_only" in str(error).lower():
            raise WeightsError(
                f"{path} holds more than weights (pickled objects that could run code), so it was "
                f"not opened: {_reason(error)}. Save only its state_dict, best as safetensors, and "
                "pass that file"
            ) from error
        raise _damaged(path, error) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path} cannot be read as a checkpoint ({_reason(error)}); it may be cut short or of "
        "another format. Copy or download it again; safetensors, .pt, .pth and .bin are read"
    )


def _reason(error: Exception) -> str:
    """Returns the part of a library's message that names the cause, as one line.

    >>> _reason(ValueError("Unsupported global: GLOBAL a.b.C was not allowed. Use add_safe(C)"))
    'it refers to a.b.C'
    >>> _reason(KeyError(101))
    'KeyError'
    """
    text = str(error)
    refused = re.search(r"GLOBAL ([\w.]+)", text)
    if refused is not None:
        return f"it refers to {refused.group(1)}"
    lines = [line.strip() for line in text.splitlines() if re.search("[A-Za-z]", line)]
    if not lines:
        return type(error).__name__
    # Whole sentences, as far as they fit.
    cut = lines[0][:_LONGEST].rpartition(". ")[0] if len(lines[0]) > _LONGEST else lines[0]
    return (cut or lines[0][:_LONGEST]).rstrip(".")


def _unwrap(loaded: object, path: Path) -> State:
    while isinstance(loaded, Mapping):
        inner = next((k for k in _WRAPPERS if isinstance(loaded.get(k), Mapping)), None)
        if inner is None:
            break
        loaded = loaded[inner]
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"{path} holds a {type(loaded).__name__} and no named weights")
    state = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    if not state:
        raise WeightsError(f"{path} holds no weights; its entries are {_listed(map(str, loaded))}")
    return _without_prefix(state)


def _without_prefix(state: State) -> State:
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            return _without_prefix({name[len(prefix) :]: t for name, t in state.items()})
    return state


def load_into(model: nn.Module, state: State, *, source: str, target: str) -> None:
    """Loads every weight of ``state`` into ``model``, or nothing.

    Args:
        model: The built architecture.
        state: Names and tensors as the model calls them.
        source: What the weights are called in a message.
        target: What the architecture is called in a message.

    Raises:
        WeightsError: If names are missing or left over, or shapes differ, naming them.
    """
    wanted = model.state_dict()
    state = _without_own_prefix(state, wanted)
    missing = [n for n in wanted if n not in state and not n.endswith(_BOOKKEEPING)]
    unexpected = [n for n in state if n not in wanted and not n.endswith(_BOOKKEEPING)]
    shapes = [
        f"{n} is {tuple(state[n].shape)} in the file, {tuple(wanted[n].shape)} in the model"
        for n in wanted
        if n in state and state[n].shape != wanted[n].shape
    ]
    if missing or unexpected or shapes:
        problems = [
            _problem("missing", missing),
            _problem("not part of it", unexpected),
            _problem("of another shape", shapes),
        ]
        raise WeightsError(
            f"{source} does not fit {target}: {'; '.join(p for p in problems if p)}. Name the "
            "architecture that these weights were trained in"
        )
    model.load_state_dict({n: t for n, t in state.items() if n in wanted}, strict=False)


def _without_own_prefix(state: State, wanted: Mapping[str, Tensor]) -> State:
    """Takes off what training code put before every name, if all that remains are the model's.

    >>> one = torch.zeros(1)
    >>> list(_without_own_prefix({"net.enc.w": one, "net.enc.b": one}, {"w": one, "b": one}))
    ['w', 'b']
    """
    if any(name in wanted for name in state):
        return state
    parts = next((name.split(".") for name in state), [])
    for count in range(1, len(parts)):
        prefix = ".".join(parts[:count]) + "."
        if not all(name.startswith(prefix) for name in state):
            return state
        stripped = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
        if all(name in wanted or name.endswith(_BOOKKEEPING) for name in stripped):
            return stripped
    return state


def _problem(what: str, names: list[str]) -> str:
    return f"{len(names)} {what} ({_listed(names)})" if names else ""


def _listed(names: object) -> str:
    items = list(names)  # type: ignore[call-overload]
    return ", ".join(items[:_SHOWN]) + (", …" if len(items) > _SHOWN else "")


def resolve(fetch: Callable[[], str | Path], *, what: str) -> Path:
    """Calls a library's download function and turns its failures into one message.

    Raises:
        WeightsError: If the weights are neither cached nor to be had.
    """
    try:
        return Path(fetch())
    except Exception as error:  # Libraries raise whatever their HTTP client raises.
        raise WeightsError(
            f"the weights of {what} could not be had ({_reason(error)}). Fetch them where there is "
            f"a network (tuiprobe fetch {what}), or pass --checkpoint FILE"
        ) from error
