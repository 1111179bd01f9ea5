"""The JSON schema of `results.json`, and reports that must fit it."""

import json
import re
from typing import Any, ClassVar

import pytest
from jsonschema import Draft202012Validator

from tests.show.report.samples import PROBES, report
from tests.show.report.samples_head import head_report
from tests.show.report.strangers import strange_report
from tuiprobe.choose.labelling.report_part import TargetLabels
from tuiprobe.results import Frozen, ProbeResult
from tuiprobe.show.report.formats import json_schema

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)

OUTLIERS = [one.probe for one in head_report().parts].index("outliers")


@pytest.mark.parametrize("make", [report, head_report, strange_report])
def test_a_report_fits(make) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    VALIDATOR.validate(json.loads(make().to_json()))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("schema_version",), 2),
        (("surprise",), 1),
        (("parts", 0, "probe"), "../x"),
        (("parts", 0, "section", "content", 0, "kind"), "script"),
        (("parts", 0, "result"), 3),
        (("parts", OUTLIERS, "result", "taps", 0, "finding", "outcome"), "splendid"),
        (("parts", OUTLIERS, "result", "taps", 0, "kurtosis"), {"value": "x"}),
        (("parts", 1, "result"), {"data": "val"}),
    ],
)
def test_what_is_no_report_does_not_fit(place: tuple[Any, ...], value: Any) -> None:
    tree = parent = json.loads(head_report().to_json())
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    assert not VALIDATOR.is_valid(tree)


def test_every_probe_describes_its_result_under_its_id() -> None:
    cases = SCHEMA["$defs"]["Part"]["allOf"]
    described = {
        one["if"]["properties"]["probe"]["const"]: one["then"]["properties"]["result"]["anyOf"][0]
        for one in cases
    }
    results: dict[str, type[ProbeResult]] = {
        **{id: probe.Result for id, probe in PROBES.items()},
        "labels": TargetLabels,
    }
    assert list(described) == list(results)
    for id, reference in described.items():
        name = reference["$ref"].rpartition("/")[2]
        own = results[id].model_json_schema()
        assert SCHEMA["$defs"][name]["properties"].keys() == own["properties"].keys()


def test_every_reference_leads_somewhere() -> None:
    names = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(SCHEMA)))
    assert names == set(SCHEMA["$defs"])


def test_a_probe_may_call_its_types_as_the_report_does(monkeypatch: pytest.MonkeyPatch) -> None:
    class Part(Frozen):
        edges: int

    class Report(Frozen):
        probe: ClassVar[str] = "edges"
        part: Part

    class Edges:
        id, Result = "edges", Report

    class Known:
        probes = (Edges,)

    monkeypatch.setattr("tuiprobe.probes.registry", Known)
    found = json_schema()
    assert found["properties"]["schema_version"]["const"] == 3
    [case] = [one for one in found["$defs"].values() if "allOf" in one]
    assert case["properties"].keys() >= {"probe", "section"}
