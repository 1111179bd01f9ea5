"""``--ablate TAP:CHANNELS`` of a headless run: another key, and a title that says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.measure.conftest import job
from tests.measure.fake_run import model
from tuiprobe.cli.app import run_cli
from tuiprobe.probes.outliers.result import Verdict
from tuiprobe.results import DataSet
from tuiprobe.results.report import Report, title_for
from tuiprobe.run.arrays import read_arrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.records import read_measured

MEASURED = ("--layers", "layer2", "--sample", "8")


def test_an_ablated_layer_makes_another_run(
    small_checkpoint: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDir(tmp_path / "run")
    arguments = [str(a) for a in job(small_checkpoint, pictures, run.path, *MEASURED)]
    assert run_cli([*arguments, "--ablate", "layer2:3,0"]) == 0
    report = Report.read(run.results_file)
    assert report.model.ablated == ("layer2 without channels 0, 3 (set to zero)",)
    assert "ABLATED (layer2 without channels 0, 3 (set to zero))" in report.title
    assert "no longer the model" in " ".join(report.verdict.reasons)
    assert "layer2 without channels 0, 3" in (run.path / "report.md").read_text()
    statistics, _ = read_arrays(run.statistics_file)
    name = next(iter(read_measured(run).sets))
    highest = statistics[f"{name}/layer2/max"]
    assert np.flatnonzero(highest == 0)[:1].tolist() == [0]
    assert highest[3] == 0
    assert highest[1] > 0
    # the same directory is another run without the option
    assert run_cli(arguments) == 4
    assert "holds another run" in capsys.readouterr().err
    assert run_cli([*arguments, "--ablate", "layer9:1"]) == 2


def test_titles_of_ablated_models_say_so() -> None:
    about = model(ablated=("x without channel 1 (set to zero)",))
    data = (DataSet(name="val", source="s", images=1, measured=1),)
    verdict = Verdict(outcome="withheld", in_grid=None, data="val", reasons=())
    said = "fake, ABLATED (x without channel 1 (set to zero)), on val"
    assert title_for(about, data, verdict).startswith(said)
    untrained = about.weights.model_copy(update={"kind": "untrained"})
    random = about.model_copy(update={"weights": untrained})
    assert title_for(random, data, verdict).startswith("UNTRAINED network " + said)


def test_a_comparison_notes_which_side_is_ablated() -> None:
    from tests.report.samples import report
    from tuiprobe.compare.differences import compare

    plain = report()
    said = "x without channel 1 (set to zero)"
    changed = plain.model_copy(
        update={"model": plain.model.model_copy(update={"ablated": (said,)})}
    )
    assert f"{plain.model.name} is ablated: {said}" in compare(plain, changed).notes
    assert not any("ablated" in note for note in compare(plain, plain).notes)
