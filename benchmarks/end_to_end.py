"""Whole runs as a user starts them: the embedded default, and ViT-B/32 beside CLIP_benchmark.

Run with `python -m benchmarks.end_to_end`. The default run is started twice; the second finds every
shard and only merges and reports. CLIP_benchmark runs in an environment of its own, whose Python
`TUIPROBE_CLIP_BENCHMARK` names (`python -m venv ENV; ENV/bin/pip install clip-benchmark`), in turn
with tuiprobe on the same weights (random), JPEG files, class names and templates. Every round of
tuiprobe starts with an empty cache; what it then takes for head and images is compared with the
same of CLIP_benchmark, and its speed on images, which is that with the head at hand, with theirs.
"""

from __future__ import annotations

import json
import os
import resource
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
from tuiprobe.catalog.imagenet import imagenet_names, imagenet_templates
from tuiprobe.probes.confidence import Logits
from tuiprobe.probes.reader import RunReader
from tuiprobe.report import read_report
from tuiprobe.results import Report
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.directory import RunDir

TITLE = "End to end"
MODEL = "ViT-B-32"
CLASSES, TEMPLATES = imagenet_names()[:50], imagenet_templates()[:20]
PEER = "TUIPROBE_CLIP_BENCHMARK"
"""Environment variable with the Python that has CLIP_benchmark."""


def run(quick: bool = False) -> dict[str, Any]:
    """Measures the default run, and both programs in turn where the other is at hand."""
    figures: dict[str, Any] = {"machine": machine(), "default": default(64 if quick else 512)}
    peer = os.environ.get(PEER)
    if peer:
        figures["beside"] = beside(peer, images=64 if quick else 300, rounds=1 if quick else 3)
    return figures


def default(sample: int) -> dict[str, Any]:
    """Returns the seconds of a first and of a repeated run, and the images that were measured."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run"
        first = headless(output, "--sample", str(sample))
        again = headless(output, "--sample", str(sample))
        images = sum(data.measured for data in report_of(output).data)
    return {"sample": sample, "images": images, "first": first, "again": again}


def headless(output: Path, *options: str, cache: Path | None = None) -> float:
    """Returns the seconds of one command; `cache` is its cache folder, by default the user's."""
    moved = {} if cache is None else {"XDG_CACHE_HOME": str(cache)}
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "tuiprobe", "--headless", "--output", str(output), *options],
        check=True,
        env=os.environ | moved,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - begin


def report_of(output: Path) -> Report:
    """Returns the results of a run."""
    return read_report(RunDir(output))


def beside(peer: str, images: int, rounds: int) -> dict[str, Any]:
    """Returns the seconds of both programs by round, and how many predictions agree."""
    ours, theirs, load = list[dict[str, float]](), list[dict[str, float]](), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        request = prepare(folder, images)
        for number in range(rounds):
            output, before = folder / f"run{number}", processor_seconds()
            whole = headless(
                output, "--model", f"open_clip:{MODEL}", "--checkpoint", request["weights"],
                "--data", f"imagefolder:{request['images']}", "--sample", "0",
                "--classes", str(folder / "classes"), "--templates", str(folder / "templates"),
                cache=folder / f"cache{number}",
            )  # fmt: skip
            seconds = report_of(output).timings.seconds
            used = processor_seconds() - before
            parts = {"head": seconds["head"], "images": seconds["extract"]}
            ours.append({**parts, "whole": whole, "processor": used})
            asked, answered = folder / "asked.json", folder / "answered.json"
            asked.write_text(json.dumps(request))
            script = Path(__file__).with_name("_clip_benchmark.py")
            begin = time.perf_counter()
            subprocess.run([peer, str(script), str(asked), str(answered)], check=True)
            whole = time.perf_counter() - begin
            answer = json.loads(answered.read_text())
            used = processor_seconds() - before - used
            theirs.append({**answer["seconds"], "whole": whole, "processor": used})
        mine = predictions(output)
    agree = sum(mine[path] == best for path, best in answer["predicted"].items())
    about = {"images": images, "load_before": load, "agree": agree}
    return {**about, "ours": ours, "theirs": theirs}


def processor_seconds() -> float:
    """Returns the processor time of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def prepare(folder: Path, images: int) -> dict[str, Any]:
    """Writes weights, JPEG files of 500 x 375 pixels, class names and templates."""
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
    (folder / "templates").write_text("\n".join(TEMPLATES) + "\n")
    return {
        "model": MODEL,
        "weights": str(folder / "weights.pt"),
        "images": str(folder / "images"),
        "classes": classes,
        "templates": TEMPLATES,
    }


def predictions(output: Path) -> dict[str, int]:
    """Returns the class that a run predicts for the image at each path."""
    reader = RunReader(RunDir(output))
    head, features = reader.head, reader.head_sets[0]
    assert isinstance(head, HeadArrays)
    best = Logits(head, features).confidences().answer
    paths = reader.paths(features.name)
    ids = reader.features(features.name)["ids"]
    return {paths[int(i)]: int(b) for i, b in zip(ids, best, strict=True)}


def table(figures: dict[str, Any]) -> str:
    """Returns seconds and images a second as Markdown."""
    figure, about = figures["default"], figures["machine"]
    rows = [
        ["first run", f"{figure['first']:.1f}", f"{figure['images'] / figure['first']:.0f}"],
        ["the same command again", f"{figure['again']:.1f}", ""],
    ]
    text = (
        f"`tuiprobe --headless --sample {figure['sample']}`, {figure['images']} images (embedded "
        f"model and suite, probes and reports included), {about['cpu']}; load average before: "
        f"{about['load_before']:.1f}\n\n" + markdown(["run", "seconds", "images/s"], rows)
    )
    both = figures.get("beside")
    if both is None:
        return f"{text}\nBeside CLIP_benchmark: not run; `{PEER}` names a Python that has it.\n"
    ours, theirs = both["ours"], both["theirs"]
    rows = [
        compared("head and images, from an empty cache", ("head", "images"), 2.5, ours, theirs),
        compared("images, the head at hand", ("images",), 1.1, ours, theirs),
        compared("whole commands, from an empty cache", ("whole",), None, ours, theirs),
        compared("the same, processor time", ("processor",), None, ours, theirs),
    ]
    return (
        f"{text}\nBeside CLIP_benchmark 1.6.2 on the same weights (random), {len(CLASSES)} classes "
        f"x {len(TEMPLATES)} templates, {both['images']} JPEG files, rounds in turn: {len(ours)}; "
        f"load average before: {both['load_before']:.1f}; "
        f"predictions that agree: {both['agree']} of {both['images']}\n\n"
        + markdown(["ViT-B/32", "ratio", "target", "met", "seconds: theirs, ours"], rows)
    )


def compared(
    work: str,
    parts: tuple[str, ...],
    target: float | None,
    ours: list[dict[str, float]],
    theirs: list[dict[str, float]],
) -> list[str]:
    """Returns the row of a ratio of times, the median over rounds."""
    mine, other = (
        [sum(figure[part] for part in parts) for figure in each] for each in (ours, theirs)
    )
    ratio = statistics.median(b / a for a, b in zip(mine, other, strict=True))
    note = ", ".join(f"{statistics.median(each):.1f}" for each in (other, mine))
    return (
        [work, f"{ratio:.2f}", "", "", note]
        if target is None
        else row(work, ratio, target, note=note)
    )


if __name__ == "__main__":
    command(__doc__, run, table)
