import json
import math
import sys

import pytest
from pydantic import ValidationError

from tests.show.report.samples import (
    NO_CONCEPTS,
    PROBES,
    estimate,
    model,
    outliers,
    report,
    without_outliers,
)
from tests.show.report.samples_head import head_report
from tests.show.report.strangers import strange_report
from tuiprobe.errors import UsageError
from tuiprobe.files import DamagedFileError
from tuiprobe.inside.directions.compute import Directions
from tuiprobe.inside.outliers.result import Outcome, OutlierResult
from tuiprobe.results import Estimate, NotRun, Report, Timings, is_known
from tuiprobe.results.report import ABSENT


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


@pytest.mark.parametrize(
    ("value", "ends"),
    [
        (math.nan, (None, None)), (math.inf, (None, None)),
        (1.0, (None, 1.0)), (1.0, (1.0, None)), (1.0, (2.0, 1.0)),
    ],
)  # fmt: skip
def test_a_figure_is_finite_and_its_interval_has_two_ends_in_order(value, ends):
    with pytest.raises(ValidationError):
        Estimate(value=value, low=ends[0], high=ends[1], n=1, method="m")


def test_unknown_fields_and_other_schema_versions_are_refused():
    plain = json.loads(report().to_json())
    with pytest.raises(ValidationError, match="schema_version"):
        Report.model_validate(plain | {"schema_version": 1})
    with pytest.raises(ValidationError, match="surprise"):
        Report.model_validate(plain | {"surprise": 1})
    with pytest.raises(DamagedFileError) as refused:
        Report.parse(json.dumps(plain | {"schema_version": 1}).encode(), "runs/a/results.json")
    assert str(refused.value) == (
        "runs/a/results.json is of schema 1, and this version of tuiprobe reads schema 3: "
        "run `tuiprobe reprobe runs/a` to write it again"
    )


def test_the_title_says_untrained_and_withheld_first():
    weights = model().weights.model_copy(update={"kind": "untrained"})
    assert report(model=model(weights=weights)).title == (
        "UNTRAINED network open_clip:RN50-quickgelu on val: random weights"
    )
    withheld = report(outliers=(outliers(**without_outliers(Outcome.WITHHELD, "few images")),))
    assert withheld.title == "open_clip:RN50-quickgelu on val: outlier outcome withheld"
    said = "1 outlier channel (133: 14.0 sigma, 22.0 % of the energy)"
    assert report().title == f"open_clip:RN50-quickgelu on val: {said}"
    assert report(partial=True).title == f"PARTIAL: {report().title}"
    assert report(outliers=NotRun(reason="x")).title == "open_clip:RN50-quickgelu on val"
    assert report(robustness=NotRun(reason="x")).title.endswith(" on val: accuracy unknown")


def test_a_part_has_its_type_and_is_the_same_after_a_round_trip():
    full = head_report()
    found = Report.parse(full.to_json().encode(), "x")
    assert isinstance(found.part(Directions), Directions)
    assert found == full  # reading a part of one changes nothing
    assert found.part(Directions) == full.part(Directions)


def test_a_part_that_is_not_there_is_none_with_a_reason():
    assert report().part(Directions) is None
    assert report().why_not("directions") == "not in this report"
    said = f"{NO_CONCEPTS.reason} ({NO_CONCEPTS.remedy})"
    assert report().why_not("concepts") == said
    assert report(concepts=NotRun(reason="none")).why_not("concepts") == "none"


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        ({"taps": 3}, "taps"),
        ({}, "taps: Field required"),
        ([], "none of this version of tuiprobe: its result: Input should be a valid dictionary"),
        ("text", "Input should be a valid dictionary"),
        ({"surprise": "\u202e" * 9000}, "taps"),
    ],
)
def test_a_damaged_part_is_one_sentence(result, cause):
    tree = json.loads(report().to_json())
    tree["parts"][0]["result"] = result
    found = Report.parse(json.dumps(tree).encode(), "x")
    with pytest.raises(
        DamagedFileError, match=r"the part outliers .*run `tuiprobe reprobe`"
    ) as why:
        found.part(OutlierResult)
    assert cause in str(why.value)
    assert "\n" not in str(why.value)
    assert len(str(why.value)) < 700
    assert found.figure("kurtosis").value == 23.5  # what it names is still there


def test_figures_are_found_by_name_and_never_of_an_inner_layer():
    inner = outliers(tap="blocks.1", final=False, kurtosis=estimate(50, 1))
    second = outliers(data="r", kurtosis=estimate(70, 1))
    found = report(outliers=(inner, outliers(), second))
    assert found.figure("kurtosis").value == 23.5
    assert found.figure("kurtosis", "r").value == 70
    assert found.figure("kurtosis", "none").remedy == "kurtosis is known of val, r"
    assert found.figure("top1") is ABSENT
    assert found.fact("outcome") == "outlier channels"
    assert found.fact("beauty") == ""


