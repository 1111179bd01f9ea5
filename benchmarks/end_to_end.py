"""The embedded default run as a user starts it, and the same command again once it has finished.

Run with `python -m benchmarks.end_to_end`. Processes of their own, wall-clock time and images
a second; the second run of the same command finds every shard and only merges and reports.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._common import command, machine, markdown

TITLE = "End to end"


def run(quick: bool = False) -> dict[str, Any]:
    """Returns the seconds of a first and of a repeated run, and the images that were measured."""
    sample = 64 if quick else 512
    about = machine()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run"
        first = headless(output, sample)
        again = headless(output, sample)
        data = json.loads((output / "results.json").read_text())["data"]
    return {
        "machine": about,
        "sample": sample,
        "images": sum(one["measured"] for one in data),
        "seconds": {"first": first, "again": again},
    }


def headless(output: Path, sample: int) -> float:
    """Seconds of one command on the embedded model and suite."""
    options = ["--headless", "--sample", str(sample), "--output", str(output)]
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "tuiprobe", *options],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - begin


def table(figures: dict[str, Any]) -> str:
    """Returns seconds and images a second as Markdown."""
    first, again = figures["seconds"]["first"], figures["seconds"]["again"]
    images = figures["images"]
    rows = [
        ["first run", f"{first:.1f}", f"{images / first:.0f}"],
        ["the same command again", f"{again:.1f}", ""],
    ]
    about = figures["machine"]
    head = (
        f"`tuiprobe --headless --sample {figures['sample']}`, {images} images (embedded model and "
        f"suite, probes and reports included), {about['cpu']}; load average before: "
        f"{about['load_before']:.1f}\n\n"
    )
    return head + markdown(["run", "seconds", "images/s"], rows)


if __name__ == "__main__":
    command(__doc__, run, table)
