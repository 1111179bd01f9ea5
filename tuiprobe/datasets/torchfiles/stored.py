"""The names that a checkpoint's pickle may use: tensors, containers, and skipped objects.

Functions are recognised by name and never called; their result is described instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tuiprobe.limits import DIMENSIONS

if TYPE_CHECKING:  # other formats of vectors are read without torch
    import torch


class UnsafePickleError(ValueError):
    """A pickle refers to something that does not belong in a checkpoint and could run code."""


@dataclass(frozen=True)
class Storage:
    """A block of data that one or several tensors share.

    Attributes:
        key: Name in the file.
        dtype: Type of its elements; None for kinds that are not read (quantised ones).
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
    """A tensor whose data are not read yet; offset and stride count elements of `dtype`.

    Attributes:
        negative: Whether the values are those of the data with the other sign: torch saves a view
            such as `x.conj().imag` as its data and a mark.
        conjugate: Whether the values are the conjugates of the data, by this mark.
    """

    storage: Storage
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    negative: bool = False
    conjugate: bool = False


@dataclass(frozen=True)
class Unread:
    """Something that a checkpoint may hold but that is not read; `kind` is for messages."""

    kind: str
    tensor: bool = False


@dataclass
class Module:
    """A module object of a TorchScript archive."""

    attributes: dict[object, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Global:
    """A class or function that a pickle names."""

    module: str
    name: str

    @property
    def full(self) -> str:
        """The name with its module."""
        return f"{self.module}.{self.name}"

    @property
    def dtype(self) -> torch.dtype | None:
        """The torch dtype that it names, if any."""
        import torch

        named = getattr(torch, self.name, None) if self.module == "torch" else None
        return named if isinstance(named, torch.dtype) else None


_STORAGES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "UntypedStorage": "uint8",
    "QInt8Storage": None,
    "QUInt8Storage": None,
    "QInt32Storage": None,
    "QUInt4x2Storage": None,
    "QUInt2x4Storage": None,
}
"""Types of the elements by kind of storage; None for kinds that are not read."""

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
        "bytearray", "complex", "set", "frozenset", "list", "dict", "int", "float"
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
    "torch.torch_version.TorchVersion",
    "argparse.Namespace",
    *(f"{module}.{name}" for module in ("pathlib", "pathlib._local") for name in (
        "Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"
    )),
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.{module}.multiarray.{name}" for module in ("core", "_core") for name in (
        "scalar", "_reconstruct"
    )),
}  # fmt: skip
"""Names of data that training code stores with weights (its arguments, for example); not read."""

_MARKS = ("neg", "conj")
"""Marks of a tensor whose values are not its data."""

_MARKS_AT = {"_rebuild_tensor_v2": 6, "_rebuild_tensor_v3": 7}
"""Index of the marks among the arguments, by function."""

_MAPPINGS = ("collections.OrderedDict", "collections.Counter", "collections.defaultdict")
_TYPED_LISTS = (
    "build_intlist",
    "build_tensorlist",
    "build_doublelist",
    "build_boollist",
    "restore_type_tag",
)
"""TorchScript functions that set a list's type; only the list itself is used."""


def storage_of(reference: Any) -> Storage:
    """Returns the data that a persistent id refers to."""
    if not isinstance(reference, tuple) or len(reference) not in (5, 6):
        raise ValueError("it refers to something that is no tensor")
    kind, storage, key, _, count, *view = reference
    known = isinstance(storage, Global) and storage.name in _STORAGES
    if kind != "storage" or not known or not isinstance(key, str):
        raise ValueError("it refers to something that is no tensor")
    if not _is_size(count) or any(view):
        raise ValueError("the size of a tensor's data is none that can be read")
    import torch

    named = _STORAGES[storage.name]
    return Storage(key, None if named is None else getattr(torch, named), count)


def allowed_global(module: Any, name: Any) -> Global:
    """Returns a name that a checkpoint may refer to; refuses any other."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("its pickle is damaged")
    reference = Global(module, name)
    if (
        module.partition(".")[0] == "__torch__"
        or (module in _STORAGE_MODULES and name in _STORAGES)
        or (module == "torch._utils" and name in (*_REBUILT, *_PARAMETERS, *_UNREAD))
        or (module == "torch.jit._pickle" and name in _TYPED_LISTS)
        or reference.full in _HARMLESS
        or reference.full in _MAPPINGS
        or reference.dtype is not None
    ):
        return reference
    raise UnsafePickleError(f"it refers to {reference.full}")


def rebuilt(function: Any, arguments: Any) -> object:
    """Returns the result of a known function without calling it."""
    if not isinstance(function, Global) or not isinstance(arguments, tuple):
        raise ValueError("its pickle is damaged")
    if function.module.partition(".")[0] == "__torch__":
        return Module()
    if function.full in _MAPPINGS:
        return _mapping(arguments)
    if function.full == "torch._tensor._rebuild_from_type_v2" and len(arguments) == 4:
        inner, kind, its_arguments, _ = arguments
        plain = isinstance(kind, Global) and kind.full in _HARMLESS
        if plain and isinstance(inner, Global) and inner.name in _REBUILT:
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
    if isinstance(pairs, Global):  # a defaultdict names what makes its values
        return {}
    return {key: value for key, value in pairs if isinstance(key, str | int)}


def _tensor(function: str, arguments: Any) -> object:
    """Describes a tensor after checking that its data hold all of its values."""
    if not isinstance(arguments, tuple) or len(arguments) < 4:
        raise ValueError("its pickle is damaged")
    storage, offset, size, stride = arguments[:4]
    if not isinstance(storage, Storage):
        raise ValueError("a tensor has no data")
    dtype = storage.dtype
    if function == "_rebuild_tensor_v3":
        named = arguments[6] if len(arguments) > 6 else None
        dtype = named.dtype if isinstance(named, Global) else None
    if dtype is None:
        return Unread("a quantised tensor", tensor=True)
    sizes = isinstance(size, tuple | list) and isinstance(stride, tuple | list)
    if not sizes or not len(size) == len(stride) <= DIMENSIONS:
        raise ValueError("the shape of a tensor is none")
    if not all(map(_is_size, (offset, *size, *stride))):
        raise ValueError("the shape of a tensor is none")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and (last + 1) * dtype.itemsize > storage.nbytes:
        raise ValueError("a tensor reaches beyond its data")
    if math.prod(size) * dtype.itemsize > storage.nbytes:
        raise ValueError("a tensor repeats its data to fill its shape; save it contiguous")
    marks = arguments[_MARKS_AT[function] :][:1] if function in _MARKS_AT else ()
    return _marked(StoredTensor(storage, dtype, offset, tuple(size), tuple(stride)), *marks)


def _marked(tensor: StoredTensor, marks: object = None) -> object:
    """Returns a tensor with its marks; one with an unknown mark is not read."""
    if marks is None:
        return tensor
    if not isinstance(marks, dict):
        raise ValueError("its pickle is damaged")
    unknown = next((name for name, value in marks.items() if value and name not in _MARKS), None)
    if unknown is not None:
        return Unread(f"a tensor with the mark {unknown!r}", tensor=True)
    return replace(tensor, negative=bool(marks.get("neg")), conjugate=bool(marks.get("conj")))


def _is_size(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 2**62
