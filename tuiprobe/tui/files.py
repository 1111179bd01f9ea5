"""New lines of a file that another process writes."""

from __future__ import annotations

import os
from contextlib import suppress

from tuiprobe.files import DamagedFileError, Entry

_CHUNK = 2**18
_MAX_LINE = 4096


class Tail:
    """New lines of a file that grows; a file longer than a chunk is entered near its end.

    Args:
        file: The file. If it is missing or not a regular file, there are no lines.
    """

    def __init__(self, file: Entry) -> None:
        self._file = file
        self._offset = -1
        self._rest = b""

    def lines(self) -> list[str]:
        """Returns the whole lines that were added since the last call."""
        content = b""
        with suppress(DamagedFileError, OSError), self._file.open() as file:
            size = os.fstat(file.fileno()).st_size
            if self._offset < 0:
                self._offset = max(size - _CHUNK, 0)
            if size < self._offset:  # the file was rewritten
                self._offset, self._rest = 0, b""
            if size == self._offset:
                return []
            file.seek(self._offset)
            content = file.read(_CHUNK)
        self._offset += len(content)
        *whole, self._rest = (self._rest + content).split(b"\n")
        self._rest = self._rest[-_MAX_LINE:]
        return [line[:_MAX_LINE].decode("utf-8", "replace") for line in whole]
