"""Load: many killed runs, samples, run directories, terminals and unreadable images.

`python -m benchmarks.soak --runs 200` measures the miniature so many times. Every other run is
killed once or twice at a random moment and started again; afterwards its results must be those of
the first, to the last digit, and nothing may be left: no process, temporary file or shared memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._common import machine, markdown
from benchmarks._load import ROOT, listing, terminals, unreadable
from tests.prepared import Forked, Prepared

TITLE = "Load"
SAMPLE, SEED = 20, 7

_MANY_RUNS = """
import json, os, sys, threading
from pathlib import Path
from tuiprobe.probes.run import run
from tuiprobe.request import RunRequest, make_spec
lines = lambda: Path("/proc/self/status").read_text().splitlines()
for number in range(int(sys.argv[1])):
    spec = make_spec(None, None, {"sample": int(sys.argv[2])})
    run([RunRequest(spec=spec, output=Path(sys.argv[3]) / str(number))])
    resident = next(int(one.split()[1]) for one in lines() if one.startswith("VmRSS"))
    held = [resident / 1024, len(os.listdir("/proc/self/fd")), threading.active_count()]
    print(json.dumps(held), flush=True)
"""

_STATISTICS = """
import json, sys
from pathlib import Path
import torch
from tuiprobe.stats import ActivationStats, ChannelStats
def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(one.split()[1]) for one in lines if one.startswith("VmRSS")) / 1024
total, width, batch, shard = int(sys.argv[1]), 256, 250, 2000
draws, held = torch.Generator().manual_seed(0), []
whole = ChannelStats(width)
for start in range(0, total, batch):
    if start % shard == 0:  # a shard is published and dropped, as in a run
        stats = ActivationStats(width)
    x = torch.randn(batch, width, generator=draws)
    ids = torch.arange(start, start + batch)
    stats.update(x, ids)
    whole.update(x, ids)
    if start % (total // 10) < batch:
        held.append(resident())
held.append(resident())
assert int(whole.compute()[0].count.max()) == -(-total // batch) * batch
print(json.dumps(held))
"""


class Left:
    """What processes may leave behind: temporary files and shared memory."""

    def __init__(self, temporary: Path) -> None:
        self._places = (temporary, Path("/dev/shm"))
        self._before = [set(place.iterdir()) for place in self._places]

    def count(self, runs: Path) -> int:
        """Returns how many files were left, in these places and as `*.tmp` of the runs."""
        pairs = zip(self._places, self._before, strict=True)
        new = [item for place, before in pairs for item in set(place.iterdir()) - before]
        mine = [item for item in new if item.owner() == self._places[0].owner()]
        named = [item for item in mine if item.parent == self._places[0] or "torch" in item.name]
        return len(named) + sum(1 for _ in runs.rglob("*.tmp"))


def of_session(session: int) -> int:
    """Returns how many processes of a session run."""
    count = 0
    for path in Path("/proc").iterdir():
        try:
            count += path.name.isdecimal() and os.getsid(int(path.name)) == session
        except OSError:
            continue
    return count


def results(run: Path) -> str:
    """Returns the results of a run, without times."""
    results = json.loads((run / "results.json").read_text())
    del results["timings"]
    return json.dumps(results, sort_keys=True)


def soak(folder: Path, runs: int, minutes: float) -> dict[str, Any]:
    """Measures the miniature again and again, with kills; stops after some minutes."""
    draws, begun, done, kills, different, processes = random.Random(SEED), time.time(), 0, 0, 0, 0
    temporary, place, first, usual = folder / "tmp", folder / "runs", "", 8.0
    temporary.mkdir()
    place.mkdir()
    left = Left(temporary)
    with Prepared() as prepared:

        def start(run: Path) -> Forked:
            return prepared.start(
                "--headless", "--sample", str(SAMPLE), "--output", run,
                cwd=folder, env={"TMPDIR": str(temporary)}, session=True,
            )  # fmt: skip

        while done < runs and time.time() - begun < 60 * minutes:
            run = place / str(done)
            for _ in range(draws.choice((1, 2)) if done % 2 else 0):
                process = start(run)
                time.sleep(draws.uniform(0, usual))
                process.kill()
                kills += process.wait() == -signal.SIGKILL
                time.sleep(0.5)  # the kernel ends the decoding processes
                processes += of_session(process.pid)
            before = time.time()
            process = start(run)
            if process.wait(600) != 0:
                raise RuntimeError(process.stderr)
            processes += of_session(process.pid)
            if done % 2 == 0:  # was not disturbed
                usual = time.time() - before
            first = first or results(run)
            different += results(run) != first
            done += 1
    return {
        "asked": runs, "done": done, "kills": kills, "different": different,
        "processes": processes, "files": left.count(place), "minutes": (time.time() - begun) / 60,
    }  # fmt: skip


def child(script: str, *arguments: object) -> list[Any]:
    """Returns the values that a script prints, as JSON, one a line."""
    words = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(words, check=True, capture_output=True, text=True, cwd=ROOT)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


PARTS = ("runs", "process", "samples", "list", "terminals", "unreadable")


def measured(part: str, folder: Path, quick: bool, runs: int, minutes: float) -> Any:
    """Returns the figures of one part."""
    fewer = 10 if quick else 1
    if part == "runs":
        return soak(folder, runs, minutes)
    if part == "process":
        return child(_MANY_RUNS, 4 if quick else 8, SAMPLE, folder)
    if part == "samples":
        return child(_STATISTICS, 1_000_000 // fewer)[0]
    if part == "list":
        return listing(folder, 500 // fewer)
    return terminals(folder) if part == "terminals" else unreadable(folder, 50_000 // fewer)


def table(figures: dict[str, Any]) -> str:
    """Renders the figures beside what is wanted."""
    load = f"{figures['load_before']:.1f}"
    head = f"{figures['cpu']}, {figures['cores']} cores; load before the last part: {load}.\n\n"
    rows = [row for part in PARTS if part in figures for row in ROWS[part](figures[part])]
    return head + markdown(["what", "measured", "target", "met"], rows)


def _of_runs(figures: dict[str, Any]) -> list[list[str]]:
    done = f"{figures['done']} runs, {figures['kills']} kills, {figures['minutes']:.1f} min"
    return [
        [f"default runs in a row (`--sample {SAMPLE}`), of {figures['asked']}", done, "", ""],
        _row("runs whose results differ from the first", figures["different"], 0),
        _row("processes left behind", figures["processes"], 0),
        _row("temporary files and shared memory left behind", figures["files"], 0),
    ]


def _of_process(figures: list[list[float]]) -> list[list[str]]:
    (before, *held), (after, *held_after) = figures[1], figures[-1]
    more = int(sum(held_after) - sum(held))
    return [
        _row(f"MB more after {len(figures)} runs of one process than after 2", after - before, 32),
        _row("open files and threads more, likewise", more, 0),
    ]


def _of_samples(figures: list[float]) -> list[list[str]]:
    return [_row("MB more after 1,000,000 samples than after 200,000", figures[-1] - figures[2], 8)]


def _of_list(figures: dict[str, float]) -> list[list[str]]:
    return [
        _row(f"`runs` over {figures['runs']} runs: seconds", figures["seconds"], 1),
        _row("its screen: seconds from the key to the first row", figures["screen"], 1),
    ]


def _of_terminals(figures: dict[str, float]) -> list[list[str]]:
    alone = (figures["alone"] + figures["after"]) / 2
    rates = f"{alone:.1f}, {figures['watched']:.1f}"
    return [
        [f"images/s alone, with {figures['terminals']} terminals on the same cores", rates, "", ""],
        _row("the same: ratio", figures["watched"] / alone),
    ]


def _of_unreadable(figures: dict[str, Any]) -> list[list[str]]:
    some, none = figures["some"], figures["none"]
    what = f"{some['unreadable']:,} of {some['images']:,} images unreadable; the others alone"
    return [
        [what, f"{some['seconds']:.0f} s; {none['seconds']:.0f} s", "", ""],
        _row("the same: MB more at the peak", some["peak_mb"] - none["peak_mb"], 100),
        _row("the same: lines on the terminal", some["lines"], 40),
        _row("the same: KB of report.md", some["markdown_kb"], 100),
    ]


ROWS: dict[str, Callable[[Any], list[list[str]]]] = {
    "runs": _of_runs,
    "process": _of_process,
    "samples": _of_samples,
    "list": _of_list,
    "terminals": _of_terminals,
    "unreadable": _of_unreadable,
}


def _row(what: str, value: float, most: float | None = None) -> list[str]:
    shown = f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
    if most is None:
        return [what, shown, "", ""]
    return [what, shown, f"<= {most:g}", "yes" if value <= most else "**missed**"]


def main() -> int:
    """Measures the parts asked for; 1 if runs differed or left something behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--runs", type=int, help="default runs in a row (default: 200)")
    parser.add_argument("--minutes", type=float, default=600.0, help="stop them after so many")
    parser.add_argument("--json", type=Path, help="file of figures; those of other parts stay")
    parser.add_argument("--quick", action="store_true", help="fewer of everything; rough figures")
    asked = parser.parse_args()
    runs, bad = asked.runs or (4 if asked.quick else 200), False
    for part in asked.parts or PARTS:
        about = machine()
        with tempfile.TemporaryDirectory() as name:
            figures = measured(part, Path(name), asked.quick, runs, asked.minutes)
        print(table({**about, part: figures}), end="", flush=True)
        if asked.json:
            before = json.loads(asked.json.read_text()) if asked.json.exists() else {}
            asked.json.write_text(json.dumps({**before, **about, part: figures}, indent=1) + "\n")
        bad |= part == "runs" and any(figures[item] for item in ("different", "processes", "files"))
    return int(bad)


if __name__ == "__main__":
    raise SystemExit(main())
