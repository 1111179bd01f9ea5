"""The runs that the oracle compares, and the files that they read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

THREADS = 2
PARTS = ("default", "ranks", "resumed", "folder", "heads", "vectors", "real")
MODELS = ("mini_clip", "mini_clip_soft", "mini_supervised", "mini_finetuned")
FOLDER_IMAGES = 400

VECTORS, CHANNELS, CLASSES, HALVES = 600, 48, 8, 2
"""Sizes of the stored vectors: rows, channels, classes, and files of the Parquet set."""

RUN = "{run}"
"""Stands for the run directory in the arguments of a step."""


@dataclass(frozen=True)
class Step:
    """One command of a run.

    Attributes:
        arguments: Of the interpreter; `{run}` is replaced by the run directory.
        environment: Variables that it runs with.
        answers: Whether its standard output is JSON that is compared.
        loses: Pattern of a file of the run that is deleted afterwards, the last that fits.
    """

    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    answers: bool = False
    loses: str = ""


Run = tuple[Step, ...]
"""The steps that make one run directory, or a folder of them."""


@dataclass(frozen=True)
class Inputs:
    """What runs read.

    Attributes:
        images: Class folders.
        vectors: The folder that `write_vectors` wrote.
        real: Arrays `ENCODER__SET.npy`; none without `--real`.
        sample: Images per set; None for the default.
    """

    images: Path
    vectors: Path
    real: tuple[Path, ...]
    sample: int | None


def runs_of(part: str, inputs: Inputs) -> list[Run]:
    """Returns the runs of a part."""
    some = () if inputs.sample is None else ("--sample", str(inputs.sample))
    builders: dict[str, Callable[[], list[Run]]] = {
        "default": lambda: [_run(*_named_models(), *some)],
        "ranks": lambda: [(_two_ranks(some),)],
        "resumed": lambda: [_resumed(some)],
        "folder": lambda: [
            _run("--model", "mini_clip", *_folder(inputs.images), "--layers", "layer*", *some)
        ],
        "heads": lambda: _head_runs(inputs, some),
        "vectors": lambda: _vector_runs(inputs.vectors),
        "real": lambda: [_run("--embeddings", str(file)) for file in inputs.real],
    }
    return builders[part]()


def _run(*arguments: str) -> Run:
    return (_headless(*arguments, "--threads", str(THREADS)),)


def _headless(*arguments: str) -> Step:
    return Step(("-m", "tuiprobe", "--headless", *arguments, "--output", RUN))


def _named_models() -> tuple[str, ...]:
    return tuple(word for model in MODELS for word in ("--model", model))


def _folder(images: Path) -> tuple[str, ...]:
    return "--data", f"imagefolder:{images}"


def _two_ranks(some: tuple[str, ...]) -> Step:
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    step = _headless("--threads", "1", *some)
    return Step((*torchrun, *step.arguments))


def _resumed(some: tuple[str, ...]) -> Run:
    """Measures the shards of the first of two ranks, loses one, and starts both ranks."""
    alone = _headless("--threads", "1", *some)
    rank = (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "2"))
    return (
        Step(alone.arguments, rank, loses="shards/*.safetensors"),
        _two_ranks(some),
    )


def _head_runs(inputs: Inputs, some: tuple[str, ...]) -> list[Run]:
    """Returns runs whose head is a file, which is asked for ablations, or fitted."""
    folder = _folder(inputs.images)
    questions = (("channel:3,direction:1", "mean"), ("channel:0", "zero"))
    asked = tuple(
        Step(
            ("-m", "tuiprobe", "reprobe", RUN, "--ablate", what, "--ablate-mode", how, "--json"),
            answers=True,
        )
        for what, how in questions
    )
    head = str(inputs.vectors / "image-head.safetensors")
    names = str(inputs.vectors / "image-classes.txt")
    return [
        (*_run("--model", "mini_supervised", *folder, "--head", head, "--classes", names, *some),
         *asked),
        _run("--model", "mini_supervised", *folder, "--head", "probe", "--sample", "120"),
    ]  # fmt: skip


def _vector_runs(folder: Path) -> list[Run]:
    """Returns runs of stored vectors: Parquet with ids and a target, and `.npz`."""
    parquet = ("--embeddings", str(folder / "rows_*.parquet"), "--id-column", "name")
    labels = ("--labels", str(folder / "labels.csv"), "--classes", str(folder / "classes.txt"))
    head = ("--head", str(folder / "head.safetensors"))
    target = ("--target-embeddings", str(folder / "target.npy"))
    archive = ("--embeddings", f"{folder / 'arrays.npz'}::second")
    numbers = ("--labels", str(folder / "labels.npy"))
    return [
        _run(*parquet, *labels, *head, *target, "--training", "supervised"),
        _run(*archive, *numbers, "--representation", "pooled"),
    ]


def write_vectors(folder: Path, images: Path) -> None:
    """Writes seeded vectors, their labels, ids, heads and a target, unless they are there.

    Args:
        folder: Where to.
        images: Class folders; a head with a row for each is written too.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    marker = folder / "done.json"
    if marker.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(42)
    names = [f"class {number}" for number in range(CLASSES)]
    centres = rng.normal(size=(CLASSES, CHANNELS))
    labels = rng.integers(0, CLASSES, VECTORS)

    def drawn(label: np.ndarray) -> np.ndarray:
        rows = centres[label] + 2 * rng.normal(size=(len(label), CHANNELS))
        rows[:, 7] += 25
        return np.asarray(rows, dtype=np.float32)

    rows = drawn(labels)
    ids = [f"image {number:04}" for number in range(VECTORS)]
    for half, places in enumerate(np.array_split(np.arange(VECTORS), HALVES)):
        columns = {"name": [ids[place] for place in places], "vector": list(rows[places])}
        pq.write_table(pa.table(columns), folder / f"rows_{half}.parquet")
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["name", "label"])
        table.writerows((ids[place], names[labels[place]]) for place in rng.permutation(VECTORS))
    (folder / "classes.txt").write_text("\n".join(names) + "\n", "utf-8")
    weight, bias = centres.astype(np.float32), -(centres**2).sum(axis=1) / 2
    save_file({"weight": weight, "bias": bias.astype(np.float32)}, folder / "head.safetensors")
    np.save(folder / "target.npy", drawn(rng.integers(0, CLASSES, VECTORS // 2)))
    np.save(folder / "labels.npy", labels)
    np.savez(folder / "arrays.npz", first=rows[:20], second=drawn(labels).astype(np.float16))
    classes = sorted(path.name for path in images.iterdir())
    (folder / "image-classes.txt").write_text("\n".join(classes) + "\n", "utf-8")
    save_file(
        {"weight": rng.normal(size=(len(classes), 128)).astype(np.float32)},
        folder / "image-head.safetensors",
    )
    marker.write_text(json.dumps({"rows": VECTORS}), "utf-8")
