"""What a run costs against images, layers, channels, concepts and ranks, and many ranks that die.

Shard files are real ones, written by the engine's extraction. The ranks live in virtual time, see
`benchmarks/_simulated.py`.
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
from benchmarks._simulated import (
    Simulation,
    World,
    batch_of,
    bits,
    extraction_of,
    measure_alone,
    merged,
    plan_of,
    reader_of,
    shards_of,
)
from tuiprobe.events import Event
from tuiprobe.measure.crew import Crew
from tuiprobe.measure.merge import merge_set, write_merged
from tuiprobe.measure.plan import Plan
from tuiprobe.measure.ranks import Rank
from tuiprobe.measure.tap_statistics import MAX_ROWS
from tuiprobe.run.directory import RunDir
from tuiprobe.stats import average_precision

TITLE = "Scale"
MERGE_SECONDS = 10.0
SHARDS, TAPS, CHANNELS = 1000, 24, 1024
SHARD_IMAGES = 256
"""Images of a shard of the merge: eight batches of 32, as on a CPU."""
LAST = 8
"""Shards without rows, whose sizes are compared."""
SETS, IMAGES, MODELS, RANKS = 6, 50_000, 18, 64
BROWSE_CONCEPTS, BROWSE_IMAGES = 1197, 63_305
"""Concepts and images of Broden."""


@contextmanager
def _folder(memory: bool = False) -> Iterator[Path]:
    """Yields a folder that goes away, on the disk or in memory."""
    place = "/dev/shm" if memory and Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as name:
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


def _write_shards(plan: Plan, directory: RunDir) -> None:
    """Writes all shards of a plan, each of one forward pass."""
    extraction = extraction_of(plan, directory)
    for shard in shards_of(plan):
        extraction.begin(shard)
        extraction.take(batch_of(np.concatenate(shard.batches)))
        extraction.publish()


def _bytes(directory: RunDir) -> int:
    return sum(one.stat().st_size for one in (directory.path / "shards").iterdir())


def merge_plan(shards: int) -> Plan:
    """Plans the run whose merge is timed."""
    images = {"val": shards * SHARD_IMAGES}
    return plan_of(1, images, width=CHANNELS, blocks=TAPS, batch=32, shard_batches=8)


def merging(shards: int) -> dict[str, Any]:
    """Writes real shard files and times their merge."""
    plan = merge_plan(shards)
    with _folder() as place:
        directory = RunDir(place / "run")
        _say(f"writing {shards} shards")
        _write_shards(plan, directory)
        return timed_merge(plan, directory)


def timed_merge(plan: Plan, directory: RunDir) -> dict[str, Any]:
    """Merges the shards of a run, and publishes what comes of it."""
    begin, busy = time.perf_counter(), time.process_time()
    sets = merged(plan, directory)
    read, busy = time.perf_counter() - begin, time.process_time() - busy
    write_merged(directory, plan.key, sets)
    return {
        "shards": len(shards_of(plan)),
        "seconds": read,
        "processor_seconds": busy,
        "write_seconds": time.perf_counter() - begin - read,
        "gigabytes": _bytes(directory) / 1e9,
    }


def sizes() -> list[dict[str, Any]]:
    """Measures a shard of several numbers of taps, channels and images: its size and its merge."""
    found = []
    for taps, channels, images in (
        (0, 256, 256), (0, 1024, 256), (0, 1024, 2048), (12, 256, 256), (12, 1024, 256),
        (24, 1024, 256), (24, 1024, 2048),
    ):  # fmt: skip
        count = MAX_ROWS // images + LAST  # inner taps keep rows of the first images
        plan = plan_of(
            1, {"val": count * images}, width=channels, blocks=taps, batch=images // 8,
            shard_batches=8,
        )  # fmt: skip
        with _folder() as place:
            directory = RunDir(place / "run")
            begin = time.process_time()
            _write_shards(plan, directory)
            wrote = time.process_time() - begin
            begin = time.process_time()
            merge_set(plan, reader_of(plan, directory), shards_of(plan)[-LAST:])
            last = directory.shard_file("val", count - 1).status()
            assert last is not None
            found.append(
                {
                    "taps": taps, "channels": channels, "images": images,
                    "bytes": last.st_size, "expected": expected_bytes(taps, channels, images),
                    "statistics_ms": 1000 * wrote / count,
                    "merge_ms": 1000 * (time.process_time() - begin) / LAST,
                }
            )  # fmt: skip
    return found


def expected_bytes(taps: int, channels: int, images: int) -> int:
    """Returns the size of a shard by the formula of docs/scale.md, without its header."""
    inner = taps * (344 * channels + 28 * images)
    final = (1112 + 4 * images) * channels + (28 + 48) * images
    return inner + final


def looking(ranks: int, shards: int) -> float:
    """Returns the milliseconds in which a rank looks at all others before a shard."""
    plan = plan_of(1, {"val": shards * 2}, width=4, blocks=0, batch=2, shard_batches=1)
    every = shards_of(plan)
    with _folder() as place:
        directory = RunDir(place / "run")
        crews = [
            Crew(directory, Rank(number, ranks), every, _ignore, host=f"host-{number}")
            for number in range(ranks)
        ]
        for number, crew in enumerate(crews):
            crew.hold(every[number])
        for shard in every:
            directory.shard_file(shard.set_name, shard.number).replace(b"")
        crews[0].left(every)

        def one_look() -> None:
            for crew in crews[1:]:  # since the last look all of them have written
                crew.hold(every[0])
            begin = time.perf_counter()
            crews[0].left(every[:1])
            spent.append(time.perf_counter() - begin)

        spent: list[float] = []
        for _ in range(5):
            one_look()
    return 1000 * sorted(spent)[2]


def _ignore(event: Event) -> None:
    """Hears nothing."""


def concepts(counts: tuple[int, ...], images: int, channels: int) -> list[dict[str, Any]]:
    """Times the average precision of every channel for so many concepts, 2 % of them present."""
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.standard_normal((images, channels), dtype=np.float32))
    found = []
    for count in counts:
        labels = scipy.sparse.csr_array(rng.random((images, count)) < 0.02)
        seconds = _timed(partial(average_precision, scores, labels), 3)
        found.append({"concepts": count, "seconds": seconds})
    return found


def simulated(models: int, images: int, ranks: int) -> dict[str, Any]:
    """Lets ranks that die measure several models, and compares each with an undisturbed run."""
    totals = dict.fromkeys(("deaths", "lost", "wasted", "twice", "done"), 0)
    seconds, equal, shards, planned = 0.0, 0, 0, 0
    begin = time.perf_counter()
    for model in range(models):
        plan = plan_of(
            model, {f"set{i}": images for i in range(SETS)}, width=4, blocks=0, batch=256
        )
        shards, planned = shards + len(shards_of(plan)), planned + plan.images
        world = World(ranks=ranks, rate=100.0, mean_life=400.0, slow=(3, 40), seed=model)
        with _folder(memory=True) as place:
            alone, many = RunDir(place / "alone"), RunDir(place / "many")
            measure_alone(plan, alone)
            fates = Simulation(plan, many, world).go()
            equal += bits(merged(plan, many)) == bits(merged(plan, alone))
        seconds += fates.seconds
        for name in totals:
            totals[name] += getattr(fates, name)
        _say(f"model {model + 1} of {models}: {fates.deaths} deaths, {fates.wasted} images wasted")
    return {
        **totals, "models": models, "ranks": ranks, "images": planned, "shards": shards,
        "virtual_seconds": seconds, "bit_equal": equal, "real_seconds": time.perf_counter() - begin,
    }  # fmt: skip


def run(quick: bool = False) -> dict[str, Any]:
    """Returns all figures."""
    torch.set_num_threads(1)
    return {
        "machine": machine(),
        "merge": merging(40 if quick else SHARDS),
        "sizes": sizes(),
        "looks": [
            {"ranks": ranks, "shards": shards, "ms": looking(ranks, shards)}
            for ranks, shards in ((4, 200), (64, 200), (64, 1200), (256, 1200))
        ],
        "concepts": concepts((100, 200, 400), images=2000, channels=128),
        "simulation": simulated(2, 5_000, 16) if quick else simulated(MODELS, IMAGES, RANKS),
    }


def table(figures: dict[str, Any]) -> str:
    """Renders the figures, and what follows from them for larger runs."""
    merge, simulation, about = figures["merge"], figures["simulation"], figures["machine"]
    whole = merge["seconds"] + merge["write_seconds"]
    lines = [
        row(
            f"seconds to merge {merge['shards']:,} shards of {TAPS} taps x {CHANNELS:,} channels",
            whole, MERGE_SECONDS, at_most=True,
            note=f"{merge['gigabytes']:.1f} GB of partials, "
            f"{merge['processor_seconds']:.1f} processor seconds",
        ),
        row(
            f"merges bit-equal to undisturbed runs, of {simulation['models']} models",
            simulation["bit_equal"], simulation["models"],
        ),
        row("images measured / planned", simulation["done"] / simulation["images"], 1.0),
    ]  # fmt: skip
    wasted = simulation["wasted"] + simulation["twice"]
    shard = [
        [
            f"{one['taps']}", f"{one['channels']:,}", f"{one['images']:,}",
            f"{one['bytes'] / 1e6:.2f}", f"{one['expected'] / 1e6:.2f}",
            f"{one['statistics_ms']:.0f}", f"{one['merge_ms']:.1f}",
        ]
        for one in figures["sizes"]
    ]  # fmt: skip
    looks = [
        [f"{one['ranks']}", f"{one['shards']:,}", f"{one['ms']:.1f}"] for one in figures["looks"]
    ]
    last = figures["concepts"][-1]
    broden = last["seconds"] * BROWSE_CONCEPTS / last["concepts"] * BROWSE_IMAGES / 2000
    aps = [[f"{one['concepts']}", f"{one['seconds']:.3f}"] for one in figures["concepts"]]
    each = [
        f"{about['cpu']}, {about['cores']} cores; load average before: "
        f"{about['load_before']:.1f}.\n",
        markdown(["work", "measured", "target", "met", "note"], lines),
        f"{simulation['ranks']} ranks in virtual time: {simulation['shards']:,} shards of "
        f"{simulation['images']:,} images ({simulation['models']} models), "
        f"{simulation['deaths']} deaths, {simulation['lost']} ranks that never came back, "
        f"{wasted:,} images measured in vain ({100 * wasted / simulation['images']:.2f} %), "
        f"{simulation['virtual_seconds']:.0f} virtual seconds.\n",
        "A shard, in processor time; statistics contain a trivial forward pass.\n",
        markdown(
            [
                "inner taps", "channels", "images", "MB", "by the formula", "statistics, ms",
                "merge, ms",
            ],
            shard,
        ),
        "What a rank spends before each shard to look at the others:\n",
        markdown(["ranks", "shards", "ms"], looks),
        "Average precision of 128 channels on 2,000 images:\n",
        markdown(["concepts", "seconds"], aps),
        f"Extrapolated to Broden ({BROWSE_CONCEPTS:,} concepts, {BROWSE_IMAGES:,} images): "
        f"{broden:.1f} s for 128 channels.\n",
    ]  # fmt: skip
    return "\n".join(each)


if __name__ == "__main__":
    command(__doc__, run, table)
