"""Locks of a run: taking one, and seeing without taking one whether a process holds it."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tuiprobe.errors import RunError
from tuiprobe.files import Entry, names_below, process_lives, unless_damaged

ENGINE_LOCK = "lock-engine"
MERGE_LOCK = "lock-merge"

QUIET_SECONDS = 20.0
"""Without a new status for this long, a rank of another host no longer counts as running."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # of some network file systems
_PROCESS = re.compile(r"process (\d+) on (.+)")
_LOCKS = Path("/proc/locks")

_DESCRIPTORS: dict[Entry, int] = {}
"""Descriptors of this process's locks. A forked process would share them, and might outlive it."""


class BusyError(RunError):
    """Another process holds a lock."""


@contextmanager
def holding(lock: Entry, wait: bool = False) -> Iterator[int]:
    """Holds a lock inside the block; it is made if it is missing.

    Yields:
        Its descriptor, with which a process that is started inherits the lock.

    Raises:
        BusyError: If another process holds it and `wait` is false.
        RunError: If the file system has no locks.
    """
    _DESCRIPTORS[lock] = descriptor = _locked(lock, wait)
    try:
        yield descriptor
    finally:
        if _DESCRIPTORS.pop(lock, None) is not None:
            os.close(descriptor)


def holds(lock: Entry) -> bool:
    """Returns whether this process holds a lock."""
    return lock in _DESCRIPTORS


def _release_in_child() -> None:
    for descriptor in _DESCRIPTORS.values():
        os.close(descriptor)
    _DESCRIPTORS.clear()


os.register_at_fork(after_in_child=_release_in_child)


def _locked(lock: Entry, wait: bool) -> int:
    while True:
        descriptor, locked = lock.descriptor(os.O_RDWR | os.O_CREAT), False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = lock.status()
            # The file may have been deleted together with its run since it was opened.
            if status is not None and os.path.samestat(status, os.fstat(descriptor)):
                note_holder(descriptor, os.getpid())
                locked = True
                return descriptor
        except OSError as error:
            if error.errno in _NO_LOCKS:
                raise RunError(
                    f"{lock.root} is on a file system without locks ({error.strerror}), where two "
                    "processes could write one run: choose an --output on another file system, or "
                    "have this one mounted with locks (NFS with a lock service, Lustre with -o "
                    "flock)"
                ) from error
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            holder = os.pread(descriptor, 256, 0).decode("utf-8", "replace").strip()
            raise BusyError(
                f"{lock.root} is being written by {holder or 'another process'}; wait for it, or "
                "choose another --output"
            ) from error
        finally:
            if not locked:
                os.close(descriptor)


def note_holder(descriptor: int, process: int) -> None:
    """Writes into a lock file which process holds it."""
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, f"process {process} on {this_host()}\n".encode())


def held_locks(path: Path = _LOCKS) -> frozenset[str] | None:
    """Returns the inodes of all locked files of this machine."""
    try:
        lines = path.read_text().splitlines()
        return frozenset(line.split()[5].rpartition(":")[2] for line in lines if "->" not in line)
    except (OSError, IndexError):
        return None


def is_running(run: Path, held: frozenset[str] | None) -> bool:
    """Returns whether a process of this machine holds one of the locks of a run directory.

    Reads the kernel's list of locks and takes none: a reader that took one, however briefly, could
    keep an engine from starting. Without that list, checks whether the process that last took the
    lock still runs.
    """
    others = (MERGE_LOCK, ENGINE_LOCK)
    names = [name for name in names_below(run) if name.startswith("lock") and name not in others]
    return any(is_held(Entry(run, name), held) for name in names)


def lock_of(rank: int) -> str:
    """Returns the name of a rank's lock file."""
    return "lock" if rank == 0 else f"lock-{rank}"


def is_held(lock: Entry, held: frozenset[str] | None) -> bool:
    """Returns whether a process of this machine holds a lock; `held` comes from `held_locks`."""
    if held is not None:
        status = lock.status()
        return status is not None and str(status.st_ino) in held
    process, host = _holder(lock)
    return host == this_host() and process_lives(process)


def last_host(run: Path) -> str:
    """Returns the host whose process last wrote the run; empty if it is unknown.

    Only the host that holds a lock sees it, so a run of this host that holds none has ended.
    """
    return _holder(Entry(run, "lock"))[1] or _holder(Entry(run, ENGINE_LOCK))[1]


def this_host() -> str:
    """Returns the name of this host, as locks hold it."""
    return socket.gethostname()


def _holder(lock: Entry) -> tuple[int, str]:
    """Returns number and host of the process that last took a lock; no host if it is unknown."""
    content = unless_damaged(partial(lock.read_bytes, 1024)) or b""
    match = _PROCESS.match(content.decode("utf-8", "replace"))
    return (0, "") if match is None else (int(match[1]), match[2].strip())
