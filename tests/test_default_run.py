"""The embedded default, end to end, and the same figures by every way in."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tuiprobe
from tests.measure.engine.conftest import write_pictures
from tests.parts import part
from tests.prepared import Prepared
from tuiprobe import miniature
from tuiprobe.choose.robustness.compute import Robustness
from tuiprobe.inside.concepts.compute import Concepts
from tuiprobe.inside.outliers.result import Outcome, OutlierResult
from tuiprobe.probes import BUILT_IN
from tuiprobe.results.card import card
from tuiprobe.results.report import Report

pytestmark = pytest.mark.slow

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SETS = ("val", *miniature.SHIFTS)


@pytest.fixture
def run(prepared: Prepared, tmp_path: Path) -> Run:
    """Returns a function that runs the program in an empty folder."""

    def program(*arguments: str) -> subprocess.CompletedProcess[str]:
        return prepared.run(*arguments, cwd=tmp_path)

    return program


def only_run(folder: Path) -> Path:
    (path,) = (folder / "runs").iterdir()
    return path


def test_the_default_goes_through_every_part(default_run) -> None:
    done, directory = default_run
    report = Report.read(directory)
    assert report.model.name == "mini_clip"
    assert {data.name: data.measured for data in report.data} == {
        **dict.fromkeys((*SETS, "street"), 60),
        "concepts": 320,
    }
    assert {tap.data for tap in part(report, OutlierResult).taps} == set(SETS)
    accuracies = part(report, Robustness).accuracies
    assert [accuracy.data for accuracy in accuracies] == list(SETS)
    assert part(report, Concepts).tried > 0
    assert list((directory / "thumbs" / "concepts").glob("*.jpg"))
    assert [p.probe for p in report.parts] == list(BUILT_IN)
    not_run = {p.probe: p.not_run.reason for p in report.parts if p.not_run is not None}
    assert not_run == {}
    # the shipped model is right on its own world nearly always: far above the 1/40 of chance
    assert accuracies[0].top1.low > 0.5
    assert "never evidence about real models" in done.stdout
    assert " right on val, " in done.stdout
    assert len(done.stdout.splitlines()) <= 22
    assert sum(len(block.lines) for block in card(report)) <= 18  # title and warning: 20 lines
    text = (directory / "report.md").read_text()
    assert text.startswith("# ")
    assert len(text.splitlines()) <= 150
    page = (directory / "report.html").read_text()
    assert len(page.encode()) < 3_000_000
    assert page.count('class="point"') >= 12  # models of the miniature's baseline
    card_shown = page.partition('id="s1"')[0]
    # accuracies, shifts, and two of pictures: no channel stands out in so few images
    assert card_shown.count("<figcaption>") == 4
    assert list((directory / "tables").glob("*.csv"))
    assert list((directory / "thumbs" / "val").glob("*.jpg"))


ALIKE: dict[str, Any] = {"sample": 40, "workers": 0, "threads": 1}


def test_command_line_and_python_agree(tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    built_in = tuiprobe.probe("mini_clip", "miniature:val", output="api", **ALIKE)
    done = run(
        "--headless", "--data", "miniature:val", "--sample", "40", "--workers", "0",
        "--threads", "1", "--output", "cli", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "cli/results.json").read_text())
    assert done.stdout.count("\n") == 1
    assert done.stderr.splitlines()[-1] == "report: cli/report.html"
    assert Report.read(tmp_path / "cli" / "results.json").without_timings() == (
        built_in.without_timings()
    )


def test_an_untrained_preset_says_so_everywhere(tmp_path: Path, run: Run) -> None:
    refused = run("--headless", "--model", "rn50_captions", "--require-weights")
    assert refused.returncode == 3
    assert "--checkpoint FILE" in refused.stderr
    assert not (tmp_path / "runs").exists()
    (tmp_path / "templates.txt").write_text("a photo of a {}.\n")  # few prompts, for time
    write_pictures(tmp_path / "photos", 2, classes=2)
    done = run(
        "--headless", "--model", "rn50_captions", "--data", "imagefolder:photos",
        "--templates", "templates.txt", "--threads", "1", "--workers", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = Report.read(only_run(tmp_path) / "results.json")
    assert report.model.weights.kind == "untrained"
    assert "UNTRAINED" in report.title
    assert part(report, OutlierResult).finals()[0].outcome is Outcome.WITHHELD
    assert "UNTRAINED" in done.stderr.strip().splitlines()[-1]
    assert (only_run(tmp_path) / "report.md").read_text().startswith("# UNTRAINED")


def test_several_models_are_compared_and_one_that_fails_stops_only_itself(tmp_path, run):
    models = ("mini_clip", "no_such_model", "mini_supervised")
    chosen = [word for model in models for word in ("--model", model)]
    arguments = (*chosen, "--data", "miniature:val", "--sample", "40", "--output", "group")
    done = run("--headless", *arguments, "--threads", "1")
    assert done.returncode == 2
    assert "no_such_model" in done.stderr
    assert "Traceback" not in done.stderr
    group = tmp_path / "group"
    reports = {
        report.model.name: report
        for report in (Report.read(path) for path in group.glob("*/results.json"))
    }
    assert set(reports) == {"mini_clip", "mini_supervised"}
    for entry in reports.values():  # every kind of encoder has an outcome
        assert part(entry, OutlierResult).finals()[0].finding.reasons
    (table,) = group.glob("comparison-*.md")
    every = table.read_text().partition("All other figures")[2]
    for name, report in reports.items():
        assert name.replace("_", r"\_") in every
        (final,) = part(report, OutlierResult).finals()
        assert f"| {final.kurtosis.point()} (" in every
    assert str(table.name) in done.stderr
    assert done.stdout.rpartition("Models\n======\n")[2].count("mini_clip") > 1
