"""Reads the headers of a tar file one by one, in bounded time and memory.

`tarfile` recurses once per extended header before a member, keeps all headers, and searches them
with regular expressions of quadratic time. Here each header is read, used and dropped.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from tuiprobe.errors import DataError
from tuiprobe.limits import TAR_MEMBER_BYTES, TAR_SPARE_BYTES

_BLOCK = tarfile.BLOCKSIZE
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_GNU_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_EXTENDED = (*_PAX, *_GNU_NAMES, tarfile.XGLTYPE)
_WITHOUT_CONTENT = (
    tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)  # fmt: skip
_SPARSE_MORE, _SPARSE_MORE_AGAIN = 482, 504  # offsets of the flags for further map blocks


@dataclass(frozen=True, slots=True)
class TarHeader:
    """The header of one member.

    Attributes:
        name: Name as stored in the tar.
        kind: Type, as in `tarfile`.
        sparse: Whether the member is stored sparsely.
        offset: First byte of its content.
        size: Bytes of its content.
    """

    name: str
    kind: bytes
    sparse: bool
    offset: int
    size: int


def read_headers(file: IO[bytes], place: str) -> Iterator[TarHeader | None]:
    """Yields the header of every member, then None if the end marker is missing.

    Args:
        file: A seekable file; the caller may seek between two members.
        place: Name of the file in errors.

    Raises:
        DataError: If it is not a tar file, is truncated or damaged, or has more extended headers
            than any real one.
    """
    end = file.seek(0, io.SEEK_END)
    offset = 0
    left = TAR_SPARE_BYTES  # for extended headers
    name: str | None = None
    records: dict[str, str] = {}
    while True:
        if offset > end:
            raise DataError(f"{place} is cut short at byte {end:,}; copy the file again")
        file.seek(offset)
        block = file.read(_BLOCK)
        if len(block) == _BLOCK and not any(block):
            return
        if not block and offset:
            yield None
            return
        info = _parse(block, offset, place)
        start = offset + _BLOCK
        if info.type in _EXTENDED:
            left -= _BLOCK + info.size
            if info.size < 0 or left < 0:
                raise DataError(
                    f"{place} is damaged: a header of {info.size:,} bytes; longer headers than "
                    "any archive has"
                )
            content = file.read(info.size)
            if len(content) < info.size:
                raise DataError(f"{place} is cut short within a header at byte {offset:,}")
            if info.type == tarfile.GNUTYPE_LONGNAME:
                name = _text(content.partition(b"\0")[0])
            elif info.type in _PAX:
                records = _records(content, place)
            elif info.type == tarfile.XGLTYPE and _records(content, place):
                raise DataError(f"{place} is damaged: one header gives all members a name or size")
            offset = start + _padded(info.size)
            continue
        sparse = info.type == tarfile.GNUTYPE_SPARSE or any(
            key.startswith("GNU.sparse.") for key in records
        )
        if info.type == tarfile.GNUTYPE_SPARSE:
            start = _behind_map(file, block, start)
        size = _number(records["size"], place) if "size" in records else info.size
        named = records.get("path") or name or info.name
        _refuse_wrong_size(named, size, start, end, place, stored=info.isreg())
        yield TarHeader(named, info.type, sparse, start, size)
        offset = start if info.type in _WITHOUT_CONTENT else start + _padded(size)
        left += TAR_MEMBER_BYTES
        name, records = None, {}


def _parse(block: bytes, offset: int, place: str) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError, OverflowError) as error:
        if offset and len(block) == _BLOCK:
            raise DataError(
                f"{place} is damaged: no header of a member at byte {offset:,}"
            ) from error
        raise DataError(f"{place} is no tar file, or is cut short or damaged: {error}") from error


def _refuse_wrong_size(
    name: str, size: int, start: int, end: int, place: str, *, stored: bool
) -> None:
    if size < 0:
        raise DataError(f"{place} is damaged: {name!r} has {size:,} bytes")
    if stored and start + size > end:
        raise DataError(
            f"{place} is cut short: {name!r} should have {size:,} bytes, "
            f"{max(end - start, 0):,} are there; copy the file again"
        )


def _records(content: bytes, place: str) -> dict[str, str]:
    """Returns the records `LENGTH KEY=VALUE` that locate and describe a member."""
    records: dict[str, str] = {}
    at = 0
    while at < len(content) and content[at]:
        digits, space, _ = content[at : at + 8].partition(b" ")
        if not space or not digits.isdigit():
            raise DataError(f"{place} is damaged: an extended header that cannot be read")
        length = int(digits)
        key, equals, value = content[at + len(digits) + 1 : at + length - 1].partition(b"=")
        if not equals or content[at + length - 1 : at + length] != b"\n":
            raise DataError(f"{place} is damaged: an extended header that cannot be read")
        if key in (b"path", b"size") or key.startswith(b"GNU.sparse."):
            records[_text(key)] = _text(value)
        at += length
    return records


def _number(text: str, place: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise DataError(f"{place} is damaged: a size of {text[:40]!r}")
    return int(text)


def _behind_map(file: IO[bytes], block: bytes, start: int) -> int:
    """Returns where the content of a sparse member begins; the file stands at `start`."""
    more = block[_SPARSE_MORE]
    while more and len(block := file.read(_BLOCK)) == _BLOCK:
        more = block[_SPARSE_MORE_AGAIN]
        start += _BLOCK
    return start


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
