"""The pages name files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, name


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


def test_every_promise_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "promise |" not in line]
    assert len(rows) > 20
    for row in rows:
        tests = re.findall(r"`(tests/[a-z0-9_/]+\.py)`", row)
        assert tests, row
        assert [test for test in tests if not (ROOT / test).is_file()] == [], row
