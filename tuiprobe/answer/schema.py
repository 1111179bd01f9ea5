"""The JSON schema of `results.json`, put together from the report and every installed probe."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tuiprobe.label.result import TargetLabels
from tuiprobe.probes import LABELS, registry
from tuiprobe.results import Part, ProbeResult, Report

MODE: Final = "serialization"
"""Reports hold what they compute, such as the best accuracy of each set."""

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Returns the schema of a report in which each part's result is described by its probe.

    A part of a probe that is not installed may hold any value. Labels beside a run make a part of
    its exported report.
    """
    results: dict[str, type[ProbeResult]] = {item.id: item.Result for item in registry().probes}
    results[LABELS] = TargetLabels
    models: list[type[BaseModel]] = [Report, Part, *results.values()]
    refs, schema = models_json_schema([(item, MODE) for item in models])
    definitions = schema["$defs"]
    definitions[_name(refs[Part, MODE])]["allOf"] = [
        {
            "if": {"properties": {"probe": {"const": id}}},
            "then": {"properties": {"result": {"anyOf": [refs[result, MODE], {"type": "null"}]}}},
        }
        for id, result in results.items()
    ]
    report = definitions.pop(_name(refs[Report, MODE]))
    return {"$schema": DRAFT, **report, "$defs": definitions}


def _name(reference: dict[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]
