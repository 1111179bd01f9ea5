"""How long and from where the suite fuzzes: 60 seconds in all, from a fixed seed.

`TUIPROBE_FUZZ_SEED` begins elsewhere; `TUIPROBE_FUZZ_SECONDS` is another sum.
"""

from __future__ import annotations

import os

SEED = int(os.environ.get("TUIPROBE_FUZZ_SEED", "11"))
TOTAL_SECONDS = float(os.environ.get("TUIPROBE_FUZZ_SECONDS", "60"))

SHARES = {"readers": 0.4, "resume": 0.2, "sources": 0.2, "checkpoints": 0.2}
"""What part of the time each fuzzer has."""


def seconds(of: str) -> float:
    """Returns how long a fuzzer of `SHARES` may take."""
    return TOTAL_SECONDS * SHARES[of]
