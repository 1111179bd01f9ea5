"""What the fuzzer found, one small case each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fuzz.test_readers import make_template
from tuiprobe.cli.app import run_cli
from tuiprobe.run.arrays import read_arrays, write_arrays
from tuiprobe.run.directory import RunDir

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "runs")


@pytest.fixture
def run(template: Path, tmp_path: Path) -> RunDir:
    shutil.copytree(template / "run", tmp_path / "run")
    return RunDir(tmp_path / "run")


def refused(run: RunDir, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run_cli(["reprobe", str(run.path)]) == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


ARRAYS: list[tuple[str, Change]] = [
    ("statistics", lambda a: a.pop("val/embedding/min")),
    ("statistics", lambda a: a.pop("val/embedding/sample_ids")),
    ("statistics", lambda a: a.update({"val/embedding/rows": np.zeros((1, 1), np.int64)})),
    ("statistics", lambda a: a.update({"val/embedding/largest_values": np.zeros((0, 4), "f4")})),
    ("statistics", lambda a: a.update({"val/embedding/degenerate": np.array(-1)})),
    ("statistics", lambda a: a["val/embedding/largest_sample_ids"].fill(999)),
    ("statistics", lambda a: a["val/embedding/share_sum"].fill(1e308)),
    ("statistics", lambda a: a["val/embedding/sample_leading"].fill(77)),
    ("features/val/images", lambda a: a.pop("features")),
    ("features/val/images", lambda a: a.pop("ids")),
    ("features/val/images", lambda a: a["ids"].fill(2**63 - 1)),
    ("features/val/images", lambda a: a["ids"].fill(3)),
    ("features/val/images", lambda a: a.update(ids=a["ids"][None])),
    ("features/val/images", lambda a: a.update(features=a["features"][:0])),
    ("features/val/images", lambda a: a.update(features=a["features"].reshape(-1))),
    ("features/val/images", lambda a: a.update(features=a["features"].astype("i4"))),
    ("features/val/images", lambda a: a.update({k: np.tile(v, 2) for k, v in a.items()})),
    ("head", lambda a: a.pop("weight")),
    ("head", lambda a: a.update(weight=a["weight"][:, :-1])),
    ("head", lambda a: a["weight"].fill(np.nan)),
    ("head", lambda a: a.update({"answers/val": np.array([-7, 0, 1])})),
]


@pytest.mark.parametrize(("name", "change"), ARRAYS, ids=range(len(ARRAYS)))
def test_arrays_with_a_checksum_that_fits_are_checked(
    name: str, change: Change, run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = run.at(f"{name}.safetensors")
    arrays, metadata = read_arrays(entry)
    change(arrays)
    write_arrays(entry, arrays, metadata)
    assert f"{name}.safetensors" in refused(run, capsys)


@pytest.mark.parametrize("text", ["", "3", "null", "[" * 2000])
def test_metadata_of_the_head_is_checked(
    text: str, run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays, metadata = read_arrays(run.head_file)
    write_arrays(run.head_file, arrays, {**metadata, "normalize": text})
    assert "head.safetensors" in refused(run, capsys)


def test_deep_metadata_of_the_concepts_is_refused(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays, metadata = read_arrays(run.concepts_file)
    write_arrays(run.concepts_file, arrays, {**metadata, "names": "[" * 2000})
    assert "concepts.safetensors" in refused(run, capsys)


@pytest.mark.parametrize(
    "line",
    [
        "", "no json", "[1]", "{}", '{"id": 1}', "[" * 100_000, "9" * 5000,
        '{"id": [1], "set": "val", "path": "x", "label": 0}',
        '{"id": 1, "set": ["val"], "path": "x", "label": 0}',
        '{"id": 1, "set": "val", "path": 3, "label": 0}',
        '{"id": 1, "set": "val", "path": "x", "label": null}',
        '{"id": 999, "set": "val", "path": "x", "label": 0}',
    ],
    ids=range(12),
)  # fmt: skip
def test_lines_of_the_sample_list_are_checked(
    line: str, run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run.samples_file.read_text().splitlines()
    assert json.loads(lines[1])["id"] == 1
    lines[1] = line
    run.samples_file.write_text("\n".join(lines) + "\n")
    refused(run, capsys)


PLANS: list[Change] = [
    lambda p: p.update(taps=[]),
    lambda p: p.update(taps=p["taps"] * 2),
    lambda p: p["taps"][0].update(name="layer4"),
    lambda p: p["taps"][0].update(channels=0),
    lambda p: p.update(sets=[]),
    lambda p: p.update(sets=p["sets"] * 2),
    lambda p: p.update(concept_set="val"),
    lambda p: p.update(concept_set="x"),
    lambda p: p["sets"][0].update(planned=-1),
]


@pytest.mark.parametrize("change", PLANS, ids=range(len(PLANS)))
def test_a_plan_whose_parts_do_not_fit_is_refused(
    change: Change, run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = run.plan_file.read_json()
    change(plan)
    run.plan_file.write_json(plan)
    assert "unexpected" not in refused(run, capsys)
