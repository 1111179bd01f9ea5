"""The pages name files that are there."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.docs.blocks import PAGES, ROOT, name
from tuiprobe.errors import INTERRUPTED, TuiprobeError
from tuiprobe.show.report.formats import json_schema


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]*)#?([^)\s:]*)\)", page.read_text("utf-8"))
    targets = [(page.parent / file if file else page, anchor) for file, anchor in links]
    assert [file for file, _ in targets if not file.exists()] == []
    assert [link for link in targets if link[1] and link[1] not in anchors(link[0])] == []


def anchors(page: Path) -> set[str]:
    """Returns the targets of links within a page: its headings as GitHub writes them, and ids."""
    tokens = MarkdownIt().parse(page.read_text("utf-8"))
    after = [text for mark, text in pairwise(tokens) if mark.type == "heading_open"]
    titles = ["".join(part.content for part in text.children or ()) for text in after]
    slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    return slugs | set(re.findall(r'<a id="([^"]+)">', page.read_text("utf-8")))


def test_every_promise_names_tests_that_exist() -> None:
    text = (ROOT / "tests" / "PROMISES.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "promise |" not in line]
    assert len(rows) > 20
    for row in rows:
        tests = re.findall(r"`(tests/[a-z0-9_/]+\.py)`", row)
        assert tests, row
        assert [test for test in tests if not (ROOT / test).is_file()] == [], row


def test_the_page_about_results_names_every_field() -> None:
    schema = json_schema()
    named = {field for row in first_cells("results.md") for field in re.findall(r"`(\w+)`", row)}
    shapes = (schema, schema["$defs"]["Part"], schema["$defs"]["Accuracy"])
    assert named == {field for shape in shapes for field in shape["properties"]}


def test_the_page_of_exit_codes_names_every_error() -> None:
    page = (ROOT / "docs" / "options.md").read_text("utf-8")
    for error in TuiprobeError.__subclasses__():
        if error.__module__ == TuiprobeError.__module__:
            assert f"`{error.__name__}` ({error.exit_code})" in page
    codes = [cell for cell in first_cells("options.md") if cell.isdecimal()]
    assert codes == ["0", "1", "2", "3", "4", "5", str(INTERRUPTED)]


def test_the_page_of_errors_has_the_texts_of_the_program() -> None:
    codes = {kind.__name__: kind.exit_code for kind in TuiprobeError.__subclasses__()}
    raised = [(codes[name], text) for name, text in messages() if name in codes]
    rows = re.findall(r"^\| `(.+?)` \| (\d) \|", (ROOT / "docs/faq.md").read_text(), re.MULTILINE)
    assert len(rows) == 15
    for text, code in rows:
        assert any(int(code) == other and text in message for other, message in raised), text


def messages() -> Iterator[tuple[str, str]]:
    """Yields the errors that the program raises: class and text, with `…` for each value."""
    for file in (ROOT / "tuiprobe").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                name = ast.unparse(node.exc.func)
                yield from ((name, _text(argument)) for argument in node.exc.args)


def _text(argument: ast.expr) -> str:
    if isinstance(argument, ast.JoinedStr):
        return "".join(map(_text, argument.values))
    return str(argument.value) if isinstance(argument, ast.Constant) else "…"


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
