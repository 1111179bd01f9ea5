"""The card that a notebook shows: the lines of every other format, and nothing that acts."""

from __future__ import annotations

import io
import re

from tests.report.test_formats import Page, hostile
from tests.report.test_hostile_fields import full_report
from tuiprobe.report.terminal import summary


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def test_the_card_says_what_the_summary_says() -> None:
    report = full_report()
    visible = report._repr_html_()
    shown = words("".join(f"{word} " for word in Page(visible).words).casefold())
    assert shown == words(summary(report).casefold())
    printer = io.StringIO()
    printer.text = printer.write  # type: ignore[attr-defined]
    report._repr_pretty_(printer, False)
    assert printer.getvalue() == summary(report).rstrip("\n")


def test_a_hostile_name_adds_no_element_and_loads_nothing() -> None:
    page = Page(hostile()._repr_html_())
    assert {tag for tag, _ in page.tags} <= {"div", "p", "strong", "ul", "li", "code"}
    assert {name for _, attributes in page.tags for name in attributes} <= {"style"}
    assert "<script>alert(1)" in "".join(page.words)
