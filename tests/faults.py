"""Faults of the disk, put between the program and the operating system from outside.

Calls with which `tuiprobe.files` and `tuiprobe.measure.run.directory` change a disk are numbered,
in the order they are made. Before or after one of them the process is killed or gets an error, or
from one of them on the disk is full or read-only. Nothing in the program knows of this.
"""

import errno
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CHANGES = ("write", "fsync", "replace", "mkdir", "unlink", "open")
ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "full": errno.ENOSPC, "read-only": errno.EROFS}
LASTING = {"full": ("write", "mkdir", "open"), "read-only": CHANGES}
"""Calls that fail from the fault on, by the kind of a fault that lasts."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Faults:
    """Stands in the place of the module `os`.

    Args:
        at: Number of the call that meets the fault, from 0; -1 for none.
        kind: `kill`, an error of one call (`ENOSPC`, `EIO`), or one that lasts (`full`,
            `read-only`).
        after: Whether the call is made before the fault.
        log: Where the number of calls and their names are written.
        publishing: A file whose first publication meets the fault, in place of a number.
    """

    def __init__(
        self, at: int, kind: str, *, after: bool, log: Path | None = None, publishing: str = ""
    ) -> None:
        self._at, self._kind, self._after, self._log = at, kind, after, log
        self._publishing = publishing
        self._count = 0

    def install(self) -> None:
        """Puts itself between the program and the system, for the rest of this process."""
        from tuiprobe import files
        from tuiprobe.measure.run import directory

        names = {name: getattr(os, name) for name in dir(os)}
        names |= {name: self._numbered(name) for name in CHANGES}
        module: Any
        for module in (files, directory):
            module.os = SimpleNamespace(**names)

    def _numbered(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if name == "open" and not arguments[1] & _WRITES:
                return os.open(*arguments, **options)
            number, self._count = self._count, self._count + 1
            if name == "replace" and arguments[1] == self._publishing and self._at < 0:
                self._at = number
            if self._log is not None:
                with self._log.open("a") as log:
                    log.write(name + "\n")
            if number == self._at and not self._after:
                self._fail()
            if 0 <= self._at < number and name in LASTING.get(self._kind, ()):
                self._fail()
            try:
                result = getattr(os, name)(*arguments, **options)
            except OSError:  # as unlinking what is not there
                if number == self._at:
                    self._fail()
                raise
            if number == self._at and self._after:
                self._fail()
            return result

        return call

    def _fail(self) -> None:
        if self._kind in ERRORS:
            raise OSError(ERRORS[self._kind], os.strerror(ERRORS[self._kind]))
        os.kill(os.getpid(), signal.SIGKILL)
