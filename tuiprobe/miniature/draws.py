"""Random numbers that mean the same everywhere: the raw Philox stream, keyed by names and numbers.

NumPy promises the raw output of a bit generator for good, but not how `Generator` turns it into
floats. So only `random_raw` is used here, and floats are made from it by exact arithmetic.
"""

import math
import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
_BLOCK = 64


class Draws:
    """An endless stream of draws that depends on `(name, index)` alone.

    Args:
        name: What is drawn, for example the name of a set. Other names give independent streams.
        index: Number of the image.

    >>> Draws("val", 7).uniform() == Draws("val", 7).uniform()
    True
    """

    def __init__(self, name: str, index: int) -> None:
        high = np.uint64(zlib.crc32(name.encode()) << 32)
        self._bits = np.random.Philox(key=np.array([high, index], dtype=np.uint64))
        self._buffer: list[float] = []

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Returns a float in `[low, high)` with 53 random bits."""
        if not self._buffer:
            raw = self._bits.random_raw(_BLOCK)
            self._buffer = ((raw >> np.uint64(11)) * 2.0**-53).tolist()
        return low + (high - low) * self._buffer.pop()

    def chance(self, probability: float) -> bool:
        """Returns True with the given probability."""
        return self.uniform() < probability

    def below(self, count: int) -> int:
        """Returns an integer in `[0, count)`."""
        return int(self.uniform() * count)

    def pick(self, options: Sequence[T]) -> T:
        """Returns one of the options, each equally likely."""
        return options[self.below(len(options))]

    def weighted(self, options: Sequence[T], weights: Sequence[float]) -> T:
        """Returns one of the options in proportion to its weight."""
        point = self.uniform() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            point -= weight
            if point < 0:
                return option
        return options[-1]

    def bytes(self, *shape: int) -> NDArray[np.uint8]:
        """Returns uniform bytes of the given shape."""
        count = math.prod(shape)
        raw = self._bits.random_raw((count + 7) // 8).astype("<u8")
        return raw.view(np.uint8)[:count].reshape(shape)

    def noise(self, *shape: int) -> NDArray[np.float32]:
        """Returns bell-shaped noise (sum of two bytes) of mean 0 and standard deviation 1."""
        pair = self.bytes(2, *shape).astype(np.float32)
        # The variance of the sum of two uniform bytes is 2 (256^2 - 1) / 12.
        bell: NDArray[np.float32] = (pair[0] + pair[1] - np.float32(255.0)) * np.float32(
            1 / 104.511
        )
        return bell
