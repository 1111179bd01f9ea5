"""A watch as a run directory: live while it runs, and read by every reader at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

import tuiprobe
from tests.watching.networks import LAYERS, network, pictures
from tuiprobe.cli.app import run_cli
from tuiprobe.errors import DataError
from tuiprobe.files import DamagedFileError
from tuiprobe.probes.outliers.result import OutlierResult
from tuiprobe.report import read_report
from tuiprobe.run.deletion import delete_run
from tuiprobe.run.directory import RunDir
from tuiprobe.run.records import read_plan
from tuiprobe.run.status import read_status, read_taps
from tuiprobe.run.view import RunView


def test_readers_open_what_was_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = network()
    with tuiprobe.watch(model, LAYERS, k=4) as watched:
        model(pictures(80))
    watched.save(tmp_path / "run")
    report = read_report(RunDir(tmp_path / "run"))
    outliers = report.part(OutlierResult)
    assert [layer.tap for layer in outliers.taps] == [
        "head",
        "stem",
        "blocks.0",
        "blocks.1",
        "blocks.2",
    ]
    assert outliers.finals()[0].images == 80
    kurtosis = {layer.layer: layer.kurtosis for layer in watched.figures()}
    for layer in outliers.taps:
        assert getattr(layer.kurtosis, "value", None) == pytest.approx(
            getattr(kurtosis[layer.tap], "value", None), rel=1e-6
        )
    assert any("tuiprobe.watch" in layer for layer in report.warnings)
    for words in (["report", "--format", "md"], ["report", "--format", "html"], ["verify"]):
        command, *rest = words
        assert run_cli([command, str(tmp_path / "run"), *rest]) == 0
    capsys.readouterr()
    assert run_cli(["compare", *[str(tmp_path / "run")] * 2]) == 0
    assert "kurtosis" in capsys.readouterr().out


def test_a_run_is_live_while_the_block_runs_and_saved_at_its_end(tmp_path: Path) -> None:
    model, run = network(), RunDir(tmp_path / "run")
    with tuiprobe.watch(model, "blocks.* head", output=run.path):
        model(pictures(32))
        state = read_status(run, 0)
        assert state is not None
        assert (state.set, state.phase) == ("watched", "extract")
        taps = dict(read_taps(run, 0, state))
        assert all(len(tap.shares) in (24, 32) for tap in taps.values())
        assert RunView.read(run).state == "running"
    assert RunView.read(run).state == "done"
    with pytest.raises(DamagedFileError, match=r"saved by tuiprobe\.watch"):
        read_plan(run)  # what needs arrays says that there are none
    assert run_cli(["reprobe", str(run.path)]) == 4


def test_a_block_that_fails_is_a_failed_run(tmp_path: Path) -> None:
    model, run = network(), RunDir(tmp_path / "run")
    with (
        pytest.raises(RuntimeError, match="channels"),
        tuiprobe.watch(model, "head", output=run.path),
    ):
        model(pictures(4)[:, :2])
    state = RunView.read(run)
    assert (state.state, state.reason) == ("failed", "the block ended with RuntimeError")


def test_saving_again_replaces_and_another_watch_is_refused(tmp_path: Path) -> None:
    model, other = network(), tuiprobe.watch(network(), "head", output=tmp_path / "run")
    with tuiprobe.watch(model, "head", output=tmp_path / "run") as watched:
        model(pictures(8))
        with pytest.raises(DataError, match="another run"):
            other.__enter__()
        watched.save(tmp_path / "run")
        model(pictures(8))
        watched.save(tmp_path / "run")
    assert read_report(RunDir(tmp_path / "run")).data[0].measured == 16
    with pytest.raises(DataError, match="another run"):
        other.__enter__()
    delete_run(RunDir(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_nothing_measured_and_a_folder_of_something_else_are_refused(tmp_path: Path) -> None:
    with tuiprobe.watch(network(), "head") as watched:
        pass
    with pytest.raises(DataError, match=r"nothing was measured.*head: not called yet"):
        watched.save(tmp_path / "run")
    (tmp_path / "notes.txt").write_text("mine")
    model = network()
    with pytest.raises(DataError, match="not empty"):
        tuiprobe.watch(model, "head", output=tmp_path).__enter__()
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    assert not model._forward_pre_hooks
