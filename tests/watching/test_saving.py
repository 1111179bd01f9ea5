"""A watch as a run directory: live while it runs, and read by every reader at its end."""

from pathlib import Path
from typing import Any

import pytest

import tuiprobe
from tests.conftest import Program
from tests.watching.networks import LAYERS, network, pictures
from tuiprobe.errors import DataError
from tuiprobe.files import DamagedFileError
from tuiprobe.inside.outliers.result import OutlierResult
from tuiprobe.measure.run.deletion import delete_run
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.listing import list_runs
from tuiprobe.measure.run.locks import BusyError
from tuiprobe.measure.run.records import read_plan
from tuiprobe.measure.run.status import read_status, read_taps
from tuiprobe.measure.run.view import RunView
from tuiprobe.results.card import card
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report import read_report


def test_readers_open_what_was_saved(tmp_path: Path, program: Program) -> None:
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
    assert [block.block for block in card(report)] == ["inside", "how sure"]
    kurtosis = {layer.layer: layer.kurtosis for layer in watched.figures()}
    for layer in outliers.taps:
        assert getattr(layer.kurtosis, "value", None) == pytest.approx(
            getattr(kurtosis[layer.tap], "value", None), rel=1e-6
        )
    assert any("tuiprobe.watch" in layer for layer in report.warnings)
    for words in (["report", "--format", "md"], ["report", "--format", "html"], ["verify"]):
        command, *rest = words
        assert run_cli([command, str(tmp_path / "run"), *rest]) == 0
    with tuiprobe.watch(model, LAYERS, k=4) as watched:
        model(pictures(60))
    watched.save(tmp_path / "other")
    out = program("compare", str(tmp_path / "run"), str(tmp_path / "other"), "--all").out
    assert "kurtosis" in out


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


def test_a_block_that_fails_is_a_failed_run_with_what_was_measured(tmp_path: Path) -> None:
    model, run = network(), RunDir(tmp_path / "run")
    with (
        pytest.raises(RuntimeError, match="channels"),
        tuiprobe.watch(model, "head", output=run.path),
    ):
        list(map(model, (pictures(8), pictures(4)[:, :2])))
    assert read_report(run).data[0].measured == 8
    state = RunView.read(run)
    assert (state.state, state.reason) == ("failed", "the block ended with RuntimeError")


def test_saving_again_replaces_and_another_watch_is_refused(tmp_path: Path) -> None:
    model, other = network(), network()
    with tuiprobe.watch(other, "head") as second:
        other(pictures(8))
    with tuiprobe.watch(model, "head", output=tmp_path / "run") as watched:
        model(pictures(8))
        with pytest.raises(DataError, match="another run"):
            second.save(tmp_path / "run")
        watched.save(tmp_path / "run")
        model(pictures(8))
        watched.save(tmp_path / "run")
    assert read_report(RunDir(tmp_path / "run")).data[0].measured == 16
    with pytest.raises(DataError, match="another run"):
        second.save(tmp_path / "run")
    delete_run(RunDir(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def watched_into(path: Path, images: int, **options: Any) -> Path | None:
    """Runs a script that watches into `path`; returns where the figures are."""
    model = network()
    with tuiprobe.watch(model, "head", output=path, **options) as watched:
        if images:
            model(pictures(images))
    return watched.output


def test_a_script_that_runs_again_keeps_the_earlier_watches(tmp_path: Path) -> None:
    run = tmp_path / "run"
    outputs = [watched_into(run, images) for images in (4, 5, 6)]
    assert outputs == [run, run / "2", run / "3"]
    assert {view.name for view in list_runs(tmp_path)} == {"run", "run/2", "run/3"}
    measured = [read_report(RunDir(path)).data[0].measured for path in outputs if path]
    assert measured == [4, 5, 6]
    assert run_cli(["verify", str(run)]) == 0


def test_overwriting_replaces_an_earlier_watch_and_nothing_else(tmp_path: Path) -> None:
    run = tmp_path / "run"
    watched_into(run, 4)
    (run / "notes.txt").write_text("mine")
    assert watched_into(run, 7, overwrite=True) == run
    assert read_report(RunDir(run)).data[0].measured == 7
    assert (run / "notes.txt").read_text() == "mine"
    (run / "spec.json").write_text("{}")  # a run of an engine, for all that one can tell
    with pytest.raises(DataError, match="another run"):
        watched_into(run, 4, overwrite=True)


def test_what_was_gathered_stays_and_is_saved_again(tmp_path: Path) -> None:
    model = network()
    with tuiprobe.watch(model, LAYERS) as watched:
        model(pictures(4))
        first = watched.gather()  # one process alone
        model(pictures(5))
        second = watched.gather()
    for gathered, images in ((first, 4), (second, 9)):
        assert {figures.images for figures in gathered.figures()} == {images}
        gathered.save(tmp_path / "run")
        assert read_report(RunDir(tmp_path / "run")).data[0].measured == images
    assert second.figures() == watched.figures()


def test_a_directory_in_use_is_left_to_its_writer(tmp_path: Path) -> None:
    model, run = network(), tmp_path / "run"
    with tuiprobe.watch(model, "head", output=run) as first:
        model(pictures(3))
        assert watched_into(run, 5) == run / "2"
        with pytest.raises(BusyError):
            watched_into(run, 5, overwrite=True)
    assert first.output == run
    assert read_report(RunDir(run)).data[0].measured == 3


def test_ranks_of_a_launcher_write_beside_the_first(tmp_path, monkeypatch):
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        watched_into(tmp_path / "run", 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run-rank1"]


def test_nothing_measured_and_a_folder_of_something_else_are_refused(tmp_path: Path) -> None:
    with tuiprobe.watch(network(), "head") as watched:
        pass
    with pytest.raises(DataError, match=r"nothing was measured.*head: not called yet"):
        watched.save(tmp_path / "run")
    with pytest.warns(UserWarning, match="head: not called yet"):
        watched_into(tmp_path / "without", 0)
    assert RunView.read(RunDir(tmp_path / "without")).state == "failed"
    delete_run(RunDir(tmp_path / "without"))
    (tmp_path / "notes.txt").write_text("mine")
    model = network()
    with pytest.raises(DataError, match="not empty"):
        tuiprobe.watch(model, "head", output=tmp_path).__enter__()
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    assert not model._forward_pre_hooks
