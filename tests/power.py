"""A loss of power at any moment: what of a recorded run's changes may be on the disk afterwards.

A `Recorder` notes every call of `os` that changes something below a folder. `disk_after` then makes
the tree that a disk may hold if the power goes after a number of them. POSIX promises little: the
content of a file is safe once the file was flushed, a change of a name once its folder was. Of
everything else any part may be there, in any order. Nothing in the program knows of this.
"""

import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

Tree = dict[str, "Tree | bytes"]
"""A folder: names with the content of files, or with folders."""


@dataclass(frozen=True)
class Change:
    """One call that changed the disk.

    Attributes:
        kind: `name` puts a file or folder under a name, and takes it from its old one if it has
            one; `forget` takes a name away; `write` and `cut` change the content of a file;
            `flush` is `fsync`.
        node: Number of the file or folder; of the folder for `forget`.
        place: Folder and name, for `name` and `forget`.
        old: Folder and name before a `name`.
        data: What is written.
        at: Where it is written, or the length that is left.
        is_folder: Whether the node is a folder, for `name`.
    """

    kind: Literal["name", "forget", "write", "cut", "flush"]
    node: int
    place: tuple[int, str] = (0, "")
    old: tuple[int, str] | None = None
    data: bytes = b""
    at: int = 0
    is_folder: bool = False

    @property
    def flushed_by(self) -> frozenset[int]:
        """What must be flushed, each, before the change is safe."""
        if self.kind in ("write", "cut"):
            return frozenset((self.node,))
        return frozenset(place[0] for place in (self.place, self.old) if place is not None)


