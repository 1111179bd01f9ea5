"""Arrays of a run: safetensors files with their checksum inside, read whole and verified.

A file's header is checked before anything is allocated: its arrays fill the file without gaps or
overlaps, so what is read needs as much memory as the file has bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from tuiprobe.files import UNFIT, DamagedFileError, Entry, parse_json, reading
from tuiprobe.memory import refuse_beyond_memory
from tuiprobe.run.directory import RunDir

if TYPE_CHECKING:  # the screens list directories without numpy
    import numpy as np
    from numpy.typing import NDArray

Arrays: TypeAlias = "dict[str, NDArray[Any]]"

MAX_TENSOR_BYTES = 16 * 2**30
_HEADER_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000  # as the safetensors library has it
_MOST_DIMENSIONS = 32
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def write_arrays(entry: Entry, arrays: Mapping[str, NDArray[Any]], metadata: dict[str, str]) -> str:
    """Publishes named arrays as safetensors with a checksum; returns the checksum."""
    import numpy as np
    from safetensors.numpy import save as encode_tensors

    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    checksum = _checksum(contiguous, metadata)
    entry.write_bytes(encode_tensors(contiguous, metadata={**metadata, "checksum": checksum}))
    return checksum


def read_arrays(entry: Entry, expected: str | None = None) -> tuple[Arrays, dict[str, str]]:
    """Reads arrays written by `write_arrays` and verifies their checksum.

    Args:
        entry: What to read.
        expected: The checksum recorded in another file of the run; None if there is none.

    Returns:
        Arrays by name, and the metadata without the checksum. The checksum covers both.

    Raises:
        DamagedFileError: If the file is truncated, altered, too large, behind a link, or not the
            expected one.
    """
    arrays, metadata = read_unsealed(entry, MAX_TENSOR_BYTES)
    checksum = metadata.pop("checksum", "")
    if checksum != _checksum(arrays, metadata):
        raise DamagedFileError(f"{entry} is damaged: its checksum does not match its content")
    refuse_other(entry, checksum, expected)
    return arrays, metadata


def read_metadata(entry: Entry) -> dict[str, str]:
    """Returns the metadata of an array file without reading its arrays; verifies no checksum.

    Raises:
        DamagedFileError: If the file is missing or its header is not one.
    """
    with entry.open(MAX_TENSOR_BYTES) as file, reading(entry):
        return read_header(file, entry)[1]


def read_unsealed(entry: Entry, limit: int) -> tuple[Arrays, dict[str, str]]:
    """Reads a safetensors file without a checksum.

    Args:
        entry: What to read.
        limit: Largest size in bytes.

    Returns:
        Arrays by name, and the metadata.

    Raises:
        DamagedFileError: If the file is missing, too large for the limit or the memory, or damaged.
    """
    import numpy as np

    with entry.open(limit) as file, reading(entry):
        header, metadata = read_header(file, entry)
        refuse_beyond_memory(entry, os.fstat(file.fileno()).st_size)
        arrays: Arrays = {}
        try:
            for name, one in header.items():
                arrays[name] = np.empty(one.shape, one.dtype)
                file.seek(one.start)
                view = arrays[name].reshape(-1).view(np.uint8).data
                while view:
                    count = file.readinto(view)  # type: ignore[attr-defined]
                    if not count:
                        raise DamagedFileError(f"{entry} is damaged: it is cut short")
                    view = view[count:]
        except (MemoryError, ValueError) as error:  # also a dimension that NumPy cannot count
            raise DamagedFileError(f"{entry} cannot be read: {error}") from error
    return arrays, metadata


@dataclass(frozen=True)
class Stored:
    """Type, shape and position of one array in its file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(file: IO[bytes], entry: Entry) -> tuple[dict[str, Stored], dict[str, str]]:
    """Reads the header of an open safetensors file.

    Returns:
        Place and type of each array by name, and the metadata.

    Raises:
        DamagedFileError: If it is none, or does not describe the file byte by byte.
    """
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(_HEADER_LENGTH_BYTES), "little")
    start = _HEADER_LENGTH_BYTES + length
    if length > _MAX_HEADER_BYTES or start > size:
        raise DamagedFileError(f"{entry} is damaged: its header claims {length:,} bytes")
    try:
        header = parse_json(file.read(length))
        metadata = {str(k): str(v) for k, v in header.pop("__metadata__", {}).items()}
        arrays = {str(name): _stored(one, start) for name, one in header.items()}
    except UNFIT as error:
        raise DamagedFileError(f"{entry} is damaged: {error}") from error
    place = start
    for one in sorted(arrays.values(), key=lambda one: (one.start, one.end)):
        if one.start != place:
            raise DamagedFileError(f"{entry} is damaged: its arrays overlap, or leave gaps")
        place = one.end
    if place != size:
        raise DamagedFileError(
            f"{entry} is damaged: it has {size:,} bytes, and its arrays end at {place:,}"
        )
    return arrays, metadata


def _stored(entry: dict[str, Any], start: int) -> Stored:
    import numpy as np

    dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), entry["shape"]
    first, last = entry["data_offsets"]
    whole = all(type(one) is int and one >= 0 for one in (*shape, first, last))
    if not whole or len(shape) > _MOST_DIMENSIONS:
        raise ValueError("its header names places outside the file")
    if last - first != dtype.itemsize * math.prod(shape):
        raise ValueError("its header contradicts itself")
    return Stored(dtype, tuple(shape), start + first, start + last)


def read_own_arrays(directory: RunDir, entry: Entry) -> tuple[Arrays, dict[str, str]]:
    """Reads arrays of a run and checks the run key in their metadata, if there is one.

    Raises:
        DamagedFileError: As for `read_arrays`; also if the arrays belong to another run.
    """
    arrays, metadata = read_arrays(entry)
    key = directory.read_key()
    if key is not None and metadata.get("key", key) != key:
        raise DamagedFileError(f"{entry} belongs to another run")
    return arrays, metadata


def refuse_other(entry: Entry, checksum: str, expected: str | None) -> None:
    """Refuses intact arrays that do not belong to the run's other files.

    Raises:
        DamagedFileError: If the checksums differ.
    """
    if expected is not None and checksum != expected:
        raise DamagedFileError(
            f"{entry} does not belong to {entry.root / 'measured.json'}: a merge was cut short or "
            "files of two runs were mixed; the command that made the run merges it again"
        )


def _checksum(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    import numpy as np

    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.asarray(array, order="C").reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
