"""`tuiprobe compare` and its gates."""

import json

import pytest

from tests.report.samples import estimate, outliers, report
from tests.report.samples_head import head_report
from tuiprobe.cli.app import run_cli
from tuiprobe.compare.differences import compare
from tuiprobe.compare.gates import parse_gate, tripped
from tuiprobe.errors import UsageError
from tuiprobe.results import NotRun
from tuiprobe.run.directory import RunDir


def lower():
    inner = outliers(tap="blocks.1", final=False, kurtosis=estimate(50, 1))
    other = outliers(tap="blocks.1", final=False, kurtosis=estimate(40, 1))
    first = report(outliers=(outliers(), inner))
    second = report(outliers=(outliers(kurtosis=estimate(21.5, 0.4)), other))
    return compare(first, second)  # -2 [-2.57, -1.43] at the end, -10 within


@pytest.mark.parametrize(
    ("text", "trips"),
    [
        ("kurtosis differs", True),
        ("centred_kurtosis differs", False),
        ("kurtosis < -1", True),
        ("kurtosis < -3", False),
        ("kurtosis.high < -1", True),
        ("kurtosis.high < -1.5", False),
        ("kurtosis.low < -2.5", True),
        ("kurtosis >= -2", True),
        ("kurtosis > -2", False),
        ("val: kurtosis <= -2", True),
        ("val/blocks.1: kurtosis < -9", True),
        ("kurtosis < -9", False),
        ("persistence differs", False),
        ("verdict differs", False),
        ("channels differ", False),
    ],
)
def test_gates(text, trips):
    assert bool(tripped(parse_gate(text), lower())) is trips


def test_a_changed_verdict_and_changed_channels_trip():
    absent = report().verdict.model_copy(update={"outcome": "absent", "channels": ()})
    persistent = outliers().persistent.model_copy(update={"channels": ()})
    found = compare(report(), report(verdict=absent, outliers=(outliers(persistent=persistent),)))
    assert tripped(parse_gate("verdict differs"), found) == [
        "the verdict went from present to absent"
    ]
    assert "gone [133]" in tripped(parse_gate("channels differ"), found)[0]


def test_what_cannot_be_answered_is_no_pass():
    nothing = report(outliers=(outliers(kurtosis=NotRun(reason="too few images")),))
    found = compare(report(), nothing)
    assert "too few images" in tripped(parse_gate("kurtosis < -100"), found)[0]
    assert tripped(parse_gate("kurtosis differs"), found)


@pytest.mark.parametrize("text", ["", "kurtosis", "kurtosis < much", "< 3", "verdict < 3 4", "a b"])
def test_a_condition_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="no condition"):
        parse_gate(text)


@pytest.mark.parametrize("text", ["curtosis differs", "nowhere: kurtosis < 1", "verdict < 3"])
def test_an_unknown_figure_is_no_pass_either(text):
    with pytest.raises(UsageError, match="figures are"):
        tripped(parse_gate(text), lower())


def test_what_rests_on_a_head_is_compared_too():
    full = head_report()
    found = compare(full, full)
    places = {(one.data, one.tap) for one in found.differences}
    assert {("val", "accuracy"), ("r", "accuracy"), ("val", "W"), ("toy", "concepts")} <= places
    assert not tripped(parse_gate("top1 differs"), found)
    assert not tripped(parse_gate("mean_shift < 0"), found)


def test_a_part_that_only_one_ran_is_left_out():
    full = head_report()
    bare = full.robustness.model_copy(update={"effective": NotRun(reason="no baseline")})
    found = compare(full.model_copy(update={"robustness": bare}), full)
    assert "effective" not in {one.name for one in found.differences}


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
    assert "| `val` | `final` | kurtosis | 23.5" in capsys.readouterr().out
    assert run_cli(["compare", *runs, "--fail-if", "kurtosis differs"]) == 1
    err = capsys.readouterr().err
    assert f"gate tripped by {runs[1]}: kurtosis differs: val/final: kurtosis changed by" in err
    assert runs[2] not in err
    assert run_cli(["compare", runs[0], runs[2], "--fail-if", "kurtosis differs"]) == 0
    assert run_cli(["compare", *runs, "--fail-if", "beauty"]) == 2


def test_json_holds_one_comparison_a_run(runs, capsys):
    assert run_cli(["compare", *runs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["second"] for one in found] == runs[1:]
    kurtosis = next(one for one in found[0]["differences"] if one["name"] == "kurtosis")
    assert kurtosis["difference"]["value"] == pytest.approx(-19.5)
    assert kurtosis["differs"] is True
