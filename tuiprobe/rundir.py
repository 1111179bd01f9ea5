"""The run directory: the one thing the engine writes and everything else reads.

Files appear whole or not at all: each is written beside its place, flushed to the disk and renamed.
Readers treat a directory as hostile: sizes are capped, links are not followed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as decode_tensors
from safetensors.numpy import save as encode_tensors

from tuiprobe.errors import DataError, RunError

Arrays = dict[str, NDArray[Any]]

MAX_JSON_BYTES = 256 * 2**20
MAX_TENSOR_BYTES = 16 * 2**30
_HEADER_LENGTH_BYTES = 8


class DamagedFileError(DataError):
    """A file of a run directory is cut short, altered, or not what its name says."""


class RunDir:
    """Paths, atomic writes and checked reads of one run directory.

    Args:
        path: The directory; made by :meth:`create`, not by the constructor.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    # Layout.

    @property
    def key_file(self) -> Path:
        """The run's key: SHA-256 of its content, hexadecimal."""
        return self.path / "key"

    @property
    def spec_file(self) -> Path:
        """The RunSpec, as JSON."""
        return self.path / "spec.json"

    @property
    def plan_file(self) -> Path:
        """What the engine found when it planned the run: model, data, taps, as JSON."""
        return self.path / "plan.json"

    @property
    def samples_file(self) -> Path:
        """One JSON line an image: id, set, path, label, place in the order."""
        return self.path / "samples.jsonl"

    @property
    def statistics_file(self) -> Path:
        """Merged statistics, keyed ``<set>/<tap>/<field>``."""
        return self.path / "statistics.safetensors"

    @property
    def head_file(self) -> Path:
        """The linear head: weight, bias, and which class each row answers for in each set."""
        return self.path / "head.safetensors"

    @property
    def concepts_file(self) -> Path:
        """What is in each image of the concept set: sparse pixel shares, splits, names."""
        return self.path / "concepts.safetensors"

    @property
    def baseline_file(self) -> Path:
        """The user's CSV of baseline models, where one was given."""
        return self.path / "baseline.csv"

    @property
    def measured_file(self) -> Path:
        """What the merged statistics rest on: shards, skipped images, fingerprints, as JSON."""
        return self.path / "measured.json"

    @property
    def results_file(self) -> Path:
        """The Report, as JSON."""
        return self.path / "results.json"

    @property
    def cancel_file(self) -> Path:
        """Made by a reader that wants the run to stop."""
        return self.path / "cancel"

    def shard_file(self, set_name: str, number: int) -> Path:
        """Partial statistics of one shard."""
        return self.path / "shards" / f"{set_name}-{number:05d}.safetensors"

    def features_file(self, set_name: str) -> Path:
        """Final representations and per-image values of one set."""
        return self.path / "features" / set_name / "images.safetensors"

    def thumbnail_file(self, set_name: str, sample_id: int) -> Path:
        """96-pixel picture of one image."""
        return self.path / "thumbs" / set_name / f"{sample_id}.jpg"

    def live_file(self, rank: int, suffix: str) -> Path:
        """State of a running rank; ``suffix`` is ``json`` or ``safetensors``."""
        return self.path / "live" / f"{rank}.{suffix}"

    def events_file(self, rank: int) -> Path:
        """Milestones, warnings and skipped images of one rank, a JSON line each."""
        return self.path / f"events-{rank}.jsonl"

    # Life.

    def refuse_foreign(self, key: str) -> None:
        """Leaves alone what is not this run.

        Raises:
            DataError: If the directory holds another run, or files that are no run.
        """
        with reading(self.path):
            entries = list(self.path.iterdir()) if self.path.exists() else []
        ours = ("lock", ".key.", "log.txt")  # the log is there before the engine that writes it
        others = [entry for entry in entries if not entry.name.startswith(ours)]
        # Looked at after the listing: a rank that starts beside this one writes the key before
        # anything else, so files without a key are nobody's run.
        if self.key_file.exists():
            found = read_text(self.key_file).strip()
            if found != key:
                raise DataError(
                    f"{self.path} holds a run with other content (key {found[:8]}, this run has "
                    f"{key[:8]}): weights, preprocessing, images, layers or batch size differ. "
                    "Choose another --output, or --fresh to start it anew"
                )
        elif others:
            raise DataError(
                f"{self.path} is not empty and is no run directory; choose another --output"
            )

    def create(self, key: str) -> bool:
        """Makes the directory, or accepts one that holds the same key.

        Returns:
            True if the run is new, False if it is resumed.

        Raises:
            DataError: If the directory holds another run, or files that are no run.
            RunError: If it cannot be written.
        """
        self.refuse_foreign(key)
        if self.key_file.exists():
            return False
        write_text(self.key_file, key + "\n")
        return True

    @contextmanager
    def locked(self, name: str = "lock", wait: bool = False) -> Iterator[None]:
        """Holds the directory's lock, so that one process writes at a time.

        Args:
            name: Which of the directory's locks.
            wait: Wait for another process to release it.

        Raises:
            RunError: If another process holds it and ``wait`` was not asked for.
        """
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / name).open("ab+", buffering=0)
        with file:
            self._acquire(file, name, wait)
            yield

    def _acquire(self, file: IO[bytes], name: str, wait: bool) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = read_text(self.path / name).strip() or "another process"
            raise RunError(
                f"{self.path} is being written by {holder}; wait for it, or choose another --output"
            ) from error
        with writing(self.path):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())


