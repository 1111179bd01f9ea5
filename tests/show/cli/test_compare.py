"""`tuiprobe compare` and its gates."""

import json
import re

import pytest

from tests.show.report.samples import estimate, model, outliers, report
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.results import write_results
from tuiprobe.results import Part
from tuiprobe.results.figures import MEAN_SHIFT, TARGET
from tuiprobe.results.section import NamedFigure
from tuiprobe.show.cli.app import run_cli


@pytest.fixture
def runs(tmp_path):
    paths = []
    for name, kurtosis in (("a", 23.5), ("b", 4.0), ("c", 23.4)):
        run = RunDir(tmp_path / name)
        result = report(outliers=(outliers(kurtosis=estimate(kurtosis, 0.4)),))
        write_results(run, result)
        paths.append(str(run.path))
    return paths


def test_exit_code_and_reason(runs, program):
    out = program("compare", *runs[:2]).out
    [row] = [row for row in out.splitlines() if row.startswith("kurtosis")]
    # neither leads, so the first one given is the reference
    cells = re.split("  +", row)
    assert cells[1:4] == ["23.5 (23.1 to 23.9)", "4.0 (3.6 to 4.4)", "+19.5 (+18.9 to +20.1)"]
    assert row.endswith("separate")
    err = program("compare", *runs, "--fail-if", "kurtosis differs", code=1).err
    assert f"gate tripped by {runs[1]}: kurtosis differs: val/final: kurtosis: b minus a: " in err
    assert runs[2] not in err
    printed = program("compare", runs[0], runs[2], "--fail-if", "kurtosis differs").err
    assert printed == "gate passed: kurtosis differs (c minus a)\n"
    assert run_cli(["compare", *runs, "--fail-if", "beauty"]) == 2
    assert "error: cannot open or write xxx" in program("compare", runs[0], "x" * 300, code=5).err


def test_forms_of_a_comparison(runs, program):
    assert "residual.kurtosis" in program("compare", *runs[:2], "--all").out
    few = program("compare", *runs[:2]).out
    assert "residual.kurtosis" not in few
    assert few.startswith("Decision\n========\n\nUndecided: ")
    assert "|" not in few
    assert program("compare", *runs, "--html").out.startswith("<!DOCTYPE html>")
    program("compare", *runs, "--html", "--json", code=2)
    content = program("compare", *runs, "--json").json
    assert content["schema_version"] == 3
    pairs = [(pair["first"], pair["second"]) for pair in content["comparisons"]]
    assert pairs == [(run, runs[0]) for run in runs[1:]]  # the reference minus each other
    decision = content["decision"]
    assert [row["run"] for row in decision["models"]] == runs
    assert (decision["verdict"], decision["evidence"]) == ("undecided", "none")
    (kurtosis,) = [
        row for row in content["comparisons"][0]["differences"] if row["id"] == "kurtosis"
    ]
    assert kurtosis["difference"]["value"] == pytest.approx(19.5)


def test_every_condition_that_holds_is_a_line_and_one_without_an_answer_an_error(runs, program):
    gates = ["--fail-if", "kurtosis < -1000", "--fail-if", "kurtosis > -1000"]
    lines = program("compare", *runs, *gates, code=1).err.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["gate passed", "kurtosis < -1000 (b and c minus a)"],
        *([f"gate tripped by {run}", "kurtosis > -1000"] for run in runs[1:]),
    ]
    printed = program("compare", *runs[:2], *gates, "--fail-if", "nonsense < 1", code=2)
    assert (printed.out, "nonsense" in printed.err) == ("", True)


def test_gates_compare_with_the_first_run_given_whichever_is_taken(tmp_path, program):
    runs = []
    for name, mean in (("a", 0.3), ("b", 0.6)):
        figures = (
            NamedFigure(
                id="mean_shift", name="mean", data="val", place="", headline=MEAN_SHIFT.headline,
                figure=estimate(mean, 0.02),
            ),
            NamedFigure(
                id="target", name="estimate", data="photos", place="", headline=TARGET.headline,
                figure=estimate(mean, 0.02), role="estimate",
            ),
        )  # fmt: skip
        run = RunDir(tmp_path / name)
        about = report(model=model(name=name))
        part = Part(probe="planted", title="Planted", figures=figures)
        write_results(run, about.model_copy(update={"parts": (*about.parts, part)}))
        runs.append(str(run.path))
    for first, second, better in ((*runs, ">"), (*reversed(runs), "<")):
        gate = f'"mean of shifts" {better} {0.2 if better == ">" else -0.2}'
        out, err = program("compare", first, second, "--json", "--fail-if", gate, code=1)
        assert f"gate tripped by {second}" in err
        content = json.loads(out)
        assert content["decision"]["models"][0]["run"] == runs[1]
        (pair,) = content["comparisons"]
        assert (pair["first"], pair["second"]) == tuple(runs)
        rows = {row["id"]: row["difference"] for row in pair["differences"]}
        assert rows["mean_shift"]["value"] == pytest.approx(0.3)
        assert "value" not in rows["target"]  # estimates have no difference, and trip a gate
        printed = program("compare", first, second, "--fail-if", "target < -9", code=1).err
        assert "cannot be compared" in printed
