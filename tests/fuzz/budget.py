"""How long and from where the suite fuzzes: 8 seconds of a processor in all, from a fixed seed.

`TUIPROBE_FUZZ_SEED` begins elsewhere; `TUIPROBE_FUZZ_SECONDS` is another sum.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

SEED = int(os.environ.get("TUIPROBE_FUZZ_SEED", "11"))
TOTAL_SECONDS = float(os.environ.get("TUIPROBE_FUZZ_SECONDS", "8"))

SHARES = {"readers": 0.4, "resume": 0.2, "sources": 0.4}
"""What part of the time each fuzzer has."""


def seconds(of: str) -> float:
    """Returns how long a fuzzer of `SHARES` may take."""
    return TOTAL_SECONDS * SHARES[of]


def seeds(seconds: float, seed: int = SEED) -> Iterator[int]:
    """Yields the seed of one case after the other until this process has worked so long."""
    end, number = time.process_time() + seconds, seed * 1_000_000
    while time.process_time() < end:
        yield number
        number += 1


def limit_memory(size: int) -> None:
    """Lets this process ask for at most so many bytes beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + size
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
