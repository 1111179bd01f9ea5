"""A checkpoint's pickle as data: containers, scalars and descriptions of tensors.

Nothing of a pickle is ever called. Each instruction is carried out on plain Python values, tensors
stay descriptions of where their data lie, and a name outside the known ones ends the reading. So
neither time nor memory can exceed a multiple of the pickle's own size.
"""

from __future__ import annotations

import math
import pickletools
from dataclasses import dataclass, field
from typing import IO, Any

import torch

MOST_BYTES = 64 * 2**20
"""Largest pickle that is read; tensors' data lie outside it."""

_MOST_STEPS = 1_000_000
_MOST_DIMENSIONS = 64


class UnsafePickleError(ValueError):
    """A pickle refers to something that is no part of a checkpoint and could run code."""


@dataclass(frozen=True)
class Storage:
    """The data that one or several tensors share.

    Attributes:
        key: Its name in the file.
        dtype: Type of its elements; None for kinds that are not read, such as quantised ones.
        count: Number of elements.
    """

    key: str
    dtype: torch.dtype | None
    count: int

    @property
    def nbytes(self) -> int:
        """Size of the data."""
        return self.count * (1 if self.dtype is None else self.dtype.itemsize)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that is not read yet; offset and stride count elements of ``dtype``."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class Unread:
    """Something that a checkpoint may hold and that is not read; ``kind`` is for the message."""

    kind: str
    tensor: bool = False


@dataclass
class Module:
    """An object of a module class of a TorchScript archive."""

    attributes: dict[object, object] = field(default_factory=dict)


@dataclass(frozen=True)
class _Global:
    module: str
    name: str

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def dtype(self) -> torch.dtype | None:
        found = getattr(torch, self.name, None) if self.module == "torch" else None
        return found if isinstance(found, torch.dtype) else None


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
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
    "QInt8Storage": None,
    "QUInt8Storage": None,
    "QInt32Storage": None,
    "QUInt4x2Storage": None,
    "QUInt2x4Storage": None,
}
_STORAGE_MODULES = ("torch", "torch.cuda", "torch.storage")

_REBUILT = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3")
_PARAMETERS = ("_rebuild_parameter", "_rebuild_parameter_with_state")
_UNREAD = {
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_qtensor": "a quantised tensor",
    "_rebuild_meta_tensor_no_storage": "a tensor without data (device meta)",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_device_tensor_from_numpy": "a tensor of an unknown device",
    "_rebuild_device_tensor_from_cpu_tensor": "a tensor of an unknown device",
    "_rebuild_wrapper_subclass": "a tensor of a special class",
}
_HARMLESS = {
    *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in (
        "bytearray", "complex", "set", "frozenset"
    )),
    "_codecs.encode",
    "torch.Size",
    "torch.Tensor",
    "torch.device",
    "torch.nn.parameter.Parameter",
    "torch.nn.parameter.Buffer",
    "torch.serialization._get_layout",
    "torch._tensor._rebuild_from_type_v2",
    "torch.per_tensor_affine",
    "torch.per_tensor_symmetric",
    "torch.per_channel_affine",
    "torch.per_channel_symmetric",
    "torch.per_channel_affine_float_qparams",
}  # fmt: skip
_MAPPINGS = ("collections.OrderedDict", "collections.Counter")
_TYPED_LISTS = (
    "build_intlist",
    "build_tensorlist",
    "build_doublelist",
    "build_boollist",
    "restore_type_tag",
)
"""Functions with which TorchScript gives a list its type; the list itself is all that is needed."""


