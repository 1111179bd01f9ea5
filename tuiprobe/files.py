"""Opens, reads and writes files safely; all other code does so through this module.

Every input is untrusted: a checkpoint, an image, a suite, someone else's run directory. A named
pipe must not hang the reader, a device must not be read, a huge file must not fill the memory, and
no link inside a run directory may lead out of it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar

from tuiprobe import limits
from tuiprobe.errors import DataError, RunError
from tuiprobe.plaintext import similar_names

_Content = TypeVar("_Content")

UNFIT = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What code raises when a parsed value does not have the expected form."""

DIGEST_BYTES = 32
"""Length of a SHA-256."""

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # non-blocking, so a pipe cannot hang
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_SMALL = 2**25
"""Bytes that any process can take: asking for the limits takes longer than reading them."""

_CHUNK_BYTES = 2**20
_STALE_SECONDS = 24 * 3600


class DamagedFileError(DataError):
    """A file is cut short, altered, or not what its name says.

    Args:
        message: The sentence, which names the file.
        cause: What is wrong with it, without its name.
    """

    def __init__(self, message: str, cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause or message


def unless_damaged(read: Callable[[], _Content]) -> _Content | None:
    """Returns what `read` returns, unless its file is missing or damaged."""
    try:
        return read()
    except DamagedFileError:
        return None


def open_regular(path: str | Path, limit: int | None = None) -> IO[bytes]:
    """Opens a regular file for reading; links are followed, since the user named the path.

    Args:
        path: What to open.
        limit: Largest size in bytes.

    Raises:
        OSError: As `open` raises it.
        DamagedFileError: If it is too large, or a pipe, a device, a socket or a directory.
    """
    return _checked(os.open(path, _READ), path, limit)


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
    available = limits.available_memory()
    if available is not None and size > available:
        raise DamagedFileError(
            f"{path} holds {size:,} bytes, and {available:,} bytes of memory are available; "
            "read it on a machine or in a container with more"
        )


class BoundedReads:
    """A file for a library that reads as many bytes at once as the file itself says.

    Args:
        file: The file.
        most: Bytes of the largest read.
    """

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._most = file, most
        self.seek, self.tell = file.seek, file.tell
        self.seekable, self.close = file.seekable, file.close

    def read(self, size: int = -1) -> bytes:
        """Reads as a file does; refuses more than `most` bytes."""
        if not -1 <= size <= self._most:
            raise ValueError(f"it has a header of {size:,} bytes")
        return self._file.read(size)


def expand_home(path: str) -> Path:
    """Returns a path with `~` as a home folder; that of an unknown user stays as it was typed."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib raises for an unknown user


def read_regular(path: str | Path, limit: int = limits.TEXT_BYTES) -> bytes:
    """Returns the content of a regular file; arguments and errors as for `open_regular`."""
    with open_regular(path, limit) as file:
        return file.read()


def _checked(descriptor: int, path: object, limit: int | None) -> IO[bytes]:
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DamagedFileError(f"{path} is {_kind(status.st_mode)}, not a file")
        if limit is not None and status.st_size > limit:
            raise DamagedFileError(
                f"{path} holds {status.st_size:,} bytes, above the limit of {limit:,}"
            )
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFDIR: "a directory",
        stat.S_IFLNK: "a link",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")


def similar_folder(missing: Path) -> Path | None:
    """Returns the folder that a path without a folder probably means.

    It differs in the first part of the path that is missing; what follows stays if it exists.
    """
    given = missing
    while not missing.parent.is_dir():
        missing = missing.parent
    with suppress(OSError):
        names = [path.name for path in missing.parent.iterdir() if path.is_dir()]
        if near := similar_names(missing.name, names, most=1):
            meant = missing.parent / near[0]
            inside = meant / given.relative_to(missing)
            return inside if inside.is_dir() else meant
    return None


def parse_json(content: bytes | str, each: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Returns the value of a strict JSON text.

    Args:
        content: The text.
        each: Replaces an object, inner ones first; None leaves them as they are.

    Raises:
        ValueError: If it is not JSON, is nested too deeply, has too many values, or holds NaN or an
            infinity.
    """
    if len(content) > limits.JSON_VALUES:
        refuse_many_values(content, limits.JSON_VALUES)
    try:
        return json.loads(content, parse_constant=_refuse_constant, object_hook=each)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def refuse_many_values(content: bytes | str, most: int) -> None:
    """Refuses a JSON text by its marks, before it is parsed.

    Raises:
        ValueError: If it may have more values.
    """
    marks = (",", "[", "{") if isinstance(content, str) else (b",", b"[", b"{")
    if sum(map(content.count, marks)) > most:  # type: ignore[arg-type]
        raise ValueError(f"it has more than {most:,} values")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


@contextmanager
def reading(path: object) -> Iterator[None]:
    """Turns the operating system's read errors into one sentence."""
    try:
        yield
    except OSError as error:
        cause = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise DamagedFileError(f"cannot read {path}: {cause}") from error


@contextmanager
def writing(path: object) -> Iterator[None]:
    """Turns the operating system's write errors into one sentence with a next step."""
    try:
        yield
    except OSError as error:
        cause = "a part of the path is a link" if error.errno == errno.ELOOP else error.strerror
        raise RunError(
            f"cannot write {path}: {cause}; what was saved before is intact. Remove the cause "
            "and run the same command again to resume"
        ) from error


def names_below(root: Path, folder: str = "") -> list[str]:
    """Returns the names in a directory or in a folder of it, sorted; none if it cannot be listed.

    No link below the directory is followed.

    Args:
        root: The directory; its path may contain links.
        folder: A folder directly below it; empty for the directory itself.
    """
    with suppress(OSError, ValueError):
        descriptor = os.open(root, _FOLDER)
        try:
            if folder:
                outer, descriptor = (
                    descriptor,
                    os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor),
                )
                os.close(outer)
            with os.scandir(descriptor) as entries:
                return sorted(entry.name for entry in entries)
        finally:
            os.close(descriptor)
    return []


