import re

import pytest
from hypothesis import given as with_any
from hypothesis import strategies as st

from tuiprobe.report.numbers import number
from tuiprobe.report.text import cell, code, escaped

HOSTILE = "<script>[x](http://evil)|`a`\x1b[31m\u202e\n# h"


def test_escaped_text_formats_nothing():
    out = escaped(HOSTILE)
    assert "\n" not in out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert not re.search(r"(?<!\\)[<\[|`#]", out)
    assert r"http\://" in out
    assert escaped("www.evil.example") == r"www\.evil.example"


@with_any(st.text())
def test_code_spans_close_where_they_should(text):
    out = code(text)
    fence = re.match("`+", out).group()
    inner = out[len(fence) : -len(fence)]
    assert out.endswith(fence)
    assert fence not in inner
    assert not re.search(r"(?<!\\)\|", inner)
    assert "\n" not in out


@with_any(st.text())
def test_cells_are_no_formulas(text):
    out = cell(text)
    assert not out.lstrip().startswith(("=", "+", "-", "@"))
    assert not set(out) & set("\t\r\n\x00\x1b")


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (-4.25, "-4.25"), (1e20, "1e+20")])
def test_numbers(value, text):
    assert number(value) == text
