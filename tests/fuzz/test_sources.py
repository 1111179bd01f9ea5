"""Damaged data, tables, lists and checkpoints: opened or refused, in bounded time and memory.

`python -m tests.fuzz.test_sources SECONDS SEED FOLDER` goes on for longer; the first find ends it
with 1.
"""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import time
import traceback
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fuzz.budget import SEED, limit_memory, seconds, seeds
from tests.fuzz.mutate import mutated, mutated_json
from tests.fuzz.targets import TARGETS
from tuiprobe.errors import TuiprobeError

ATTACKED = (
    "checkpoints", "weights", "tars", "images", "tables", "vectors", "caches", "specs", "lists",
)  # fmt: skip
MEMORY = 768 * 2**20
"""What all cases may ask for beyond what is there when they begin."""

SLOWEST = 20.0
SECONDS = seconds("sources")


@pytest.mark.slow
@pytest.mark.timeout(3 * SECONDS + 300)
def test_damaged_sources_are_opened_or_refused_within_bounds(tmp_path: Path) -> None:
    """A process of its own, as its memory is limited."""
    words = [sys.executable, "-m", __name__, str(SECONDS), str(SEED), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


def damaged(draw: random.Random, content: bytes) -> bytes:
    """Returns damaged content, one time in twenty a large file of one small piece."""
    if draw.randrange(20) == 0:
        pieces = (b"\n", b",", b"1,", b'"', b"{", b"[", b"a.", b"x=1\n", b"\0", b"a\n", b"{}\n")
        piece = draw.choice((*pieces, content or b"x"))
        size = draw.choice((2**16, 2**20, 20 * 2**20))
        return draw.choice((b"", content)) + piece * (size // len(piece))
    if draw.random() < 0.7:
        if content.startswith(b"{"):
            return mutated_json(content, draw)
        if content.startswith(b"PK\3\4"):
            return damaged_entry(draw, content)
        if content[8:9] == b"{":  # safetensors: the length of the header fits
            end = 8 + int.from_bytes(content[:8], "little")
            header = mutated_json(content[8:end], draw)
            return struct.pack("<Q", len(header)) + header + content[end:]
    return mutated(content, draw)


def damaged_entry(draw: random.Random, content: bytes) -> bytes:
    """Returns an archive with one of its entries damaged, and checksums that fit."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = draw.choice([n for n in entries if n.endswith("/data.pkl")] * 4 + list(entries))
    entries[name] = mutated(entries[name], draw)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def main(seconds: float, seed: int, folder: Path) -> int:
    """Attacks for a while; returns 1 at the first find."""
    warnings.simplefilter("ignore")
    for name in ATTACKED:
        (folder / name).mkdir()
    targets = [TARGETS[name](folder / name) for name in ATTACKED]
    for target in targets:
        for content in target.seeds:  # imports what it needs, before memory is limited
            with suppress(TuiprobeError):
                target.ask(content)
    limit_memory(MEMORY)
    for number in seeds(seconds, seed):
        draw = random.Random(number)
        target = draw.choice(targets)
        content = draw.choice(target.seeds)
        begun = time.process_time()
        try:
            target.ask(content[:1] + damaged(draw, content[1:]))
        except TuiprobeError:
            pass
        except Exception:
            print(f"seed {number}: {traceback.format_exc()}")
            return 1
        if time.process_time() - begun > SLOWEST:
            print(f"seed {number}: {time.process_time() - begun:.1f} s")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
