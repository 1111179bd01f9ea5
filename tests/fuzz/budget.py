"""How long and from where the suite fuzzes: 8 seconds of a processor in all, from a fixed seed.

`TUIPROBE_FUZZ_SEED` begins elsewhere; `TUIPROBE_FUZZ_SECONDS` is another sum.
"""

import os
import resource
import time
from collections.abc import Collection, Iterator
from pathlib import Path

SEED = int(os.environ.get("TUIPROBE_FUZZ_SEED", "11"))
TOTAL_SECONDS = float(os.environ.get("TUIPROBE_FUZZ_SECONDS", "8"))

SHARES = {"runs": 0.3, "resumed": 0.2}
"""What part of the time a target has; the others have equal parts of the rest."""


def seconds(target: str, targets: Collection[str], total: float = TOTAL_SECONDS) -> float:
    """Returns how long one of some targets is attacked."""
    shared = {name: SHARES[name] for name in targets if name in SHARES}
    rest = (1 - sum(shared.values())) / max(1, len(targets) - len(shared))
    return total * shared.get(target, rest)


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
