"""The Containerfile cannot be built here: what it names must exist, and its command must parse."""

import json
import re
import tomllib
from collections import defaultdict
from typing import Any

import pytest

from tests.docs.blocks import ROOT
from tuiprobe.request import RunRequest, make_spec
from tuiprobe.show.cli import app, headless
from tuiprobe.spec import RunSpec

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def instructions() -> dict[str, list[str]]:
    """What follows each word of the file, continued lines joined."""
    text = (ROOT / "Containerfile").read_text("utf-8")
    code = "".join(line for line in text.splitlines(True) if not line.startswith("#"))
    lines = defaultdict(list)
    for line in re.sub(r"\\\n\s*", " ", code).splitlines():
        word, _, rest = line.partition(" ")
        lines[word].append(rest.strip())
    return lines


def test_it_starts_the_program_of_the_project_and_not_as_root(instructions: Any) -> None:
    given = dict(rest.split("=") for rest in instructions["ARG"] if "=" in rest)
    assert f"Programming Language :: Python :: {given['PYTHON']}" in PROJECT["classifiers"]
    page = (ROOT / "docs" / "howto" / "install.md").read_text("utf-8")
    for extras in (given["EXTRAS"], *re.findall(r"EXTRAS=([\w,]+)", page)):
        assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    assert instructions["USER"] == ["probe"]
    (entry,) = instructions["ENTRYPOINT"]
    assert set(json.loads(entry)) <= set(PROJECT["scripts"])


def test_the_default_run_is_the_main_job_offline(instructions, monkeypatch):
    asked: list[RunSpec] = []

    def run_requests(requests: list[RunRequest], *_: Any) -> int:
        asked.extend(request.spec for request in requests)
        return 0

    monkeypatch.setattr(headless, "run_requests", run_requests)
    (command,) = instructions["CMD"]
    assert app.run_cli(json.loads(command)) == 0
    assert asked == [make_spec(None, None, {"offline": True})]
