"""Indexes tar files: where each image lies and its class. Indexes are cached for the next run.

A tar is untrusted. It is never extracted: member names are only shown to people, and no path is
ever built from them. Links, special files, absolute names and names with `..` are skipped. Sizes
are checked against the file before anything is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

import platformdirs

from tuiprobe.datasets.decode import readable_extensions
from tuiprobe.datasets.shard_files import opened, stamp
from tuiprobe.datasets.tar_headers import TarHeader, read_headers
from tuiprobe.errors import DataError
from tuiprobe.files import parse_json, read_regular
from tuiprobe.limits import NAME_LENGTH, TEXT_BYTES
from tuiprobe.plaintext import text_of

LABEL_EXTENSIONS = (".cls", ".cls.txt")
"""Extensions of members that hold the class of an image, a number or a name."""

_VERSION = 3  # of cached indexes


@dataclass(frozen=True, slots=True)
class TarMember:
    """An image inside a tar file.

    Attributes:
        name: Its name in the tar.
        offset: First byte of its content in the tar.
        size: Bytes.
        label: Text of the image's class member; None if there is none.
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


def read_index(file: IO[bytes], place: str) -> Index:
    """Reads the headers of a tar file.

    Args:
        file: A seekable file, at its start.
        place: Name of the file in errors.

    Raises:
        DataError: If it is not a tar, or is compressed, truncated or damaged.
    """
    _refuse_compressed(file, place)
    index = Index()
    images: dict[str, TarHeader] = {}
    labels: dict[str, str] = {}
    letters = 0
    for header in read_headers(file, place):
        if header is None:
            index.ended = False
            break
        letters += len(header.name)
        if letters > TEXT_BYTES:
            raise DataError(f"{place} is damaged: names of more than {TEXT_BYTES:,} letters")
        kind = _kind(header)
        if kind == "image":
            # As in tar, a later member wins; `./a` and `a` are one.
            images[PurePosixPath(header.name).as_posix()] = header
        elif kind == "label":
            labels[_key(header.name)] = _label(file, header, place)
        else:
            index.left_out[kind] += 1
    # Images such as `00012.seg.png` belong to `00012.jpg` and are no samples.
    plain = {_key(name) for name in images if _is_plain(name)}
    for name, header in images.items():
        if _is_plain(name) or _key(name) not in plain:
            member = TarMember(name, header.offset, header.size, labels.get(_key(name)))
            index.members.append(member)
        else:
            index.left_out["images beside another"] += 1
    return index


def _refuse_compressed(file: IO[bytes], place: str) -> None:
    magic = file.read(6)
    file.seek(0)
    for name, start in {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ"}.items():
        if magic.startswith(start):
            raise DataError(
                f"{place} is compressed with {name}, and members of it cannot be found without "
                "reading all before them; unpack it to a plain .tar"
            )


def _kind(header: TarHeader) -> str:
    if header.kind == tarfile.DIRTYPE:
        return "folders"
    if header.kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        return "links"
    if header.kind not in tarfile.REGULAR_TYPES or header.sparse:
        return "special files"
    path = PurePosixPath(header.name)
    if path.is_absolute() or ".." in path.parts:
        return "names that lead outside"
    if path.name.startswith("."):
        return "hidden files"
    if path.name.lower().endswith(LABEL_EXTENSIONS):
        return "label"
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


def _label(file: IO[bytes], header: TarHeader, place: str) -> str:
    if header.size > NAME_LENGTH:
        raise DataError(f"{place}: {header.name!r} is too long for a class ({header.size:,} bytes)")
    file.seek(header.offset)
    try:
        return text_of(file.read(header.size)).strip()
    except ValueError as error:
        raise DataError(f"{place}: the class in {header.name!r} cannot be read: {error}") from error


def index_of(place: str, folder: Path | None = None) -> Index:
    """Returns the index of a tar file from the cache, or else from one pass over its headers.

    Args:
        place: Local path or URL.
        folder: Cache folder; the user's by default. An unwritable folder disables the cache.

    Raises:
        DataError: If the tar cannot be read.
    """
    before = stamp(place)
    content = json.dumps([_VERSION, place, before])
    name = hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    path = (folder or cache_folder()) / f"{name}.json"
    index = _read(path)
    if index is None:
        with opened(place) as file:
            index = read_index(file, place)
        if stamp(place) != before:
            raise DataError(f"{place} changed while it was read; run the same command again")
        _write(path, index)
    index.stamp = before
    return index


def cache_folder() -> Path:
    """Returns the folder of cached indexes."""
    return Path(platformdirs.user_cache_dir("tuiprobe")) / "tar-indexes"


def _read(path: Path) -> Index | None:
    """Returns a cached index; None if it cannot be read, so that it is rebuilt."""
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
