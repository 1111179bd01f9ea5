"""An image before it is decoded: name, label and stamp, its stored bytes, and their digest."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuiprobe.errors import DataError, UnreadableImageError
from tuiprobe.files import DIGEST_BYTES, open_regular
from tuiprobe.limits import IMAGE_BYTES

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a data set.

    Attributes:
        id: Rank of `path` among all paths of its data set in byte order.
        path: Path relative to the root of the data set, with forward slashes.
        label: Index into the data set's `classes`.
    """

    id: int
    path: str
    label: int | None


def row_name(row: int) -> str:
    """Returns the name of a sample that goes by its index."""
    return f"row {row}"


def samples_of(paths: Iterable[str], labels: Iterable[int | None] | None) -> tuple[Sample, ...]:
    """Returns samples of paths in the order of a set, with their labels if there are any."""
    pairs = zip(paths, repeat(None) if labels is None else labels, strict=labels is not None)
    return tuple(Sample(id, path, label) for id, (path, label) in enumerate(pairs))


@dataclass(frozen=True, slots=True)
class Stamp:
    """A cheap substitute for the content of an image: if the content changed, the stamp differs.

    Attributes:
        size: Bytes of the file or member. Part of a run's key.
        changed: Time of the last change, or a digest; None if only reading the image can show a
            change.
    """

    size: int | None
    changed: str | None


UNREADABLE = bytes(DIGEST_BYTES)
"""Replaces the digest of an image that cannot be read at all."""


def _decode(data: bytes) -> Image:
    from tuiprobe.datasets.decode import decode_image  # loads Pillow

    return decode_image(io.BytesIO(data))


@dataclass(frozen=True, slots=True)
class Content:
    """An image as it is stored, read once for both digest and pixels.

    Attributes:
        data: The encoded bytes; pixels if the data set holds no encoded image.
        stamp: Stamp of the file after the last byte was read.
        label_maps: Further files of the image, for example concept maps.
        decode: Decodes the bytes to an RGB image.
        prepared: The float32 tensor `[3, H, W]` that goes to the encoder, if the data set gives
            preprocessed ones; None to preprocess the image.
    """

    data: bytes | Image
    stamp: Stamp
    label_maps: tuple[bytes, ...] = ()
    decode: Callable[[bytes], Image] = _decode
    prepared: Any = None

    def digest(self) -> bytes:
        """Returns the SHA-256 of image and further files, 32 bytes."""
        if isinstance(self.data, bytes):
            digest = hashlib.sha256(self.data)
        else:
            digest = hashlib.sha256(f"{self.data.mode} {self.data.size} ".encode())
            digest.update(self.data.tobytes())
        for content in self.label_maps:
            digest.update(hashlib.sha256(content).digest())
        return digest.digest()

    def image(self) -> Image:
        """Returns the RGB image.

        Raises:
            UnreadableImageError: If the bytes cannot be decoded.
        """
        return self.decode(self.data) if isinstance(self.data, bytes) else self.data


class ImageFiles:
    """A set whose samples are files below one folder.

    Attributes:
        folder: Where the paths of the samples start, but absolute ones.
    """

    folder: Path

    def stamp(self, sample: Sample) -> Stamp:
        """Returns size and times of a sample's file."""
        return stamp_file(self._file(sample))

    def read(self, sample: Sample) -> Content:
        """Reads the file of a sample."""
        return read_file(self._file(sample))

    def _file(self, sample: Sample) -> str:
        return os.path.join(self.folder, sample.path)  # noqa: PTH118  (surrogates, speed)


def stamp_of(status: os.stat_result) -> Stamp:
    """Returns the stamp of a file.

    It includes the status change time (ctime): copying tools restore the modification time, but
    nothing restores this one.
    """
    return Stamp(status.st_size, f"{status.st_mtime_ns} {status.st_ctime_ns}")


def stamp_file(path: str | Path) -> Stamp:
    """Returns the stamp of the file at a path, without opening it."""
    try:
        status = os.stat(path)  # noqa: PTH116  (tens of thousands of calls before the first image)
    except (OSError, ValueError):
        return Stamp(None, "missing")
    return stamp_of(status) if stat.S_ISREG(status.st_mode) else Stamp(None, "no file")


def read_file(path: str | Path) -> Content:
    """Reads an image file.

    Raises:
        UnreadableImageError: If it is missing, not a regular file, or too large.
    """
    try:
        with open_regular(path, IMAGE_BYTES) as file:
            data = file.read()
            stamp = stamp_of(os.fstat(file.fileno()))
    except (OSError, ValueError, DataError) as error:
        raise UnreadableImageError(_cause(error)) from error
    return Content(data, stamp)


def _cause(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, FileNotFoundError):
        return "the file is gone"
    return getattr(error, "strerror", None) or str(error)
