"""Arrays of a run: safetensors files with their checksum inside, read at once and verified.

A file's header is checked before anything is allocated: its arrays fill the file without gaps or
overlaps, so what is read needs as much memory as the file has bytes.

The checksum is the SHA-256 of the file without its 64 digits. The manifest of a run names its array
files by it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Container, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from tuiprobe.files import UNFIT, DamagedFileError, Entry, parse_json, reading, refuse_beyond_memory
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import drop_stale_manifest, refuse_other
from tuiprobe.results.base import LONGEST_TEXT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Arrays: TypeAlias = "dict[str, NDArray[Any]]"

_HEADER_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000  # as the safetensors library has it
_MOST_DIMENSIONS = 32
_MEMBER = "sha256"
_DTYPES = {
    "U64": "<u8", "I64": "<i8", "F64": "<f8", "F32": "<f4", "U32": "<u4", "I32": "<i4",
    "F16": "<f2", "U16": "<u2", "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
"""Types of NumPy by the format's names, in the order in which its library writes arrays."""


def write_arrays(entry: Entry, arrays: Mapping[str, NDArray[Any]], metadata: dict[str, str]) -> str:
    """Publishes named arrays as safetensors with a checksum; returns the checksum.

    Their order is that of the safetensors library, which would copy all of them twice.
    """
    import numpy as np

    kinds = {dtype: name for name, dtype in _DTYPES.items()}
    order = {dtype: index for index, dtype in enumerate(_DTYPES.values())}
    blank = "0" * hashlib.sha256().digest_size * 2
    members: dict[str, Any] = {}
    content, end = [], 0
    for name, array in sorted(arrays.items(), key=lambda item: (order[item[1].dtype.str], item[0])):
        start, end = end, end + array.nbytes
        described = {"dtype": kinds[array.dtype.str], "shape": array.shape}
        members[name] = {**described, "data_offsets": (start, end)}
        content.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    head = _encoded(members, {**metadata, _MEMBER: blank})
    offset = _offset(head, blank)
    before, after = head[:offset], head[offset + len(blank) :]
    digest = hashlib.sha256(before + after)
    for piece in content:
        digest.update(piece)
    drop_stale_manifest(entry, digest.hexdigest())
    entry.write_chunks((before, digest.hexdigest().encode(), after, *content))
    return digest.hexdigest()


def _encoded(members: Mapping[str, Any], metadata: Mapping[str, str]) -> bytes:
    """Returns the bytes before the arrays, which begin at multiples of 8."""
    compact = (",", ":")
    texts = json.dumps({"__metadata__": metadata}, sort_keys=True, separators=compact)
    described = json.dumps(members, separators=compact, ensure_ascii=False)
    header = (f"{texts[:-1]},{described[1:]}" if members else texts).encode()
    header += b" " * (-len(header) % _HEADER_LENGTH_BYTES)
    return len(header).to_bytes(_HEADER_LENGTH_BYTES, "little") + header


def _offset(head: bytes, checksum: str) -> int:
    """Returns the offset of the checksum in a file; quotes in other texts are escaped.

    Raises:
        ValueError: If it is missing.
    """
    member = f'"{_MEMBER}":"'
    return head.index(f'{member}{checksum}"'.encode("utf-8", "replace")) + len(member)


def read_arrays(entry: Entry) -> tuple[Arrays, dict[str, str]]:
    """Reads arrays written by `write_arrays` and verifies their checksum.

    The arrays share the memory of the file's content: who keeps few of many copies them.

    Returns:
        Arrays by name, and the metadata without the checksum. The checksum covers both.

    Raises:
        DamagedFileError: If the file is truncated, altered, too large or behind a link.
    """
    header, content = _read(entry)
    _verify(entry, header, content.data)
    return _arrays(header, content), header.described