class PickleReader:
    """Reads the pickles of one file.

    Attributes:
        storages: Every storage that was referred to, by key.
    """

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}
        self._steps = 0

    def read(self, stream: IO[bytes]) -> object:
        """Returns the value of the next pickle of a stream, which is left behind its end.

        Raises:
            UnsafePickleError: If it refers to anything but tensors and containers.
            ValueError: If it is damaged or too large.
        """
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                self._steps += 1
                if self._steps > _MOST_STEPS:
                    raise ValueError(f"its pickle has more than {_MOST_STEPS:,} instructions")
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._step(opcode.name, argument)
        except (IndexError, KeyError, TypeError, UnicodeError) as error:
            raise ValueError("its pickle is damaged") from error
        raise ValueError("its pickle is cut short")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                self._marks.append(len(stack))
            case "POP":
                stack.pop()
            case "POP_MARK":
                self._since_mark()
            case "DUP":
                stack.append(stack[-1])
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                self._memo[argument] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET" | "GET":
                stack.append(self._memo[argument])
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "TUPLE":
                stack.append(tuple(self._since_mark()))
            case "EMPTY_LIST":
                stack.append([])
            case "LIST":
                stack.append(self._since_mark())
            case "APPEND":
                self._extend([stack.pop()])
            case "APPENDS":
                self._extend(self._since_mark())
            case "EMPTY_DICT":
                stack.append({})
            case "DICT":
                items = self._since_mark()
                stack.append({})
                self._update(items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                self._update([key, value])
            case "SETITEMS":
                self._update(self._since_mark())
            case "EMPTY_SET":
                stack.append(Unread("a set"))
            case "ADDITEMS":
                self._since_mark()
            case "FROZENSET":
                self._since_mark()
                stack.append(Unread("a set"))
            case "GLOBAL":
                stack.append(_known(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                stack.append(_known(module, attribute))
            case "REDUCE" | "NEWOBJ":
                arguments, function = stack.pop(), stack.pop()
                stack.append(_called(function, arguments))
            case "BUILD":
                self._build(stack.pop())
            case "BINPERSID":
                stack.append(self._storage(stack.pop()))
            case _ if name in _SCALARS:
                stack.append(argument)
            case _:
                raise ValueError(f"its pickle has an instruction of no checkpoint ({name})")

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        taken = self._stack[start:]
        del self._stack[start:]
        return taken

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise ValueError("its pickle is damaged")
        target.extend(items)

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("its pickle is damaged")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # No weight has a key of another kind, and hashing a nested one may never end.
            if isinstance(key, str | int):
                target[key] = value

    def _build(self, state: object) -> None:
        target = self._stack[-1]
        if isinstance(target, Module):
            if not isinstance(state, dict):
                raise ValueError("a module of the archive has no attributes")
            target.attributes = state

    def _storage(self, reference: Any) -> Storage:
        if not isinstance(reference, tuple) or len(reference) not in (5, 6):
            raise ValueError("it refers to something that is no tensor")
        kind, storage, key, _, count, *view = reference
        known = isinstance(storage, _Global) and storage.name in _STORAGES
        if kind != "storage" or not known or not isinstance(key, str):
            raise ValueError("it refers to something that is no tensor")
        if not _is_size(count) or any(view):
            raise ValueError("the size of a tensor's data is none that can be read")
        found = Storage(key, _STORAGES[storage.name], count)
        if self.storages.setdefault(key, found) != found:
            raise ValueError("two tensors disagree on the data they share")
        return found


_SCALARS = frozenset(
    opcode.name
    for opcode in pickletools.opcodes
    if not opcode.stack_before and len(opcode.stack_after) == 1 and opcode.arg is not None
) - {"GLOBAL", "PERSID", "BINGET", "LONG_BINGET", "GET", "EXT1", "EXT2", "EXT4"}


def _known(module: Any, name: Any) -> _Global:
    """Returns a name that a checkpoint may refer to, or refuses it."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("its pickle is damaged")
    found = _Global(module, name)
    if (
        module.partition(".")[0] == "__torch__"
        or (module in _STORAGE_MODULES and name in _STORAGES)
        or (module == "torch._utils" and name in (*_REBUILT, *_PARAMETERS, *_UNREAD))
        or (module == "torch.jit._pickle" and name in _TYPED_LISTS)
        or found.full in _HARMLESS
        or found.full in _MAPPINGS
        or found.dtype is not None
    ):
        return found
    raise UnsafePickleError(f"it refers to {found.full}")


def _called(function: Any, arguments: Any) -> object:
    """Returns what a known function would give, without calling it."""
    if not isinstance(function, _Global) or not isinstance(arguments, tuple):
        raise ValueError("its pickle is damaged")
    if function.module.partition(".")[0] == "__torch__":
        return Module()
    if function.full in _MAPPINGS:
        return _mapping(arguments)
    if function.full == "torch._tensor._rebuild_from_type_v2" and len(arguments) == 4:
        inner, kind, its_arguments, _ = arguments
        plain = isinstance(kind, _Global) and kind.full in _HARMLESS
        if plain and isinstance(inner, _Global) and inner.name in _REBUILT:
            return _tensor(inner.name, its_arguments)
        return Unread("a tensor of a special class", tensor=True)
    if function.name in _REBUILT:
        return _tensor(function.name, arguments)
    if function.name in _PARAMETERS or function.name in _TYPED_LISTS:
        return arguments[0]
    kind = _UNREAD.get(function.name)
    return Unread(function.full) if kind is None else Unread(kind, tensor=True)


def _mapping(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    pairs = arguments[0] if arguments else ()
    if isinstance(pairs, dict):
        return dict(pairs)
    return {key: value for key, value in pairs if isinstance(key, str | int)}


def _tensor(function: str, arguments: Any) -> object:
    """Returns a tensor's description once its data are known to hold all of its values."""
    if not isinstance(arguments, tuple) or len(arguments) < 4:
        raise ValueError("its pickle is damaged")
    storage, offset, size, stride = arguments[:4]
    if not isinstance(storage, Storage):
        raise ValueError("a tensor has no data")
    dtype = storage.dtype
    if function == "_rebuild_tensor_v3":
        named = arguments[6] if len(arguments) > 6 else None
        dtype = named.dtype if isinstance(named, _Global) else None
    if dtype is None:
        return Unread("a quantised tensor", tensor=True)
    sizes = isinstance(size, tuple | list) and isinstance(stride, tuple | list)
    if not sizes or not len(size) == len(stride) <= _MOST_DIMENSIONS:
        raise ValueError("the shape of a tensor is none")
    if not all(map(_is_size, (offset, *size, *stride))):
        raise ValueError("the shape of a tensor is none")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and (last + 1) * dtype.itemsize > storage.nbytes:
        raise ValueError("a tensor reaches beyond its data")
    if math.prod(size) * dtype.itemsize > storage.nbytes:
        raise ValueError("a tensor repeats its data to fill its shape; save it contiguous")
    return StoredTensor(storage, dtype, offset, tuple(size), tuple(stride))


def _is_size(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 2**62
