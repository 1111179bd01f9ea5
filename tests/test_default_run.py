"""The embedded default, end to end, and the same figures by every way in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import tuiprobe
from tests.prepared import Prepared
from tuiprobe import miniature
from tuiprobe.report.text import number
from tuiprobe.results.report import Report

pytestmark = pytest.mark.slow

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SETS = ("val", *miniature.SHIFTS)


@pytest.fixture
def run(prepared: Prepared, tmp_path: Path) -> Run:
    """Returns a function that runs the program in an empty folder."""

    def one(*arguments: str) -> subprocess.CompletedProcess[str]:
        return prepared.run(*arguments, cwd=tmp_path)

    return one


def only_run(folder: Path) -> Path:
    (found,) = (folder / "runs").iterdir()
    return found


def test_the_default_goes_through_every_part(tmp_path: Path, run: Run) -> None:
    done = run("--headless", "--sample", "60", "--concept-sample", "320")
    assert done.returncode == 0, done.stderr
    directory = only_run(tmp_path)
    report = Report.read(directory / "results.json")
    assert report.model.name == "mini_clip"
    assert {data.name: data.measured for data in report.data} == {
        **dict.fromkeys(SETS, 60),
        "concepts": 320,
    }
    assert {o.data for o in report.outliers} == set(SETS)
    assert report.directions is not None
    assert report.robustness is not None
    assert [a.data for a in report.robustness.accuracies] == list(SETS)
    assert report.concepts is not None
    assert report.concepts.tried > 0
    assert list((directory / "thumbs" / "concepts").glob("*.jpg"))
    assert not report.not_run
    # the shipped model is right on its own world nearly always: far above the 1/40 of chance
    assert report.robustness.accuracies[0].top1.low > 0.5
    assert "never evidence about real models" in done.stdout
    assert "accuracy (top-1) on val" in done.stdout
    assert (directory / "report.md").read_text().startswith("# ")
    assert list((directory / "tables").glob("*.csv"))
    assert list((directory / "thumbs" / "val").glob("*.jpg"))


def figures(report: Report) -> dict:
    """Returns everything measured, without what names the source."""
    found = json.loads(report.without_timings().to_json())
    del found["sha256"]
    for one in (*found["outliers"], *found["data"], *found["robustness"]["accuracies"]):
        one.pop("data", None)
    for data in found["data"]:
        data.pop("source")
        data.pop("images")
    found["robustness"].pop("effective")  # which baseline belongs depends on the source
    for name in ("spec", "key", "title", "warnings", "verdict"):
        del found[name]
    return found


def test_command_line_python_and_exported_files_agree(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = {"sample": 80, "workers": 0, "threads": 1}
    built_in = tuiprobe.probe("mini_clip", "miniature:val", output="api", **options)
    done = run(
        "--headless", "--data", "miniature:val", "--sample", "80", "--workers", "0",
        "--threads", "1", "--output", "cli",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Report.read(tmp_path / "cli" / "results.json").without_timings() == (
        built_in.without_timings()
    )
    exported = miniature.export(tmp_path / "files", sets=("val",), layouts=("imagefolder",))
    source = f"imagefolder:{exported / 'imagefolder' / 'val'}"
    files = tuiprobe.probe("mini_clip", source, output="dir", **options)
    assert figures(files) == figures(built_in)


def test_an_untrained_preset_says_so_everywhere(tmp_path: Path, run: Run) -> None:
    (tmp_path / "templates.txt").write_text("a photo of a {}.\n")  # fewer prompts, for time
    done = run(
        "--headless", "--model", "rn101_cc12m", "--sample", "2", "--data",
        "miniature:val", "--templates", "templates.txt",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = Report.read(only_run(tmp_path) / "results.json")
    assert report.model.weights.kind == "untrained"
    assert "UNTRAINED" in report.title
    assert report.verdict.outcome == "withheld"
    assert "UNTRAINED" in done.stderr.strip().splitlines()[-1]
    assert (only_run(tmp_path) / "report.md").read_text().startswith("# UNTRAINED")


def test_required_weights_are_not_replaced(tmp_path: Path, run: Run) -> None:
    done = run("--headless", "--model", "rn101_cc12m", "--require-weights")
    assert done.returncode == 3
    assert "--checkpoint FILE" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_one_model_that_fails_does_not_stop_the_others(tmp_path: Path, run: Run) -> None:
    done = run(
        "--headless", "--model", "nonsense", "--model", "mini_clip_soft",
        "--data", "miniature:val", "--sample", "40",
    )  # fmt: skip
    assert done.returncode == 2
    assert "there is no preset 'nonsense'" in done.stderr
    assert Report.read(only_run(tmp_path) / "results.json").model.name == "mini_clip_soft"


def test_several_models_are_compared_and_one_that_fails_stops_only_itself(
    tmp_path: Path, run: Run
) -> None:
    models = ("mini_clip", "no_such_model", "mini_supervised")
    chosen = [word for model in models for word in ("--model", model)]
    arguments = (*chosen, "--data", "miniature:val", "--sample", "60", "--output", "group")
    done = run("--headless", *arguments)
    assert done.returncode == 2
    assert "no_such_model" in done.stderr
    assert "Traceback" not in done.stderr
    group = tmp_path / "group"
    reports = {
        report.model.name: report
        for report in (Report.read(path) for path in group.glob("*/results.json"))
    }
    assert set(reports) == {"mini_clip", "mini_supervised"}
    said = "the rule is for zero-shot CLIP encoders; this one is supervised"
    assert said in reports["mini_supervised"].verdict.reasons
    assert "zero-shot" not in " ".join(reports["mini_clip"].verdict.reasons)
    (table,) = group.glob("comparison-*.md")
    rows = {row.split("|")[1].strip(): row for row in table.read_text().splitlines() if "|" in row}
    for name, report in reports.items():
        final = next(o for o in report.outliers if o.final)
        assert f"| {number(final.kurtosis.value)} [" in rows[name.replace("_", r"\_")]
    assert str(table.name) in done.stderr
