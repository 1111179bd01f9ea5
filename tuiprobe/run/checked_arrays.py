"""Checks the arrays of a run once, when they are read.

A checksum shows that a file is unchanged, not that an engine wrote it. Arrays that pass these
checks have the type, shape and range that the probes rely on.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tuiprobe.files import DamagedFileError, Entry, parse_json
from tuiprobe.results.base import LONGEST_TEXT
from tuiprobe.run.arrays import Arrays, read_arrays_of_run
from tuiprobe.run.directory import RunDir

_T = TypeVar("_T")

_LARGEST = 1e100
MOST_COUNTED = 2**53
"""Largest number of a count or a class."""


@dataclass(frozen=True, eq=False)
class HeadArrays:
    """A linear head.

    Attributes:
        weight: float32 [K, C], W.
        bias: float32 [K]; None if there is none, as always where `normalize` is set.
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
    """The arrays of one file, each checked when it is taken.

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
        """Returns a list of texts in the metadata after checking it; empty where it has none."""
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
        array = self.in_range(name, "i8", *shape)
        lost = [i for i in np.unique(array).tolist() if i != -1 and i not in known]
        if lost:
            raise self.damaged(f"{name} names image {lost[0]}, which samples.jsonl does not")
        return array

    def damaged(self, why: str) -> DamagedFileError:
        """Returns the error for a damaged file."""
        return self._file.damaged(why)