def read_metadata(entry: Entry) -> dict[str, str]:
    """Returns the metadata of an array file without its arrays; compares no checksum.

    Raises:
        DamagedFileError: If the file is missing or its header is not one.
    """
    with entry.open() as file, reading(entry):
        return read_header(file, entry).described


def checksum_of(entry: Entry) -> str:
    """Returns the checksum by which a manifest names a file.

    That of an array file stands in it, and is not compared with the content.

    Raises:
        DamagedFileError: If the file is missing, or an array file has none.
    """
    if not entry.name.endswith(".safetensors"):
        return hashlib.sha256(entry.read_bytes()).hexdigest()
    with entry.open() as file, reading(entry):
        return _stored_checksum(entry, read_header(file, entry))


def read_unsealed(entry: Entry, limit: int) -> tuple[Arrays, dict[str, str]]:
    """Reads a safetensors file without a checksum.

    Args:
        entry: What to read.
        limit: Largest size in bytes.

    Returns:
        Arrays by name, and the metadata.

    Raises:
        DamagedFileError: If the file is missing, too large for the limit or the memory, or damaged.
    """
    header, content = _read(entry, limit)
    return _arrays(header, content), header.metadata


class Stored(NamedTuple):
    """Type, shape and position of one array in its file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    end: int


class Header(NamedTuple):
    """What a safetensors file says of itself.

    Attributes:
        arrays: Span and type of each array by name, in the order of the file.
        metadata: Texts by name.
        content: The bytes before the arrays.
        end: Size of the file.
    """

    arrays: dict[str, Stored]
    metadata: dict[str, str]
    content: bytes
    end: int

    @property
    def start(self) -> int:
        """Where the arrays begin."""
        return len(self.content)

    @property
    def described(self) -> dict[str, str]:
        """The metadata without the checksum."""
        return {name: text for name, text in self.metadata.items() if name != _MEMBER}


def read_header(file: IO[bytes], entry: Entry) -> Header:
    """Reads the header of an open safetensors file.

    Raises:
        DamagedFileError: If it is none, or does not describe the file byte by byte.
    """
    size = os.fstat(file.fileno()).st_size
    content = file.read(_HEADER_LENGTH_BYTES)
    length = int.from_bytes(content, "little")
    start = _HEADER_LENGTH_BYTES + length
    if length > _MAX_HEADER_BYTES or start > size:
        raise entry.damaged(f"its header claims {length:,} bytes")
    content += file.read(length)
    try:
        header = parse_json(content[_HEADER_LENGTH_BYTES:])
        metadata = {str(k): str(v) for k, v in header.pop("__metadata__", {}).items()}
        arrays = {str(name): _stored(member, start) for name, member in header.items()}
    except UNFIT as error:
        raise entry.damaged(error) from error
    end = start
    ordered = sorted(arrays.items(), key=lambda item: (item[1].start, item[1].end))
    for _, array in ordered:
        if array.start != end:
            raise entry.damaged("its arrays overlap, or leave gaps")
        end = array.end
    if end != size:
        raise entry.damaged(f"it has {size:,} bytes, and its arrays end at {end:,}")
    return Header(dict(ordered), metadata, content, size)


def _stored(member: dict[str, Any], start: int) -> Stored:
    import numpy as np

    dtype, shape = np.dtype(_DTYPES[member["dtype"]]), member["shape"]
    first, last = member["data_offsets"]
    for number in (*shape, first, last):
        if type(number) is not int or number < 0:
            raise ValueError("its header names places outside the file")
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"its header names an array of {len(shape):,} dimensions")
    if last - first != dtype.itemsize * math.prod(shape):
        raise ValueError("its header contradicts itself")
    return Stored(dtype, tuple(shape), start + first, start + last)


def _read(entry: Entry, limit: int | None = None) -> tuple[Header, NDArray[np.uint8]]:
    """Returns the header of a file and the bytes of its arrays."""
    import numpy as np

    with entry.open(limit) as file, reading(entry):
        header = read_header(file, entry)
        refuse_beyond_memory(entry, header.end)
        try:
            content = np.empty(header.end - header.start, np.uint8)
        except MemoryError as error:
            raise DamagedFileError(f"{entry} cannot be read: {error}") from error
        if file.readinto(content.data) != len(content):  # type: ignore[attr-defined]
            raise entry.damaged("it is cut short")
    return header, content


def _arrays(header: Header, content: NDArray[np.uint8]) -> Arrays:
    import numpy as np

    arrays: Arrays = {}
    for name, (dtype, shape, start, end) in header.arrays.items():
        first = start - header.start
        if first % dtype.itemsize:  # the native core reads aligned memory
            part = content[first : end - header.start].copy()
            arrays[name] = part.view(dtype).reshape(shape)
        else:
            arrays[name] = np.ndarray(shape, dtype, content, first)
    return arrays


def _verify(entry: Entry, header: Header, arrays: memoryview) -> str:
    """Returns the checksum that is stored in a file after comparing it with the content.

    Raises:
        DamagedFileError: If it does not match, or there is none.
    """
    stored = _stored_checksum(entry, header)
    mismatch = entry.damaged("its checksum does not match its content")
    try:
        offset = _offset(header.content, stored)
    except ValueError as error:  # nothing that `write_arrays` has written
        raise mismatch from error
    digest = hashlib.sha256(header.content[:offset])
    digest.update(header.content[offset + len(stored) :])
    digest.update(arrays)
    if digest.hexdigest() != stored:
        raise mismatch
    return stored


def _stored_checksum(entry: Entry, header: Header) -> str:
    if _MEMBER not in header.metadata:
        raise entry.damaged("it carries no checksum")
    return header.metadata[_MEMBER]


def read_arrays_of_run(directory: RunDir, entry: Entry) -> tuple[Arrays, dict[str, str]]:
    """Reads merged arrays of a run; compares them with its manifest, and their key with its key.

    Raises:
        DamagedFileError: As for `read_arrays`; also if the arrays belong to another run or merge.
    """
    header, content = _read(entry)
    refuse_other(entry, _verify(entry, header, content.data))
    if "key" in header.metadata:
        directory.refuse_other_key(entry, header.metadata["key"])
    return _arrays(header, content), header.described


_T = TypeVar("_T")

_LARGEST = 1e100
MOST_COUNTED = 2**53
"""Largest number of a count or a class."""


@dataclass(frozen=True, eq=False)
class HeadArrays:
    """A linear head.

    Attributes:
        weight: float32 [K, C], W.
        bias: float32 [K]; never with `normalize`.
        normalize: Whether logits are W h / |h| (zero-shot) or W h + bias.
        source: Where the head comes from, for the report.
        logit_scale: What logits are multiplied by before the softmax (exp of a CLIP's trained
            temperature); None where it is not known, and for classifiers, whose scale is 1.
        logit_bias: What is added after that (SigLIP); 0 without.
        regression: Whether scores are those of a regression on one-hot labels, which no softmax
            takes as they are.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None = None
    normalize: bool = False
    source: str = ""
    logit_scale: float | None = None
    logit_bias: float = 0.0
    regression: bool = False


