"""Reads large arrays of a run directory in blocks of rows, so memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.files import DamagedFileError, Entry, reading
from tuiprobe.manifest import refuse_other
from tuiprobe.run.arrays import Stored, read_header, verify

_CHUNK_BYTES = 4 * 2**20


class BlockReader:
    """An array file of a run directory, opened for reading in blocks.

    The checksum is verified once, in small pieces, when the file is opened, and compared with the
    manifest.

    Args:
        entry: File written by `tuiprobe.run.arrays.write_arrays`.

    Raises:
        DamagedFileError: If the file is missing, truncated, altered, too large, behind a link, or
            of another merge.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self._file = entry.open()
        try:
            header = read_header(self._file, entry)
            self._arrays = header.arrays
            refuse_other(entry, verify(entry, header, self._pieces))
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

    def _find(self, name: str) -> Stored:
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

    def _pieces(self, first: int, last: int) -> Iterator[bytes]:
        for start in range(first, last, _CHUNK_BYTES):
            yield self._bytes(start, min(start + _CHUNK_BYTES, last))
