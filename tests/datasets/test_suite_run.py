"""`--suite` on the command line, and one whole run of a real encoder over all six sets."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from tests.parts import part
from tuiprobe.catalog.accuracies import SHIFTS
from tuiprobe.catalog.class_names import imagenet_wnids
from tuiprobe.choose.robustness.compute import Robustness
from tuiprobe.inside.directions.compute import Directions
from tuiprobe.results import is_known
from tuiprobe.results.report import Report
from tuiprobe.show.cli.app import run_cli

pytestmark = pytest.mark.slow

ALL = ("imagenet", *SHIFTS)
MODEL = "timm:test_resnet.r160_in1k"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns weights of a small ResNet with ImageNet's classes, random from a fixed seed."""
    import timm
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = timm.create_model(MODEL.removeprefix("timm:"), pretrained=False)
    path = tmp_path_factory.mktemp("weights") / "resnet.safetensors"
    save_file(model.state_dict(), path)
    return path


def truth(trees: Path, directory: Path, name: str) -> int:
    """Returns how many images of a set are answered right, from paths and stored features alone."""
    head = load_file(directory / "head.safetensors")
    stored = load_file(directory / "features" / name / "images.safetensors")
    logits = stored["features"].astype(float) @ head["weight"].T.astype(float) + head["bias"]
    lines = map(json.loads, (directory / "samples.jsonl").read_text().splitlines())
    folders = {s["id"]: s["path"].split("/")[0] for s in lines if s["set"] == name}
    number = {wnid: label for label, wnid in enumerate(imagenet_wnids())}
    number |= {str(label): label for label in range(1000)}
    there = [p.name for p in sorted((trees / FOLDERS[name]).iterdir())]
    allowed = sorted(number[folder] for folder in there)
    best = np.array(allowed)[logits[:, allowed].argmax(axis=1)]
    return sum(
        number[folders[i]] == guess
        for i, guess in zip(stored["ids"].tolist(), best.tolist(), strict=True)
    )


FOLDERS = {
    "imagenet": "imagenet/val",
    "imagenet_v2": "imagenetv2-matched-frequency-format-val",
    "imagenet_r": "imagenet-r",
    "imagenet_sketch": "sketch",
    "imagenet_a": "imagenet-a",
}


def test_an_encoder_over_the_trees(trees, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUIPROBE_DATA", str(trees))
    assert not run_cli([
        "--headless", "--model", MODEL, "--checkpoint", str(checkpoint), "--suite", "auto",
        "--sample", "6", "--batch-size", "6", "--workers", "0", "--threads", "1", "--output", "run",
    ])  # fmt: skip
    report = Report.read(tmp_path / "run" / "results.json")
    assert tuple(item.name for item in report.data) == ALL
    assert all(item.measured == 6 and item.labelled for item in report.data)
    assert report.part(Directions) is not None
    accuracies = {item.data: item for item in part(report, Robustness).accuracies}
    assert {name: item.shift for name, item in accuracies.items() if name != "imagenet"} == {
        name: name for name in SHIFTS
    }
    assert {name: item.classes for name, item in accuracies.items()} == {
        "imagenet": 1000, "imagenet_v2": 1000, "imagenet_r": 200, "imagenet_sketch": 1000,
        "objectnet": 3, "imagenet_a": 200,
    }  # fmt: skip
    for name in FOLDERS:
        top1 = accuracies[name].top1
        assert is_known(top1)
        assert round(top1.value * top1.n) == truth(trees, tmp_path / "run", name)
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert [item["published"] for item in plan["sets"]] == list(ALL)
