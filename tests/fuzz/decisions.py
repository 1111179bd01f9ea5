"""A source of randomness that reads its numbers from bytes.

A coverage-guided fuzzer, which changes bytes, then steers damage that takes a `random.Random`.
"""

from __future__ import annotations

import random


class Decisions(random.Random):
    """Draws from the first bytes; zeros follow where they end, so every draw ends soon.

    >>> draw = Decisions(bytes([3, 200]))
    >>> draw.randrange(10), draw.choice("ab"), draw.choice("ab")
    (3, 'a', 'a')
    """

    def __new__(cls, content: bytes) -> Decisions:
        return super().__new__(cls)

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._left = content[:4096]

    def getrandbits(self, k: int) -> int:
        """Returns a number below 2**k."""
        count = -(-k // 8)
        taken, self._left = self._left[:count], self._left[count:]
        return int.from_bytes(taken, "little") % 2**k

    def random(self) -> float:
        """Returns a number in [0, 1)."""
        return self.getrandbits(16) / 2**16

    def seed(self, *_: object, **__: object) -> None:
        """Does nothing: the bytes are all there is."""