def test_a_wrong_name_of_a_figure_is_answered_by_near_ones_or_all():
    found = report()
    with pytest.raises(UsageError, match=r"'kurtosi'; there is kurtosis"):
        found.figure("kurtosi")
    with pytest.raises(UsageError) as every:
        found.figure("xyz", "val")
    assert all(named.id in str(every.value) for part in found.parts for named in part.figures)


def test_a_frame_has_every_figure_as_a_number():
    pandas = pytest.importorskip("pandas", reason="to_frame needs pandas")
    found = report()
    frame = found.to_frame()
    figures = [named for part in found.parts for named in part.figures]
    assert len(frame) == len(figures)
    values = [named.figure.value if is_known(named.figure) else None for named in figures]
    pandas.testing.assert_series_equal(
        frame["value"], pandas.Series(values, dtype=float, name="value")
    )


def test_without_pandas_a_frame_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="pip install pandas"):
        report().to_frame()


def test_a_part_of_an_unknown_probe_is_kept_as_it_is(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(strange_report().to_json(), encoding="utf-8")
    found = Report.read(path)
    assert found == strange_report()
    assert found.part_of("edges").result == {"texture": 0.62, "layers": [{"name": "stem"}]}
    assert found.figure("texture") == estimate(0.62, 0.05)
    assert found.fact("shape") == "round"


@pytest.mark.parametrize("number", ["NaN", "1e999", "-Infinity"])
@pytest.mark.parametrize("place", ["result", "spec"])
def test_plain_data_holds_finite_numbers_alone(number, place):
    tree = json.loads(report().to_json())
    parent = tree["parts"][0] if place == "result" else tree
    parent[place] = {"a": [{"b": "@"}]}
    text = json.dumps(tree).replace('"@"', number)
    with pytest.raises(DamagedFileError, match=r"finite|no number of JSON"):
        Report.parse(text.encode(), "x")


ABSURD = [
    (("model", "width"), 10**9),
    (("data", 0, "images"), -1),
    (("data", 0, "measured"), 10**400),
    (("parts", 0, "figures", 0, "figure", "value"), 1e308),
    (("parts", 0, "figures", 0, "headline"), -1),
    (("parts", 0, "figures", 0, "role"), "hero"),
    (("parts", 0, "probe"), "../x"),
    (("parts", 0, "section", "block"), "elsewhere"),
    (("parts", 0, "section", "content", 0, "kind"), "script"),
    (("parts", 0, "section", "content", 2, "id"), "../x"),
    (("parts", 0, "section", "content", 2, "rows"), [["one"]]),
    (("parts", 1, "sets", 0, "members"), ["x"] * (2**20 + 1)),
    (("parts", 1, "sets", 0, "universe"), 1.5),
    (("title",), "x" * 10**5),
    (("warnings",), ["x"] * (2**20 + 1)),
]

ABSURD_RESULTS = [
    (("directions", "bases", 0, "rank"), 10**12),
    (("directions", "bases", 0, "importances"), []),
    (("outliers", "taps", 0, "top_images", 0, "channel"), 10**4),
    (("outliers", "taps", 0, "kurtosis", "value"), 1e308),
    (("outliers", "taps", 0, "basis_reference"), -1e200),
    (("outliers", "taps", 0, "finding", "outcome"), "splendid"),
    (("outliers", "taps", 0, "offset", "half"), [10**4]),
    (("concepts", "top", 0, "concepts", 0, "sign"), 7),
]


def planted(place, value):
    """Returns the tree of a report that has another value at a place."""
    tree = parent = json.loads(head_report().to_json())
    for key in place[:-1]:
        if isinstance(parent, list) and isinstance(key, str):
            parent = next(part for part in parent if part["probe"] == key)["result"]
        else:
            parent = parent[key]
    parent[place[-1]] = value
    return json.dumps(tree).encode()


@pytest.mark.parametrize(("place", "value"), ABSURD, ids=lambda text: str(text)[:40])
def test_what_no_run_finds_is_refused_at_the_door(place, value):
    with pytest.raises(DamagedFileError, match=r"x is no report .*" + str(place[0])):
        Report.parse(planted(place, value), "x")


@pytest.mark.parametrize(("place", "value"), ABSURD_RESULTS, ids=lambda text: str(text)[:40])
def test_what_no_probe_finds_is_refused_when_its_part_is_read(place, value):
    probe = place[0]
    report = Report.parse(planted(("parts", *place), value), "x")
    with pytest.raises(DamagedFileError, match=f"the part {probe} .*: {place[1]}"):
        report.part(PROBES[probe].Result)


@pytest.mark.parametrize("content", [b'{"a":' * 100_000, b"[" * 100_000, b"", b"\xff", b"null"])
def test_what_is_no_json_tree_is_refused(content):
    with pytest.raises(DamagedFileError):
        Report.parse(content, "x")
