"""Checks the arrays of a run once, when they are read.

A checksum shows that a file is unchanged, not that an engine wrote it. Arrays that pass these
checks have the type, shape and range that the probes rely on.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.run.arrays import Arrays
from tuiprobe.run.records import TapRecord
from tuiprobe.run.samples import SampleRecord

_LARGEST = 1e100
LARGEST_WEIGHT = 1e15
"""Largest magnitude in a head; logits of larger ones leave the range of float32."""
_MOST = 2**53

_PER_CHANNEL = {
    "count": "i8", "mean": "f8", "var": "f8", "skewness": "f8", "kurtosis": "f8", "min": "f8",
    "max": "f8", "nonfinite": "i8", "share_sum": "f8", "leading_count": "i8", "exceed_count": "i8",
}  # fmt: skip
_PER_IMAGE = {"sample_ids": "i8", "sample_kurtosis": "f8", "sample_self_share": "f8"}
_SINGLE = {"share_square_sum": "f8", "rows": "i8", "degenerate": "i8"}
_PER_SHARD = {"shard_share_square_sum": "f8", "shard_images": "i8", "shard_kurtosis_sum": "f8"}


@dataclass(frozen=True, eq=False)
class HeadArrays:
    """A linear head.

    Attributes:
        weight: float32 [K, C], W.
        bias: float32 [K]; None if there is none.
        normalize: Whether logits are W h / |h| (zero-shot) or W h + bias.
        source: Where the head comes from, for the report.
        logit_scale: What logits are multiplied by before the softmax (exp of a CLIP's trained
            temperature); None where it is not known, and for classifiers, whose scale is 1.
        logit_bias: What is added after that (SigLIP); 0 without.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None = None
    normalize: bool = False
    source: str = ""
    logit_scale: float | None = None
    logit_bias: float = 0.0


class CheckedArrays:
    """The arrays of one file, each checked when it is taken.

    Args:
        file: File of the arrays, for errors.
        arrays: Arrays by name.
    """

    def __init__(self, file: Entry, arrays: Arrays) -> None:
        self._file, self._arrays = file, arrays

    def holds(self, name: str, kind: str) -> bool:
        """Says whether the file has an array of this name and type."""
        return name in self._arrays and self._arrays[name].dtype == np.dtype(kind)

    def shaped(self, name: str, kind: str, *shape: int | None) -> NDArray[Any]:
        """Returns an array after checking its type and shape, but not its values.

        Args:
            name: Name of the array.
            kind: NumPy type code.
            shape: Length along each axis; None for any.

        Raises:
            DamagedFileError: If it is missing, or of another type or shape.
        """
        array = self._arrays.get(name)
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

    def take(self, name: str, kind: str, *shape: int | None) -> NDArray[Any]:
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
        """Returns an array as `take` does; also checks that it is finite and not empty."""
        array = self.take(name, kind, *shape)
        if not array.size or not np.isfinite(array).all():
            raise self.damaged(f"{name} is empty, or holds what is not finite")
        return array

    def counts(self, name: str, kind: str, *shape: int | None) -> NDArray[Any]:
        """Returns an array as `take` does; also checks that the values are valid counts."""
        array = self.take(name, kind, *shape)
        if array.size and not 0 <= int(array.min()) <= int(array.max()) <= _MOST:
            raise self.damaged(f"{name} holds a number that is no count")
        return array

    def ids(self, name: str, known: Container[int], *shape: int | None) -> NDArray[Any]:
        """Returns an array of sample ids of the set; -1 stands for no image."""
        array = self.take(name, "i8", *shape)
        lost = [i for i in np.unique(array).tolist() if i != -1 and i not in known]
        if lost:
            raise self.damaged(f"{name} names image {lost[0]}, which samples.jsonl does not")
        return array

    def damaged(self, why: str) -> DamagedFileError:
        """Returns the error for a damaged file."""
        return DamagedFileError(f"{self._file} is damaged: {why}")


def check_features(
    file: Entry, arrays: Arrays, channels: int, samples: Mapping[int, SampleRecord], labelled: bool
) -> Arrays:
    """Checks and returns representations and ids of one set.

    Raises:
        DamagedFileError: If an image is repeated or not in the sample list, or an array is invalid.
    """
    checked = CheckedArrays(file, arrays)
    features = checked.take("features", "f4", None, channels)
    ids = _own_ids(checked, "ids", samples, labelled, len(features))
    return {"features": features, "ids": ids}


