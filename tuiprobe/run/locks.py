"""Detects without taking a lock whether a process of this machine is writing a run."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from tuiprobe.errors import TuiprobeError
from tuiprobe.files import Entry, process_lives
from tuiprobe.run.directory import ENGINE_LOCK, MERGE_LOCK, RunDir

QUIET_SECONDS = 20.0
"""Without a new status for this long, a rank of another host no longer counts as running."""

_PROCESS = re.compile(r"process (\d+) on (.+)")
_LOCKS = Path("/proc/locks")


def held_locks(path: Path = _LOCKS) -> frozenset[str] | None:
    """Returns the inodes of all locked files of this machine; None if unknown."""
    try:
        lines = path.read_text().splitlines()
        return frozenset(line.split()[5].rpartition(":")[2] for line in lines if "->" not in line)
    except (OSError, IndexError):
        return None


def is_running(run: RunDir, held: frozenset[str] | None) -> bool:
    """Says whether a process of this machine holds one of the run's locks.

    Reads the kernel's list of locks and takes none: a reader that took one, however briefly, could
    keep an engine from starting. Without such a list, checks whether the process that last took the
    lock still runs.
    """
    others = (MERGE_LOCK, ENGINE_LOCK)
    names = [name for name in run.names() if name.startswith("lock") and name not in others]
    files = [run.at(name) for name in names]
    return any(is_held(one, held) for one in files)


def lock_of(rank: int) -> str:
    """Returns the name of a rank's lock file."""
    return "lock" if rank == 0 else f"lock-{rank}"


def is_held(lock: Entry, held: frozenset[str] | None) -> bool:
    """Says whether a process of this machine holds a lock; `held` comes from `held_locks`."""
    return _holder_lives(lock) if held is None else str(_inode(lock)) in held


def last_host(run: RunDir) -> str:
    """Returns the host whose process last wrote the run; empty if it is unknown.

    Locks are seen on their own host alone, so a run of this host that holds none has ended.
    """
    for lock in (run.at("lock"), run.engine_file):
        if (match := _holder(lock)) is not None:
            return match[2].strip()
    return ""


def this_host() -> str:
    """Returns the name of this host, as locks hold it."""
    return socket.gethostname()


def _inode(file: Entry) -> int:
    status = file.status()
    return -1 if status is None else status.st_ino


def _holder(lock: Entry) -> re.Match[str] | None:
    try:
        return _PROCESS.match(lock.read_bytes(1024).decode("utf-8", "replace"))
    except TuiprobeError:
        return None


def _holder_lives(lock: Entry) -> bool:
    match = _holder(lock)
    if match is None or match[2].strip() != this_host():
        return False
    return process_lives(int(match[1]))
