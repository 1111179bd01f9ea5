"""Reads large arrays of a run directory in blocks of rows, so memory stays bounded."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.files import DamagedFileError, Entry, parse_json, reading
from tuiprobe.run.arrays import MAX_TENSOR_BYTES

_HEADER_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 2**20
_CHUNK_BYTES = 4 * 2**20
_DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
}


@dataclass(frozen=True)
class _Stored:
    """Type, shape and position of one array in its file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    end: int


class BlockReader:
    """An array file of a run directory, opened for reading in blocks.

    The checksum is verified once, in small pieces, when the file is opened.

    Args:
        entry: File written by `tuiprobe.run.arrays.write_arrays`.

    Attributes:
        checksum: SHA-256 of the content, hexadecimal.

    Raises:
        DamagedFileError: If the file is missing, truncated, altered, too large or behind a link.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self._file = entry.open(MAX_TENSOR_BYTES)
        try:
            self._arrays, metadata = self._header()
            self.checksum = self._verify(metadata)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> BlockReader:
        return self

    def __exit__(self, *unused: object) -> None:
        self._file.close()

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of an array.

        Raises:
            DamagedFileError: If the file has no such array.
        """
        return self._find(name).shape

    def read(self, name: str) -> NDArray[Any]:
        """Returns a whole array."""
        found = self._find(name)
        content = self._bytes(found.start, found.end)
        return np.frombuffer(content, found.dtype).reshape(found.shape)

    def blocks(self, name: str, rows: int) -> Iterator[NDArray[Any]]:
        """Yields an array `rows` at a time along its first dimension."""
        found = self._find(name)
        width = found.dtype.itemsize * int(np.prod(found.shape[1:], dtype=np.int64))
        for first in range(0, found.shape[0], rows):
            last = min(first + rows, found.shape[0])
            content = self._bytes(found.start + first * width, found.start + last * width)
            yield np.frombuffer(content, found.dtype).reshape(last - first, *found.shape[1:])

    def _find(self, name: str) -> _Stored:
        if name not in self._arrays:
            raise DamagedFileError(f"{self.entry} is damaged: it holds no {name!r}")
        return self._arrays[name]

    def _bytes(self, start: int, end: int) -> bytes:
        with reading(self.entry):
            self._file.seek(start)
            content = self._file.read(end - start)
        if len(content) != end - start:
            raise DamagedFileError(f"{self.entry} is damaged: it is cut short")
        return content

    def _header(self) -> tuple[dict[str, _Stored], dict[str, str]]:
        size = os.fstat(self._file.fileno()).st_size
        length = int.from_bytes(self._bytes(0, _HEADER_LENGTH_BYTES), "little")
        if length > _MAX_HEADER_BYTES:
            raise DamagedFileError(f"{self.entry} is damaged: its header has {length} bytes")
        start = _HEADER_LENGTH_BYTES + length
        try:
            header = parse_json(self._bytes(_HEADER_LENGTH_BYTES, start))
            metadata = {str(k): str(v) for k, v in header.pop("__metadata__", {}).items()}
            arrays = {name: _stored(entry, start, size) for name, entry in header.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedFileError(f"{self.entry} is damaged: {error}") from error
        return arrays, metadata

    def _verify(self, metadata: dict[str, str]) -> str:
        """Verifies the checksum that is stored in the file and returns it."""
        stored = metadata.pop("checksum", None)
        digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
        for name in sorted(self._arrays):
            one = self._arrays[name]
            digest.update(f"{name} {one.dtype.str} {one.shape}".encode())
            for start in range(one.start, one.end, _CHUNK_BYTES):
                digest.update(self._bytes(start, min(start + _CHUNK_BYTES, one.end)))
        if stored is None or digest.hexdigest() != stored:
            raise DamagedFileError(
                f"{self.entry} is damaged: its checksum does not match its content"
            )
        return stored


def _stored(entry: dict[str, Any], start: int, size: int) -> _Stored:
    dtype, shape = _DTYPES[entry["dtype"]], tuple(int(n) for n in entry["shape"])
    first, last = (start + int(offset) for offset in entry["data_offsets"])
    if min(shape, default=0) < 0 or not start <= first <= last <= size:
        raise ValueError("its header names places outside the file")
    if last - first != dtype.itemsize * int(np.prod(shape, dtype=object)):
        raise ValueError("its header contradicts itself")
    return _Stored(dtype, shape, first, last)
