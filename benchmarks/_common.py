"""What the benchmarks share: interleaved timing, the read bandwidth, the machine, the output."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import torch

from tuiprobe.stats import instruction_set
from tuiprobe.stats._native import native

Work = Callable[[], object]


def interleaved(work: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """Returns the median seconds of each, run in turn `rounds` times after one warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, call in work.items():
            begin = time.perf_counter()
            call()
            if number:
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in seconds.items()}


class Cost(TypedDict):
    """What a command costs, with all that it starts."""

    seconds: float
    processor: float


def timed(words: Sequence[str], environment: Mapping[str, str] | None = None) -> Cost:
    """Runs a command to its end; raises `CalledProcessError` after printing what it wrote."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(
        words,
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if ended.returncode:
        print(ended.stdout, file=sys.stderr)
        ended.check_returncode()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": time.perf_counter() - begin, "processor": used}


def reads(x: torch.Tensor) -> dict[str, Work]:
    """Three ways of reading a contiguous float32 tensor once; the fastest is the yardstick."""

    def read(flavour: int) -> Work:
        return lambda: native.read_memory(x.data_ptr(), x.numel(), flavour, torch.get_num_threads())

    return {f"read {flavour}": read(flavour) for flavour in range(3)}


def fastest_read(seconds: Mapping[str, float]) -> float:
    """Seconds of the fastest of `reads`."""
    return min(s for name, s in seconds.items() if name.startswith("read "))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instruction_set": instruction_set(),
        "torch": torch.__version__,
        "load_before": os.getloadavg()[0],
    }


def cpu_name() -> str:
    """Model name of the processor."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def row(work: str, ratio: float, target: float, at_most: bool = False, note: str = "") -> list[str]:
    """One line of a table of ratios: a target missed is named as a miss."""
    met = ratio <= target if at_most else ratio >= target
    sign = "<=" if at_most else ">="
    return [work, f"{ratio:.2f}", f"{sign} {target:g}", "yes" if met else "**missed**", note]


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Renders a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def command(
    doc: str | None,
    run: Callable[..., dict[str, Any]],
    table: Callable[..., str],
    folder: str | None = None,
) -> None:
    """Runs a script: prints its table, writes its figures as JSON where they are asked for.

    Args:
        doc: What it measures.
        run: Takes whether to be quick, and the folder of the option if there is one.
        table: Renders the figures.
        folder: An option that names a folder to read.
    """
    parser = argparse.ArgumentParser(description=doc)
    if folder:
        parser.add_argument(folder, dest="folder", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions; rough figures")
    arguments = parser.parse_args()
    figures = run(arguments.quick, *([arguments.folder] if folder else []))
    print(table(figures), end="")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