def delete_run(directory: RunDir) -> None:
    """Deletes a run directory, and nothing that is not one.

    Raises:
        DataError: If the path holds no key or is a link.
    """
    path = directory.path
    if not path.exists():
        return
    if path.is_symlink() or not directory.key_file.is_file():
        raise DataError(f"{path} is no run directory (it holds no key), so it is not deleted")
    with writing(path):
        shutil.rmtree(path)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns the operating system's refusals to read into one sentence."""
    try:
        yield
    except OSError as error:
        raise DamagedFileError(f"cannot read {error.filename or path}: {error.strerror}") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the operating system's refusals into one sentence with a next step."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise RunError(
            f"cannot write {where}: {error.strerror}; everything published before is kept, free "
            "the cause and run the same command again to resume"
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Publishes ``content`` at ``path`` by rename, after it has reached the disk."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Publishes UTF-8 text; lone surrogates of undecodable file names become ``?``."""
    write_bytes(path, text.encode("utf-8", "replace"))


def write_json(path: Path, value: Any) -> None:
    """Publishes a value as strict JSON."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def replace_live(path: Path, content: bytes) -> None:
    """Replaces a live file: whole for every reader, but without waiting for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: dict[str, str]) -> None:
    """Publishes named arrays as safetensors with a checksum of their content."""
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    checked = {**metadata, "checksum": _checksum(contiguous, metadata)}
    write_bytes(path, encode_tensors(contiguous, metadata=checked))


def read_arrays(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Reads arrays written by :func:`write_arrays` and verifies their checksum.

    Returns:
        Arrays by name, and the metadata without the checksum, which covers both.

    Raises:
        DamagedFileError: If the file is cut short, altered, too large or a link.
    """
    content = _read(path, MAX_TENSOR_BYTES)
    try:
        arrays = decode_tensors(content)
        metadata = _metadata(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from error
    checksum = metadata.pop("checksum", None)
    if checksum != _checksum(arrays, metadata):
        raise DamagedFileError(f"{path} is damaged: its checksum does not match its content")
    return arrays, metadata


def read_text(path: Path) -> str:
    """Reads a UTF-8 text file of a run directory."""
    return _read(path, MAX_JSON_BYTES).decode("utf-8", "replace")


def read_json(path: Path) -> Any:
    """Reads a JSON file of a run directory.

    Raises:
        DamagedFileError: If it is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from error


def _read(path: Path, limit: int) -> bytes:
    with reading(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            _refuse_large(path, file, limit)
            return file.read()


def _refuse_large(path: Path, file: IO[bytes], limit: int) -> None:
    size = os.fstat(file.fileno()).st_size
    if size > limit:
        raise DamagedFileError(f"{path} holds {size} bytes, above the limit of {limit}")


def _metadata(content: bytes) -> dict[str, str]:
    length = int.from_bytes(content[:_HEADER_LENGTH_BYTES], "little")
    header = json.loads(content[_HEADER_LENGTH_BYTES : _HEADER_LENGTH_BYTES + length])
    return dict(header.get("__metadata__", {}))


def _checksum(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.asarray(array, order="C").reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
