"""The native core (csrc/bindings*.cpp); use it through `tuiprobe.stats`.

Addresses are those of `data_ptr()`; strides count elements. A dtype is 0 for float32, 1 for
float16 and 2 for bfloat16.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

CUDA_MAX_CHANNELS: int
CUDA_MAX_K: int
CUDA_RECORD_BYTES: int
VERSION: str

class Accumulator:
    def __init__(
        self, *, channels: int, moments: bool, largest: int, smallest: int, samples: bool
    ) -> None: ...
    def update(
        self,
        data: int,
        dtype: int,
        shape: Sequence[int],
        strides: Sequence[int],
        sample_ids: npt.NDArray[np.int64] | None,
        threads: int,
    ) -> None: ...
    def images(self) -> int: ...
    def merge(self, other: Accumulator) -> None: ...
    def state(self) -> dict[str, Any]: ...
    def summary(self, part: str = "") -> dict[str, Any]: ...
    def load(self, state: dict[str, Any]) -> None: ...

class RowAccumulator:
    def __init__(self, channels: int) -> None: ...
    def update(
        self,
        data: int,
        dtype: int,
        shape: Sequence[int],
        strides: Sequence[int],
        sample_ids: npt.NDArray[np.int64],
        threads: int,
    ) -> None: ...
    def merge(self, other: RowAccumulator) -> None: ...
    def state(self) -> dict[str, Any]: ...
    def load(self, state: dict[str, Any]) -> None: ...

def height_edges() -> list[float]: ...

class DeviceState:
    def __init__(
        self, *, channels: int, moments: bool, largest: int, smallest: int, samples: bool
    ) -> None: ...
    def progress(self, state: bytes, /) -> tuple[int, int]: ...
    def read(self, state: bytes, records: bytes, /) -> dict[str, Any]: ...
    def place(self, state: dict[str, Any], records: int, capacity: int) -> tuple[bytes, bytes]: ...
    def reads(
        self, data: int, dtype: int, shape: Sequence[int], strides: Sequence[int]
    ) -> bool: ...
    def scratch_bytes(self, shape: Sequence[int]) -> int: ...
    def bytes(self) -> int: ...
    # The next one exists only in a build with CUDA.
    def update(
        self,
        data: int,
        dtype: int,
        shape: Sequence[int],
        strides: Sequence[int],
        ids: int,
        state: int,
        state_bytes: int,
        scratch: int,
        scratch_size: int,
        stream: int,
        device: int,
    ) -> None: ...

def average_precision(
    data: int,
    dtype: int,
    shape: Sequence[int],
    strides: Sequence[int],
    starts: npt.NDArray[np.int64],
    concepts: npt.NDArray[np.int32],
    positives: npt.NDArray[np.float64],
    false_weight: npt.NDArray[np.float64],
    groups: npt.NDArray[np.uint64],
    concept_group: npt.NDArray[np.int32],
    both_signs: bool,
    threads: int,
) -> tuple[npt.NDArray[np.float64], int]: ...
def read_memory(data: int, count: int, flavour: int, threads: int) -> float: ...
def isa() -> str: ...
def isas() -> list[str]: ...
def openmp_runtime() -> str: ...
def build() -> str: ...
def cuda_reason(device: int) -> str: ...
