"""Stored vectors: rows and bytes per second of a whole run, and its peak memory.

`python -m benchmarks.embeddings --rows 10000000` writes ten million rows of 512 float16 values (10
GB) to the folder of temporary files, and measures them in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._common import machine, markdown

TITLE = "Stored vectors"
CHANNELS = 512
_BLOCK = 50_000

_CHILD = """
import json, sys
from pathlib import Path
from tuiprobe.probes.run import run
from tuiprobe.request import RunRequest, make_spec
def peak():
    # ru_maxrss would hold what the parent had when it started this process
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(one.split()[1]) for one in lines if one.startswith("VmHWM"))
spec = make_spec(None, None, {"embeddings": sys.argv[1]})
before = peak()
[end] = run([RunRequest(spec=spec, output=Path(sys.argv[2]))])
seconds = json.loads(end.directory.results_file.read_text())["timings"]["seconds"]
print(json.dumps({"libraries": before, "peak": peak(), "seconds": seconds}))
"""


def write_vectors(path: Path, rows: int, channels: int) -> None:
    """Writes rows with a common offset as float16, a block at a time."""
    draws = np.random.default_rng(0)
    offset = draws.normal(size=channels).astype(np.float32)
    offset[channels // 3] = 12.0
    file = np.lib.format.open_memmap(path, "w+", np.float16, (rows, channels))
    for start in range(0, rows, _BLOCK):
        block = file[start : start + _BLOCK]
        block[:] = draws.standard_normal(block.shape, dtype=np.float32) + offset
    file.flush()


def measured(rows: int, channels: int = CHANNELS) -> dict[str, Any]:
    """Measures generated vectors in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "vectors.npy"
        write_vectors(source, rows, channels)
        begin = time.monotonic()
        words = [sys.executable, "-c", _CHILD, str(source), str(Path(folder) / "run")]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        figures = json.loads(done.stdout.splitlines()[-1])
        extract = figures["seconds"]["extract"]
        return {
            "machine": machine(),
            "rows": rows,
            "channels": channels,
            "seconds": time.monotonic() - begin,
            "extract": extract,
            "rows_per_second": rows / extract,
            "gigabytes_per_second": source.stat().st_size / extract / 1e9,
            "libraries_mb": figures["libraries"] / 1024,
            "peak_mb": figures["peak"] / 1024,
            "disk_mb": sum(
                path.stat().st_size for path in (Path(folder) / "run").rglob("*") if path.is_file()
            )
            / 2**20,
        }


def run(quick: bool) -> dict[str, Any]:
    """Measures 20,000 or 200,000 rows."""
    return measured(20_000 if quick else 200_000)


def table(figures: dict[str, Any]) -> str:
    """Renders the figures."""
    header = ["rows x channels", "rows/s", "GB/s", "whole run", "peak memory", "disk"]
    row = [
        f"{figures['rows']:,} x {figures['channels']} float16",
        f"{figures['rows_per_second']:,.0f}",
        f"{figures['gigabytes_per_second']:.2f}",
        f"{figures['seconds']:.1f} s",
        f"{figures['peak_mb']:,.0f} MB ({figures['libraries_mb']:,.0f} MB before it read a row)",
        f"{figures['disk_mb']:,.0f} MB",
    ]
    return markdown(header, [row])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--channels", type=int, default=CHANNELS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="fewer rows; rough figures")
    asked = parser.parse_args()
    figures = run(asked.quick) if asked.rows is None else measured(asked.rows, asked.channels)
    print(table(figures), end="")
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")
