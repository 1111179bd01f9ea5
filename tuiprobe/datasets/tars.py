"""Indexes tar files: where each image lies and its class. Indexes are cached for the next run.

A tar is untrusted. It is never extracted: member names are only shown to people, and no path is
ever built from them. Links, special files, absolute names and names with `..` are skipped. No
header larger than any real one is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import platformdirs

from tuiprobe.datasets.decode import readable_extensions
from tuiprobe.datasets.shard_files import opened, stamp
from tuiprobe.errors import DataError
from tuiprobe.files import UNFIT, BoundedReads, parse_json, read_regular
from tuiprobe.limits import NAME_LENGTH, TAR_HEADER_BYTES, TEXT_BYTES
from tuiprobe.plaintext import text_of

LABEL_EXTENSIONS = (".cls", ".cls.txt")
"""Extensions of members that hold the class of an image, a number or a name."""

LABEL_FIELDS = ("cls", "label", "class", "class_name")
"""Fields of a `.json` member that hold the class of its image, where it has no other member."""

_JSON_BYTES = 2**16
"""A larger `.json` member is not read."""

_VERSION = 4  # of cached indexes


@dataclass(frozen=True, slots=True)
class TarMember:
    """An image inside a tar file.

    Attributes:
        name: Its name in the tar.
        offset: First byte of its content in the tar.
        size: Bytes.
        label: Text of the image's class member.
    """

    name: str
    offset: int
    size: int
    label: str | None


@dataclass
class Index:
    """The index of a tar file.

    Attributes:
        members: Images, in the order of the tar.
        left_out: Number of skipped members, by kind.
        ended: Whether the tar has its end marker; without one, it may have been truncated between
            two members.
        stamp: Changes when the file does; set by the caller that opened it.
    """

    members: list[TarMember] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    ended: bool = True
    stamp: str = ""


def read_index(file: IO[bytes], source: str) -> Index:
    """Reads the headers of a tar file.

    Args:
        file: A seekable file, at its start.
        source: Name of the file in errors.

    Raises:
        DataError: If it is not a tar, or is compressed, truncated or damaged.
    """
    _refuse_compressed(file, source)
    index = Index()
    images: dict[str, tarfile.TarInfo] = {}
    labels: dict[str, str] = {}
    described: dict[str, str] = {}
    letters = 0
    try:
        for member in _members(file, index):
            letters += len(member.name)
            if letters > TEXT_BYTES:
                raise ValueError(f"names of more than {TEXT_BYTES:,} letters")
            kind = _kind(member)
            if kind == "image":
                # As in tar, a later member wins; `./a` and `a` are one.
                images[PurePosixPath(member.name).as_posix()] = member
            elif kind == "label":
                labels[_key(member.name)] = _label(file, member, source)
            elif kind == "JSON":
                index.left_out["other files"] += 1
                described[_key(member.name)] = _label_in_json(file, member)
            else:
                index.left_out[kind] += 1
    except (tarfile.TarError, *UNFIT, RecursionError) as error:
        raise DataError(
            f"{source} is no tar file, or is cut short or damaged: {error}; copy the file again"
        ) from error
    # Images like `00012.seg.png` belong to `00012.jpg` and are no samples.
    plain = {_key(name) for name in images if _is_plain(name)}
    for name, image in images.items():
        if _is_plain(name) or _key(name) not in plain:
            label = labels.get(_key(name)) or described.get(_key(name)) or None
            index.members.append(TarMember(name, image.offset_data, image.size, label))
        else:
            index.left_out["images beside another"] += 1
    return index


def _refuse_compressed(file: IO[bytes], source: str) -> None:
    magic = file.read(6)
    file.seek(0)
    for name, start in {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ"}.items():
        if magic.startswith(start):
            raise DataError(
                f"{source} is compressed with {name}, and members of it cannot be found without "
                "reading all before them; unpack it to a plain .tar"
            )


class _HeaderReads(BoundedReads):
    """A tar file of which `tarfile` reads headers and maps of sparse members, but no content.

    Args:
        file: The file.
        most: Bytes that the headers of one member may have.

    Attributes:
        left: Bytes that may still be read until the next member.
    """

    def __init__(self, file: IO[bytes], most: int) -> None:
        super().__init__(file, most)
        self.left = most

    def read(self, size: int = -1) -> bytes:
        """Reads as a file does; refuses a member whose headers have more than `most` bytes."""
        content = super().read(size)
        self.left -= len(content)
        if self.left < 0:
            raise ValueError("a member has longer headers than in any archive")
        return content


def _members(file: IO[bytes], index: Index) -> Iterator[tarfile.TarInfo]:
    """Yields the header of each member, and notes in the index whether the end marker follows.

    Raises:
        tarfile.TarError, ValueError, RecursionError, ...: If the tar is damaged or cut short.
    """
    headers = _HeaderReads(file, TAR_HEADER_BYTES)
    with tarfile.open(fileobj=cast(IO[bytes], headers), mode="r:", encoding="utf-8") as tar:
        while (member := tar.next()) is not None:
            if not tar.pax_headers.keys().isdisjoint(("path", "size")):
                raise ValueError("a header gives all members one name or size")
            if member.size < 0:
                raise ValueError(f"{member.name!r} has {member.size:,} bytes")
            yield member
            tar.members = []  # type: ignore[attr-defined]  # which would keep all of them
            headers.left = TAR_HEADER_BYTES
        file.seek(tar.offset)
    block = file.read(tarfile.BLOCKSIZE)
    index.ended = bool(block)
    if any(block):  # `tarfile` takes a damaged header for the end
        raise ValueError(f"there is no header of a member at byte {tar.offset:,}")


def _kind(member: tarfile.TarInfo) -> str:
    if member.isdir():
        return "folders"
    if member.issym() or member.islnk():
        return "links"
    if not member.isreg() or member.issparse():
        return "special files"
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        return "names that lead outside"
    if path.name.startswith("."):
        return "hidden files"
    if path.name.lower().endswith(LABEL_EXTENSIONS):
        return "label"
    if path.suffix.lower() == ".json":
        return "JSON"
    if path.suffix.lower() in readable_extensions():
        return "image"
    return "other files"


def _is_plain(name: str) -> bool:
    return PurePosixPath(name).name.count(".") == 1


def _key(name: str) -> str:
    """Returns the key that members of one sample share: all before the file name's first dot.

    >>> _key("./val/00012.seg.png")
    'val/00012'
    """
    path = PurePosixPath(name)
    return (path.parent / path.name.partition(".")[0]).as_posix()


def _label(file: IO[bytes], member: tarfile.TarInfo, source: str) -> str:
    if member.size > NAME_LENGTH:
        raise DataError(
            f"{source}: {member.name!r} is too long for a class ({member.size:,} bytes)"
        )
    file.seek(member.offset_data)
    try:
        return text_of(file.read(member.size)).strip()
    except ValueError as error:
        raise DataError(
            f"{source}: the class in {member.name!r} cannot be read: {error}"
        ) from error


def _label_in_json(file: IO[bytes], member: tarfile.TarInfo) -> str:
    """Returns the class that a `.json` member states."""
    if member.size > _JSON_BYTES:
        return ""
    file.seek(member.offset_data)
    try:
        content = parse_json(file.read(member.size))
    except ValueError:
        return ""
    fields = content if isinstance(content, dict) else {}
    values = (fields.get(name) for name in LABEL_FIELDS)
    label = next((value for value in values if type(value) in (int, str)), "")
    return str(label).strip()[:NAME_LENGTH]


def index_of(source: str, folder: Path | None = None) -> Index:
    """Returns the index of a tar file from the cache, or else from one pass over its headers.

    Args:
        source: Local path or URL.
        folder: Cache folder; the user's by default. An unwritable folder disables the cache.

    Raises:
        DataError: If the tar cannot be read.
    """
    before = stamp(source)
    content = json.dumps([_VERSION, source, before])
    name = hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    path = (folder or cache_folder()) / f"{name}.json"
    index = _read(path)
    if index is None:
        with opened(source) as file:
            index = read_index(file, source)
        if stamp(source) != before:
            raise DataError(f"{source} changed while it was read; run the same command again")
        _write(path, index)
    index.stamp = before
    return index


def cache_folder() -> Path:
    """Returns the folder of cached indexes."""
    return Path(platformdirs.user_cache_dir("tuiprobe")) / "tar-indexes"


def _read(path: Path) -> Index | None:
    """Returns a cached index, if it can be read; else it is rebuilt."""
    try:
        content = parse_json(read_regular(path))
        members = [
            TarMember(str(name), int(offset), int(size), None if label is None else str(label))
            for name, offset, size, label in content["members"]
        ]
        return Index(members, Counter(content["left_out"]), bool(content["ended"]))
    except (OSError, DataError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _write(path: Path, index: Index) -> None:
    content: dict[str, Any] = {
        "members": [[m.name, m.offset, m.size, m.label] for m in index.members],
        "left_out": dict(index.left_out),
        "ended": index.ended,
    }
    partial = path.with_suffix(f".{os.getpid()}.part")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(content))  # ASCII, so undecodable bytes become escapes
        partial.replace(path)
