"""A run directory that version 0.1.0 wrote with schema 1: mini_clip on twelve rendered images."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tuiprobe.cli.app import run_cli
from tuiprobe.files import DamagedFileError
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Report
from tuiprobe.run.arrays import read_arrays, write_arrays
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.head_file import read_head
from tuiprobe.run.records import changed_spec, read_spec
from tuiprobe.spec_commands import command_of

EARLIER = Path(__file__).with_name("earlier_version")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return shutil.copytree(EARLIER, tmp_path / "run")


def test_it_is_refused_and_listed_with_the_command_that_brings_it_up_to_date(run, capsys):
    for command in (["report"], ["compare", str(EARLIER)]):
        assert run_cli([*command, str(run)]) == 4
        err = capsys.readouterr().err
        assert "results.json is of schema 1" in err
        assert "to write it again" in err
        assert err.count("\n") == 1
    assert run_cli(["runs", "--json", "--root", str(run.parent)]) == 0
    (row,) = json.loads(capsys.readouterr().out)["runs"]
    assert row["name"] == "run"
    assert "is of schema 1" in row["title"]
    assert "tuiprobe reprobe" in row["title"]


def test_its_head_has_no_logit_scale_and_its_sets_are_no_targets(run: Path) -> None:
    reader = RunReader(RunDir(run))
    assert isinstance(reader.head, HeadArrays)
    assert reader.head.normalize
    assert (reader.head.logit_scale, reader.head.logit_bias) == (None, 0.0)
    assert (reader.targets, reader.target_sets) == ((), [])


def test_fields_of_a_spec_that_are_gone_are_passed_over_and_others_refused(run: Path) -> None:
    directory = RunDir(run)
    spec, file = read_spec(directory), directory.spec_file
    written = file.read_json()
    file.write_json({**written, "bundle": "models.tar"})
    assert read_spec(directory) == spec
    assert command_of(directory.spec_json()) == command_of(written)
    assert changed_spec(directory, {"concept_share": 0.02}) == replace(spec, concept_share=0.02)
    file.write_json({**written, "bundles": "models.tar"})
    with pytest.raises(DamagedFileError, match="no run of this version"):
        read_spec(directory)


def test_a_logit_scale_that_no_engine_writes_is_refused(run: Path) -> None:
    file = RunDir(run).head_file
    arrays, metadata = read_arrays(file)
    for name, value in (
        ("logit_scale", np.array([0], np.float32)),
        ("logit_scale", np.array([np.nan], np.float32)),
        ("logit_scale", np.array([1, 2], np.float32)),
        ("logit_scale", np.array([1], np.float64)),
        ("logit_bias", np.array([np.inf], np.float32)),
    ):
        write_arrays(file, {**arrays, name: value}, metadata)
        with pytest.raises(DamagedFileError, match=name):
            read_head(RunDir(run))
    write_arrays(file, {**arrays, "logit_scale": np.array([2], np.float32)}, metadata)
    assert read_head(RunDir(run))[0].logit_scale == 2.0  # type: ignore[union-attr]


def same(result: Any, earlier: Any, rel: float = 1e-4) -> None:
    """Everything that the earlier version gave is there; figures to rounding elsewhere."""
    if isinstance(earlier, dict):
        for name, value in earlier.items():
            # Texts may be worded better, and units came later.
            if name not in ("reason", "reasons", "note", "unit"):
                # Its quantile of Student's t was accurate to 0.2 % before.
                same(result[name], value, 2e-3 if "prediction" in name else rel)
    elif isinstance(earlier, list):
        assert len(result) == len(earlier)
        for item, other in zip(result, earlier, strict=True):
            same(item, other, rel)
    elif isinstance(earlier, float):
        assert result == pytest.approx(earlier, rel=rel, abs=1e-6)
    else:
        assert result == earlier


def renamed(tree: Any) -> Any:
    """Returns the figures on the channels of an earlier rule under their new names."""
    if isinstance(tree, dict):
        return {k.replace("persistent_", "outlier_"): renamed(v) for k, v in tree.items()}
    return [renamed(item) for item in tree] if isinstance(tree, list) else tree


def test_reprobe_answers_with_the_figures_it_had(run: Path) -> None:
    assert run_cli(["reprobe", str(run)]) == 0
    report = Report.read(run / "results.json")
    earlier = json.loads((EARLIER / "results.json").read_text())
    result: dict[str, Any] = {part.probe: part.result for part in report.parts}
    for entry, other in zip(result["outliers"]["taps"], earlier["outliers"], strict=True):
        for gone in ("persistent", "relative_kurtosis"):
            del other[gone]
        same(entry["residual"]["kurtosis"], other.pop("centred_kurtosis"))
        other["top_images"] = []  # of the channels that stand out, by another rule
        entry["top_images"] = []
        same(entry, other)
    same(result["outliers"]["cross_layer"], earlier["cross_layer"])
    del earlier["robustness"]["confidence"]  # it assumed a logit scale that the head does not have
    same(result["robustness"], earlier["robustness"])
    same(result["preflight"]["checks"], earlier["preflight"])
    earlier["directions"].pop("ablations")  # of the channels that stand out, by another rule
    assert {ablation["mode"] for ablation in result["ablation"]["ablations"]} == {"zero", "mean"}
    same(result["directions"], renamed(earlier["directions"]))
    assert report.key == earlier["key"]
    assert report.probe_key == earlier["probe_key"]
    assert run_cli(["report", str(run)]) == 0
