"""ObjectNet by its own names, beside ImageNet's classes, over trees in the real layouts."""

import numpy as np
import pytest
import torch

from tests.datasets.trees import OBJECTNET, write_trees
from tests.parts import part
from tuiprobe import miniature
from tuiprobe.catalog.accuracies import SHIFTS
from tuiprobe.choose.robustness.compute import Robustness
from tuiprobe.measure.run.arrays import read_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.results import NotRun, is_known
from tuiprobe.results.report import Report

TEMPLATE = "a photo of a {}."


@pytest.mark.slow
def test_objectnet_is_answered_by_imagenets_rows_and_by_its_own_names(prepared, tmp_path):
    write_trees(tmp_path)
    (tmp_path / "templates.txt").write_text(TEMPLATE)
    done = prepared.run(
        "--headless", "--suite", "auto", "--sample", "12", "--templates", "templates.txt",
        "--workers", "0", "--threads", "1", "--output", "run",
        cwd=tmp_path, env={"TUIPROBE_DATA": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = RunDir(tmp_path / "run")
    robustness = part(Report.read(run.results_file.path), Robustness)
    # both protocols, each named
    usual = next(accuracy for accuracy in robustness.accuracies if accuracy.data == "objectnet")
    (own,) = robustness.own_names
    assert (own.data, usual.classes) == ("objectnet", len(OBJECTNET))
    assert "3 class names of the shift" in own.head
    assert not isinstance(own.accuracy, NotRun)
    assert is_known(own.accuracy.top1)
    model, tokenizer, _ = miniature.build("mini_clip")
    with torch.inference_mode():
        names = [OBJECTNET[folder][0] for folder in sorted(OBJECTNET)]
        rows = model.encode_text(tokenizer([TEMPLATE.replace("{}", n) for n in names])).double()  # type: ignore[misc]
    stored, _ = read_arrays(run.features_file("objectnet"))
    guess = (stored["features"] @ (rows / rows.norm(dim=1, keepdim=True)).numpy().T).argmax(1)
    labels = np.repeat(np.arange(3), 4)[stored["ids"]]  # four images a class, by path
    assert own.accuracy.top1.value == np.mean(guess == labels)
    # every published baseline, on both axes, for all five shifts
    assert not isinstance(robustness.effective, NotRun)
    assert {fit.baseline for fit in robustness.effective} == {
        "standard", "standard_and_low", "timm_imagenet1k", "zero_shot"
    }  # fmt: skip
    assert robustness.effective[0].target == SHIFTS
    axes = {(fit.target[0], fit.axis) for fit in robustness.effective if len(fit.target) == 1}
    assert ("objectnet", "own classes") in axes
    assert ("imagenet_v2", "own classes") not in axes
    restricted = {accuracy.data: accuracy.id_own_classes for accuracy in robustness.accuracies}
    assert is_known(restricted["imagenet_a"])
    assert not is_known(restricted["imagenet_v2"])
    table = (run.path / "tables" / "accuracies.csv").read_text()
    assert any(row.startswith("objectnet,") and "its own" in row for row in table.splitlines())
