"""`--ablate TAP:CHANNELS` of a headless run: another key, and a title that says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.measure.conftest import job
from tests.measure.fake_run import FakeSet, write_run
from tests.parts import part
from tuiprobe.answer import answer
from tuiprobe.cli.app import run_cli
from tuiprobe.probes.outliers.result import OutlierResult
from tuiprobe.results import Report, Weights
from tuiprobe.run.arrays import read_arrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.records import read_measured

pytestmark = pytest.mark.slow

MEASURED = ("--layers", "layer2", "--sample", "8")


def test_an_ablated_layer_makes_another_run(
    small_checkpoint: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDir(tmp_path / "run")
    arguments = [str(a) for a in job(small_checkpoint, pictures, run.path, *MEASURED)]
    assert run_cli([*arguments, "--ablate", "layer2:3,0", "--ablate-mode", "zero"]) == 0
    report = Report.read(run.results_file)
    assert report.model.ablated == ("layer2 without channels 0, 3 (set to zero)",)
    assert "ABLATED (layer2 without channels 0, 3 (set to zero))" in report.title
    assert "no longer the model" in " ".join(
        part(report, OutlierResult).finals()[0].finding.reasons
    )
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


def test_means_are_measured_once_and_kept(
    small_checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    """The default mode; a second process of the run reads the values of the first."""
    plain, run = RunDir(tmp_path / "plain"), RunDir(tmp_path / "run")
    assert run_cli([str(a) for a in job(small_checkpoint, pictures, plain.path, *MEASURED)]) == 0
    arguments = [str(a) for a in job(small_checkpoint, pictures, run.path, *MEASURED)]
    assert run_cli([*arguments, "--ablate", "layer2:3,0"]) == 0
    report = Report.read(run.results_file)
    assert report.model.ablated == ("layer2 without channels 0, 3 (set to their mean)",)
    kept, about = read_arrays(run.ablation_file)
    name = next(iter(read_measured(run).sets))
    before, after = (read_arrays(each.statistics_file)[0] for each in (plain, run))
    if about["images"] == "8":  # one shard: the means are those of the whole set
        means = before[f"{name}/layer2/mean"][[0, 3]]
        np.testing.assert_allclose(kept["layer2"], means, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(after[f"{name}/layer2/max"][[0, 3]], kept["layer2"])
    np.testing.assert_array_equal(after[f"{name}/layer2/min"][[0, 3]], kept["layer2"])
    # what another process would measure does not matter: the file counts
    shards = sorted((run.path / "shards").iterdir())
    contents = {path.name: path.read_bytes() for path in shards}
    stamp = run.ablation_file.path.stat().st_mtime_ns
    shards[0].unlink()
    assert run_cli([*arguments, "--ablate", "layer2:3,0"]) == 0
    assert run.ablation_file.path.stat().st_mtime_ns == stamp
    assert set(contents) == {path.name for path in (run.path / "shards").iterdir()}
    again, _ = read_arrays(run.statistics_file)
    np.testing.assert_array_equal(again[f"{name}/layer2/mean"], after[f"{name}/layer2/mean"])


def test_a_shuffled_run_does_not_depend_on_interruption(
    small_checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "run")
    arguments = [str(a) for a in job(small_checkpoint, pictures, run.path, *MEASURED)]
    arguments += ["--ablate", "layer2:3,0", "--ablate-mode", "shuffle"]
    assert run_cli(arguments) == 0
    name = next(iter(read_measured(run).sets))
    features, _ = read_arrays(run.features_file(name))
    sorted((run.path / "shards").iterdir())[0].unlink()
    assert run_cli(arguments) == 0
    again, _ = read_arrays(run.features_file(name))
    np.testing.assert_array_equal(again["features"], features["features"])
    assert not run.ablation_file.exists()


SAID = "x without channel 1 (set to zero)"


def answered(path: Path, **about: object) -> Report:
    """The report of a run of twelve images without labels."""
    h = np.random.default_rng(0).standard_normal((12, 6))
    return answer(write_run(path, {"val": FakeSet(h, None)}, None, about=about))


def test_titles_of_ablated_models_say_so(tmp_path: Path) -> None:
    title = f"fake, ABLATED ({SAID}), on val"
    assert answered(tmp_path / "a", ablated=(SAID,)).title == f"{title}: outlier outcome withheld"
    random = Weights(kind="untrained", source="x", digest="0" * 64)
    untrained = answered(tmp_path / "b", ablated=(SAID,), weights=random)
    assert untrained.title == f"UNTRAINED network {title}: random weights"


def test_a_comparison_notes_which_side_is_ablated(tmp_path: Path) -> None:
    from tuiprobe.compare.differences import compare

    plain, changed = answered(tmp_path / "a"), answered(tmp_path / "b", ablated=(SAID,))
    assert f"fake is ablated: {SAID}" in compare(plain, changed).notes
    assert not any("ablated" in note for note in compare(plain, plain).notes)
