"""One pass over a tar file: where each image lies in it, and which class it is of.

A tar is data from outside. It is never extracted: member names are labels for people, and no path
of the machine is ever made from them. Links and special files are passed over, as are absolute
names and names with ``..``; sizes are checked against the file before anything is read.
"""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, cast

from tuiprobe.datasets.decode import readable_extensions
from tuiprobe.errors import DataError

LABEL_EXTENSIONS = (".cls", ".cls.txt")
"""Members that hold the class of the image beside them: a number or a name."""

MAX_LABEL_BYTES = 1024
MAX_HEADER_BYTES = 1 << 20
"""Longest extended header that is read: names are far shorter, and tarfile reads it whole."""


@dataclass(frozen=True, slots=True)
class Member:
    """An image inside a tar file.

    Attributes:
        name: Its name in the tar.
        offset: First byte of its content in the tar.
        size: Bytes.
        label: Text of the class member beside it; None where there is none.
    """

    name: str
    offset: int
    size: int
    label: str | None


@dataclass
class Index:
    """What a tar file holds.

    Attributes:
        members: Images in the order of the tar.
        left_out: How many members of each kind are no images of ours.
        ended: Whether the tar closes with its end mark; without, it may have been cut short
            between two members.
        stamp: Changes when the file does; set by who opened it.
    """

    members: list[Member] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    ended: bool = True
    stamp: str = ""


def read_index(file: IO[bytes], place: str) -> Index:
    """Reads the headers of a tar file.

    Args:
        file: Seekable, at its start.
        place: What to call it in errors.

    Raises:
        DataError: If it is no tar, is compressed, is cut short or damaged.
    """
    _refuse_compressed(file, place)
    found = Index()
    images: dict[str, tarfile.TarInfo] = {}
    labels: dict[str, str] = {}
    for info in _members(file, place, found):
        kind = _kind(info)
        if kind == "image":
            images[_plain_name(info.name)] = info  # as in tar, a later member replaces an earlier
        elif kind == "label":
            labels[_key(info.name)] = _label(file, info, place)
        else:
            found.left_out[kind] += 1
    kept = _without_companions(images)
    found.left_out["images beside another"] += len(images) - len(kept)
    found.left_out = +found.left_out
    found.members = [
        Member(name, info.offset_data, info.size, labels.get(_key(name)))
        for name, info in kept.items()
    ]
    return found


def _refuse_compressed(file: IO[bytes], place: str) -> None:
    magic = file.read(6)
    file.seek(0)
    for name, start in {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ"}.items():
        if magic.startswith(start):
            raise DataError(
                f"{place} is compressed with {name}, and members of it cannot be found without "
                "reading all before them; unpack it to a plain .tar"
            )


def _members(file: IO[bytes], place: str, found: Index) -> Iterator[tarfile.TarInfo]:
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", _Headers(file, place)), mode="r:") as tar:
            while (info := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # it keeps every header it has seen
                _refuse_wrong_size(info, end, place)
                yield info
            found.ended = _ended(file, tar.offset, place)
    except (tarfile.TarError, UnicodeError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{place} is no tar file, or is cut short or damaged: {error}") from error


def _refuse_wrong_size(info: tarfile.TarInfo, end: int, place: str) -> None:
    if info.size < 0:
        raise DataError(f"{place} is damaged: {info.name!r} has {info.size:,} bytes")
    if info.isreg() and info.offset_data + info.size > end:
        raise DataError(
            f"{place} is cut short: {info.name!r} should have {info.size:,} bytes, "
            f"{max(end - info.offset_data, 0):,} are there; copy the file again"
        )


def _ended(file: IO[bytes], offset: int, place: str) -> bool:
    """Tells the true end, which is zeros or of the file, from a header tarfile could not read."""
    file.seek(offset)
    block = file.read(tarfile.BLOCKSIZE)
    if any(block):
        raise DataError(f"{place} is damaged: no header of a member at byte {offset:,}")
    return bool(block)


def _kind(info: tarfile.TarInfo) -> str:
    if info.isdir():
        return "folders"
    if info.issym() or info.islnk():
        return "links"
    if not info.isreg() or info.issparse():
        return "special files"
    path = PurePosixPath(info.name)
    if path.is_absolute() or ".." in path.parts:
        return "names that lead outside"
    if path.name.startswith("."):
        return "hidden files"
    if path.name.lower().endswith(LABEL_EXTENSIONS):
        return "label"
    if path.suffix.lower() in readable_extensions():
        return "image"
    return "other files"


def _plain_name(name: str) -> str:
    """Returns a name without ``./`` and doubled slashes.

    >>> _plain_name("./val//a.png")
    'val/a.png'
    """
    return PurePosixPath(name).as_posix()


def _key(name: str) -> str:
    """Returns what members of one sample share: all before the first dot of the file name.

    >>> _key("./val/00012.seg.png")
    'val/00012'
    """
    path = PurePosixPath(name)
    return (path.parent / path.name.partition(".")[0]).as_posix()


def _label(file: IO[bytes], info: tarfile.TarInfo, place: str) -> str:
    if info.size > MAX_LABEL_BYTES:
        raise DataError(f"{place}: {info.name!r} is too long for a class ({info.size:,} bytes)")
    file.seek(info.offset_data)
    return file.read(info.size).decode("utf-8", "replace").strip()


def _without_companions(images: dict[str, tarfile.TarInfo]) -> dict[str, tarfile.TarInfo]:
    """Leaves out ``00012.seg.png`` beside ``00012.jpg``: a picture about the image, not it."""
    plain = {_key(name) for name in images if PurePosixPath(name).name.count(".") == 1}
    return {
        name: info
        for name, info in images.items()
        if PurePosixPath(name).name.count(".") == 1 or _key(name) not in plain
    }


class _Headers:
    """A file of which no more is read at once than a header may have."""

    def __init__(self, file: IO[bytes], place: str) -> None:
        self._file, self._place = file, place
        self.tell, self.seek = file.tell, file.seek

    def read(self, size: int = -1) -> bytes:
        """Reads a header or a class."""
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise DataError(f"{self._place} is damaged: a header of {size:,} bytes")
        return self._file.read(size)
