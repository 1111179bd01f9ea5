"""Memory stays flat: only the final representations grow with the number of images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.measure.conftest import small_job, write_pictures

FEW, MANY = 300, 2000


def peak_bytes(arguments: list[str]) -> int:
    process = subprocess.Popen(
        [sys.executable, "-m", "tuiprobe", *arguments], stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024


@pytest.mark.slow
def test_peak_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_pictures(data, MANY, classes=10)

    def peak(images: int) -> int:
        more = ("--sample", str(images), "--batch-size", "25")
        return peak_bytes(small_job(data, tmp_path / str(images), *more))

    # Representations of 5 channels and per-image figures of 40 bytes; the rest of the allowance is
    # what an allocator scatters.
    assert peak(MANY) - peak(FEW) < 3 * MANY * (5 * 4 + 40) + 24 * 2**20