def _own_ids(
    checked: CheckedArrays,
    name: str,
    samples: Mapping[int, SampleRecord],
    labelled: bool,
    length: int | None,
) -> NDArray[Any]:
    ids = checked.ids(name, samples, length)
    if not ids.size or ids.min() < 0 or len(np.unique(ids)) != len(ids):
        raise checked.damaged(f"{name} is empty, or holds an image twice")
    if labelled and any(samples[i].label is None for i in ids.tolist()):
        raise checked.damaged(f"{name} names an image that has no label in samples.jsonl")
    return ids


def check_statistics(
    file: Entry,
    fields: Arrays,
    tap: TapRecord,
    samples: Mapping[int, SampleRecord],
    labelled: bool,
    images: int | None,
) -> Arrays:
    """Checks and returns the statistics of one set at one tap.

    Args:
        file: File of the arrays, for errors.
        fields: Arrays by name, as `tuiprobe.probes.inputs.flatten_summary` writes them.
        tap: The tap; gives the width.
        samples: Samples of the set, by id.
        labelled: Whether every image must have a label.
        images: Number of representations of the set; None at inner taps.

    Raises:
        DamagedFileError: If an array is missing or invalid.
    """
    checked, width = CheckedArrays(file, fields), tap.channels
    ids = _own_ids(checked, "sample_ids", samples, labelled, images)
    for name, kind in _PER_CHANNEL.items():
        (checked.counts if kind == "i8" else checked.take)(name, kind, width)
    for name, kind in _PER_IMAGE.items():
        checked.take(name, kind, len(ids))
    leading = checked.take("sample_leading", "i4", len(ids))
    if leading.min() < -1 or leading.max() >= width:
        raise checked.damaged(f"sample_leading names a channel that {width} channels do not have")
    for name, kind in _SINGLE.items():
        (checked.counts if kind == "i8" else checked.take)(name, kind)
    checked.counts("norm_histogram", "i8", None)
    for end in ("largest", "smallest"):
        shape = checked.take(f"{end}_values", "f4", width, None).shape
        checked.ids(f"{end}_sample_ids", samples, *shape)
        positions = checked.take(f"{end}_positions", "i4", *shape)
        if positions.size and positions.min() < -1:
            raise checked.damaged(f"{end}_positions holds what is no position")
    shards = len(checked.take("shard_share_sum", "f8", None, width))
    for name, kind in _PER_SHARD.items():
        (checked.counts if kind == "i8" else checked.take)(name, kind, shards)
    if images is None:
        checked.take("row_sample", "f4", None, width)
    return fields


def check_head(file: Entry, arrays: Arrays, metadata: Mapping[str, str]) -> HeadArrays:
    """Checks and returns the head.

    Raises:
        DamagedFileError: If weight, bias, answers or their metadata are invalid.
    """
    checked = CheckedArrays(file, arrays)
    weight = checked.finite("weight", "f4", None, None)
    bias = checked.finite("bias", "f4", len(weight)) if "bias" in arrays else None
    for array in (weight, bias):
        if array is not None and np.abs(array).max() > LARGEST_WEIGHT:
            raise checked.damaged(f"it holds {np.abs(array).max():g}, which is no weight of a head")
    for name in (name for name in arrays if name.startswith("answers/")):
        answers = checked.take(name, "i8", len(weight))
        if answers.min() < -1 or answers.max() > _MOST:
            raise checked.damaged(f"{name} holds what is no class")
    if metadata.get("normalize") not in ("true", "false") or "source" not in metadata:
        raise checked.damaged("its metadata does not say how to use it")
    scale, shift = logit_scale(checked, arrays)
    return HeadArrays(
        weight, bias, metadata["normalize"] == "true", metadata["source"], scale, shift
    )


def logit_scale(checked: CheckedArrays, arrays: Arrays) -> tuple[float | None, float]:
    """Checks and returns logit scale and logit bias, which not every head has.

    Raises:
        DamagedFileError: If one is not a finite number, or the scale is not above 0.
    """
    scale = shift = None
    if "logit_scale" in arrays:
        scale = float(checked.finite("logit_scale", "f4", 1)[0])
        if scale <= 0:
            raise checked.damaged(f"logit_scale holds {scale:g}, which is not above 0")
    if "logit_bias" in arrays:
        shift = float(checked.finite("logit_bias", "f4", 1)[0])
    return scale, shift or 0.0
