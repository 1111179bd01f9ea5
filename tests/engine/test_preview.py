"""What a run would measure, beside what runs measure."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tuiprobe.engine.preview import Preview, preview
from tuiprobe.probes import BUILT_IN, registry
from tuiprobe.results.report import Report
from tuiprobe.run.counting import images_done
from tuiprobe.run.directory import RunDir
from tuiprobe.tui.run_preview import probe_lines
from tuiprobe.tui.runsetup import Setup


def looked_at(models: tuple[str, ...] = ("mini_clip",), **options: Any) -> Preview:
    return preview(models, {"data": "miniature", **options}, None)


def planned(result: Preview) -> dict[str, int]:
    return {record["name"]: record["planned"] for record in result.sets}


def test_the_default_run_counts_concepts_and_target_and_options_change_it() -> None:
    result = looked_at()
    labelled = dict.fromkeys(("val", "v2", "r", "sketch", "a", "objectnet"), 2000)
    assert planned(result) == {**labelled, "concepts": 3000, "street": 500}
    assert result.images == {"mini_clip": 15_500}
    assert not result.problems
    announced = {probe["id"]: probe["title"] for probe in result.probes}
    assert list(announced) == list(BUILT_IN)
    assert announced == {probe.id: probe.title for probe in registry().probes}
    both = looked_at(("mini_clip", "rn50_openai"))
    assert both.images == {"mini_clip": 15_500, "rn50_openai": 6 * 64}  # without concepts
    result = looked_at(sample=64, concepts="none", target=["none"])
    assert result.images == {"mini_clip": 6 * 64}
    assert looked_at(sample=0, concept_sample=10).images == {"mini_clip": 14_000 + 10 + 500}
    remote = looked_at(data="hf:owner/name:val")
    assert remote.later == "hf:owner/name:val is looked at when the run starts"
    assert not remote.problems


def test_what_is_wrong_is_told_at_its_option() -> None:
    wrong: list[tuple[str, Any, str]] = [
        ("data", "nonsense", "unknown data source 'nonsense'"),
        ("data", "imagefolder:/gone", "/gone"),
        ("target", ["imagefolder:/gone"], "/gone"),
        ("concepts", "broden:/gone", "/gone"),
        ("baseline", "/gone.csv", "No such file"),
        ("classes", "/gone.txt", "No such file"),
        ("templates", "/", "is a directory, not a file"),
        ("head", "/gone.pt", "No such file"),
        ("checkpoint", "/gone.pt", "No such file"),
        ("concept_share", 7, "less than or equal to 1"),
    ]
    for field, value, message in wrong:
        result = looked_at(**{field: value})
        assert message in result.problems[field]
        assert list(result.problems) == [field]
    assert "write ID.KEY=VALUE" in looked_at(probe=["x"]).problems["data"]


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("model,other\n")
    (tmp_path / "c.txt").write_text("one\ntwo\n")
    result = looked_at(
        target=["imagefolder:/gone"], concepts="broden:/gone", baseline=str(tmp_path / "b.csv"),
        classes=str(tmp_path / "c.txt"),
    )  # fmt: skip
    assert result.problems.keys() == {"target", "concepts", "baseline", "classes"}
    assert "lacks the column" in result.problems["baseline"]
    assert not result.images  # no count that would be wrong


def test_vectors_are_counted_and_their_files_checked(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((40, 16), dtype=np.float32))
    np.save(tmp_path / "narrow.npy", np.ones((5, 8), dtype=np.float32))
    (tmp_path / "l.txt").write_text("a\n" * 39)

    def vectors(**options: Any) -> Preview:
        return preview(["mini_clip"], {"embeddings": str(tmp_path / "x.npy"), **options}, None)

    result = vectors()
    assert (result.images, result.sets[0]["width"]) == ({"embeddings": 40}, 16)
    assert result.sets[0]["role"] == "unlabelled"
    assert "labels" in vectors(labels=str(tmp_path / "l.txt")).problems
    assert (
        "8 channels"
        in vectors(target_embeddings=[str(tmp_path / "narrow.npy")]).problems["target_embeddings"]
    )
    gone = preview(["m"], {"embeddings": "/gone.npy"}, None)
    assert "embeddings" in gone.problems


def test_it_runs_without_torch(tmp_path: Path) -> None:
    asked = json.dumps({"models": ["mini_clip"], "options": {"data": "miniature"}})
    code = (
        "import sys; from tuiprobe.engine.preview import main; main(sys.argv[1:]);"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, asked], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["images"] == {"mini_clip": 15_500}


RUNS: dict[str, tuple[tuple[str, ...], Mapping[str, Any]]] = {
    "all": ((), {"sample": 60, "concept_sample": 320}),
    "supervised": (
        ("--model", "mini_supervised", "--sample", "64", "--concepts", "none", "--target", "none"),
        {"sample": 64, "concepts": "none", "target": ["none"]},
    ),
    "unlabelled": (
        ("--data", "miniature:street", "--sample", "70"),
        {"data": "miniature:street", "sample": 70},
    ),
}
TRIALS: dict[str, dict[str, Any]] = {
    "all": {"text": {"templates": 8, "padded": False}, "head": None},
    "supervised": {"text": None, "head": {"classes": 40}},
    "unlabelled": {"text": {"templates": 8, "padded": False}, "head": None},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["all", *(pytest.param(n, marks=pytest.mark.nightly) for n in ("supervised", "unlabelled"))],
)
def test_a_run_measures_and_answers_what_was_announced(name, prepared, default_run, tmp_path):
    words, options = RUNS[name]
    model = "mini_supervised" if name == "supervised" else "mini_clip"
    if words:
        done = prepared.run("--headless", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        (run,) = (tmp_path / "runs").iterdir()
    else:
        run = shutil.copytree(default_run[1], tmp_path / "run")
    result = preview([model], {"data": "miniature", **options}, run)
    report = Report.read(run / "results.json")
    measured = {dataset.name: dataset.measured for dataset in report.data}
    assert planned(result) == measured
    assert sum(result.images.values()) == sum(measured.values()) == result.done

    texts = {"data": str(options.get("data", "miniature"))}
    first, *others = probe_lines(Setup((model,), texts), TRIALS[name], vars(result))
    announced = {probe["id"] for probe in result.probes if probe["title"] in first.split("✓ ")[1]}
    ran = {p.probe for p in report.parts if p.result is not None}
    assert announced <= ran
    assert ran - announced <= {"ablation"}  # "if a channel stands out"
    for part in report.parts:
        if part.result is None and part.probe != "ablation":
            assert any(line.startswith("- ") and part.title in line for line in others), others

    shards = sorted((run / "shards").iterdir())
    shards[0].unlink()
    left = images_done(RunDir(run)).done
    assert 0 < left < result.done
    again = preview([model], {"data": "miniature", **options}, run)
    assert again.done == left
    other = preview([model], {"data": "miniature:val", "sample": 64}, run)
    assert other.done == 0
    assert "other images" in other.kept
