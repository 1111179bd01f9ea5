"""The tensors of a TorchScript archive, such as OpenAI's own CLIP files, without running its code.

``torch.jit.load`` compiles and may run what the archive holds. Its ``data.pkl`` is an ordinary
pickle of module objects; here it is read by an unpickler that knows tensors, containers and a
placeholder for every module class, and refuses everything else.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

_LARGEST_ENTRY = 64 * 2**30
"""A corrupt or hostile archive may claim any size for its entries."""


def is_torchscript(path: Path) -> bool:
    """Whether the file is a zip archive with compiled code in it."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Returns the parameters and buffers of a TorchScript archive by name.

    Raises:
        pickle.UnpicklingError: If the archive holds anything but modules and tensors.
        zipfile.BadZipFile, KeyError, ValueError: If it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        pickles = [n for n in archive.namelist() if n.endswith("/data.pkl") and n.count("/") == 1]
        if len(pickles) != 1:
            raise ValueError("the archive has no data.pkl")
        reader = _Reader(archive, pickles[0].removesuffix("data.pkl"))
        module = _load(reader)
    state: dict[str, Tensor] = {}
    _collect(module, "", state)
    return state


def _load(reader: _Reader) -> object:
    try:
        return reader.load()
    except (pickle.UnpicklingError, ValueError, KeyError):
        raise
    except Exception as error:  # Hostile opcodes make the unpickler raise anything.
        raise ValueError("its data.pkl is not that of a module") from error


class _Module:
    """Stands for an object of any module class of the archive."""

    def __setstate__(self, attributes: object) -> None:
        if not isinstance(attributes, Mapping):
            raise pickle.UnpicklingError("a module of the archive has no attributes")
        self.attributes = dict(attributes)


class _Reader(pickle.Unpickler):
    """Unpickles modules and tensors of one archive, and nothing that could run."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(_entry(archive, f"{root}data.pkl")))
        self._archive = archive
        self._root = root
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "__torch__":
            return _Module
        if module == "collections" and name == "OrderedDict":
            return OrderedDict
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return _rebuild
        if module == "torch.jit._pickle" and name in _CONTAINERS:
            return _CONTAINERS[name]
        if module == "torch" and name in _STORAGES:
            return _Storage(_STORAGES[name])
        raise pickle.UnpicklingError(f"the archive wants GLOBAL {module}.{name}")

    def persistent_load(self, pid: Any) -> Tensor:
        kind, storage, key, _, count = pid
        if kind != "storage" or not isinstance(storage, _Storage) or not str(key).isdigit():
            raise pickle.UnpicklingError("the archive refers to something that is no tensor")
        if key not in self._storages:
            data = bytearray(_entry(self._archive, f"{self._root}data/{key}"))
            self._storages[key] = (
                torch.frombuffer(data, dtype=storage.dtype)
                if data
                else torch.empty(0, dtype=storage.dtype)
            )
        if self._storages[key].numel() < count:
            raise ValueError(f"tensor data {key} of the archive is cut short")
        return self._storages[key]


class _Storage:
    """Stands for a storage class; tells the dtype of tensor data."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


def _rebuild(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if 0 not in size and not 0 <= last < storage.numel():
        raise ValueError("a tensor of the archive reaches beyond its data")
    return storage.as_strided(size, stride, offset)


def _same(value: object, *_: object) -> object:
    return value


_CONTAINERS: dict[str, Callable[..., object]] = {
    "build_intlist": _same,
    "build_tensorlist": _same,
    "build_doublelist": _same,
    "build_boollist": _same,
    "restore_type_tag": _same,
}
"""Functions that TorchScript uses to type a list; the list itself is all that is needed."""


def _entry(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _LARGEST_ENTRY:
        raise ValueError(f"entry {name} of the archive is too large")
    return archive.read(name)


def _collect(module: object, prefix: str, state: dict[str, Tensor]) -> None:
    if not isinstance(module, _Module):
        return
    for name, value in getattr(module, "attributes", {}).items():
        if isinstance(value, Tensor):
            state[f"{prefix}{name}"] = value
        else:
            _collect(value, f"{prefix}{name}.", state)
