"""Whole commands beside those of others, on the same weights (random) and JPEG files.

`python -m benchmarks.peers`. ViT-B/32 beside CLIP_benchmark, and beside a loop that encodes and
keeps nothing, which is the limit; ResNet-50 beside the loop of timm's `validate.py`. All decode in
other processes, and are timed in float32 and in bfloat16; float32 is the default of tuiprobe and of
timm, that of CLIP_benchmark mixed precision, which on CPUs is bfloat16 beside float32 weights.
tuiprobe computes its statistics, probes and pages as well.

CLIP_benchmark has an environment of its own, whose Python `TUIPROBE_CLIP_BENCHMARK` names
(`python -m venv ENV; ENV/bin/pip install clip-benchmark`); without it its rows are left out. Its
head is written to a file once, as ours is in the cache: every head is at hand.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks._common import Cost, command, machine, markdown, timed
from tuiprobe.catalog.class_names import imagenet_names, imagenet_templates, imagenet_wnids
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.results import NotRun
from tuiprobe.results.accuracy import best_accuracy
from tuiprobe.show.report import read_report

TITLE = "Whole commands beside others"
PEER = "TUIPROBE_CLIP_BENCHMARK"
"""Environment variable with the Python that has CLIP_benchmark."""
CLASSES, TEMPLATES = sorted(imagenet_names()[:50]), imagenet_templates()[:4]
FLOAT32, BFLOAT16 = "float32", "bfloat16"
OURS, OURS_16 = "tuiprobe (float32)", "tuiprobe, bfloat16"
LIMITS = {"encoding alone, float32": FLOAT32, "encoding alone, bfloat16": BFLOAT16}
THEIRS = {
    "CLIP_benchmark (mixed)": "mixed", "CLIP_benchmark, float32": FLOAT32,
    "CLIP_benchmark, bfloat16": BFLOAT16,
}  # fmt: skip
"""How CLIP_benchmark is started: by its default first."""
LOOPS_OF_TIMM = {"timm's loop (float32)": FLOAT32, "timm's loop, bfloat16": BFLOAT16}
IN_BFLOAT16 = ["--dtype", BFLOAT16]
CLIP_SCRIPT, LOOPS = "_clip_benchmark.py", "_loops.py"
CLIP, TIMM = "ViT-B/32, zero-shot", "ResNet-50, validated"

Rounds = dict[str, list[Cost]]


def run(quick: bool = False) -> dict[str, Any]:
    """Returns the costs of every command by network, images and program, rounds in turn."""
    about, rounds = machine(), 1 if quick else 3
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for images in (20,) if quick else (50, 160, 1000):
            place = folder / f"clip{images}"
            figure = zero_shot(place, images, min(rounds, 2) if images >= 1000 else rounds)
            figures.append({"network": CLIP, "images": images, **figure})
        images = 40 if quick else 1000
        figure = validated(folder / "timm", images, 1 if quick else 2)
        figures.append({"network": TIMM, "images": images, **figure})
    return {"machine": about, "figures": figures}


def write_images(folder: Path, classes: list[str], images: int) -> None:
    """Writes JPEG files of 500 x 375 pixels into folders of classes."""
    draws = np.random.default_rng(0)
    for number in range(images):
        place = folder / classes[number % len(classes)]
        place.mkdir(parents=True, exist_ok=True)
        coarse = draws.integers(0, 256, (15, 20, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC)
        picture.save(place / f"{number:04d}.jpg", quality=90)


def zero_shot(folder: Path, images: int, rounds: int) -> dict[str, Any]:
    """Times the commands of ViT-B/32; every head is at hand."""
    import open_clip

    write_images(folder / "images", CLASSES, images)
    torch.manual_seed(0)
    weights = folder / "weights.pt"
    torch.save(open_clip.create_model("ViT-B-32").state_dict(), weights)
    (folder / "classes").write_text("\n".join(CLASSES) + "\n")
    (folder / "templates").write_text("\n".join(TEMPLATES) + "\n")
    request = folder / "request.json"
    asked = {"model": "ViT-B-32", "weights": str(weights), "images": str(folder / "images")}
    asked["head"] = str(folder / "head.pt")
    request.write_text(json.dumps({**asked, "classes": CLASSES, "templates": TEMPLATES}))
    ours = [
        "--model", "open_clip:ViT-B-32", "--classes", str(folder / "classes"),
        "--templates", str(folder / "templates"), "--answers-among", "all",
    ]  # fmt: skip
    cache = {"XDG_CACHE_HOME": str(folder / "cache")}
    ours_16 = [*ours, *IN_BFLOAT16]
    for name, options in (("first", ours), ("first16", ours_16)):  # fill the cache
        measured(folder / name, weights, folder / "images", options, cache)
    if os.environ.get(PEER):
        answered(os.environ[PEER], CLIP_SCRIPT, request, FLOAT32)  # writes the head
    costs: Rounds = defaultdict(list)
    agree = None
    for number in range(rounds):
        output = folder / f"run{number}"
        costs[OURS].append(measured(output, weights, folder / "images", ours, cache))
        in_16 = measured(folder / f"half{number}", weights, folder / "images", ours_16, cache)
        costs[OURS_16].append(in_16)
        if os.environ.get(PEER):
            classes = predictions(output)
            for label, precision in THEIRS.items():
                answer, cost = answered(os.environ[PEER], CLIP_SCRIPT, request, precision)
                costs[label].append(cost)
                if precision == FLOAT32:
                    agree = sum(
                        classes[path] == CLASSES[best] for path, best in answer["predicted"].items()
                    )
        for label, dtype in LIMITS.items():
            costs[label].append(answered(sys.executable, LOOPS, request, "bare", dtype)[1])
    return {"costs": costs, "agree": agree}


def validated(folder: Path, images: int, rounds: int) -> dict[str, Any]:
    """Times the commands of ResNet-50."""
    import timm

    wnids = list(imagenet_wnids())
    write_images(folder / "images", wnids[:50], images)
    torch.manual_seed(0)
    weights = folder / "weights.pth"
    torch.save(timm.create_model("resnet50", num_classes=1000).state_dict(), weights)
    (folder / "map.txt").write_text("\n".join(wnids) + "\n")
    request = folder / "request.json"
    asked = {"model": "resnet50", "weights": str(weights), "images": str(folder / "images")}
    request.write_text(json.dumps({**asked, "class_map": str(folder / "map.txt")}))
    costs: Rounds = defaultdict(list)
    for number in range(rounds):
        output = folder / f"run{number}"
        ours = ["--model", "timm:resnet50", "--answers-among", "all"]
        costs[OURS].append(measured(output, weights, folder / "images", ours))
        ours += IN_BFLOAT16
        costs[OURS_16].append(measured(folder / f"half{number}", weights, folder / "images", ours))
        for label, dtype in LOOPS_OF_TIMM.items():
            answer, cost = answered(sys.executable, LOOPS, request, "timm", dtype)
            costs[label].append(cost)
            if dtype == FLOAT32:
                theirs = answer["accuracy"]
    accuracy = best_accuracy(read_report(RunDir(output)))
    assert not isinstance(accuracy, NotRun)
    return {"costs": costs, "accuracies": [accuracy.value, theirs]}


def measured(
    output: Path,
    weights: Path,
    images: Path,
    options: list[str],
    environment: dict[str, str] | None = None,
) -> Cost:
    """Measures with tuiprobe as a user does."""
    words = ["--checkpoint", str(weights), "--data", f"imagefolder:{images}", "--sample", "0"]
    where = ["--output", str(output)]
    return timed(
        [sys.executable, "-m", "tuiprobe", "--headless", *options, *words, *where], environment
    )


def answered(python: str, script: str, request: Path, *words: str) -> tuple[dict[str, Any], Cost]:
    """Returns the answer of a script beside this one, and what it cost."""
    file, answer = Path(__file__).with_name(script), request.with_name("answer.json")
    cost = timed([python, str(file), *words, str(request), str(answer)])
    return json.loads(answer.read_text()), cost


def predictions(output: Path) -> dict[str, str]:
    """Returns the class that a run predicts for the image at each path."""
    timed([sys.executable, "-m", "tuiprobe", "report", str(output), "--format", "predictions"])
    with (output / "predictions.csv").open(newline="") as file:
        return {row["path"]: row["class"] for row in csv.DictReader(file)}


def table(figures: dict[str, Any]) -> str:
    """Returns every command and how many times as long it takes as ours."""
    about, rows = figures["machine"], []
    for figure in figures["figures"]:
        by_program = figure["costs"]
        for program, costs in by_program.items():
            seconds, processor = (
                statistics.median(cost[of] for cost in costs) for of in ("seconds", "processor")
            )
            ratios = [
                statistics.median(
                    other["seconds"] / own["seconds"]
                    for other, own in zip(costs, by_program[ours], strict=True)
                )
                for ours in (OURS, OURS_16)
            ]
            name = f"{figure['network']}, {figure['images']:,}"
            rows.append(
                [name, program, f"{seconds:.1f}", f"{processor:.1f}", *map("{:.2f}".format, ratios)]
            )
    header = ["network, images", "command", "seconds", "processor seconds", "/ ours", "/ bfloat16"]
    checks = [
        f"{figure['agree']} of {figure['images']}" for figure in figures["figures"]
        if figure.get("agree") is not None
    ]  # fmt: skip
    validated = figures["figures"][-1]["accuracies"]
    return (
        f"{about['cpu']}, {about['cores']} cores; load average before: {about['load_before']:.1f}. "
        f"Medians of rounds in turn. Predictions equal to CLIP_benchmark's: "
        f"{', '.join(checks) or 'not run'}; accuracies of tuiprobe and timm's loop: "
        f"{validated[0]:.4f}, {validated[1]:.4f}\n\n" + markdown(header, rows)
    )


if __name__ == "__main__":
    command(__doc__, run, table)
