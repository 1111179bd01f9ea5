"""`tuiprobe compare` and its gates."""

import json

import pytest

from tests.report.samples import estimate, outliers, report
from tuiprobe.cli.app import run_cli
from tuiprobe.run.directory import RunDir
from tuiprobe.run.results import write_results


@pytest.fixture
def runs(tmp_path):
    paths = []
    for name, kurtosis in (("a", 23.5), ("b", 4.0), ("c", 23.4)):
        run = RunDir(tmp_path / name)
        result = report(outliers=(outliers(kurtosis=estimate(kurtosis, 0.4)),))
        write_results(run, result)
        paths.append(str(run.path))
    return paths


def test_exit_code_and_reason(runs, capsys):
    assert run_cli(["compare", *runs[:2]]) == 0
    [row] = [row for row in capsys.readouterr().out.splitlines() if row.startswith("kurtosis")]
    # neither leads, so the first one given is the reference
    assert row.split()[1:8] == ["23.5", "±", "0.4", "4.0", "±", "0.4", "+19.5"]
    assert row.endswith("separate")
    assert run_cli(["compare", *runs, "--fail-if", "kurtosis differs"]) == 1
    err = capsys.readouterr().err
    assert f"gate tripped by {runs[1]}: kurtosis differs: val/final: kurtosis changed by" in err
    assert runs[2] not in err
    assert run_cli(["compare", runs[0], runs[2], "--fail-if", "kurtosis differs"]) == 0
    assert capsys.readouterr().err == "gate passed: kurtosis differs\n"
    assert run_cli(["compare", *runs, "--fail-if", "beauty"]) == 2


def test_forms_of_a_comparison(runs, capsys):
    assert run_cli(["compare", *runs[:2], "--all"]) == 0
    everything = capsys.readouterr().out
    assert "residual.kurtosis" in everything
    assert run_cli(["compare", *runs[:2]]) == 0
    few = capsys.readouterr().out
    assert "residual.kurtosis" not in few
    assert few.startswith("Decision\n========\n\nUndecided: ")
    assert "|" not in few
    assert run_cli(["compare", *runs, "--html"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("<!DOCTYPE html>")
    assert run_cli(["compare", *runs, "--html", "--json"]) == 2
    capsys.readouterr()
    assert run_cli(["compare", *runs, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
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


def test_every_condition_that_holds_is_a_line_and_one_without_an_answer_an_error(runs, capsys):
    gates = ["--fail-if", "kurtosis < -1000", "--fail-if", "kurtosis > -1000"]
    assert run_cli(["compare", *runs, *gates]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["gate passed", "kurtosis < -1000"],
        *([f"gate tripped by {run}", "kurtosis > -1000"] for run in runs[1:]),
    ]
    assert run_cli(["compare", *runs[:2], *gates, "--fail-if", "nonsense < 1"]) == 2
    printed = capsys.readouterr()
    assert (printed.out, "nonsense" in printed.err) == ("", True)