def below(named: Mapping[str, _T], prefix: str) -> dict[str, _T]:
    """Returns the values whose names begin with a prefix, by the rest of their names."""
    return {n.removeprefix(prefix): value for n, value in named.items() if n.startswith(prefix)}


class CheckedArrays:
    """The arrays of one file, each checked when it is read.

    Args:
        file: File of the arrays, for errors.
        arrays: Arrays by name.
        metadata: Texts of the file by name.
    """

    def __init__(
        self, file: Entry, arrays: Arrays, metadata: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._file, self.arrays, self.metadata = file, arrays, metadata

    @classmethod
    def of_run(cls, directory: RunDir, file: Entry) -> CheckedArrays:
        """Reads merged arrays of a run; errors as for `read_arrays_of_run`."""
        return cls(file, *read_arrays_of_run(directory, file))

    def below(self, prefix: str) -> CheckedArrays:
        """Returns the arrays whose names begin with a prefix, without it."""
        return CheckedArrays(self._file, below(self.arrays, prefix))

    def texts(self, name: str) -> tuple[str, ...]:
        """Returns a list of texts in the metadata after checking it."""
        try:
            texts = parse_json(self.metadata.get(name, "[]"))
        except ValueError as error:
            raise self.damaged(f"{name}: {error}") from error
        if not isinstance(texts, list) or not all(
            isinstance(text, str) and len(text) <= LONGEST_TEXT for text in texts
        ):
            raise self.damaged(f"{name} is no list of texts")
        return tuple(texts)

    def holds(self, name: str, kind: str) -> bool:
        """Returns whether the file has an array of this name and type."""
        import numpy as np

        return name in self.arrays and self.arrays[name].dtype == np.dtype(kind)

    def shaped(self, name: str, kind: str, *shape: int | None) -> NDArray[Any]:
        """Returns an array after checking its type and shape, but not its values.

        Args:
            name: Name of the array.
            kind: NumPy type code.
            shape: Length along each axis; None for any.

        Raises:
            DamagedFileError: If it is missing, or of another type or shape.
        """
        import numpy as np

        array = self.arrays.get(name)
        if array is None:
            raise self.damaged(f"{name} is missing")
        if array.dtype.str != kind and array.dtype != np.dtype(kind):
            raise self.damaged(f"{name} holds {array.dtype}, not {np.dtype(kind)}")
        if array.shape == shape:
            return array
        fits = len(shape) == array.ndim and all(
            required in (None, length) for required, length in zip(shape, array.shape, strict=True)
        )
        if not fits:
            raise self.damaged(f"{name} of shape {array.shape} does not fit the rest")
        return array

    def in_range(self, name: str, kind: str, *shape: int | None) -> NDArray[Any]:
        """Returns an array as `shaped` does; also checks that its finite values are in range."""
        import numpy as np

        array = self.shaped(name, kind, *shape)
        if array.dtype.kind == "f" and array.size and array.dtype.itemsize == 8:
            largest = np.abs(array).max()
            if not largest <= _LARGEST:  # also where some are not finite
                largest = np.abs(array, where=np.isfinite(array), out=np.zeros_like(array)).max()
            if largest > _LARGEST:
                raise self.damaged(f"{name} holds {largest:g}, which no encoder gives")
        return array

    def finite(self, name: str, kind: str, *shape: int | None) -> NDArray[Any]:
        """Returns an array as `in_range` does; also checks that it is finite and not empty."""
        import numpy as np

        array = self.in_range(name, kind, *shape)
        if not array.size or not np.isfinite(array).all():
            raise self.damaged(f"{name} is empty, or holds what is not finite")
        return array

    def counts(self, name: str, kind: str, *shape: int | None) -> NDArray[Any]:
        """Returns an array as `in_range` does; also checks that the values are valid counts."""
        array = self.in_range(name, kind, *shape)
        if array.size and not 0 <= int(array.min()) <= int(array.max()) <= MOST_COUNTED:
            raise self.damaged(f"{name} holds a number that is no count")
        return array

    def ids(self, name: str, known: Container[int], *shape: int | None) -> NDArray[Any]:
        """Returns an array of sample ids of the set; -1 stands for no image."""
        import numpy as np

        array = self.in_range(name, "i8", *shape)
        lost = [i for i in np.unique(array).tolist() if i != -1 and i not in known]
        if lost:
            raise self.damaged(f"{name} names image {lost[0]}, which samples.jsonl does not")
        return array

    def damaged(self, why: str) -> DamagedFileError:
        """Returns the error for a damaged file."""
        return self._file.damaged(why)
