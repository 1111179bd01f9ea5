"""Arrays of a run: safetensors files with their checksum inside, read whole and verified.

A file's header is checked before anything is allocated: its arrays fill the file without gaps or
overlaps, so what is read needs as much memory as the file has bytes.

The checksum is the SHA-256 of the file without its 64 digits. The manifest of a run names its array
files by it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeAlias

from tuiprobe.files import (
    UNFIT,
    DamagedFileError,
    Entry,
    parse_json,
    reading,
    refuse_beyond_memory,
)
from tuiprobe.run.directory import RunDir
from tuiprobe.run.manifest import drop_stale_manifest, refuse_other

if TYPE_CHECKING:  # the screens list directories without numpy
    import numpy as np
    from numpy.typing import NDArray

Arrays: TypeAlias = "dict[str, NDArray[Any]]"

_HEADER_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000  # as the safetensors library has it
_MOST_DIMENSIONS = 32
_MEMBER = "sha256"
_DTYPES = {
    "U64": "<u8", "I64": "<i8", "F64": "<f8", "F32": "<f4", "U32": "<u4", "I32": "<i4",
    "F16": "<f2", "U16": "<u2", "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
"""Types of NumPy by the format's names, in the order in which its library writes arrays."""


def write_arrays(entry: Entry, arrays: Mapping[str, NDArray[Any]], metadata: dict[str, str]) -> str:
    """Publishes named arrays as safetensors with a checksum; returns the checksum.

    Their order is that of the safetensors library, which would copy all of them twice.
    """
    import numpy as np

    kinds = {dtype: name for name, dtype in _DTYPES.items()}
    order = {dtype: index for index, dtype in enumerate(_DTYPES.values())}
    blank = "0" * hashlib.sha256().digest_size * 2
    members: dict[str, Any] = {}
    content, end = [], 0
    for name, array in sorted(arrays.items(), key=lambda item: (order[item[1].dtype.str], item[0])):
        start, end = end, end + array.nbytes
        described = {"dtype": kinds[array.dtype.str], "shape": array.shape}
        members[name] = {**described, "data_offsets": (start, end)}
        content.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    head = _encoded(members, {**metadata, _MEMBER: blank})
    offset = _place(head, blank)
    before, after = head[:offset], head[offset + len(blank) :]
    digest = hashlib.sha256(before + after)
    for piece in content:
        digest.update(piece)
    drop_stale_manifest(entry, digest.hexdigest())
    entry.write_chunks((before, digest.hexdigest().encode(), after, *content))
    return digest.hexdigest()


def _encoded(members: Mapping[str, Any], metadata: Mapping[str, str]) -> bytes:
    """Returns the bytes before the arrays, which begin at multiples of 8."""
    compact = (",", ":")
    texts = json.dumps({"__metadata__": metadata}, sort_keys=True, separators=compact)
    described = json.dumps(members, separators=compact, ensure_ascii=False)[1:-1]
    header = f"{texts[:-1]}{',' * bool(described)}{described}}}".encode()
    header += b" " * (-len(header) % _HEADER_LENGTH_BYTES)
    return len(header).to_bytes(_HEADER_LENGTH_BYTES, "little") + header


def _place(head: bytes, checksum: str) -> int:
    """Returns the offset of the checksum in a file; quotes in other texts are escaped.

    Raises:
        ValueError: If it is not there.
    """
    member = f'"{_MEMBER}":"'
    return head.index(f'{member}{checksum}"'.encode("utf-8", "replace")) + len(member)


def read_arrays(entry: Entry) -> tuple[Arrays, dict[str, str]]:
    """Reads arrays written by `write_arrays` and verifies their checksum.

    The arrays share the memory of the file's content: who keeps few of many copies them.

    Returns:
        Arrays by name, and the metadata without the checksum. The checksum covers both.

    Raises:
        DamagedFileError: If the file is truncated, altered, too large or behind a link.
    """
    header, content = _read(entry)
    _verify(entry, header, content.data)
    return _arrays(header, content), header.described


def read_metadata(entry: Entry) -> dict[str, str]:
    """Returns the metadata of an array file without its arrays; compares no checksum.

    Raises:
        DamagedFileError: If the file is missing or its header is not one.
    """
    with entry.open() as file, reading(entry):
        return read_header(file, entry).described


def checksum_of(entry: Entry) -> str:
    """Returns the checksum by which a manifest names a file.

    That of an array file stands in it, and is not compared with the content.

    Raises:
        DamagedFileError: If the file is missing, or an array file has none.
    """
    if not entry.name.endswith(".safetensors"):
        return hashlib.sha256(entry.read_bytes()).hexdigest()
    with entry.open() as file, reading(entry):
        return _stored_checksum(entry, read_header(file, entry))


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
    header, content = _read(entry, limit)
    return _arrays(header, content), header.metadata


