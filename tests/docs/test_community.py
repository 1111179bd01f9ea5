"""The files that forges and newcomers look for are valid, and name what exists."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.docs.blocks import ROOT

ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[a-z]{2,}")


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def test_the_citation_has_what_its_format_asks_for(citation: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type", "license"} <= set(citation)
    assert citation["license"] == project["license"]
    assert [one["name"] for one in citation["authors"]] == [
        one["name"] for one in project["authors"]
    ]
    assert "version" not in citation  # it stands in one place, tuiprobe/__init__.py
    (paper,) = citation["references"]
    assert paper["url"] == project["urls"]["Paper"]
    assert all({"family-names", "given-names"} == set(one) for one in paper["authors"])
    for one in (citation["preferred-citation"], paper):
        assert {"type", "title", "authors"} <= set(one)


@pytest.mark.parametrize("name", ["CODE_OF_CONDUCT.md", "SECURITY.md", "CONTRIBUTING.md"])
def test_no_address_is_invented(name: str) -> None:
    assert ADDRESS.findall((ROOT / name).read_text("utf-8")) == []


def test_the_security_policy_says_where_and_what() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    assert {"## What is promised", "## Which versions", "## How to report"} <= set(
        text.splitlines()
    )
    assert "Report a vulnerability" in text
    assert "docs/reliability.md" in text


def test_every_seam_for_newcomers_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = text.partition("## Good first issues\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| a ")]
    assert len(rows) >= 8
    named = re.findall(r"`((?:tuiprobe|tests|docs)/[\w/.]+)`", section)
    assert [one for one in named if not (ROOT / one).exists()] == []
    assert "`BUILT_IN`" in section
    assert "BUILT_IN" in (ROOT / "tuiprobe/probes/__init__.py").read_text("utf-8")
