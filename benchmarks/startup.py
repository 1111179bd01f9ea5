"""How long a command takes before it does anything: version, help, imports.

Run with `python -m benchmarks.startup`. Each command is a process of its own; the best of
several runs counts, because whatever disturbs one can only add to it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from benchmarks._common import command, machine, markdown, row

TITLE = "Start-up"
CASES: dict[str, tuple[list[str], float | None]] = {
    "bare Python": (["-c", "pass"], None),
    "tuiprobe --version": (["-m", "tuiprobe", "--version"], 0.2),
    "tuiprobe --help": (["-m", "tuiprobe", "--help"], None),
    "import tuiprobe": (["-c", "import tuiprobe"], None),
    "import torch": (["-c", "import torch"], None),
    "import tuiprobe.stats": (["-c", "import tuiprobe.stats"], None),
}
"""Arguments of the interpreter, and the most seconds they may take."""


def run(quick: bool = False) -> dict[str, Any]:
    """Returns the best seconds of each command."""
    about = machine()
    seconds = {name: [once(arguments)] for name, (arguments, _) in CASES.items()}
    for _ in range(1 if quick else 4):
        for name, (arguments, _target) in CASES.items():
            seconds[name].append(once(arguments))
    return {"machine": about, "seconds": {name: min(times) for name, times in seconds.items()}}


def once(arguments: list[str]) -> float:
    """Seconds of one process, from its start to its end."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def table(figures: dict[str, Any]) -> str:
    """Returns the seconds as Markdown, with the target where there is one."""
    rows = []
    for name, seconds in figures["seconds"].items():
        target = CASES[name][1]
        plain = [name, f"{seconds:.2f}", "", "", ""]
        rows.append(plain if target is None else row(name, seconds, target, at_most=True))
    about = figures["machine"]
    head = f"{about['cpu']}; load average before: {about['load_before']:.1f}\n\n"
    return head + markdown(["command", "seconds", "target", "met", ""], rows)


if __name__ == "__main__":
    command(__doc__, run, table)
