"""Faults of the disk, put between the program and the operating system from outside.

Calls with which `tuiprobe.files` and `tuiprobe.run.directory` change a disk are numbered, in the
order they are made. Before or after one of them the process is killed, loses its power, or gets an
error. Nothing in the program knows of this.
"""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CHANGES = ("write", "fsync", "replace", "mkdir", "unlink", "open")
ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Faults:
    """Stands in the place of the module `os`.

    Args:
        at: Number of the call that meets the fault, from 0; -1 for none.
        kind: `kill`, `power`, `ENOSPC` or `EIO`.
        after: Whether the call is made before the fault.
        log: Where the number of calls and their names are written.
    """

    def __init__(self, at: int, kind: str, *, after: bool, log: Path | None = None) -> None:
        self._at, self._kind, self._after, self._log = at, kind, after, log
        self._count, self._disk = 0, _Disk()

    def install(self) -> None:
        """Puts itself between the program and the system, for the rest of this process."""
        from tuiprobe import files
        from tuiprobe.run import directory

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
            if self._log is not None:
                with self._log.open("a") as log:
                    log.write(name + "\n")
            if number == self._at and not self._after:
                self._fail()
            self._disk.before(name, arguments, options)
            try:
                found = getattr(os, name)(*arguments, **options)
            except OSError:  # as unlinking what is not there
                if number == self._at:
                    self._fail()
                raise
            self._disk.after(name, arguments)
            if number == self._at and self._after:
                self._fail()
            return found

        return call

    def _fail(self) -> None:
        if self._kind in ERRORS:
            raise OSError(ERRORS[self._kind], os.strerror(ERRORS[self._kind]))
        if self._kind == "power":
            self._disk.lose_power()
        os.kill(os.getpid(), signal.SIGKILL)


class _Disk:
    """What of the changes has reached the disk: content by fsync of a file, names by that of its
    folder. Everything else is lost with the power, the latest first.
    """

    def __init__(self) -> None:
        self._dirty: set[Path] = set()  # files whose content may be lost
        self._undo: list[tuple[Path, Any]] = []  # folder, how to take a change of a name back

    def before(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        if name == "replace":
            old = _path(arguments[0], options["src_dir_fd"])
            new = _path(arguments[1], options["dst_dir_fd"])
            kept = new.read_bytes() if new.is_file() else None
            self._undo.append((new.parent, lambda: _taken_back(old, new, kept)))
            if old in self._dirty:
                self._dirty.add(new)
        elif name == "unlink":
            path = _path(arguments[0], options.get("dir_fd"))
            if path.is_file() and not path.name.endswith(".tmp"):
                kept = path.read_bytes()
                self._undo.append((path.parent, lambda: path.write_bytes(kept)))

    def after(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "write":
            self._dirty.add(_of(arguments[0]))
        elif name == "fsync":
            place = _of(arguments[0])
            self._dirty.discard(place)
            self._undo = [one for one in self._undo if one[0] != place]

    def lose_power(self) -> None:
        for path in self._dirty:
            if path.is_file():
                os.truncate(path, 0)
        for _, take_back in reversed(self._undo):
            take_back()


def _taken_back(old: Path, new: Path, kept: bytes | None) -> None:
    if not new.is_file():
        return
    new.rename(old)
    if kept is not None:
        new.write_bytes(kept)


def _of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def _path(name: str, folder: int | None) -> Path:
    return Path(name) if folder is None else _of(folder) / name
