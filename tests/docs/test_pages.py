"""The pages name files that are there."""

from __future__ import annotations

import re
import runpy
from itertools import pairwise
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from markdown_it import MarkdownIt

from tests.docs.blocks import PAGES, ROOT, name
from tuiprobe.answer.schema import json_schema
from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.stopping import INTERRUPTED
from tuiprobe.results.headlines import HEADLINES


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_headings(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]*\.md)?#([^)\s]+)\)", page.read_text("utf-8"))
    missing = [
        f"{file}#{anchor}"
        for file, anchor in links
        if anchor not in anchors(page.parent / file if file else page)
    ]
    assert missing == []


def anchors(page: Path) -> set[str]:
    """Returns what links may name within a page: its headings as GitHub writes them, and ids."""
    tokens = MarkdownIt().parse(page.read_text("utf-8"))
    after = [text for one, text in pairwise(tokens) if one.type == "heading_open"]
    titles = ["".join(part.content for part in text.children or ()) for text in after]
    slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    return slugs | set(re.findall(r'<a id="([^"]+)">', page.read_text("utf-8")))


@pytest.mark.parametrize("page", [one for one in PAGES if name(one).startswith("docs/")], ids=name)
def test_only_files_outside_docs_become_names_on_the_site(page: Path) -> None:
    conf = runpy.run_path(str(ROOT / "docs" / "conf.py"))
    source = [page.read_text("utf-8")]
    document = page.relative_to(ROOT / "docs").with_suffix("").as_posix()
    conf["as_page_of_the_site"](MagicMock(), document, source)
    named = re.findall(r"\(`([^`]+)` in the repository\)", source[0])
    assert [path for path in named if path.startswith("docs/")] == []
    assert [path for path in named if not (ROOT / path).exists()] == []
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", source[0])
    assert [link for link in links if not _in_docs(page, link)] == []


def _in_docs(page: Path, link: str) -> bool:
    docs = ROOT / "docs"
    path = docs / link[1:] if link.startswith("/") else page.parent / link
    return path.resolve().is_relative_to(docs) and path.exists()


def test_every_promise_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "promise |" not in line]
    assert len(rows) > 20
    for row in rows:
        tests = re.findall(r"`(tests/[a-z0-9_/]+\.py)`", row)
        assert tests, row
        assert [test for test in tests if not (ROOT / test).is_file()] == [], row


def test_the_page_about_results_names_every_field() -> None:
    schema = json_schema()
    named = {field for row in first_cells("results.md") for field in re.findall(r"`(\w+)`", row)}
    assert named == {*schema["properties"], *schema["$defs"]["Part"]["properties"]}


def test_the_page_of_exit_codes_names_every_error() -> None:
    page = (ROOT / "docs" / "options.md").read_text("utf-8")
    for error in TuiprobeError.__subclasses__():
        if error.__module__ == TuiprobeError.__module__:
            assert f"`{error.__name__}` ({error.exit_code})" in page
    codes = [cell for cell in first_cells("options.md") if cell.isdecimal()]
    assert codes == ["0", "1", "2", "3", "4", "5", str(INTERRUPTED)]


def test_how_to_read_the_card_names_every_headline_figure() -> None:
    rows = " ".join(first_cells("reading.md"))
    assert [headline.name for headline in HEADLINES if f"[{headline.name}]" not in rows] == []


def test_every_place_for_newcomers_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = text.partition("## Good first issues\n")[2].partition("\n## ")[0]
    places = re.findall(r"`((?:tuiprobe|tests|docs)/[\w/.]+)`", section)
    assert len(places) >= 8
    assert [place for place in places if not (ROOT / place).exists()] == []


def first_cells(page: str) -> list[str]:
    """Returns the first cells of the rows of a page's tables, without their headings."""
    tokens = MarkdownIt().enable("table").parse((ROOT / "docs" / page).read_text("utf-8"))
    return [
        text.content
        for row, cell, text in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if (row.type, cell.type) == ("tr_open", "td_open")
    ]
