"""Shapes of every kind under glibc's checking allocator: nothing is written beyond its memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKER = next(iter(sorted(Path("/lib").glob("*/libc_malloc_debug.so*"))), None)

PROGRAM = """
import numpy as np, torch
from tuiprobe.stats import ActivationStats

draws = np.random.default_rng(1)

def activations(images, channels):
    side, tokens = int(draws.integers(1, 15)), int(draws.integers(1, 60))
    kind = draws.integers(0, 4)
    if kind == 0:
        return torch.randn(images, channels), -1
    if kind == 1:
        return torch.randn(images, tokens, channels), -1
    maps = torch.randn(images, channels, side, side)
    return (maps if kind == 2 else maps.to(memory_format=torch.channels_last)), 1

def filled(channels, k):
    stats = ActivationStats(channels, k=k)
    for _ in range(draws.integers(1, 5)):
        x, channel_dim = activations(int(draws.integers(1, 40)), channels)
        x = torch.relu(x) if draws.random() < 0.4 else x
        x = x.to(torch.bfloat16) if draws.random() < 0.2 else x
        ids = torch.from_numpy(draws.permutation(100_000)[: len(x)].astype(np.int64))
        stats.update(x, ids, channel_dim=channel_dim)
    again = ActivationStats(channels, k=k)
    again.load_state_dict({name: t.clone() for name, t in stats.state_dict().items()})
    return again

torch.set_num_threads(2)
for _ in range(25):
    channels, k = int(draws.choice([1, 3, 8, 17, 100, 256, 1000])), int(draws.choice([1, 8, 32]))
    merged = filled(channels, k)
    merged.merge(filled(channels, k))
    merged.compute()
"""


@pytest.mark.slow
@pytest.mark.skipif(CHECKER is None, reason="no checking allocator of glibc")
def test_no_update_or_merge_writes_beyond_its_memory() -> None:
    checked = {**os.environ, "LD_PRELOAD": str(CHECKER), "MALLOC_CHECK_": "3"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, env=checked, timeout=250)
    assert done.returncode == 0, done.stderr
