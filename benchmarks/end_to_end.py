"""Whole runs as a user starts them: the embedded default, its ranks, and a comparison of 20.

Run with `python -m benchmarks.end_to_end`. The default run is started twice; the second finds every
shard and only merges and reports. Two ranks share the same run, a thread each. The 20 runs that are
compared are of tables of random answers.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._common import Cost, command, machine, markdown, timed
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.show.report import read_report

TITLE = "End to end"
HEADLESS = [sys.executable, "-m", "tuiprobe", "--headless"]
COMPARED = 20


def run(quick: bool = False) -> dict[str, Any]:
    """Measures the default run, once by one process and once by two, and a comparison."""
    return {
        "machine": machine(),
        "default": default(64 if quick else 512),
        "compared": comparison(100 if quick else 5000),
    }


def default(sample: int) -> dict[str, Any]:
    """Returns the costs of a first, a repeated and a shared run, and the images measured."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run"
        words = ["--sample", str(sample), "--output"]
        first = timed([*HEADLESS, *words, str(output)])
        again = timed([*HEADLESS, *words, str(output)])
        images = sum(data.measured for data in read_report(RunDir(output)).data)
        ranks = timed(
            [
                sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
                "-m", "tuiprobe", "--headless", "--threads", "1", *words, str(Path(folder) / "two"),
            ]
        )  # fmt: skip
    return {"sample": sample, "images": images, "first": first, "again": again, "ranks": ranks}


def comparison(images: int) -> dict[str, Any]:
    """Compares `COMPARED` tables of made-up answers on the demonstration's images, with a page."""
    draws = np.random.default_rng(0)
    data = ["--data", "miniature:val", "--sample", str(images), "--output"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        timed([*HEADLESS, *data, str(folder / "model")])
        report = ["report", str(folder / "model"), "--format", "predictions"]
        timed([sys.executable, "-m", "tuiprobe", *report])
        with (folder / "model" / "predictions.csv").open(newline="") as file:
            pictures = list(csv.DictReader(file))
        classes = sorted({picture["label"] for picture in pictures})
        runs = []
        for number in range(COMPARED):
            wrong = draws.random(len(pictures)) < 0.5 - 0.02 * number
            table = folder / f"model{number}.csv"
            with table.open("w", newline="") as file:
                rows = csv.writer(file)
                rows.writerow(["path", "class", "confidence"])
                for picture, other in zip(pictures, wrong, strict=True):
                    answer = str(draws.choice(classes)) if other else picture["label"]
                    rows.writerow([picture["path"], answer, f"{draws.uniform(0.5, 1):.4f}"])
            runs.append(str(folder / f"run{number}"))
            timed([*HEADLESS, "--model", f"answers:{table}", *data, runs[-1]])
        cost = timed([sys.executable, "-m", "tuiprobe", "compare", *runs, "--html"])
    return {"pictures": len(pictures), "cost": cost}


def table(figures: dict[str, Any]) -> str:
    """Returns seconds and images a second as Markdown."""
    figure, compared, about = figures["default"], figures["compared"], figures["machine"]

    def line(work: str, cost: Cost, images: int = 0) -> list[str]:
        speed = f"{images / cost['seconds']:.0f}" if images else ""
        return [work, f"{cost['seconds']:.1f}", f"{cost['processor']:.1f}", speed]

    rows = [
        line("first run", figure["first"], figure["images"]),
        line("the same command again", figure["again"]),
        line("two ranks, a thread each", figure["ranks"], figure["images"]),
        line(f"`compare` of {COMPARED} runs, {compared['pictures']:,} images", compared["cost"]),
    ]
    return (
        f"`tuiprobe --headless --sample {figure['sample']}`, {figure['images']} images (embedded "
        f"model and suite, probes and reports included), {about['cpu']}; load average before: "
        f"{about['load_before']:.1f}\n\n"
        + markdown(["command", "seconds", "processor seconds", "images/s"], rows)
    )


if __name__ == "__main__":
    command(__doc__, run, table)
