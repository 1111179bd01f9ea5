"""Damaged data, tables and lists: opened or refused, in bounded time and memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.budget import SEED, seconds

SECONDS = seconds("sources")


@pytest.mark.slow
@pytest.mark.timeout(3 * SECONDS + 120)
def test_damaged_sources_are_opened_or_refused_within_bounds(tmp_path: Path) -> None:
    """A process of its own, as its memory is limited."""
    words = [sys.executable, "-m", "tests.fuzz.sources", str(SECONDS), str(SEED), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