@dataclass(frozen=True)
class Entry:
    """A file below a directory, reached without following a link below that directory.

    Every folder on the path is opened relative to its parent with `O_NOFOLLOW`, so reads and
    writes stay inside the directory, whatever someone else put there.

    Attributes:
        root: The directory; its path may contain links.
        name: Path of the file below it, with `/` between parts.
    """

    root: Path
    name: str

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.name).parts
        if not parts or self.name.startswith("/") or any(p in ("..", ".") for p in parts):
            raise DamagedFileError(f"{self.name!r} names no file below {self.root}")
        if "\0" in self.name:
            raise DamagedFileError(f"{self.name!r} is no file name")

    def __str__(self) -> str:
        return str(self.path)

    def damaged(self, cause: object) -> DamagedFileError:
        """Returns the error for a file that is not what was written."""
        return DamagedFileError(f"{self} is damaged: {cause}", str(cause))

    @property
    def path(self) -> Path:
        """The path of the file, for messages and for programs that the user trusts."""
        return self.root / self.name

    def status(self) -> os.stat_result | None:
        """Returns the status of a file, if it exists and is a regular one."""
        try:
            with self._folder() as folder:
                status = os.stat(self._last, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def exists(self) -> bool:
        """Returns whether the file exists and is a regular file."""
        return self.status() is not None

    def modified(self) -> int | None:
        """Returns its modification time in nanoseconds."""
        status = self.status()
        return None if status is None else status.st_mtime_ns

    def changed(self) -> int:
        """Returns when the file or its times were last set, in nanoseconds; -1 without it.

        An edit can restore the time of modification (`cp -p`, `rsync -t`), not that of the change.
        """
        status = self.status()
        return -1 if status is None else max(status.st_mtime_ns, status.st_ctime_ns)

    def open(self, limit: int | None = None) -> IO[bytes]:
        """Opens the file for reading.

        Raises:
            DamagedFileError: If it is missing, not a regular file, too large, or behind a link.
        """
        with reading(self.path), self._folder() as folder:
            descriptor = os.open(self._last, _READ | os.O_NOFOLLOW, dir_fd=folder)
            return _checked(descriptor, self.path, limit)

    def read_bytes(self, limit: int = limits.TEXT_BYTES) -> bytes:
        """Returns the content; errors as for `open`."""
        with self.open(limit) as file, reading(self.path):
            return file.read()

    def read_text(self) -> str:
        """Returns the content as UTF-8; invalid bytes become replacement characters."""
        return self.read_bytes().decode("utf-8", "replace")

    def read_json(self, limit: int = limits.TEXT_BYTES) -> Any:
        """Returns the content as JSON; further errors as for `open`.

        Raises:
            DamagedFileError: If it is not strict JSON, or nested too deeply.
        """
        content = self.read_bytes(limit)
        try:
            return parse_json(content)
        except ValueError as error:
            raise DamagedFileError(f"{self.path} is damaged: {error}") from error

    def write_bytes(self, content: bytes) -> None:
        """Publishes `content` atomically and durably, so it survives a power failure.

        Raises:
            RunError: If the operating system refuses, or a folder on the path is a link.
        """
        self._publish((content,), durable=True)

    def write_chunks(self, chunks: Iterable[bytes | memoryview]) -> None:
        """Publishes a file of any size as `write_bytes` does; if `chunks` raises, there is none."""
        self._publish(chunks, durable=True)

    def write_text(self, text: str) -> None:
        """Publishes UTF-8 text; lone surrogates of undecodable file names become `?`."""
        self.write_bytes(text.encode("utf-8", "replace"))

    def write_json(self, value: Any) -> None:
        """Publishes a value as strict JSON."""
        self.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")

    def replace(self, content: bytes) -> None:
        """Replaces the file atomically, without waiting for the disk."""
        self._publish((content,), durable=False)

    def descriptor(self, flags: int) -> int:
        """Opens the file with `os.open`'s flags; the caller closes the returned descriptor.

        Folders on the path are created if `flags` create the file.

        Raises:
            OSError: As `os.open` raises it; `ELOOP` for a link.
            RunError: If it is not a regular file.
        """
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with self._folder(make=bool(flags & os.O_CREAT)) as folder:
            descriptor = os.open(self._last, flags, 0o666, dir_fd=folder)
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            return descriptor
        os.close(descriptor)
        kind = _kind(status.st_mode)
        raise RunError(f"{self.path} is {kind}, so nothing is written to it; move it away")

    def unlink(self) -> None:
        """Deletes the file if it exists; deletes a link itself, never its target."""
        with writing(self.path), suppress(FileNotFoundError), self._folder() as folder:
            os.unlink(self._last, dir_fd=folder)

    @property
    def _last(self) -> str:
        return PurePosixPath(self.name).name

    @contextmanager
    def _folder(self, make: bool = False) -> Iterator[int]:
        """Opens the folder of the file, one path component after another."""
        if make and self.root in _LOCKED and not self.root.is_dir():
            raise RunError(
                f"{self.root} was deleted or moved while it was being written; the same command "
                "starts or resumes the run"
            )
        if make:
            _make_root(self.root)
        folder = os.open(self.root, _FOLDER)
        try:
            for part in PurePosixPath(self.name).parts[:-1]:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=folder)
                        os.fsync(folder)
                below = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)

    def _publish(self, chunks: Iterable[bytes | memoryview], *, durable: bool) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        temporary = f".{self._last[:180]}.{_writer()}.tmp"
        with writing(self.path), self._folder(make=True) as folder:
            with suppress(FileNotFoundError):  # left by an earlier process with the same number
                os.unlink(temporary, dir_fd=folder)
            descriptor = os.open(temporary, flags, 0o666, dir_fd=folder)
            try:
                try:
                    for chunk in chunks:
                        write_all(descriptor, chunk)
                    if durable:
                        os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                os.replace(temporary, self._last, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            if durable:
                os.fsync(folder)


_LOCKED: set[Path] = set()
"""Directories that this process has locked, and does not make again if they are deleted."""


@contextmanager
def not_made_again(root: Path) -> Iterator[None]:
    """Makes writing below a directory fail, inside the block, if it is deleted or moved away."""
    outer = root in _LOCKED
    _LOCKED.add(root)
    try:
        yield
    finally:
        if not outer:
            _LOCKED.remove(root)


def _make_root(root: Path) -> None:
    """Makes a directory and those above it; each name is flushed, so that it survives with them."""
    if root.is_dir():
        return
    _make_root(root.parent)
    with suppress(FileExistsError):
        root.mkdir()
        flush_folder(root.parent)


def flush_folder(path: Path) -> None:
    """Waits until all names that a directory holds now, and no others, survive a loss of power."""
    folder = os.open(path, _FOLDER)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Writes all of some bytes to an open file."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view[:_CHUNK_BYTES]) :]


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _writer() -> str:
    return f"{_host()}-{os.getpid()}"


def sweep(root: Path) -> int:
    """Deletes temporary files of killed writers.

    Files of a process that still runs on this machine stay; files of other machines stay for a day.

    Args:
        root: The directory; its subfolders are swept too, links are not followed.

    Returns:
        How many were deleted.
    """
    swept = 0
    for folder, _, files, descriptor in os.fwalk(root, follow_symlinks=False):
        for name in files:
            if name.startswith(".") and name.endswith(".tmp") and _abandoned(name, descriptor):
                with suppress(OSError):
                    os.unlink(name, dir_fd=descriptor)
                    swept += 1
        del folder
    return swept


def _abandoned(name: str, folder: int) -> bool:
    host, _, process = name.removesuffix(".tmp").rpartition(".")[2].partition("-")
    if host == _host() and process.isdecimal():
        return int(process) == os.getpid() or not process_lives(int(process))
    try:
        changed = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
    except OSError:
        return False
    return time.time() - changed > _STALE_SECONDS


def process_lives(number: int) -> bool:
    """Returns whether a process with this number runs on this machine."""
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