@dataclass
class Recorder:
    """Notes the changes below a folder; see `recording`."""

    root: Path
    changes: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._nodes = {_identity(self.root.stat()): 0}  # numbers of the system are used again
        self._count = 0
        self._lock = threading.Lock()
        self._real = {name: getattr(os, name) for name in _WRAPPED}

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Wraps the calls that change a disk."""
        for name in _WRAPPED:
            patch.setattr(os, name, getattr(self, f"_{name}"))

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        with self._lock:
            place = self._place(path, dir_fd) if flags & os.O_CREAT else None
            new = place is not None and not _there(path, dir_fd)
            descriptor: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
            if new and place is not None:
                self._named(place, os.fstat(descriptor))
            return descriptor

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        with self._lock:
            self._real["mkdir"](path, mode, dir_fd=dir_fd)
            if (place := self._place(path, dir_fd)) is not None:
                self._named(place, os.stat(path, dir_fd=dir_fd), is_folder=True)

    def _write(self, descriptor: int, data: Any) -> int:
        with self._lock:
            node = self._nodes.get(_identity(os.fstat(descriptor)))
            written: int = self._real["write"](descriptor, data)
            if node is not None:
                # The place after the call: that before it says nothing where a file is appended to.
                at = os.lseek(descriptor, 0, os.SEEK_CUR) - written
                self.changes.append(Change("write", node, data=bytes(data[:written]), at=at))
            return written

    def _ftruncate(self, descriptor: int, length: int) -> None:
        with self._lock:
            self._real["ftruncate"](descriptor, length)
            if (node := self._nodes.get(_identity(os.fstat(descriptor)))) is not None:
                self.changes.append(Change("cut", node, at=length))

    def _fsync(self, descriptor: int) -> None:
        with self._lock:
            if (node := self._nodes.get(_identity(os.fstat(descriptor)))) is not None:
                self.changes.append(Change("flush", node))

    def _replace(
        self, old: Any, new: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        with self._lock:
            before, after = self._place(old, src_dir_fd), self._place(new, dst_dir_fd)
            status = os.stat(old, dir_fd=src_dir_fd)
            self._real["replace"](old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            if before is not None and after is not None:
                node = self._nodes[_identity(status)]
                self.changes.append(Change("name", node, after, old=before))

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._forget("unlink", path, dir_fd)

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._forget("rmdir", path, dir_fd)

    def _forget(self, call: str, path: Any, dir_fd: int | None) -> None:
        with self._lock:
            place = self._place(path, dir_fd)
            self._real[call](path, dir_fd=dir_fd)
            if place is not None:
                self.changes.append(Change("forget", place[0], place))

    def _place(self, path: Any, dir_fd: int | None) -> tuple[int, str] | None:
        folder, name = os.path.split(os.fspath(path))
        status = os.fstat(dir_fd) if dir_fd is not None and not folder else None
        if status is None:
            try:
                status = os.stat(folder or ".", dir_fd=dir_fd)
            except OSError:
                return None
        node = self._nodes.get(_identity(status))
        return None if node is None else (node, os.fsdecode(name))

    def _named(
        self, place: tuple[int, str], status: os.stat_result, is_folder: bool = False
    ) -> None:
        self._count += 1
        self._nodes[_identity(status)] = self._count
        self.changes.append(Change("name", self._count, place, is_folder=is_folder))


_WRAPPED = ("open", "mkdir", "write", "ftruncate", "fsync", "replace", "unlink", "rmdir")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _there(path: Any, dir_fd: int | None) -> bool:
    try:
        os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return False
    return True


@contextmanager
def recording(root: Path) -> Iterator[Recorder]:
    """Yields a recorder of every change below a folder while the block runs."""
    recorder = Recorder(root)
    with pytest.MonkeyPatch.context() as patch:
        recorder.install(patch)
        yield recorder


def disk_after(changes: Sequence[Change], kept: Callable[[int], bool]) -> Tree:
    """Returns a tree that the disk may hold if the power goes after these changes.

    Args:
        changes: All changes until then.
        kept: Says of a change that was not flushed, by its index, whether it reached the disk.
    """
    flushed: set[int] = set()
    safe = [False] * len(changes)
    for i in range(len(changes) - 1, -1, -1):
        if changes[i].kind == "flush":
            flushed.add(changes[i].node)
        safe[i] = changes[i].flushed_by <= flushed
    names: dict[int, dict[str, int]] = {0: {}}
    contents: dict[int, bytearray] = {}
    for i, change in enumerate(changes):
        if change.kind == "flush" or not (safe[i] or kept(i)):
            continue
        if change.kind == "forget":
            names.setdefault(change.place[0], {}).pop(change.place[1], None)
        elif change.kind == "name":
            folder, name = change.place
            if change.old is not None:
                names.setdefault(change.old[0], {}).pop(change.old[1], None)
            names.setdefault(folder, {})[name] = change.node
            if change.is_folder:
                names.setdefault(change.node, {})
        else:
            content = contents.setdefault(change.node, bytearray())
            end = change.at + len(change.data)
            content.extend(bytes(max(end - len(content), 0)))  # a hole reads as zeros
            if change.kind == "cut":
                del content[change.at :]
            else:
                content[change.at : end] = change.data
    return _tree(0, names, contents)


def _tree(node: int, names: dict[int, dict[str, int]], contents: dict[int, bytearray]) -> Tree:
    return {
        name: _tree(n, names, contents) if n in names else bytes(contents.get(n, b""))
        for name, n in names[node].items()
    }


def read_tree(root: Path) -> Tree:
    """Returns the content of a folder."""
    return {
        path.name: read_tree(path) if stat.S_ISDIR(path.lstat().st_mode) else path.read_bytes()
        for path in root.iterdir()
    }


def write_tree(tree: Tree, root: Path) -> None:
    """Makes a folder of a tree."""
    root.mkdir()
    for name, content in tree.items():
        if isinstance(content, dict):
            write_tree(content, root / name)
        else:
            (root / name).write_bytes(content)


def files_of(tree: Tree, above: str = "") -> dict[str, bytes]:
    """Returns the files of a tree by their paths."""
    result: dict[str, bytes] = {}
    for name, content in tree.items():
        if isinstance(content, dict):
            result |= files_of(content, f"{above}{name}/")
        else:
            result[above + name] = content
    return result