class Stored(NamedTuple):
    """Type, shape and position of one array in its file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    end: int


class Header(NamedTuple):
    """What a safetensors file says of itself.

    Attributes:
        arrays: Place and type of each array by name, in the order of the file.
        metadata: Texts by name.
        content: The bytes before the arrays.
        end: Size of the file.
    """

    arrays: dict[str, Stored]
    metadata: dict[str, str]
    content: bytes
    end: int

    @property
    def start(self) -> int:
        """Where the arrays begin."""
        return len(self.content)

    @property
    def described(self) -> dict[str, str]:
        """The metadata without the checksum."""
        return {name: text for name, text in self.metadata.items() if name != _MEMBER}


def read_header(file: IO[bytes], entry: Entry) -> Header:
    """Reads the header of an open safetensors file.

    Raises:
        DamagedFileError: If it is none, or does not describe the file byte by byte.
    """
    size = os.fstat(file.fileno()).st_size
    content = file.read(_HEADER_LENGTH_BYTES)
    length = int.from_bytes(content, "little")
    start = _HEADER_LENGTH_BYTES + length
    if length > _MAX_HEADER_BYTES or start > size:
        raise entry.damaged(f"its header claims {length:,} bytes")
    content += file.read(length)
    try:
        header = parse_json(content[_HEADER_LENGTH_BYTES:])
        metadata = {str(k): str(v) for k, v in header.pop("__metadata__", {}).items()}
        arrays = {str(name): _stored(member, start) for name, member in header.items()}
    except UNFIT as error:
        raise entry.damaged(error) from error
    end = start
    ordered = sorted(arrays.items(), key=lambda item: (item[1].start, item[1].end))
    for _, array in ordered:
        if array.start != end:
            raise entry.damaged("its arrays overlap, or leave gaps")
        end = array.end
    if end != size:
        raise entry.damaged(f"it has {size:,} bytes, and its arrays end at {end:,}")
    return Header(dict(ordered), metadata, content, size)


def _stored(member: dict[str, Any], start: int) -> Stored:
    import numpy as np

    dtype, shape = np.dtype(_DTYPES[member["dtype"]]), member["shape"]
    first, last = member["data_offsets"]
    for number in (*shape, first, last):
        if type(number) is not int or number < 0:
            raise ValueError("its header names places outside the file")
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"its header names an array of {len(shape):,} dimensions")
    if last - first != dtype.itemsize * math.prod(shape):
        raise ValueError("its header contradicts itself")
    return Stored(dtype, tuple(shape), start + first, start + last)


def _read(entry: Entry, limit: int | None = None) -> tuple[Header, NDArray[np.uint8]]:
    """Returns the header of a file and the bytes of its arrays."""
    import numpy as np

    with entry.open(limit) as file, reading(entry):
        header = read_header(file, entry)
        refuse_beyond_memory(entry, header.end)
        try:
            content = np.empty(header.end - header.start, np.uint8)
        except MemoryError as error:
            raise DamagedFileError(f"{entry} cannot be read: {error}") from error
        if file.readinto(content.data) != len(content):  # type: ignore[attr-defined]
            raise entry.damaged("it is cut short")
    return header, content


def _arrays(header: Header, content: NDArray[np.uint8]) -> Arrays:
    import numpy as np

    arrays: Arrays = {}
    for name, (dtype, shape, start, end) in header.arrays.items():
        first = start - header.start
        if first % dtype.itemsize:  # the native core reads aligned memory
            part = content[first : end - header.start].copy()
            arrays[name] = part.view(dtype).reshape(shape)
        else:
            arrays[name] = np.ndarray(shape, dtype, content, first)
    return arrays


def _verify(entry: Entry, header: Header, arrays: memoryview) -> str:
    """Returns the checksum that is stored in a file after comparing it with the content.

    Raises:
        DamagedFileError: If it does not match, or there is none.
    """
    stored = _stored_checksum(entry, header)
    mismatch = entry.damaged("its checksum does not match its content")
    try:
        offset = _place(header.content, stored)
    except ValueError as error:  # nothing that `write_arrays` has written
        raise mismatch from error
    digest = hashlib.sha256(header.content[:offset])
    digest.update(header.content[offset + len(stored) :])
    digest.update(arrays)
    if digest.hexdigest() != stored:
        raise mismatch
    return stored


def _stored_checksum(entry: Entry, header: Header) -> str:
    if _MEMBER not in header.metadata:
        raise entry.damaged("it carries no checksum")
    return header.metadata[_MEMBER]


def read_arrays_of_run(directory: RunDir, entry: Entry) -> tuple[Arrays, dict[str, str]]:
    """Reads merged arrays of a run; compares them with its manifest, and their key with its key.

    Raises:
        DamagedFileError: As for `read_arrays`; also if the arrays belong to another run or merge.
    """
    header, content = _read(entry)
    refuse_other(entry, _verify(entry, header, content.data))
    if "key" in header.metadata:
        directory.refuse_other_key(entry, header.metadata["key"])
    return _arrays(header, content), header.described
