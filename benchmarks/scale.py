"""What a run costs against images, layers, channels and concepts.

Shard files are real ones, written by the engine's extraction; see `benchmarks/_shards.py`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch

from benchmarks._common import command, machine, markdown, row
from benchmarks._shards import batch_of, extraction_of, merged, plan_of, reader_of
from tuiprobe.measure.engine.extract import MAX_ROWS
from tuiprobe.measure.engine.merge import merge_set, write_merged
from tuiprobe.measure.engine.plan import Plan
from tuiprobe.stats import average_precision

TITLE = "Scale"
MERGE_SECONDS = 10.0
SHARDS, TAPS, CHANNELS = 1000, 24, 1024
SHARD_IMAGES = 256
"""Images of a shard of the merge: eight batches of 32, as on a CPU."""
LAST = 8
"""Shards without rows, whose sizes are compared."""
BROWSE_CONCEPTS, BROWSE_IMAGES = 1197, 63_305
"""Concepts and images of Broden."""


@contextmanager
def _folder() -> Iterator[Path]:
    """Yields a folder on the disk that goes away."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _timed(work: Callable[[], object], rounds: int = 1) -> float:
    """Returns the shortest seconds of a call."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _write_shards(plan: Plan) -> None:
    """Writes all shards of a plan, each of one forward pass."""
    extraction = extraction_of(plan)
    for shard in plan.all_shards:
        extraction.begin(shard)
        extraction.measure(batch_of(shard.ids))
        extraction.publish()


def _bytes(plan: Plan) -> int:
    return sum(path.stat().st_size for path in (plan.directory.path / "shards").iterdir())


def merge_plan(shards: int, output: Path) -> Plan:
    """Plans the run whose merge is timed."""
    images = {"val": shards * SHARD_IMAGES}
    return plan_of(1, images, width=CHANNELS, blocks=TAPS, batch=32, shard_batches=8, output=output)


def merging(shards: int) -> dict[str, Any]:
    """Writes real shard files and times their merge."""
    with _folder() as place:
        plan = merge_plan(shards, place / "run")
        _say(f"writing {shards} shards")
        _write_shards(plan)
        return timed_merge(plan)


def timed_merge(plan: Plan) -> dict[str, Any]:
    """Merges the shards of a run, and publishes what comes of it."""
    begin, busy = time.perf_counter(), time.process_time()
    sets = merged(plan)
    read, busy = time.perf_counter() - begin, time.process_time() - busy
    write_merged(plan.directory, plan.key, sets)
    return {
        "shards": len(plan.all_shards),
        "seconds": read,
        "processor_seconds": busy,
        "write_seconds": time.perf_counter() - begin - read,
        "gigabytes": _bytes(plan) / 1e9,
    }


def sizes() -> list[dict[str, Any]]:
    """Measures a shard of several numbers of taps, channels and images: its size and its merge."""
    figures = []
    for taps, channels, images in (
        (0, 256, 256), (0, 1024, 256), (0, 1024, 2048), (12, 256, 256), (12, 1024, 256),
        (24, 1024, 256), (24, 1024, 2048),
    ):  # fmt: skip
        count = MAX_ROWS // images + LAST  # inner taps keep rows of the first images
        with _folder() as place:
            plan = plan_of(
                1, {"val": count * images}, width=channels, blocks=taps, batch=images // 8,
                shard_batches=8, output=place / "run",
            )  # fmt: skip
            begin = time.process_time()
            _write_shards(plan)
            wrote = time.process_time() - begin
            begin = time.process_time()
            merge_set(reader_of(plan), plan.all_shards[-LAST:])
            last = plan.directory.shard_file("val", count - 1).status()
            assert last is not None
            figures.append(
                {
                    "taps": taps, "channels": channels, "images": images,
                    "bytes": last.st_size, "expected": expected_bytes(taps, channels, images),
                    "statistics_ms": 1000 * wrote / count,
                    "merge_ms": 1000 * (time.process_time() - begin) / LAST,
                }
            )  # fmt: skip
    return figures


def expected_bytes(taps: int, channels: int, images: int) -> int:
    """Returns the size of a shard by the formula of docs/howto/install.md, without its header."""
    inner = taps * (344 * channels + 28 * images)
    final = (1112 + 4 * images) * channels + (28 + 48) * images
    return inner + final


def concepts(counts: tuple[int, ...], images: int, channels: int) -> list[dict[str, Any]]:
    """Times the average precision of every channel for so many concepts, 2 % of them present."""
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.standard_normal((images, channels), dtype=np.float32))
    figures = []
    for count in counts:
        labels = scipy.sparse.csr_array(rng.random((images, count)) < 0.02)
        seconds = _timed(partial(average_precision, scores, labels), 3)
        figures.append({"concepts": count, "seconds": seconds})
    return figures


def run(quick: bool = False) -> dict[str, Any]:
    """Returns all figures."""
    torch.set_num_threads(1)
    return {
        "machine": machine(),
        "merge": merging(40 if quick else SHARDS),
        "sizes": sizes(),
        "concepts": concepts((100, 200, 400), images=2000, channels=128),
    }


def table(figures: dict[str, Any]) -> str:
    """Renders the figures, and what follows from them for larger runs."""
    merge, about = figures["merge"], figures["machine"]
    whole = merge["seconds"] + merge["write_seconds"]
    lines = [
        row(
            f"seconds to merge {merge['shards']:,} shards of {TAPS} taps x {CHANNELS:,} channels",
            whole, MERGE_SECONDS, at_most=True,
            note=f"{merge['gigabytes']:.1f} GB of partials, "
            f"{merge['processor_seconds']:.1f} processor seconds",
        ),
    ]  # fmt: skip
    shard = [
        [
            f"{size['taps']}", f"{size['channels']:,}", f"{size['images']:,}",
            f"{size['bytes'] / 1e6:.2f}", f"{size['expected'] / 1e6:.2f}",
            f"{size['statistics_ms']:.0f}", f"{size['merge_ms']:.1f}",
        ]
        for size in figures["sizes"]
    ]  # fmt: skip
    last = figures["concepts"][-1]
    broden = last["seconds"] * BROWSE_CONCEPTS / last["concepts"] * BROWSE_IMAGES / 2000
    aps = [
        [f"{concept['concepts']}", f"{concept['seconds']:.3f}"] for concept in figures["concepts"]
    ]
    each = [
        f"{about['cpu']}, {about['cores']} cores; load average before: "
        f"{about['load_before']:.1f}.\n",
        markdown(["work", "measured", "target", "met", "note"], lines),
        "A shard, in processor time; statistics contain a trivial forward pass.\n",
        markdown(
            [
                "inner taps", "channels", "images", "MB", "by the formula", "statistics, ms",
                "merge, ms",
            ],
            shard,
        ),
        "Average precision of 128 channels on 2,000 images:\n",
        markdown(["concepts", "seconds"], aps),
        f"Extrapolated to Broden ({BROWSE_CONCEPTS:,} concepts, {BROWSE_IMAGES:,} images): "
        f"{broden:.1f} s for 128 channels.\n",
    ]  # fmt: skip
    return "\n".join(each)


if __name__ == "__main__":
    command(__doc__, run, table)
