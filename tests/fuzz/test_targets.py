"""Damaged files of every kind: read or refused, in bounded time and memory.

`python -m tests.fuzz.test_targets SECONDS SEED FOLDER` goes on for longer; the first find ends it
with 1.
"""

import random
import subprocess
import sys
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fuzz.budget import SEED, TOTAL_SECONDS, limit_memory, seconds, seeds
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import DRAWS, OF_FILES, TARGETS, Target
from tuiprobe.errors import TuiprobeError

MEMORY = 2**30
"""What all cases may ask for beyond what is there when they begin."""

SLOWEST = 20.0


@pytest.mark.slow
@pytest.mark.timeout(3 * TOTAL_SECONDS + 300)
def test_damaged_files_are_read_or_refused_within_bounds(tmp_path: Path) -> None:
    """A process of its own, as its memory is limited."""
    words = [sys.executable, "-m", __name__, str(TOTAL_SECONDS), str(SEED), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


def damaged(draw: random.Random, content: bytes) -> bytes:
    """Returns damaged content, one time in twenty a large file of one small piece."""
    if draw.randrange(20):
        return mutated(content, draw)
    pieces = (b"\n", b",", b"1,", b'"', b"{", b"[", b"a.", b"x=1\n", b"\0", b"a\n", b"{}\n")
    piece = draw.choice((*pieces, content or b"x"))
    size = draw.choice((2**16, 2**20, 20 * 2**20))
    return draw.choice((b"", content)) + piece * (size // len(piece))


def attack(target: Target, number: int) -> None:
    """Asks a target about one damaged input.

    Raises:
        AssertionError: If it takes too long.
    """
    draw, begun = random.Random(number), time.process_time()
    content = draw.choice(target.seeds)
    with suppress(TuiprobeError):
        if target.seeds is DRAWS:
            target.ask(draw.randbytes(256))
        else:
            target.ask(content[:1] + damaged(draw, content[1:]))
    assert time.process_time() - begun < SLOWEST


def main(total: float, seed: int, folder: Path) -> int:
    """Attacks every target for a while; returns 1 at the first find."""
    warnings.simplefilter("ignore")
    targets = {}
    for name, make in TARGETS.items():  # imports what it needs, before memory is limited
        (folder / name).mkdir()
        targets[name] = target = make(folder / name)
        for content in target.seeds if name in OF_FILES else target.seeds[:2]:
            with suppress(*() if name in OF_FILES else (TuiprobeError,)):
                target.ask(content)
    limit_memory(MEMORY)
    for name, target in targets.items():
        for number in seeds(seconds(name, TARGETS, total), seed):
            try:
                attack(target, number)
            except Exception:
                print(f"{name}, seed {number}: {traceback.format_exc()}")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
