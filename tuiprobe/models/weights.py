"""Checkpoint files: reads them without running code, and loads all weights or none."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tuiprobe.errors import WeightsError
from tuiprobe.files import DamagedFileError, open_regular
from tuiprobe.limits import ARRAY_HEADER_BYTES
from tuiprobe.models.wrappers import StateDict, unwrap, without_prefix
from tuiprobe.plaintext import first_line, first_names
from tuiprobe.torchfiles.archives import DAMAGED, open_torch_file
from tuiprobe.torchfiles.stored import UnsafePickleError

_BOOKKEEPING = ("num_batches_tracked", "position_ids", "relative_position_index", "attn_mask")
"""Buffers that libraries add and remove between versions; they hold no learned values."""

_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""Dtypes of weights; others need more than a conversion, such as the scales of float8."""


def read_checkpoint(path: Path) -> StateDict:
    """Returns the tensors of a checkpoint file by name, wrappers and common prefixes removed.

    Reads safetensors files, `.pt`, `.pth` or `.bin` files of `torch.save`, and TorchScript
    archives such as OpenAI's, without running any code in them. Checksums are verified if the
    format has them.

    Raises:
        WeightsError: If the file is missing, damaged, would run code, or holds no weights.
    """
    try:
        with open_regular(path) as file:
            if path.suffix == ".safetensors":
                (header,) = struct.unpack("<Q", file.read(8))
                if header > ARRAY_HEADER_BYTES:
                    raise ValueError(f"its header claims {header:,} bytes")
                return without_prefix(load_file(path))
            opened = open_torch_file(file)
            return without_prefix(opened.tensors(unwrap(opened.content, path)))
    except WeightsError:
        raise
    except FileNotFoundError as error:
        raise WeightsError(
            f"there is no file {path} of weights or of a head; check its path"
        ) from error
    except DamagedFileError as error:
        raise WeightsError(f"{error}; pass a checkpoint file") from error
    except UnsafePickleError as error:
        raise WeightsError(
            f"{path} holds more than weights (pickled objects that could run code), so it was "
            f"not opened: {first_line(error)}. Save only its state_dict, best as safetensors, and "
            "pass that file"
        ) from error
    except DAMAGED as error:
        raise WeightsError(
            f"{path} cannot be read as a checkpoint ({first_line(error)}); it may be cut short or "
            "of another format. Copy or download it again; safetensors, .pt, .pth and .bin are read"
        ) from error


def load_into(model: nn.Module, state: StateDict, *, source: str, target: str) -> None:
    """Loads all weights of `state` into `model`, or none.

    Args:
        model: The built architecture.
        state: Tensors by the model's names.
        source: Name of the weights in messages.
        target: Name of the architecture in messages.

    Raises:
        WeightsError: If names are missing or left over, or shapes differ; lists them.
    """
    built = model.state_dict()
    state = _without_own_prefix(state, built)
    pairs = [(n, state[n], built[n]) for n in built if n in state]
    problems = {
        "missing": [n for n in built if n not in state and not n.endswith(_BOOKKEEPING)],
        "not part of it": [n for n in state if n not in built and not n.endswith(_BOOKKEEPING)],
        "of another shape": [
            f"{n} is {tuple(stored.shape)} in the file, {tuple(tensor.shape)} in the model"
            for n, stored, tensor in pairs
            if stored.shape != tensor.shape
        ],
    }
    if any(problems.values()):
        causes = (f"{len(n)} {what} ({first_names(n)})" for what, n in problems.items() if n)
        raise WeightsError(
            f"{source} does not fit {target}: {'; '.join(causes)}. Name the architecture that "
            "these weights were trained in"
        )
    numbers = [
        f"{n} is {_dtype(stored)} in the file, {_dtype(tensor)} in the model"
        for n, stored, tensor in pairs
        if not converts(stored, tensor.dtype)
    ]
    if numbers:
        raise WeightsError(
            f"{source} holds numbers that {target} cannot take without loss "
            f"({first_names(numbers)}). Quantised or truncated weights are not converted; pass the "
            "floating-point file"
        )
    model.load_state_dict({n: stored for n, stored, _ in pairs}, strict=False)


def _without_own_prefix(state: StateDict, built: Mapping[str, Tensor]) -> StateDict:
    """Removes a prefix common to all names if the remaining names are the model's.

    >>> w = torch.zeros(1)
    >>> list(_without_own_prefix({"net.enc.w": w, "net.enc.b": w}, {"w": w, "b": w}))
    ['w', 'b']
    """
    if any(name in built for name in state):
        return state
    first = next((name for name in state if not name.endswith(_BOOKKEEPING)), "")
    for own in built:
        prefix = first.removesuffix(own)
        if first.endswith(f".{own}") and all(name.startswith(prefix) for name in state):
            stripped = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
            if all(name in built or name.endswith(_BOOKKEEPING) for name in stripped):
                return stripped
    return state


def converts(tensor: Tensor, dtype: torch.dtype) -> bool:
    """Says whether a tensor can be converted to the model's dtype without losing meaning.

    Floating-point weights may change precision; integers and booleans must keep their values.
    Everything else is refused: integers as weights are truncated, an imaginary part would be lost,
    and 8-bit types have scales that are stored elsewhere.

    >>> converts(torch.zeros(1).half(), torch.float32), converts(torch.zeros(1).int(), torch.half)
    (True, False)
    >>> converts(torch.tensor([300]), torch.uint8), converts(torch.tensor([3.0]), torch.int64)
    (False, True)
    """
    if dtype.is_floating_point:
        return tensor.dtype in _FLOATS
    if tensor.dtype == dtype:
        return True
    whole = not (tensor.is_floating_point() or tensor.is_complex())
    if not whole and tensor.dtype not in _FLOATS:
        return False
    return torch.equal(tensor.to(dtype).to(tensor.dtype), tensor)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
