import re

import pytest
from hypothesis import given as with_any
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tuiprobe.plaintext import csv_cell, csv_text, plain
from tuiprobe.show.report.strings import code, code_cell, escaped, opening


@with_any(st.text())
def test_code_spans_close_where_they_should(text):
    out = code(text)
    fence = re.match("`+", out).group()
    inner = out[len(fence) : -len(fence)]
    assert out.endswith(fence)
    assert fence not in inner
    assert "\n" not in out
    assert not re.search(r"(?<!\\)\|", code_cell(text))


@pytest.mark.parametrize("text", ["a|b", "a\\|b", "`|`", "|"])
def test_code_shows_the_same_in_a_table_and_outside(text):
    parser = MarkdownIt("commonmark").enable("table")
    [inline] = [item for item in parser.parse(code(text)) if item.type == "inline"]
    tables = parser.parse(f"| {code_cell(text)} |\n|---|\n")
    [cell] = [item for item in tables if item.type == "inline"]
    assert inline.children[0].content == cell.children[0].content == text


@with_any(st.text())
def test_a_line_starts_no_block(text):
    tokens = MarkdownIt("commonmark").parse(opening(escaped(text)))
    assert [item.type for item in tokens] in (
        [], ["paragraph_open", "inline", "paragraph_close"],
    )  # fmt: skip


@pytest.mark.parametrize("text", ["- a", "+ a", "1. a", "2) a", "---", "===", "    a", "    1. a"])
def test_a_line_keeps_its_words(text):
    result = MarkdownIt("commonmark").parse(opening(escaped(text)))
    assert [item.type for item in result] == ["paragraph_open", "inline", "paragraph_close"]
    message = "".join(child.content for child in result[1].children)
    assert message == text.strip()


@with_any(st.text())
def test_cells_are_no_formulas(text):
    out = csv_cell(text)
    assert not out.lstrip().startswith(("=", "+", "-", "@"))
    assert csv_text(out) == plain(text)  # a table of predictions is read back as answers
    assert not set(out) & set("\t\r\n\x00\x1b")
