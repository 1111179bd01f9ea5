"""How much memory this process may still take, as Linux and the limits of its container say.

A container, a batch job or a systemd unit is a control group with a limit of its own, which
`/proc/meminfo` does not show. Version 1 and version 2 of control groups are read, at every level
from the process's own group up to the one that is mounted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tuiprobe.files import DamagedFileError

_ESCAPED = re.compile(r"\\([0-7]{3})")


def refuse_beyond_memory(path: object, size: int) -> None:
    """Refuses data that there is no memory for; the kernel would end the process.

    Args:
        path: The file, for the message.
        size: Bytes that are wanted.

    Raises:
        DamagedFileError: If it is more than is available. Only Linux says so.
    """
    available = available_memory()
    if available is not None and size > available:
        raise DamagedFileError(
            f"{path} holds {size:,} bytes, and {available:,} bytes of memory are available; "
            "read it on a machine or in a container with more"
        )


def available_memory(root: Path = Path("/")) -> int | None:
    """Returns how many bytes can be allocated without swapping; None if nothing says so.

    Args:
        root: Where `proc` is, and the mounted control groups.
    """
    found = list(_of_groups(root))
    with suppress(OSError, ValueError):
        found.append(_numbers((root / "proc/meminfo").read_text())["MemAvailable:"] * 1024)
    return min(found, default=None)


@dataclass(frozen=True)
class _Version:
    """Names of what a group of one version of control groups says of itself.

    Attributes:
        limits: Files of limits.
        usage: File of the bytes in use, with the pages of files that the kernel can drop.
        droppable: Such pages, as lines of `memory.stat`.
    """

    limits: tuple[str, ...]
    usage: str
    droppable: tuple[str, ...]


_VERSIONS = {
    "cgroup": _Version(
        ("memory.limit_in_bytes",),
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
    "cgroup2": _Version(
        ("memory.max", "memory.high"),
        "memory.current",
        ("inactive_file", "active_file", "slab_reclaimable"),
    ),
}


def _of_groups(root: Path) -> Iterator[int]:
    """Yields what every limited group that holds this process has left."""
    try:
        own = dict(_own_groups((root / "proc/self/cgroup").read_text()))
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return
    for line in mounts:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in own:
            continue
        if kind[0] == "cgroup" and "memory" not in kind[2].split(","):
            continue
        top = root / _plain(fields[4]).lstrip("/")
        for folder in _groups(top, _plain(fields[3]), own[kind[0]]):
            with suppress(OSError, ValueError, KeyError):
                yield from _left(folder, _VERSIONS[kind[0]])


def _own_groups(text: str) -> Iterator[tuple[str, str]]:
    """Yields kind of file system and path of this process's groups that may limit memory."""
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            yield "cgroup2", path
        elif "memory" in controllers.split(","):
            yield "cgroup", path


def _groups(top: Path, mounted: str, own: str) -> Iterator[Path]:
    """Yields the folders from a process's own group up to the mounted one.

    Args:
        top: Where the groups are mounted.
        mounted: The group that is mounted there.
        own: The process's group. A container that sees no path to it sees it as the mounted one.
    """
    inner = PurePosixPath(own)
    below = inner.relative_to(mounted) if inner.is_relative_to(mounted) else PurePosixPath()
    if ".." not in below.parts:
        yield from (top / one for one in (below, *below.parents))
    else:
        yield top


def _left(folder: Path, version: _Version) -> Iterator[int]:
    """Yields what is left below each limit of one group."""
    limits = (folder / name for name in version.limits)
    texts = (one.read_text().strip() for one in limits if one.exists())
    for limit in (int(text) for text in texts if text != "max"):
        used = int((folder / version.usage).read_text())
        said = _numbers((folder / "memory.stat").read_text())
        droppable = sum(said.get(name, 0) for name in version.droppable)
        yield max(limit - max(used - droppable, 0), 0)


def _numbers(text: str) -> dict[str, int]:
    """Returns the first number of each line by the word before it."""
    pairs = (line.split()[:2] for line in text.splitlines())
    return {one[0]: int(one[1]) for one in pairs if len(one) == 2 and one[1].isdecimal()}


def _plain(field: str) -> str:
    """Returns a path of `mountinfo`, where blanks are octal numbers."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), field)
