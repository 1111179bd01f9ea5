"""Small reads of files that somebody else writes: capped, without following links or pipes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_CHUNK = 2**18
_MAX_LINE = 4096


def read_small(path: Path, limit: int) -> bytes | None:
    """Returns a regular file's content; None if there is none, or it is larger than ``limit``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
                return None
            content = file.read(limit + 1)
            return content if len(content) <= limit else None
    except OSError:
        return None


class Tail:
    """New lines of a file that grows; a file longer than a chunk is entered near its end.

    Args:
        path: The file; it may not exist yet, or vanish.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = -1
        self._rest = b""

    def lines(self) -> list[str]:
        """Returns the whole lines that were added since the last call."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return []
        try:
            with os.fdopen(descriptor, "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    return []
                if self._offset < 0:
                    self._offset = max(status.st_size - _CHUNK, 0)
                if status.st_size < self._offset:  # written anew
                    self._offset, self._rest = 0, b""
                if status.st_size == self._offset:
                    return []
                file.seek(self._offset)
                content = file.read(_CHUNK)
        except OSError:
            return []
        self._offset += len(content)
        *whole, self._rest = (self._rest + content).split(b"\n")
        self._rest = self._rest[-_MAX_LINE:]
        return [line[:_MAX_LINE].decode("utf-8", "replace") for line in whole]
