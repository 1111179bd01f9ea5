"""What the screens cost: first paint, keys during extraction, idling, memory, leaving, filtering.

Run with `python -m benchmarks.tui`. The program runs in a pseudo-terminal, as it does for a user;
a key's latency is the time until it draws. Load: an engine that measures the miniature. Memory is
the resident set (`VmRSS`) of the process of the screens, with Python and all libraries.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._common import command, markdown

TITLE = "Screens"
SIZE = (40, 120)
TABS, REOPENINGS = 8, 10
TARGETS = {
    "first paint, s": 0.5,
    "palette, ms": 100.0,
    "overview of a finished default run, s": 1.0,
    "memory at the overview, MB": 120.0,
    "memory after ten reopenings with all tabs, MB": 120.0,
    "key during extraction, 95th percentile, ms": 30.0,
    "CPU when idle, %": 0.5,
    "leaving during extraction, s": 2.0,
    "filter of 5,000 rows, ms": 150.0,
}


class Screen:
    """The program in a pseudo-terminal; what it draws is read and thrown away."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        self.begun = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tuiprobe", *arguments],
            stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)

    def read(self, seconds: float) -> bytes:
        """Returns the text drawn next; empty if nothing is within some seconds."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        try:
            return os.read(self._master, 65536) if ready else b""
        except OSError:
            return b""

    def until(self, word: str, seconds: float = 120.0) -> float:
        """Reads until a word is drawn; returns the seconds since the program began."""
        seen, deadline = b"", time.perf_counter() + seconds
        while word.encode() not in seen:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{word!r} was not drawn")
            seen = (seen + self.read(1.0))[-200_000:]
        return time.perf_counter() - self.begun

    def type(self, keys: bytes) -> None:
        """Presses keys at once."""
        os.write(self._master, keys)

    def settle(self) -> None:
        """Reads until nothing is drawn for a moment, or two seconds long."""
        deadline = time.perf_counter() + 2.0
        while time.perf_counter() < deadline and self.read(0.15):
            pass

    def press(self, key: bytes) -> float:
        """Presses a key; returns the seconds until something is drawn."""
        while self.read(0):
            pass
        begin = time.perf_counter()
        os.write(self._master, key)
        self.read(10.0)
        return time.perf_counter() - begin

    def processor_seconds(self) -> float:
        """Returns the processor time that the program has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self) -> float:
        """Returns the resident memory in megabytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return float("nan")

    def leave(self) -> float:
        """Leaves by the key; returns the seconds until the process has ended."""
        begin = time.perf_counter()
        os.write(self._master, b"\x03")
        while self.process.poll() is None and time.perf_counter() - begin < 30:
            self.read(0.02)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)
        return time.perf_counter() - begin


def first_paint(folder: Path, rounds: int) -> float:
    """Returns the median seconds from the start to the list of models."""
    seconds = []
    for _ in range(rounds):
        screen = Screen(folder)
        seconds.append(screen.until("mini_clip"))
        screen.leave()
    return statistics.median(seconds)


def palette(folder: Path, rounds: int) -> float:
    """Returns the median milliseconds from `:` to the first command, each in a new program."""
    seconds = []
    for _ in range(rounds):
        screen = Screen(folder)
        screen.until("mini_clip")
        screen.settle()
        begin = time.perf_counter()
        screen.type(b":")
        screen.until("Mark this model")
        seconds.append(time.perf_counter() - begin)
        screen.leave()
    return 1000 * statistics.median(seconds)


def finished(folder: Path, rounds: int) -> dict[str, float]:
    """Measures opening a finished default run, and reopening it with all its tabs."""
    run = folder / "runs" / "finished"
    words = [sys.executable, "-m", "tuiprobe", "--headless", "--output", str(run)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = []
    for _ in range(rounds):
        screen = Screen(folder, "open", str(run))
        seconds.append(screen.until("How sure"))
        screen.settle()
        memory = screen.resident()
        screen.leave()
    screen = Screen(folder, "open", str(run))
    screen.until("How sure")
    for _ in range(REOPENINGS):
        for _ in range(TABS):
            screen.type(b"\t")
            screen.settle()
        screen.type(b"R\r")
        screen.until("How sure")
    screen.settle()
    reopened = screen.resident()
    screen.leave()
    return {
        "overview of a finished default run, s": statistics.median(seconds),
        "memory at the overview, MB": memory,
        "memory after ten reopenings with all tabs, MB": reopened,
    }


@contextmanager
def measuring(run: Path) -> Iterator[None]:
    """Holds while an engine measures the miniature into a directory; ends it afterwards."""
    engine = subprocess.Popen(
        [sys.executable, "-m", "tuiprobe", "--headless", "--output", str(run), "--sample", "0"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.perf_counter() + 300
        while not (run / "status" / "0.safetensors").exists():
            if time.perf_counter() > deadline or engine.poll() is not None:
                raise RuntimeError("the engine did not begin to measure")
            time.sleep(0.1)
        yield
    finally:
        engine.kill()
        engine.wait()


def during_extraction(folder: Path, keys: int) -> dict[str, float]:
    """Returns key latency and exit time on the live screen while an engine measures."""
    run = folder / "run"
    with measuring(run):
        screen = Screen(folder, "open", str(run))
        screen.until("kurtosis")
        screen.settle()
        latencies = sorted(screen.press(b"j" if i % 2 else b"k") for i in range(keys))
        return {
            "key during extraction, 95th percentile, ms": 1000 * latencies[int(0.95 * keys)],
            "leaving during extraction, s": screen.leave(),
        }


def idle(folder: Path, seconds: float) -> float:
    """Returns the per cent of one core that the list of models takes when nothing moves."""
    screen = Screen(folder)
    screen.until("mini_clip")
    time.sleep(4)  # the rest of the list comes
    screen.settle()
    before = screen.processor_seconds()
    time.sleep(seconds)
    used = screen.processor_seconds() - before
    screen.leave()
    return 100 * used / seconds


def filtering(rounds: int) -> float:
    """Returns the median milliseconds of a filter and an order over 5,000 rows."""
    from dataclasses import replace

    from tuiprobe.catalog.model_list import list_models
    from tuiprobe.show.tui import modellist

    rows = [*list_models()]
    rows = [replace(rows[i % len(rows)], name=f"{i}") for i in range(5000)]
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        modellist.ordered(modellist.filtered(rows, "vit b 16"), 7, True)
        seconds.append(time.perf_counter() - begin)
    return 1000 * statistics.median(seconds)


def run(quick: bool) -> dict[str, Any]:
    """Returns all figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = {
            "first paint, s": first_paint(folder, 3 if quick else 9),
            "palette, ms": palette(folder, 3 if quick else 9),
            **finished(folder, 3 if quick else 9),
            "CPU when idle, %": idle(folder, 5 if quick else 20),
            "filter of 5,000 rows, ms": filtering(5 if quick else 25),
            **during_extraction(folder, 40 if quick else 200),
        }
    return {"figures": figures, "load_before": os.getloadavg()[0], "cores": os.cpu_count()}


def table(figures: dict[str, Any]) -> str:
    """Renders the figures beside their targets."""
    rows = []
    for name, target in TARGETS.items():
        value = figures["figures"][name]
        met = "yes" if value <= target else "**missed**"
        rows.append([name, f"{value:.3g}", f"<= {target:g}", met])
    note = f"\n{figures['cores']} cores; load average before: {figures['load_before']:.1f}\n"
    return markdown(["what", "measured", "target", "met"], rows) + note


if __name__ == "__main__":
    command(__doc__, run, table)
