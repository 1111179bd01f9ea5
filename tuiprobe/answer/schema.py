"""The JSON schema of `results.json`, put together from the report and every installed probe."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tuiprobe.probes import registry
from tuiprobe.results import Part, Report

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Returns the schema of a report in which each part's result is described by its probe.

    A part of a probe that is not installed may hold any value.
    """
    probes = registry().probes
    models: list[type[BaseModel]] = [Report, Part, *(one.Result for one in probes)]
    refs, schema = models_json_schema([(one, "validation") for one in models])
    definitions = schema["$defs"]
    definitions[_name(refs[Part, "validation"])]["allOf"] = [
        {
            "if": {"properties": {"probe": {"const": one.id}}},
            "then": {
                "properties": {
                    "result": {"anyOf": [refs[one.Result, "validation"], {"type": "null"}]}
                }
            },
        }
        for one in probes
    ]
    report = definitions.pop(_name(refs[Report, "validation"]))
    return {"$schema": DRAFT, **report, "$defs": definitions}


def _name(reference: dict[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]
