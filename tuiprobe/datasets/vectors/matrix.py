"""A matrix of vectors that stays in its file and is read in blocks of rows.

Blocks are read at their offset instead of through a memory map: memory is bounded by one block,
and a file that is cut short while it is read gives an error, where a map would end the process.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.sample import Stamp, stamp_of
from tuiprobe.errors import DataError
from tuiprobe.files import DamagedFileError, open_regular, reading
from tuiprobe.limits import CHANNELS

FLOATS: dict[str, np.dtype[Any]] = {
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
    "float64": np.dtype("<f8"),
    "bfloat16": np.dtype("<u2"),
}
"""Types of values by name, as they lie in a file; NumPy has no bfloat16, so its bits are read."""


@dataclass(eq=False)
class Matrix(ABC):
    """Vectors of one file.

    Attributes:
        path: The file.
        stamp: Its stamp when it was opened.
        kind: Name of the format, for example `npy`.
        dtype: Name of the type of the values, a key of `FLOATS`.
        rows: Number of vectors.
        channels: Width.
    """

    path: Path
    stamp: Stamp
    kind: str
    dtype: str
    rows: int
    channels: int

    @abstractmethod
    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Returns rows as float16 or float32 `[stop - start, C]`.

        float64 is rounded to float32, and bfloat16 is widened to it.

        Raises:
            DataError: If the file cannot be read, or changed since it was opened.
        """

    def refuse_changed(self, file: IO[bytes]) -> None:
        """Refuses a file that was written to since it was opened.

        Raises:
            DataError: If its stamp differs.
        """
        if stamp_of(os.fstat(file.fileno())) != self.stamp:
            raise DataError(
                f"{self.path} changed while it was measured; run the same command again when it "
                "is complete"
            )


def as_floats(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Returns stored values as float16 or float32."""
    if dtype == "bfloat16":
        return (values.astype("<u4") << np.uint32(16)).view("<f4")
    if dtype == "float64":
        with np.errstate(over="ignore"):  # becomes infinite, and its row is counted as not finite
            return values.astype(np.float32)
    return values


@dataclass(eq=False)
class StoredMatrix(Matrix):
    """Vectors that lie row after row in a file: npy, and members of npz, safetensors and torch.

    Attributes:
        offset: Position of the first value in the file.
    """

    offset: int

    def __post_init__(self) -> None:
        end = self.offset + self.rows * self.channels * FLOATS[self.dtype].itemsize
        if end > (self.stamp.size or 0):
            raise DamagedFileError(
                f"{self.path} is cut short: it holds {self.stamp.size:,} bytes, and "
                f"{self.rows:,} rows of {self.channels:,} channels end at {end:,}"
            )

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Returns rows as `Matrix.read` says."""
        block = np.empty((stop - start, self.channels), FLOATS[self.dtype])
        with reading(self.path), open_regular(self.path) as file:
            self.refuse_changed(file)
            file.seek(self.offset + start * self.channels * block.dtype.itemsize)
            view = block.reshape(-1).view(np.uint8).data
            while view:
                count = file.readinto(view)  # type: ignore[attr-defined]
                if not count:
                    raise DamagedFileError(f"{self.path} was cut short while it was read")
                view = view[count:]
        return as_floats(block, self.dtype)


def refuse_shape(path: Path, shape: Sequence[int], array_name: str = "") -> tuple[int, int]:
    """Returns rows and channels of a matrix of vectors.

    Args:
        path: The file, for messages.
        shape: Shape of the array.
        array_name: Its name in the file; empty where the file holds one array.

    Raises:
        DataError: If it is no matrix, or is empty or too wide.
    """
    name = f"{path} ({array_name})" if array_name else str(path)
    if len(shape) != 2:
        raise DataError(
            f"{name} has shape {tuple(shape)}; vectors are a matrix with one row an image"
        )
    rows, channels = int(shape[0]), int(shape[1])
    if rows < 1 or channels < 1:
        raise DataError(f"{name} is empty: its shape is {rows} x {channels}")
    if channels > CHANNELS:
        raise DataError(f"{name} has {channels:,} channels, above the limit of {CHANNELS:,}")
    return rows, channels
