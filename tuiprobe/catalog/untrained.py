"""Figures of encoders with random weights: `untrained.json`, made by `tools/untrained.py`.

Random weights do not give zero kurtosis or persistence, so reports show them beside the outcome.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).with_name("untrained.json")


@dataclass(frozen=True)
class Untrained:
    """An architecture with random weights.

    Attributes:
        architecture: The library's name.
        representation: `projected`, `pooled` or `token`.
        digest: SHA-256 of the weights.
        data: Where the images came from.
        n: Images measured.
        width: Channels.
        kurtosis: With its 95 % interval, as value, low, high.
        persistence: Without an interval.
    """

    architecture: str
    representation: str
    digest: str
    data: str
    n: int
    width: int
    kurtosis: tuple[float, float, float]
    persistence: float


@lru_cache(maxsize=1)
def references() -> tuple[Untrained, ...]:
    """Returns all architectures of the file, in its order."""
    rows = json.loads(FILE.read_text("utf-8"))["architectures"]
    return tuple(Untrained(**{**row, "kurtosis": tuple(row["kurtosis"])}) for row in rows)


def untrained(architecture: str, representation: str) -> Untrained | None:
    """Returns an architecture with random weights; None if its figures are not in the file.

    >>> untrained("RN50-quickgelu", "projected").n
    64
    >>> untrained("RN50-quickgelu", "pooled") is None
    True
    """
    key = (architecture, representation)
    rows = (row for row in references() if (row.architecture, row.representation) == key)
    return next(rows, None)
