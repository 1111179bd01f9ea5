from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import tuiprobe.measure.run
from tuiprobe.cli.app import run_cli
from tuiprobe.errors import RunError
from tuiprobe.measure.stages import Outcome
from tuiprobe.run.directory import RunDir

pytestmark = pytest.mark.slow

GRID = """
data = "miniature:val"
output = "out"
models = ["mini_clip", "rn101_cc12m", "mini_supervised"]
[options]
sample = 40
concepts = "none"
threads = 1
"""

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "paper.toml").write_text(GRID)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the models that the engine was asked to run, in order; the runs are real."""
    asked = []
    real = tuiprobe.measure.run.run

    def run(spec, **options):
        asked.append(spec.model)
        return real(spec, **options)

    monkeypatch.setattr(tuiprobe.measure.run, "run", run)
    return asked


def test_a_grid_runs_what_is_there_and_goes_on_where_it_was(
    folder: Path, opened: list[str], capsys: Captured
) -> None:
    assert run_cli(["grid", "paper.toml"]) == 0
    said = capsys.readouterr()
    assert opened == ["mini_clip", "mini_supervised"]
    assert "| backbone | rendered web | supervised |" in said.out
    assert "- rn101\\_cc12m: no public weights exist; name a file" in said.out
    assert (folder / "out" / "grid.md").read_text() == said.out
    assert len([p for p in (folder / "out").iterdir() if p.is_dir()]) == 2
    assert run_cli(["grid", "paper.toml"]) == 0
    again = capsys.readouterr()
    assert opened[2:] == []
    assert again.out == said.out
    assert "mini_clip: finished before" in again.err
    # a report that is gone, and options that changed, are run again
    entry = json.loads((folder / "out" / "grid.json").read_text())["mini_clip"]
    (folder / "out" / entry["directory"] / "results.json").unlink()
    assert run_cli(["grid", "paper.toml"]) == 0
    assert opened[2:] == ["mini_clip"]
    (folder / "paper.toml").write_text(GRID.replace("sample = 40", "sample = 30"))
    assert run_cli(["grid", "paper.toml"]) == 0
    assert opened[3:] == ["mini_clip", "mini_supervised"]


def test_one_failure_does_not_stop_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    asked = []

    def run(spec, **_: object):
        asked.append(spec.model)
        if spec.model == "mini_clip":
            raise ZeroDivisionError("by a library")
        raise RunError("disk full")

    monkeypatch.setattr(tuiprobe.measure.run, "run", run)
    assert run_cli(["grid", "paper.toml"]) == 5
    assert asked == ["mini_clip", "mini_supervised"]
    out = capsys.readouterr().out
    assert "- mini\\_clip: failed: ZeroDivisionError: by a library" in out
    assert "- mini\\_supervised: failed: disk full" in out


def test_an_interrupt_ends_the_grid_with_what_there_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def run(spec, *, runs: Path, **_: object) -> Outcome:
        directory = RunDir(runs / "x")
        return Outcome(directory, complete=False, merged=False, resumed=0, untrained=False)

    monkeypatch.setattr(tuiprobe.measure.run, "run", run)
    assert run_cli(["grid", "paper.toml"]) == 130
    out = capsys.readouterr().out
    assert out.count("stopped before") == 3


def test_unusable_data_are_said_once(folder: Path, capsys: Captured) -> None:
    (folder / "paper.toml").write_text(GRID.replace('data = "miniature:val"', 'suite = "x.toml"'))
    assert run_cli(["grid", "paper.toml"]) == 4
    assert "cannot read the suite" in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_without_any_weights_it_is_exit_3(
    folder: Path, opened: list[str], capsys: Captured
) -> None:
    (folder / "paper.toml").write_text(
        GRID.replace('"mini_clip", ', "").replace(', "mini_supervised"', "")
    )
    assert run_cli(["grid", "paper.toml"]) == 3
    assert "## Gaps" in capsys.readouterr().out
    assert opened == []


def test_a_record_from_elsewhere_leads_nowhere_else(folder: Path, opened: list[str]) -> None:
    (folder / "out").mkdir()
    hostile = {"mini_clip": {"directory": "../..", "complete": True, "spec": {}}, "x": 3}
    (folder / "out" / "grid.json").write_text(json.dumps(hostile))
    (folder / "paper.toml").write_text(GRID.replace(', "rn101_cc12m", "mini_supervised"', ""))
    assert run_cli(["grid", "paper.toml"]) == 0
    assert opened == ["mini_clip"]


def test_show_prints_the_file_that_ships(capsys: Captured) -> None:
    assert run_cli(["grid", "--show"]) == 0
    assert capsys.readouterr().out.startswith("# The grid of the paper")


def test_tasks_of_an_array_run_one_model_each_and_make_the_tables_together(
    folder: Path, capsys: Captured
) -> None:
    assert run_cli(["grid", "paper.toml", "--sbatch"]) == 0
    script = capsys.readouterr().out
    assert run_cli(["grid", "paper.toml", "--sbatch"]) == 0
    assert capsys.readouterr().out == script
    assert "#SBATCH --array=0-2\n" in script
    assert not (folder / "out").exists()
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    task = {**os.environ, "SLURM_ARRAY_TASK_ID": "2"}
    done = subprocess.run(
        ["bash"], input=script, text=True, capture_output=True, env=task, cwd="/", timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "mini\\_clip: not finished yet" in done.stdout
    assert run_cli(["grid", "paper.toml", "--only", "mini_clip"]) == 0
    table = capsys.readouterr().out
    assert "| backbone | rendered web | supervised |" in table
    assert "not finished yet" in table  # rn101_cc12m
    assert set(json.loads((folder / "out" / "grid.json").read_text())) == {
        "mini_clip", "mini_supervised",
    }  # fmt: skip
    assert run_cli(["grid", "paper.toml", "--only", "x"]) == 2
