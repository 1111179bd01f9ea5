"""How much memory this process may still take, as Linux and the limits of its container say.

A container, a batch job or a systemd unit is a control group with a limit of its own, which
`/proc/meminfo` does not show. Both versions of control groups are read where Linux mounts them, at
every level from the process's own group up to the one that is mounted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from tuiprobe.files import DamagedFileError

_SMALL = 2**25
"""Bytes that any process can take: asking for the limits takes longer than reading them."""

_LIMITS = ("memory.max", "memory.high", "memory.limit_in_bytes")
_USED = ("memory.current", "memory.usage_in_bytes")
"""Bytes in use, with the pages of files that the kernel can drop."""

_DROPPABLE = ("inactive_file", "active_file", "slab_reclaimable")
"""Such pages, as lines of `memory.stat`; version 1 has totals with the groups below."""


def refuse_beyond_memory(path: object, size: int) -> None:
    """Refuses data that there is no memory for; the kernel would end the process.

    Args:
        path: The file, for the message.
        size: Bytes that are wanted.

    Raises:
        DamagedFileError: If it is more than is available. Only Linux says so.
    """
    if size < _SMALL:
        return
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
    left = []
    with suppress(OSError, ValueError, KeyError):
        left.append(_numbers((root / "proc/meminfo").read_text())["MemAvailable:"] * 1024)
    with suppress(OSError):
        for group in _groups(root, (root / "proc/self/cgroup").read_text()):
            with suppress(OSError, ValueError):
                left += _left(group)
    return min(left, default=None)


def _groups(root: Path, text: str) -> Iterator[Path]:
    """Yields the folders of this process's groups that may limit memory, and of those above.

    A container that sees no path to its group sees it as the mounted one.
    """
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, own = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        mounted = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        inner = PurePosixPath(own.lstrip("/"))
        yield mounted
        if ".." not in inner.parts:
            yield from (mounted / group for group in (inner, *inner.parents))


def _left(group: Path) -> list[int]:
    """Returns what is left below each limit of one group."""
    names = (*_LIMITS, *_USED, "memory.stat")
    texts = {name: (group / name).read_text().strip() for name in names if (group / name).exists()}
    pages = _numbers(texts.get("memory.stat", ""))
    droppable = sum(pages.get(f"total_{name}", pages.get(name, 0)) for name in _DROPPABLE)
    used = max(sum(int(texts[name]) for name in _USED if name in texts) - droppable, 0)
    limits = (texts[name] for name in _LIMITS if texts.get(name, "max") != "max")
    return [max(int(limit) - used, 0) for limit in limits]


def _numbers(text: str) -> dict[str, int]:
    """Returns the first number of each line by the word before it."""
    pairs = (line.split()[:2] for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}
