"""From prompts to accuracies: the head of a run against an independent computation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from tuiprobe import miniature
from tuiprobe.catalog.class_names import imagenet_wnids
from tuiprobe.measure.engine.head_choice import answers_for

IMAGES = 120


def test_rows_answer_for_the_classes_of_the_data() -> None:
    assert answers_for(("fire_truck", "cat"), ("fire truck", "cat")).tolist() == [0, 1]
    assert answers_for((), ("cat",)) is None
    wnids = imagenet_wnids()
    thousand = tuple(f"row {i}" for i in range(1000))
    few = (wnids[7], wnids[3])  # a subset, in an order of its own
    answers = answers_for(few, thousand)
    assert {int(row): int(answers[row]) for row in np.flatnonzero(answers >= 0)} == {7: 0, 3: 1}
    assert sorted(answers_for(wnids, thousand).tolist()) == list(range(1000))


@pytest.fixture
def clip_file(tmp_path: Path) -> Path:
    model, _, _ = miniature.build("mini_clip", weights="untrained")
    path = tmp_path / "clip.safetensors"
    save_file({name: t.contiguous() for name, t in model.state_dict().items()}, path)
    return path


def truth(directory: Path) -> tuple[torch.Tensor, int]:
    """Returns the zero-shot head and the number of right answers, from the definitions."""
    model, tokenizer, card = miniature.build("mini_clip", weights="untrained")
    with torch.inference_mode():
        rows = []
        for name in miniature.class_names():
            prompts = tokenizer([t.replace("{}", name) for t in card["templates"]])  # type: ignore[misc]
            text = model.encode_text(prompts).double()
            text = (text / text.norm(dim=1, keepdim=True)).mean(0)
            rows.append(text / text.norm())
    head = torch.stack(rows)
    stored = load_file(directory / "features" / "val" / "images.safetensors")
    h = torch.from_numpy(stored["features"]).double()
    best = (h @ head.T).argmax(1).tolist()
    labels = [miniature.label("val", int(i)) for i in stored["ids"]]
    return head, sum(a == b for a, b in zip(best, labels, strict=True))


@pytest.mark.slow
def test_accuracy_and_directions_of_a_zero_shot_head(clip_file, tmp_path, tuiprobe, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = tuiprobe(
        "--headless", "--model", "mini_clip", "--checkpoint", clip_file,
        "--data", "miniature:val", "--sample", str(IMAGES), "--output", tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "run" / "results.json").read_text())
    head, hits = truth(tmp_path / "run")
    weight = load_file(tmp_path / "run" / "head.safetensors")["weight"]
    assert np.allclose(weight, head.numpy(), atol=2e-6)
    result = {part["probe"]: part["result"] for part in report["parts"]}
    (accuracy,) = result["robustness"]["accuracies"]
    assert accuracy["images"] == IMAGES
    # float32 may decide a tie otherwise; the untrained head's rows nearly coincide
    assert accuracy["top1"]["value"] * IMAGES == pytest.approx(hits, abs=1)
    assert accuracy["top1"]["low"] <= accuracy["top1"]["value"] <= accuracy["top1"]["high"]
    plain, centred = result["directions"]["bases"]
    singular = np.linalg.svd(head.numpy(), compute_uv=False)
    assert plain["singular_values"] == pytest.approx(singular, rel=1e-3, abs=1e-4)
    without = np.linalg.svd(head.numpy() - head.numpy().mean(0), compute_uv=False)
    assert centred["singular_values"] == pytest.approx(
        without[: centred["rank"]], rel=1e-3, abs=1e-4
    )
    text = (tmp_path / "run" / "report.md").read_text()
    assert "## Accuracy" in text
    assert "## Privileged directions" in text
    assert "never evidence about real models" in done.stdout
