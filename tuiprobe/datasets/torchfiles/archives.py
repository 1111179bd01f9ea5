"""Reads the two file formats of `torch.save` as data: a zip archive, and a sequence of pickles.

Both readers return the pickle first and then the data of the requested tensors, so a file's claims
are checked before anything is allocated. Nothing in a pickle is ever called: each instruction is
executed on plain Python values, tensors remain descriptions of where their data lie, and an unknown
name ends the reading. Time and memory are bounded by a multiple of the pickle's size.
"""

from __future__ import annotations

import io
import pickletools
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from tuiprobe.datasets.torchfiles.stored import (
    Module,
    Storage,
    StoredTensor,
    Unread,
    allowed_global,
    rebuilt,
    storage_of,
)
from tuiprobe.files import UNFIT, BoundedReads
from tuiprobe.limits import ARCHIVE_LIST_BYTES, ARCHIVE_SPARE_BYTES, PICKLE_BYTES, PICKLE_VALUES

if TYPE_CHECKING:
    from torch import Tensor


class PickleReader:
    """Reads the pickles of one file.

    Attributes:
        storages: All referenced storages, by key.
    """

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}
        self._steps = 0

    def read(self, stream: IO[bytes]) -> object:
        """Reads the next pickle of a stream, up to its end, and returns its value.

        Raises:
            UnsafePickleError: If it refers to anything but tensors and containers.
            ValueError: If it is damaged or too large.
        """
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                self._steps += 1
                if self._steps > PICKLE_VALUES:
                    raise ValueError(f"its pickle has more than {PICKLE_VALUES:,} instructions")
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._step(opcode.name, argument)
        except (IndexError, KeyError, TypeError, UnicodeError) as error:
            raise ValueError("its pickle is damaged") from error
        raise ValueError("its pickle is cut short")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                self._marks.append(len(stack))
            case "POP":
                stack.pop()
            case "POP_MARK":
                self._since_mark()
            case "DUP":
                stack.append(stack[-1])
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                self._memo[argument] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET" | "GET":
                stack.append(self._memo[argument])
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "TUPLE":
                stack.append(tuple(self._since_mark()))
            case "EMPTY_LIST":
                stack.append([])
            case "LIST":
                stack.append(self._since_mark())
            case "APPEND":
                self._extend([stack.pop()])
            case "APPENDS":
                self._extend(self._since_mark())
            case "EMPTY_DICT":
                stack.append({})
            case "DICT":
                items = self._since_mark()
                stack.append({})
                self._update(items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                self._update([key, value])
            case "SETITEMS":
                self._update(self._since_mark())
            case "EMPTY_SET":
                stack.append(Unread("a set"))
            case "ADDITEMS":
                self._since_mark()
            case "FROZENSET":
                self._since_mark()
                stack.append(Unread("a set"))
            case "GLOBAL":
                stack.append(allowed_global(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                stack.append(allowed_global(module, attribute))
            case "REDUCE" | "NEWOBJ":
                arguments, function = stack.pop(), stack.pop()
                stack.append(rebuilt(function, arguments))
            case "BUILD":
                self._build(stack.pop())
            case "BINPERSID":
                block = storage_of(stack.pop())
                stack.append(self.storages.setdefault(block.key, block))
            case _ if name in _SCALARS:
                stack.append(argument)
            case _:
                raise ValueError(f"its pickle has an instruction of no checkpoint ({name})")

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise ValueError("its pickle is damaged")
        target.extend(items)

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("its pickle is damaged")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Weights have no other kind of key, and hashing a nested one may never end.
            if isinstance(key, str | int):
                target[key] = value

    def _build(self, state: object) -> None:
        target = self._stack[-1]
        if isinstance(target, Module):
            if not isinstance(state, dict):
                raise ValueError("a module of the archive has no attributes")
            target.attributes = state


_SCALARS = frozenset(
    opcode.name
    for opcode in pickletools.opcodes
    if not opcode.stack_before and len(opcode.stack_after) == 1 and opcode.arg is not None
) - {"GLOBAL", "PERSID", "BINGET", "LONG_BINGET", "GET", "EXT1", "EXT2", "EXT4"}


_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001

DAMAGED = (
    *UNFIT, OSError, EOFError, RuntimeError, MemoryError, SyntaxError, TokenError, struct.error,
    zlib.error, zipfile.BadZipFile, SafetensorError,
)  # fmt: skip
"""Errors that readers of weights and vectors raise for damaged and hostile files."""

_CHUNK_BYTES = 2**20
_LOCAL_HEADER_BYTES = 30


class TorchFile(ABC):
    """A file of `torch.save` or `torch.jit.save`.

    Attributes:
        content: The saved object, with descriptions in place of tensors.
    """

    content: object

    @abstractmethod
    def offset(self, storage: Storage) -> int:
        """Returns the offset of a storage's data in the file, without reading them."""

    @abstractmethod
    def data(self, storage: Storage) -> Tensor:
        """Reads the data of a storage, uint8 `[nbytes]`."""

    def tensors(self, stored: Mapping[str, StoredTensor]) -> dict[str, Tensor]:
        """Reads tensors; tensors that share data in the file share memory.

        Verifies every checksum of the file, if the format has any.
        """
        data: dict[str, Tensor] = {}
        state: dict[str, Tensor] = {}
        for name, described in stored.items():
            key = described.storage.key
            if key not in data:
                data[key] = self.data(described.storage)
            tensor = data[key].view(described.dtype)
            tensor = tensor.as_strided(described.size, described.stride, described.offset)
            tensor = tensor.conj().resolve_conj() if described.conjugate else tensor
            state[name] = tensor.neg() if described.negative else tensor
        return state


def open_torch_file(file: IO[bytes]) -> TorchFile:
    """Opens a file of either format.

    Args:
        file: A file at its beginning; must stay open while tensors are read.

    Raises:
        UnsafePickleError: If the pickle could run code.
        ValueError, zipfile.BadZipFile, ...: If the file is damaged.
    """
    start = file.read(4)
    if not start:
        raise ValueError("it is empty, as a file that is cut short")
    file.seek(0)
    return _ZipFile(file) if start == b"PK\x03\x04" else _LegacyFile(file)


def open_archive(file: IO[bytes]) -> zipfile.ZipFile:
    """Opens a zip archive whose list of entries is no longer than any real one.

    Raises:
        ValueError: If it is longer.
        zipfile.BadZipFile: If the file is no archive.
    """
    return zipfile.ZipFile(BoundedReads(file, ARCHIVE_LIST_BYTES))


def content_offset(file: IO[bytes], entry: zipfile.ZipInfo) -> int:
    """Returns the offset of a stored entry's content, by its local header.

    Raises:
        ValueError: If the bytes do not begin with this header.
    """
    file.seek(entry.header_offset)
    header = file.read(_LOCAL_HEADER_BYTES)
    if len(header) != _LOCAL_HEADER_BYTES or header[:4] != b"PK\x03\x04":
        raise ValueError("the archive's directory and entries contradict each other")
    name, extra = struct.unpack("<HH", header[-4:])
    return entry.header_offset + _LOCAL_HEADER_BYTES + int(name) + int(extra)


class _ZipFile(TorchFile):
    def __init__(self, file: IO[bytes]) -> None:
        size = file.seek(0, io.SEEK_END)
        self._file = file
        self._archive = open_archive(file)
        entries = self._archive.infolist()
        self._entries = {entry.filename: entry for entry in entries}
        if sum(entry.file_size for entry in entries) > size + ARCHIVE_SPARE_BYTES:
            raise ValueError("the archive claims to hold more than the file's size")
        if not any(entry.CRC for entry in entries):  # saved without checksums
            for entry in entries:
                entry.CRC = None  # type: ignore[assignment]
        pickles = [n for n in self._entries if n.endswith("/data.pkl") and n.count("/") == 1]
        if len(pickles) != 1:
            raise ValueError("the archive has no data.pkl")
        self._root = pickles[0].removesuffix("data.pkl")
        ordered = self._root + "byteorder" in self._entries
        if ordered and self._small("byteorder").strip() != b"little":
            raise ValueError("it was saved on a big-endian machine")
        reader = PickleReader()
        self.content = reader.read(io.BytesIO(self._small("data.pkl")))

    def tensors(self, stored: Mapping[str, StoredTensor]) -> dict[str, Tensor]:
        """Reads tensors and verifies the checksum of every archive entry."""
        state = super().tensors(stored)
        read = {f"{self._root}data/{described.storage.key}" for described in stored.values()}
        for name in self._entries.keys() - read:
            with self._archive.open(name) as stream:
                while stream.read(_CHUNK_BYTES):
                    pass
        return state

    def offset(self, storage: Storage) -> int:
        """Returns the offset of an entry's content, by its local header."""
        entry = self._archive.getinfo(f"{self._root}data/{storage.key}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != storage.nbytes:
            raise ValueError(f"tensor data {storage.key} of the archive are cut short")
        return content_offset(self._file, entry)

    def _small(self, name: str) -> bytes:
        return self._data_of(self._root + name, PICKLE_BYTES).numpy().tobytes()

    def data(self, storage: Storage) -> Tensor:
        """Reads an entry, which verifies its checksum."""
        data = self._data_of(f"{self._root}data/{storage.key}", storage.nbytes)
        if len(data) != storage.nbytes:
            raise ValueError(f"tensor data {storage.key} of the archive are cut short")
        return data

    def _data_of(self, name: str, most: int) -> Tensor:
        entry = self._archive.getinfo(name)
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ValueError(f"entry {name} of the archive is compressed, which torch never does")
        if entry.file_size > most:
            raise ValueError(f"entry {name} of the archive is larger than it may be")
        with self._archive.open(entry) as stream:  # verifies the checksum at the end
            return _read(stream, entry.file_size)


class _LegacyFile(TorchFile):
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        head = io.BytesIO(file.read(PICKLE_BYTES))
        if head.getvalue()[257:262] == b"ustar":
            raise ValueError("it is a tar archive, as torch wrote before 2017")
        reader = PickleReader()
        if reader.read(head) != _MAGIC or reader.read(head) != _PROTOCOL:
            raise ValueError("it is a pickle, but not one that torch.save writes")
        about = reader.read(head)
        if isinstance(about, dict) and about.get("little_endian") is False:
            raise ValueError("it was saved on a big-endian machine")
        self.content = reader.read(head)
        keys = reader.read(head)
        if not isinstance(keys, list) or set(keys) != reader.storages.keys():
            raise ValueError("it does not list the data of its tensors")
        self._offsets: dict[str, int] = {}
        offset = head.tell()
        for key in keys:
            self._offsets[key] = offset + 8
            offset += 8 + reader.storages[key].nbytes
        if offset > size:
            raise ValueError("tensor data are cut short")

    def offset(self, storage: Storage) -> int:
        """Returns the offset that follows from the order of the data."""
        return self._offsets[storage.key]

    def data(self, storage: Storage) -> Tensor:
        """Reads the data after their number of elements; this format has no checksums."""
        self._file.seek(self._offsets[storage.key] - 8)
        (count,) = struct.unpack("<q", self._file.read(8))
        if count != storage.count:
            raise ValueError("the size of a tensor's data is stated twice, with two values")
        return _read(self._file, storage.nbytes)


def _read(stream: IO[bytes], size: int) -> Tensor:
    """Returns the next bytes of a stream, uint8 `[size]`."""
    import torch

    data = torch.empty(size, dtype=torch.uint8)
    view = data.numpy()
    done = 0
    while done < size:
        chunk = stream.read(min(size - done, _CHUNK_BYTES))
        if not chunk:
            raise ValueError("tensor data are cut short")
        view[done : done + len(chunk)] = np.frombuffer(chunk, dtype=np.uint8)
        done += len(chunk)
    return data
