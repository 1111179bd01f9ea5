"""The card of a report as plain text, for standard output."""

import textwrap
from typing import Final

from tuiprobe.plaintext import plain
from tuiprobe.report.terminal import WIDTH
from tuiprobe.report.text import line
from tuiprobe.results.card import card
from tuiprobe.results.report import Report
from tuiprobe.results.reproduce import provenance

_BESIDE: Final = 13
"""Columns of the titles of blocks, which stand beside their lines."""


def summary(report: Report) -> str:
    """Returns title, warnings, blocks of the card and date, in rows of at most `WIDTH` columns."""
    rows = [*_rows(plain(report.title))]
    for warning in report.warnings:
        rows += _rows(plain(f"warning: {warning}"))
    for block in card(report):
        for number, text in enumerate(block.lines):
            rows += _rows(line(text), "" if number else block.title, _BESIDE)
    rows += _rows(plain(provenance(report).removeprefix("Measured ")), "Measured", _BESIDE)
    return "\n".join(rows) + "\n"


def _rows(text: str, heading: str = "", beside: int = 0) -> list[str]:
    """Returns a text as rows; a heading stands beside the first, and all others are indented."""
    start, indent = f"{heading:<{beside}}", " " * (beside or 2)
    rows = textwrap.wrap(
        text.strip(),
        WIDTH,
        initial_indent=start,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    return rows or [start.rstrip()]
