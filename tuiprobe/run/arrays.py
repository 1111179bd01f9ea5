"""Arrays of a run: safetensors files with their checksum inside, read whole and verified."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from tuiprobe.files import DamagedFileError, Entry, parse_json, reading
from tuiprobe.run.directory import RunDir

if TYPE_CHECKING:  # the screens list directories without numpy
    from numpy.typing import NDArray

Arrays: TypeAlias = "dict[str, NDArray[Any]]"

MAX_TENSOR_BYTES = 16 * 2**30
_HEADER_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 8 * 2**20
_DTYPES = {
    "BOOL": "?", "U8": "<u1", "I8": "<i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
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
    content = _content(entry)
    try:
        arrays, metadata = _views(content)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DamagedFileError(f"{entry} is damaged: {error}") from error
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
        length = int.from_bytes(file.read(_HEADER_LENGTH_BYTES), "little")
        if length > _MAX_HEADER_BYTES:
            raise DamagedFileError(f"{entry} is damaged: its header has {length:,} bytes")
        head = file.read(length)
    try:
        metadata = parse_json(head).get("__metadata__", {}).items()
        return {str(name): str(text) for name, text in metadata}
    except (ValueError, AttributeError) as error:
        raise DamagedFileError(f"{entry} is damaged: {error}") from error


def decode_arrays(entry: Entry, content: bytes) -> Arrays:
    """Returns the arrays of a safetensors file.

    Raises:
        DamagedFileError: If the content is invalid, or has an array of an unsupported kind.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as decode_tensors

    try:
        return dict(decode_tensors(content))
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFileError(f"{entry} is damaged: {error}") from error


def _content(entry: Entry) -> NDArray[Any]:
    """Returns the bytes of a file in memory that may be written to, as torch expects it."""
    import numpy as np

    with entry.open(MAX_TENSOR_BYTES) as file, reading(entry):
        content = np.empty(os.fstat(file.fileno()).st_size, np.uint8)
        if file.readinto(content.data) != len(content) or file.read(1):  # type: ignore[attr-defined]
            raise DamagedFileError(f"{entry} changed while it was read")
    return content


def _views(content: NDArray[Any]) -> tuple[Arrays, dict[str, str]]:
    """Returns arrays that share memory with a safetensors file, and its metadata.

    The library would copy each of the hundreds of arrays of a shard.

    Raises:
        ValueError: If the header does not describe the content, each byte of it once; also
            KeyError, TypeError, AttributeError or OverflowError if it is no header.
    """
    start = _HEADER_LENGTH_BYTES
    start += int.from_bytes(content[:_HEADER_LENGTH_BYTES].tobytes(), "little")
    if not _HEADER_LENGTH_BYTES <= start <= len(content):
        raise ValueError("its header is cut short")
    header = parse_json(content[_HEADER_LENGTH_BYTES:start].tobytes())
    metadata = {str(k): str(v) for k, v in header.pop("__metadata__", {}).items()}
    data = content[start:]
    arrays: Arrays = {}
    end = 0
    for name, one in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        shape, (first, last) = tuple(one["shape"]), one["data_offsets"]
        if first != end or not first <= last <= len(data) or min(shape, default=0) < 0:
            raise ValueError(f"the place of {name!r} does not follow the one before")
        array = data[first:last].view(_DTYPES[one["dtype"]]).reshape(shape)
        arrays[name] = array if array.flags.aligned else array.copy()
        end = last
    if end != len(data):
        raise ValueError("its header does not describe all of it")
    return arrays, metadata


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
