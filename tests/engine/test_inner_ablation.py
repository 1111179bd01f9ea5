"""`--ablate TAP:CHANNELS` of a headless run: another key, and a title that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.engine.conftest import job, shard_files
from tests.engine.fake_run import FakeSet, write_run
from tests.parts import part
from tuiprobe.cli.app import run_cli
from tuiprobe.comparing.differences import compare
from tuiprobe.probes.outliers.result import OutlierResult
from tuiprobe.probes.report import make_report
from tuiprobe.results import Report, Weights
from tuiprobe.run.arrays import read_arrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.records import read_measured

pytestmark = pytest.mark.slow

MEASURED = ("--layers", "layer2", "--sample", "8")


Command = Callable[..., list[str]]


@pytest.fixture
def command(small_checkpoint: Path, pictures: Path) -> Command:
    def words(run: RunDir, *more: str) -> list[str]:
        return [str(a) for a in job(small_checkpoint, pictures, run.path, *MEASURED, *more)]

    return words


def layer(run: RunDir, figure: str) -> np.ndarray:
    name = next(iter(read_measured(run).sets))
    return read_arrays(run.statistics_file)[0][f"{name}/layer2/{figure}"]


def test_an_ablated_layer_makes_another_run(command, tmp_path, capsys):
    run = RunDir(tmp_path / "run")
    assert run_cli(command(run, "--ablate", "layer2:3,0", "--ablate-mode", "zero")) == 0
    report = Report.read(run.results_file.path)
    assert report.model.ablated == ("layer2 without channels 0, 3 (set to zero)",)
    assert "ABLATED (layer2 without channels 0, 3 (set to zero))" in report.title
    reasons = part(report, OutlierResult).finals()[0].finding.reasons
    assert "no longer the model" in " ".join(reasons)
    assert "layer2 without channels 0, 3" in (run.path / "report.md").read_text()
    highest = layer(run, "max")
    assert (highest[[0, 3]] == 0).all()
    assert highest[1] > 0
    # the same directory is another run without the option
    assert run_cli(command(run)) == 4
    assert "holds another run" in capsys.readouterr().err
    assert run_cli(command(run, "--ablate", "layer9:1")) == 2


def test_means_are_measured_once_and_kept(command: Command, tmp_path: Path) -> None:
    """The default mode; a second process of the run reads the values of the first."""
    plain, run = RunDir(tmp_path / "plain"), RunDir(tmp_path / "run")
    ablated = command(run, "--ablate", "layer2:3,0")
    assert run_cli(command(plain)) == run_cli(ablated) == 0
    (ablation,) = Report.read(run.results_file.path).model.ablated
    assert ablation == "layer2 without channels 0, 3 (set to their mean)"
    kept, about = read_arrays(run.ablation_file)
    if about["images"] == "8":  # one shard: the means are those of the whole set
        means = layer(plain, "mean")[[0, 3]]
        np.testing.assert_allclose(kept["layer2"], means, rtol=1e-4, atol=1e-6)
    for figure in ("min", "max"):
        np.testing.assert_array_equal(layer(run, figure)[[0, 3]], kept["layer2"])
    # what another process would measure does not matter: the file counts
    before, stamp = layer(run, "mean"), run.ablation_file.path.stat().st_mtime_ns
    shard_files(run.path)[0].unlink()
    assert run_cli(ablated) == 0
    assert run.ablation_file.path.stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(layer(run, "mean"), before)


def test_a_shuffled_run_does_not_depend_on_interruption(command: Command, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    shuffled, features = command(run, "--ablate", "layer2:3,0", "--ablate-mode", "shuffle"), []
    for _ in range(2):
        assert run_cli(shuffled) == 0
        name = next(iter(read_measured(run).sets))
        features.append(read_arrays(run.features_file(name))[0]["features"])
        shard_files(run.path)[0].unlink()
    np.testing.assert_array_equal(features[0], features[1])
    assert not run.ablation_file.exists()


SAID = "x without channel 1 (set to zero)"


def answered(path: Path, **about: object) -> Report:
    """The report of a run of twelve images without labels."""
    h = np.random.default_rng(0).standard_normal((12, 6))
    return make_report(write_run(path, {"val": FakeSet(h, None)}, None, about=about))


def test_titles_and_comparisons_name_what_is_ablated(tmp_path: Path) -> None:
    title = f"fake, ABLATED ({SAID})"
    changed, plain = answered(tmp_path / "a", ablated=(SAID,)), answered(tmp_path / "plain")
    assert changed.title == f"{title} on val: outlier outcome withheld"
    random = Weights(kind="untrained", source="x", digest="0" * 64)
    untrained = answered(tmp_path / "b", ablated=(SAID,), weights=random)
    assert untrained.title == f"UNTRAINED network {title} on val: random weights"
    assert f"fake is ablated: {SAID}" in compare(plain, changed).notes
    assert not any("ablated" in note for note in compare(plain, plain).notes)
