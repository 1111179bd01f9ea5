"""Every probe on 50,000 images of 1,024 channels, a head of 1,000 classes and 10,000 target images.

`python -m benchmarks.answers` measures planted vectors with a common offset once, then asks each
probe in a process of its own, as `tuiprobe reprobe` does: reading, computing, describing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from benchmarks._common import command, machine, markdown, row

TITLE = "All probes"
IMAGES, CHANNELS, CLASSES, TARGETS = 50_000, 1024, 1000, 10_000
QUICK = 5_000
SECONDS, GIGABYTES = 60.0, 2.0
APART = "directions"
"""Its curves of pruning have a benchmark and a limit of their own."""

_MEASURE = """
import json, sys
from pathlib import Path
from tuiprobe.probes.run import run
from tuiprobe.request import RunRequest, make_spec
spec = make_spec(None, None, json.loads(sys.argv[1]))
[end] = run([RunRequest(spec=spec, output=Path(sys.argv[2]))])
print(end.directory.path)
"""

_ASK = """
import json, sys, time
from pathlib import Path
from tuiprobe.probes import registry
from tuiprobe.measure.arrays.row_statistics import fixed_threads
from tuiprobe.probes.protocol import Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.show.report import read_report
from tuiprobe.results import NotRun
from tuiprobe.measure.run.directory import RunDir
directory = RunDir(Path(sys.argv[1]))
known = {probe.id: probe for probe in registry().probes}
probe = known[sys.argv[2]]
report = read_report(directory)
results = {}
for id in probe.after:
    result = report.part(known[id].Result)
    results[id] = NotRun(reason=report.why_not(id)) if result is None else result
run = RunReader(directory)
images = tuple(data for data in run.data if data.name != run.plan.concept_set)
begin, busy = time.perf_counter(), time.process_time()
with fixed_threads():
    inputs = probe.inputs(run, probe.Options(), results)
    result = inputs if isinstance(inputs, NotRun) else probe.compute(inputs, probe.Options())
    if not isinstance(result, NotRun):
        probe.describe(result, Subject(run.plan.model, images, run.plan.concept_set))
        probe.named(result)
seconds, busy = time.perf_counter() - begin, time.process_time() - busy
lines = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
print(json.dumps({
    "seconds": seconds,
    "processor_seconds": busy,
    "gigabytes": peak / 2**20,
    "not_run": result.reason if isinstance(result, NotRun) else "",
}))
"""


def plant(folder: Path, images: int, targets: int) -> dict[str, Any]:
    """Writes vectors, labels, a head and target vectors; returns the options of their run."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((CLASSES, CHANNELS), dtype=np.float32)
    weight += rng.standard_normal(CHANNELS, dtype=np.float32)  # the mean class embedding
    weight /= np.linalg.norm(weight, axis=1, keepdims=True)

    def vectors(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, CLASSES, n)
        h = rng.standard_normal((n, CHANNELS), dtype=np.float32)
        h += 12 * weight[labels]
        h[:, [3, 77, 500]] += 15
        return h, labels

    rows, labels = vectors(images)
    np.save(folder / "val.npy", rows)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "photos.npy", vectors(targets)[0])
    names = [f"class {i}" for i in range(CLASSES)]
    (folder / "classes.txt").write_text("\n".join(names) + "\n")
    save_file(
        {"weight": weight, "logit_scale": np.array([100.0], np.float32)},
        folder / "head.safetensors",
    )
    return {
        "embeddings": str(folder / "val.npy"),
        "labels": str(folder / "labels.npy"),
        "classes": str(folder / "classes.txt"),
        "head": str(folder / "head.safetensors"),
        "target_embeddings": [str(folder / "photos.npy")],
        "training": "zero-shot",
    }


def _child(code: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.splitlines()[-1]


def run(quick: bool = False) -> dict[str, Any]:
    """Returns seconds and memory of each probe."""
    about = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = QUICK if quick else IMAGES
        spec = plant(folder, images, TARGETS * images // IMAGES)
        directory = _child(_MEASURE, json.dumps(spec), str(folder / "run"))
        results = json.loads((Path(directory) / "results.json").read_text())
        probes = {
            part["probe"]: json.loads(_child(_ASK, directory, part["probe"]))
            for part in results["parts"]
        }
    return {"machine": about, "images": images, "probes": probes}


def table(figures: dict[str, Any]) -> str:
    """Seconds and memory of each probe, and of all but the curves of pruning against the limit."""
    ran = {
        id: probe_figures
        for id, probe_figures in figures["probes"].items()
        if not probe_figures["not_run"]
    }
    others = {id: probe_figures for id, probe_figures in ran.items() if id != APART}
    seconds = sum(probe_figures["seconds"] for probe_figures in others.values())
    memory = max(probe_figures["gigabytes"] for probe_figures in others.values())
    note = f"{figures['images']:,} images; load before {figures['machine']['load_before']:.1f}"
    header = ["work", "measured", "target", "met", "note"]
    lines = [
        row(f"seconds, all but {APART}", seconds, SECONDS, at_most=True, note=note),
        row("GB at most", memory, GIGABYTES, at_most=True),
    ]
    each = [
        [
            id,
            f"{probe_figures['seconds']:.1f}",
            f"{probe_figures['processor_seconds']:.1f}",
            f"{probe_figures['gigabytes']:.2f}",
        ]
        for id, probe_figures in ran.items()
    ]
    apart = markdown(["probe", "seconds", "processor seconds", "GB"], each)
    lost = ", ".join(
        id for id, probe_figures in figures["probes"].items() if probe_figures["not_run"]
    )
    return f"{markdown(header, lines)}\n{apart}\nWithout what they need here: {lost}.\n"


if __name__ == "__main__":
    command(__doc__, run, table)
