import json
import math

import pytest
from pydantic import ValidationError

from tests.fuzz.damage import resealed
from tests.report.samples import model, report
from tests.report.samples_head import head_report
from tuiprobe.files import DamagedFileError
from tuiprobe.results import Estimate, NotRun, given
from tuiprobe.results.report import Report, Timings, title_for


def test_json_round_trip_is_exact(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(report().to_json(), encoding="utf-8")
    assert Report.read(path) == report()


def test_two_reports_are_equal_but_for_timings():
    slow = report(timings=Timings(seconds={"extract": 99.0}))
    assert slow != report()
    assert slow.without_timings() == report().without_timings()


def test_json_is_strict():
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(report().to_json(), parse_constant=refuse)
    with pytest.raises(ValidationError, match="finite"):
        report(spec={"threshold": math.nan})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_is_never_nan_or_infinite(value):
    with pytest.raises(ValidationError):
        Estimate(value=value, low=None, high=None, n=1, method="m")


@pytest.mark.parametrize("ends", [(None, 1.0), (1.0, None), (2.0, 1.0)])
def test_an_interval_has_two_ends_in_order(ends):
    with pytest.raises(ValidationError):
        Estimate(value=1.0, low=ends[0], high=ends[1], n=1, method="m")


def test_unknown_fields_and_other_schema_versions_are_refused():
    plain = json.loads(report().to_json())
    with pytest.raises(ValidationError, match="schema_version"):
        Report.model_validate(plain | {"schema_version": 2})
    with pytest.raises(ValidationError, match="surprise"):
        Report.model_validate(plain | {"surprise": 1})


def test_reports_are_immutable():
    with pytest.raises(ValidationError):
        report().title = "other"


def test_given_tells_figures_from_reasons():
    assert given(Estimate(value=1.0, low=None, high=None, n=1, method="m"))
    assert not given(NotRun(reason="r"))


def test_schema_can_be_printed():
    schema = Report.model_json_schema()
    assert schema["properties"]["schema_version"]["const"] == 1
    assert schema["additionalProperties"] is False


def test_title_says_untrained_and_withheld_first():
    plain = report()
    weights = plain.model.weights.model_copy(update={"kind": "untrained"})
    assert title_for(model(weights=weights), plain.data, plain.verdict).startswith("UNTRAINED")
    withheld = plain.verdict.model_copy(update={"outcome": "withheld"})
    assert "withheld" in title_for(plain.model, plain.data, withheld)
    assert "outlier features present" in plain.title


ABSURD = [
    (("directions", "bases", 0, "rank"), 10**12),
    (("directions", "bases", 0, "importances"), []),
    (("model", "width"), 10**9),
    (("data", 0, "images"), -1),
    (("data", 0, "measured"), 10**400),
    (("outliers", 0, "shares", 0, "channel"), 10**4),
    (("outliers", 0, "kurtosis", "value"), 1e308),
    (("outliers", 0, "basis_reference"), -1e200),
    (("title",), "x" * 10**5),
    (("warnings",), ["x"] * (2**20 + 1)),
]


@pytest.mark.parametrize(("place", "value"), ABSURD, ids=lambda one: str(one)[:40])
def test_what_no_run_finds_is_refused_at_the_door(place, value):
    tree = json.loads(head_report().to_json())
    parent = tree
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    with pytest.raises(DamagedFileError, match=r"x is no report .*" + str(place[0])):
        Report.parse(resealed(json.dumps(tree).encode()), "x")


@pytest.mark.parametrize("content", [b'{"a":' * 100_000, b"[" * 100_000, b"", b"\xff", b"null"])
def test_what_is_no_json_tree_is_refused(content):
    with pytest.raises(DamagedFileError):
        Report.parse(content, "x")
