"""Whole runs as a user starts them: the embedded default, and ViT-B/32 beside CLIP_benchmark.

Run with `python -m benchmarks.end_to_end`. The default run is started twice; the second finds every
shard and only merges and reports. CLIP_benchmark runs in an environment of its own, whose Python
`TUIPROBE_CLIP_BENCHMARK` names (`python -m venv ENV; ENV/bin/pip install clip-benchmark`), in turn
with tuiprobe on the same weights (random), JPEG files, class names and template.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks._common import command, machine, markdown, row
from tuiprobe.probes.confidence import allowed, logits
from tuiprobe.probes.reader import RunReader
from tuiprobe.report import read_report
from tuiprobe.results import Report
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.directory import RunDir

TITLE = "End to end"
MODEL = "ViT-B-32"
CLASSES = ("cat", "dog", "car", "house", "tree", "boat", "bird", "cup")
TEMPLATE = "a photo of a {}."
PEER = "TUIPROBE_CLIP_BENCHMARK"
"""Environment variable with the Python that has CLIP_benchmark."""


def run(quick: bool = False) -> dict[str, Any]:
    """Measures the default run, and both programs in turn where the other is at hand."""
    figures: dict[str, Any] = {"machine": machine(), "default": default(64 if quick else 512)}
    peer = os.environ.get(PEER)
    if peer:
        figures["beside"] = beside(peer, images=64 if quick else 96, rounds=1 if quick else 3)
    return figures


def default(sample: int) -> dict[str, Any]:
    """Returns the seconds of a first and of a repeated run, and the images that were measured."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run"
        first = headless(output, "--sample", str(sample))
        again = headless(output, "--sample", str(sample))
        images = sum(one.measured for one in report_of(output).data)
    return {"sample": sample, "images": images, "first": first, "again": again}


def headless(output: Path, *options: str) -> float:
    """Seconds of one command."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "tuiprobe", "--headless", "--output", str(output), *options],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - begin


def report_of(output: Path) -> Report:
    """Returns the results of a run."""
    return read_report(RunDir(output))


def beside(peer: str, images: int, rounds: int) -> dict[str, Any]:
    """Returns images/s of both programs, each round, and how many predictions agree."""
    found: dict[str, list[float]] = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        request = prepare(folder, images)
        for number in range(rounds):
            output = folder / f"run{number}"
            headless(
                output, "--model", f"open_clip:{MODEL}", "--checkpoint", request["weights"],
                "--data", f"imagefolder:{request['images']}", "--sample", "0",
                "--classes", str(folder / "classes"), "--templates", str(folder / "templates"),
            )  # fmt: skip
            found["ours"].append(report_of(output).timings.images_per_second or 0)
            asked, answered = folder / "asked.json", folder / "answered.json"
            asked.write_text(json.dumps(request))
            script = Path(__file__).with_name("_clip_benchmark.py")
            subprocess.run([peer, str(script), str(asked), str(answered)], check=True)
            answer = json.loads(answered.read_text())
            found["theirs"].append(images / answer["seconds"])
        mine = predictions(output)
    agree = sum(mine[path] == best for path, best in answer["predicted"].items())
    return {"images": images, "images_per_second": found, "agree": agree}


def prepare(folder: Path, images: int) -> dict[str, Any]:
    """Writes weights, JPEG files of 500 x 375 pixels, class names and template."""
    import open_clip

    torch.manual_seed(0)
    torch.save(open_clip.create_model(MODEL).state_dict(), folder / "weights.pt")
    draws = np.random.default_rng(0)
    for number in range(images):
        place = folder / "images" / CLASSES[number % len(CLASSES)]
        place.mkdir(parents=True, exist_ok=True)
        coarse = draws.integers(0, 256, (15, 20, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC)
        picture.save(place / f"{number:04d}.jpg", quality=90)
    classes = sorted(CLASSES)  # the order of the folders
    (folder / "classes").write_text("\n".join(classes) + "\n")
    (folder / "templates").write_text(TEMPLATE + "\n")
    return {
        "model": MODEL,
        "weights": str(folder / "weights.pt"),
        "images": str(folder / "images"),
        "classes": classes,
        "templates": [TEMPLATE],
    }


def predictions(output: Path) -> dict[str, int]:
    """Returns the class that a run predicts for the image at each path."""
    reader = RunReader(RunDir(output))
    head, one = reader.head, reader.head_sets[0]
    assert isinstance(head, HeadArrays)
    best = logits(one.features, head, allowed(head, one)).argmax(axis=1)
    paths = reader.paths(one.name)
    ids = reader.features(one.name)["ids"]
    return {paths[int(i)]: int(b) for i, b in zip(ids, best, strict=True)}


def table(figures: dict[str, Any]) -> str:
    """Returns seconds and images a second as Markdown."""
    one, about = figures["default"], figures["machine"]
    rows = [
        ["first run", f"{one['first']:.1f}", f"{one['images'] / one['first']:.0f}"],
        ["the same command again", f"{one['again']:.1f}", ""],
    ]
    text = (
        f"`tuiprobe --headless --sample {one['sample']}`, {one['images']} images (embedded model "
        f"and suite, probes and reports included), {about['cpu']}; load average before: "
        f"{about['load_before']:.1f}\n\n" + markdown(["run", "seconds", "images/s"], rows)
    )
    both = figures.get("beside")
    if both is None:
        return f"{text}\nBeside CLIP_benchmark: not run; `{PEER}` names a Python that has it.\n"
    ours, theirs = (both["images_per_second"][name] for name in ("ours", "theirs"))
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    speeds = [f"{statistics.median(each):.1f}" for each in (ours, theirs)]
    head = ["ViT-B/32", "ratio", "target", "met", "images/s: tuiprobe, CLIP_benchmark"]
    agreed = f"{both['agree']} of {both['images']}"
    return (
        f"{text}\nBeside CLIP_benchmark 1.6.2 on the same weights (random) and {both['images']} "
        f"JPEG files, {len(ours)} rounds in turn; predictions that agree: {agreed}\n\n"
        + markdown(head, [row("images/s, decoding included", ratio, 1, note=", ".join(speeds))])
    )


if __name__ == "__main__":
    command(__doc__, run, table)
