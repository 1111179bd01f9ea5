"""Many run directories, many terminals at one run, many unreadable images: parts of `soak`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.tui import Screen, measuring
from tests.measure.engine.conftest import write_pictures
from tests.prepared import Prepared
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.view import RunView

TERMINALS, WINDOW = 8, 15.0
ROOT = Path(__file__).resolve().parent.parent


def listing(folder: Path, count: int) -> dict[str, float]:
    """Returns seconds to list many runs, on the command line and on the screen."""
    run = folder / "run"
    words = ["--headless", "--sample", "20", "--output", str(run)]
    subprocess.run([sys.executable, "-m", "tuiprobe", *words], check=True, capture_output=True)
    for number in range(count):
        copy = folder / "runs" / f"{run.name}-{number:03}"
        copy.mkdir(parents=True)
        for path in run.iterdir():
            if path.is_file() and path.suffix in (".json", ".jsonl", ""):
                os.link(path, copy / path.name)
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "tuiprobe", "runs"], cwd=folder, capture_output=True, text=True
    )
    seconds = time.perf_counter() - begin
    rows = len(done.stdout.splitlines()) - 1
    if rows < count:
        raise RuntimeError(f"{rows} rows of {count} runs")
    screen = Screen(folder)
    screen.until("mini_clip")
    screen.settle()
    begin = time.perf_counter()
    os.write(screen._master, b"R")
    screen.until("done")
    shown = time.perf_counter() - begin
    screen.leave()
    return {"runs": count, "seconds": seconds, "screen": shown}


def images_measured(run: Path) -> tuple[float, int]:
    """Returns the time and how many images an engine has measured."""
    return time.perf_counter(), RunView.read(RunDir(run)).measured


def rate(run: Path) -> float:
    """Returns an engine's images per second, over some seconds."""
    begin, before = images_measured(run)
    time.sleep(WINDOW)
    end, after = images_measured(run)
    return (after - before) / (end - begin)


def terminals(folder: Path) -> dict[str, Any]:
    """Returns the rate of an engine alone, watched from several terminals, and alone again."""
    run = folder / "watched"
    with measuring(run):
        alone = rate(run)
        screens = [Screen(folder, "open", str(run)) for _ in range(TERMINALS)]
        for screen in screens:
            screen.until("kurtosis")
        watched = _watched_rate(run, screens)
        for screen in screens:
            screen.leave()
        return {"terminals": TERMINALS, "alone": alone, "watched": watched, "after": rate(run)}


def _watched_rate(run: Path, screens: list[Screen]) -> float:
    """Returns the engine's rate while every terminal reads what its screen draws."""
    begin, before = images_measured(run)
    while time.perf_counter() - begin < WINDOW:
        for screen in screens:
            screen.read(0.01)
    end, after = images_measured(run)
    return (after - before) / (end - begin)


def unreadable(folder: Path, images: int) -> dict[str, Any]:
    """Measures a run with a fifth of its images unreadable, and one of the others alone."""
    base, figures = folder / "base", {}
    write_pictures(base, 40, classes=1)
    whole = sorted(base.rglob("*.png"))
    bad = base / "bad.png"
    bad.write_bytes(whole[0].read_bytes()[:60])
    for kind in ("some", "none"):
        for number in range(images):
            place = folder / kind / f"class{number % 10}" / f"{number:06}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            if number % 5:
                os.link(whole[number % len(whole)], place)
            elif kind == "some":
                os.link(bad, place)
    with Prepared() as prepared:
        for kind in ("some", "none"):
            run, begin, peak = folder / f"run-{kind}", time.perf_counter(), 0.0
            process = prepared.start(
                "--headless", "--model", "py:tests.measure.engine.colors:build", "--output", run,
                "--data", f"imagefolder:{folder / kind}", "--max-unreadable", "0.25",
                "--sample", "0", "--workers", "2", cwd=ROOT,
            )  # fmt: skip
            while process.poll() is None:
                peak = max(peak, highest(process.pid))
                time.sleep(0.05)
            if process.returncode != 0:
                raise RuntimeError(process.stderr)
            (data,) = json.loads((run / "results.json").read_text())["data"]
            figures[kind] = {
                "images": data["images"], "measured": data["measured"],
                "unreadable": len(data["skipped"]), "seconds": time.perf_counter() - begin,
                "peak_mb": peak, "lines": process.stderr.count("\n"),
                "markdown_kb": (run / "report.md").stat().st_size / 1024,
            }  # fmt: skip
    return figures


def highest(pid: int) -> float:
    """Returns the most memory that a process had, in megabytes; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
