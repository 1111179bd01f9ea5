"""Finds the vectors in a file: NumPy, safetensors, torch and Parquet.

Nothing of a file is executed: npy headers are literals, object arrays are refused, and pickles of
torch are interpreted by `tuiprobe.datasets.torchfiles.archives`.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import numpy as np

from tuiprobe.datasets.sample import Stamp, stamp_of
from tuiprobe.datasets.torchfiles.archives import (
    DAMAGED,
    content_offset,
    open_archive,
    open_torch_file,
)
from tuiprobe.datasets.torchfiles.stored import StoredTensor, UnsafePickleError
from tuiprobe.datasets.vectors.matrix import FLOATS, Matrix, StoredMatrix, refuse_shape
from tuiprobe.datasets.vectors.parquet import open_parquet
from tuiprobe.errors import DataError
from tuiprobe.files import DamagedFileError, open_regular, parse_json, reading
from tuiprobe.limits import ARRAY_HEADER_BYTES
from tuiprobe.plaintext import first_line, first_names

_SAFETENSORS = {"F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16"}


def open_matrix(path: Path, member: str | None = None) -> Matrix:
    """Opens the vectors of a file.

    Args:
        path: A file with one of the suffixes of `SUFFIXES`.
        member: Name of the array, tensor or column; None where the file holds one.

    Raises:
        DataError: If the file is missing, damaged, of another kind, or holds no matrix of floats.
    """
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        raise DataError(
            f"{path} is of no known format; vectors are read from {', '.join(SUFFIXES)}"
        )
    try:
        if opener is open_parquet:
            return open_parquet(path, member)
        with reading(path), open_regular(path) as file:
            return opener(path, file, member)
    except DataError:
        raise
    except UnsafePickleError as error:
        raise DataError(
            f"{path} holds pickled objects that could run code, so it was not opened: {error}"
        ) from error
    except DAMAGED as error:
        raise DamagedFileError(f"{path} cannot be read: {first_line(error)}") from error


def _npy(path: Path, file: IO[bytes], member: str | None) -> Matrix:
    if member is not None:
        raise DataError(f"{path} holds one array; leave out ::{member}")
    return _array(path, file, "npy", stamp_of(os.fstat(file.fileno())))


def _array(
    path: Path, file: IO[bytes], kind: str, stamp: Stamp, array_name: str = ""
) -> StoredMatrix:
    """Reads the header of an array of NumPy at the file's position."""
    name = f"{path} ({array_name})" if array_name else str(path)
    try:
        version = np.lib.format.read_magic(file)
    except ValueError as error:  # which is also what numpy raises at the end of the file
        raise DataError(
            f"{name} is no array of NumPy: it is empty or does not begin as one; write it with "
            "numpy.save"
        ) from error
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise DataError(f"{name} is of version {version} of the npy format, which is not read")
    shape, fortran, dtype = readers[version](file)
    if dtype.hasobject:
        raise DataError(f"{name} holds Python objects, which could run code; save numbers")
    rows, channels = refuse_shape(path, shape, array_name)
    _refuse_type(name, dtype.name)
    if not dtype.newbyteorder("<") == dtype:
        raise DataError(
            f"{name} is big-endian; save it by array.astype(array.dtype.newbyteorder('<'))"
        )
    if fortran and min(rows, channels) > 1:
        raise DataError(
            f"{name} is in Fortran order, column after column; save numpy.ascontiguousarray of it"
        )
    return StoredMatrix(path, stamp, kind, dtype.name, rows, channels, file.tell())


def _npz(path: Path, file: IO[bytes], member: str | None) -> Matrix:
    stamp = stamp_of(os.fstat(file.fileno()))
    archive = open_archive(file)
    entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    entry = entries[_chosen(path, entries, member, "array")]
    if entry.compress_type != zipfile.ZIP_STORED:
        raise DataError(
            f"{path} is compressed, so single rows cannot be read; save it with numpy.savez or "
            "numpy.save"
        )
    file.seek(content_offset(file, entry))
    return _array(path, file, "npz", stamp, array_name=entry.filename)


def _safetensors(path: Path, file: IO[bytes], member: str | None) -> Matrix:
    stamp = stamp_of(os.fstat(file.fileno()))
    (length,) = struct.unpack("<Q", file.read(8))
    if length > ARRAY_HEADER_BYTES:
        raise DataError(f"{path} is damaged: its header claims {length:,} bytes")
    header = parse_json(file.read(length))
    header.pop("__metadata__", None)
    tensors = {name: info for name, info in header.items() if len(info["shape"]) == 2} or header
    chosen = _chosen(path, tensors, member, "tensor")
    tensor = tensors[chosen]
    rows, channels = refuse_shape(path, [int(n) for n in tensor["shape"]], chosen)
    dtype = _refuse_type(f"{path} ({chosen})", _SAFETENSORS.get(tensor["dtype"], tensor["dtype"]))
    first, last = (int(offset) for offset in tensor["data_offsets"])
    if first < 0 or last - first != rows * channels * FLOATS[dtype].itemsize:
        raise DataError(f"{path} is damaged: the header of {chosen} contradicts itself")
    offset = 8 + int(length) + first
    return StoredMatrix(path, stamp, "safetensors", dtype, rows, channels, offset)


def _torch(path: Path, file: IO[bytes], member: str | None) -> Matrix:
    stamp = stamp_of(os.fstat(file.fileno()))
    opened = open_torch_file(file)
    content = opened.content
    named = {"": content} if isinstance(content, StoredTensor) else content
    if not isinstance(named, dict):
        raise DataError(f"{path} holds no tensor, nor tensors by name")
    stored = {str(n): value for n, value in named.items() if isinstance(value, StoredTensor)}
    tensors = {name: tensor for name, tensor in stored.items() if len(tensor.size) == 2} or stored
    chosen = _chosen(path, tensors, member, "tensor") if member or "" not in tensors else ""
    tensor = tensors[chosen]
    rows, channels = refuse_shape(path, tensor.size, chosen)
    dtype = _refuse_type(str(path), str(tensor.dtype).removeprefix("torch."))
    if tensor.stride != (channels, 1) and not (rows == 1 and tensor.stride[1] == 1):
        raise DataError(f"{path} holds a view of a tensor; save tensor.contiguous()")
    if tensor.negative:
        raise DataError(
            f"{path} holds a negative view: the data in the file have the other sign; save "
            "tensor.resolve_neg()"
        )
    offset = opened.offset(tensor.storage) + tensor.offset * tensor.dtype.itemsize
    return StoredMatrix(path, stamp, "torch", dtype, rows, channels, offset)


def _refuse_type(name: str, dtype: str) -> str:
    if dtype not in FLOATS:
        raise DataError(f"{name} holds {dtype}; vectors are {', '.join(FLOATS)}")
    return dtype


def _chosen(path: Path, names: Iterable[str], member: str | None, kind: str) -> str:
    """Returns the name of the array to read: the one asked for, or the only one."""
    known = list(names)
    shown = first_names(known)
    if not known:
        raise DataError(f"{path} is empty: it holds no {kind}")
    if member is None:
        if len(known) > 1:
            raise DataError(
                f"{path} holds several {kind}s ({shown}); name one as {path.name}::{known[0][:80]}"
            )
        return known[0]
    if member not in known:
        raise DataError(f"{path} holds no {kind} {member!r}; it holds {shown}")
    return member


_OPENERS: dict[str, Callable[..., Matrix]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".pt": _torch,
    ".pth": _torch,
    ".parquet": open_parquet,
}

SUFFIXES = tuple(_OPENERS)
"""Suffixes of files that vectors are read from."""
