"""`tuiprobe compare` and its gates."""

import json
from xml.etree import ElementTree

import pytest

from tests.report.samples import estimate, outliers, report
from tuiprobe.cli.app import run_cli
from tuiprobe.compare.junit import Case
from tuiprobe.compare.junit import junit as junit_text
from tuiprobe.run.directory import RunDir


@pytest.fixture
def runs(tmp_path):
    paths = []
    for name, kurtosis in (("a", 23.5), ("b", 4.0), ("c", 23.4)):
        run = RunDir(tmp_path / name)
        found = report(outliers=(outliers(kurtosis=estimate(kurtosis, 0.4)),))
        run.results_file.write_text(found.to_json())
        paths.append(str(run.path))
    return paths


def test_exit_code_and_reason(runs, capsys):
    assert run_cli(["compare", *runs[:2]]) == 0
    assert (
        "| kurtosis | `val` | 23.5 (23.1 to 23.9) | 4 (3.6 to 4.4) | -19.5"
        in capsys.readouterr().out
    )
    assert run_cli(["compare", *runs, "--fail-if", "kurtosis differs"]) == 1
    err = capsys.readouterr().err
    assert f"gate tripped by {runs[1]}: kurtosis differs: val/final: kurtosis changed by" in err
    assert runs[2] not in err
    assert run_cli(["compare", runs[0], runs[2], "--fail-if", "kurtosis differs"]) == 0
    assert run_cli(["compare", *runs, "--fail-if", "beauty"]) == 2
    capsys.readouterr()
    assert run_cli(["compare", *runs, "--fail-if", "persistent differs"]) == 2
    err = capsys.readouterr().err
    assert "persistent is called outlier_channels now" in err


def test_json_holds_one_comparison_a_run(runs, capsys):
    assert run_cli(["compare", *runs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    pairs = found["comparisons"]
    assert found["schema_version"] == 2
    assert [one["second"] for one in pairs] == runs[1:]
    assert [one["representation"] for one in found["ranking"]["models"]] == ["projected"] * 3
    kurtosis = next(one for one in pairs[0]["differences"] if one["id"] == "kurtosis")
    assert kurtosis["difference"]["value"] == pytest.approx(-19.5)
    assert kurtosis["differs"] is True


def test_forms_of_a_comparison(runs, capsys):
    assert run_cli(["compare", *runs[:2]]) == 0
    few = capsys.readouterr().out
    assert run_cli(["compare", *runs[:2], "--all"]) == 0
    everything = capsys.readouterr().out
    assert "residual.kurtosis" in everything
    assert "residual.kurtosis" not in few
    assert "# Models" not in few
    assert run_cli(["compare", *runs, "--html"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("<!DOCTYPE html>")
    assert page.count('class="chart"') == 2
    assert run_cli(["compare", *runs]) == 0
    assert "# Models" in capsys.readouterr().out
    assert run_cli(["compare", *runs, "--html", "--json"]) == 2


def junit(runs, file, *gates):
    conditions = [word for gate in gates for word in ("--fail-if", gate)]
    code = run_cli(["compare", *runs[:2], *conditions, "--junit", str(file)])
    return code, ElementTree.parse(file).getroot()


def test_gates_are_a_junit_file(runs, tmp_path, capsys):
    file = tmp_path / "gates.xml"
    code, root = junit(runs, file, "kurtosis < -1000", "outcome differs", "kurtosis > -1000")
    assert code == 1
    cases = list(root.iter("testcase"))
    assert [one.get("name") for one in cases] == [
        "kurtosis < -1000", "outcome differs", "kurtosis > -1000",
    ]  # fmt: skip
    assert {one.get("classname") for one in cases} == {str(runs[1])}
    failed = [one.find("failure") is not None for one in cases]
    assert failed == [False, False, True]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "0")
    assert "kurtosis" in (cases[2].find("failure").get("message") or "")
    code, root = junit(runs, file, "kurtosis < -1000")
    assert (code, root.get("failures")) == (0, "0")


def test_a_gate_that_no_run_answers_is_an_error_in_the_file_too(runs, tmp_path, capsys):
    code, root = junit(runs, tmp_path / "gates.xml", "kurtosis < -1000", "nonsense < 1")
    assert code == 2
    assert [one.find("error") is not None for one in root.iter("testcase")] == [False, True]
    assert "nonsense" in capsys.readouterr().err


def test_junit_without_a_gate_is_refused(runs, tmp_path, capsys):
    file = tmp_path / "gates.xml"
    assert run_cli(["compare", *runs, "--junit", str(file)]) == 2
    assert "--junit writes the gates of --fail-if" in capsys.readouterr().err
    assert not file.exists()


def test_a_hostile_gate_and_run_stay_text_in_the_file():
    text = junit_text('a"><failure/>\x1b', [Case("r]]><x>\u202e", "g & <y>", ("z\x00",))])
    root = ElementTree.fromstring(text)
    [case] = root.iter("testcase")
    assert (case.get("name"), case.get("classname")) == ("g & <y>", "r]]><x>\\u202e")
    assert [one.tag for one in case] == ["failure"]
    assert case[0].text == "z\\x00"
