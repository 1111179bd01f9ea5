"""What the commands of the pages find: finished runs, pictures, vectors and tables."""

import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.prepared import Prepared
from tuiprobe import miniature
from tuiprobe.miniature.world import label

MODELS = ("mini_clip", "mini_clip_soft")
RUNS = {"A": "mini_clip", "B": "mini_clip_soft", "C": "mini_clip", "RUN": "mini_clip"}
LAST = "mine.csv"  # that is written
SECONDS = 600.0  # for one command, on a busy machine
SAMPLE = ("--sample", "64", "--concept-sample", "320")


def make(folder: Path, prepared: Prepared) -> None:
    """Writes runs over the same images, and inputs of every kind that pages name."""
    models = [word for model in MODELS for word in ("--model", model)]
    done = prepared.start("--headless", *models, *SAMPLE, cwd=folder)
    assert done.wait(SECONDS) == 0, done.stderr
    for name, model in RUNS.items():
        (run,) = (folder / "runs").glob(f"{model}-miniature-*")
        shutil.copytree(run, folder / name)
    shutil.copytree(folder / "A", folder / "runs/old-name")
    miniature.export(folder / "street", sets=("street",), layouts=("imagefolder",), images=40)
    shutil.copytree(folder / "street/imagefolder/street", folder / "photos")
    shutil.rmtree(folder / "street")
    _vectors(folder)
    _answers(folder)
    (folder / LAST).write_text(_baseline(), "utf-8")


def _vectors(folder: Path) -> None:
    run = folder / "RUN"
    rows = load_file(run / "features/val/images.safetensors")["features"]
    labels = np.random.default_rng(0).integers(0, 40, len(rows))
    for name in ("vectors.npy", "my-photos.npy", "laion/img_emb/img_emb_0.npy"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / name, rows)
    save_file({"embeddings": rows}, folder / "val.safetensors")
    for name in ("labels.txt", "val.txt"):
        (folder / name).write_text("\n".join(map(str, labels)) + "\n", "utf-8")
    shutil.copy(run / "head.safetensors", folder / "head.safetensors")
    (folder / "names.txt").write_text("\n".join(miniature.class_names()) + "\n", "utf-8")


def _answers(folder: Path) -> None:
    """Writes four tables of answers on the photos, the first of which is right, and the truth."""
    draws, names = np.random.default_rng(0), miniature.class_names()
    paths = [path.relative_to(folder / "photos") for path in (folder / "photos").rglob("*.png")]
    truth = {path.as_posix(): names[label("street", int(path.stem))] for path in sorted(paths)}
    rows = [f"{path},{name}" for path, name in truth.items()]
    (folder / "truth.csv").write_text("\n".join(["path,class", *rows]) + "\n", "utf-8")
    for table, right in {"vlm": 1.0, "api": 0.3, "onnx": 0.2, "ensemble": 0.1}.items():
        given = [n if draws.random() < right else draws.choice(names) for n in truth.values()]
        sure = draws.uniform(0.4, 1, len(given))
        rows = [f"{p},{n},{c:.3f}" for p, n, c in zip(truth, given, sure, strict=True)]
        text = "\n".join(["path,class,confidence", *rows]) + "\n"
        (folder / f"{table}.csv").write_text(text, "utf-8")


def _baseline() -> str:
    draws = np.random.default_rng(0).uniform(0.4, 0.9, 12)
    lines = [f"toy{number},{value:.3f},{value * 0.7:.3f}" for number, value in enumerate(draws)]
    return "\n".join(["model,val,v2", *lines]) + "\n"
