"""report.md: the answers first, then the subject, then the section of each probe."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.report.common import (
    NAMED_IMAGES,
    computed_rows,
    data_rows,
    image_name,
    nonfinite_rest,
    subject_rows,
)
from tuiprobe.report.numbers import number
from tuiprobe.report.text import code, escaped, markdown_cell, markdown_text, opening, table
from tuiprobe.results import DataSet, Report
from tuiprobe.results.card import card
from tuiprobe.results.section import (
    Chart,
    Content,
    Heading,
    Points,
    Prose,
    Section,
    Strip,
    Table,
    Text,
)

LISTED_IMAGES = 20
"""Images of a set that could not be used that a page names."""
LISTED_ROWS = 40
"""Rows of a table that a page shows; files hold all."""


def markdown(report: Report) -> str:
    """Returns the whole report as GitHub-flavoured Markdown."""
    lines = [f"# {escaped(report.title)}", ""]
    lines += [f"> - **Warning:** {escaped(warning)}" for warning in report.warnings]
    lines += [""] if report.warnings else []
    lines += _card(report)
    lines += _subject(report)
    for part in report.parts:
        if part.section is not None:
            lines += _section(part.section)
    lines += _not_run(report)
    lines += _computed(report)
    return "\n".join(lines).rstrip("\n") + "\n"


def section_markdown(section: Section) -> str:
    """Returns one section alone, its title as the first heading."""
    lines = [f"# {escaped(section.title)}", "", *_section(section)[2:]]
    return "\n".join(lines).rstrip("\n") + "\n"


def _card(report: Report) -> list[str]:
    lines: list[str] = []
    if report.model.weights.kind == "untrained":
        lines += ["**The weights are random.** Nothing here describes a trained model.", ""]
    for block in card(report):
        lines += [f"## {block.title}", "", *(f"- {_line(one)}" for one in block.lines), ""]
    return lines


def _subject(report: Report) -> list[str]:
    lines = ["## What was probed", ""]
    lines += table(
        ["", ""], [[escaped(name), markdown_cell(text)] for name, text in subject_rows(report)]
    )
    header, rows = data_rows(report)
    lines += table(list(header), [[markdown_cell((cell,)) for cell in row] for row in rows])
    for one in report.data:
        lines += _skipped(one) + _nonfinite(one)
    return lines


def _skipped(one: DataSet) -> list[str]:
    if not one.skipped:
        return []
    lines = [f"Skipped images of {code(one.name)}:", ""]
    lines += [f"- {code(i.path)}: {escaped(i.reason)}" for i in one.skipped[:LISTED_IMAGES]]
    rest = len(one.skipped) - LISTED_IMAGES
    return [*lines, *([f"- and {rest:,} more in results.json"] if rest > 0 else []), ""]


def _nonfinite(one: DataSet) -> list[str]:
    if not one.nonfinite:
        return []
    lines = [
        f"Images of {code(one.name)} with a representation that is not finite, left out of every "
        "figure of the final representation:",
        "",
    ]
    lines += [f"- {code(path)}" for path in one.nonfinite_images[:LISTED_IMAGES]]
    rest = nonfinite_rest(one, LISTED_IMAGES)
    return [*lines, *([f"- and {rest:,} more"] if rest > 0 else []), ""]


def _section(section: Section) -> list[str]:
    lines = [f"## {escaped(section.title)}", ""]
    if section.headline:
        lines += [_line(section.headline), ""]
    for one in section.content:
        lines += _content(one)
    return lines


def _line(text: Text) -> str:
    return opening(markdown_text(text))


def _content(one: Content) -> list[str]:
    if isinstance(one, Heading):
        return [f"### {markdown_text(one.text)}", ""]
    if isinstance(one, Prose):
        return [_line(one.text), ""]
    if isinstance(one, Points):
        return [*(f"- {_line(item)}" for item in one.items), ""]
    if isinstance(one, Table):
        return _table(one) if one.reading else []
    if isinstance(one, Strip):
        return list(_strip(one)) if not one.folded else []
    assert isinstance(one, Chart)
    return []  # charts are files of their own


def _table(one: Table) -> list[str]:
    if not one.rows:
        return []
    shown = one.rows[: LISTED_ROWS if one.shown is None else one.shown]
    lines = [_line(one.title), ""] if one.title else []
    header = [markdown_cell(column.title) for column in one.columns]
    lines += table(header, [[markdown_cell((cell,)) for cell in row] for row in shown])
    rest = len(one.rows) - len(shown)
    if rest > 0:
        where = f"`tables/{one.id}.csv`" if one.file else "`tables/`"
        lines += [f"and {rest:,} more in {where}.", ""]
    return lines


def _strip(one: Strip) -> Iterator[str]:
    for end in one.ends:
        images = ", ".join(
            f"{code(image_name(i))} ({number(i.value)})" for i in end.images[:NAMED_IMAGES]
        )
        yield f"- {_line(one.title)}, {escaped(end.label)}: {images}"
    yield ""


def _not_run(report: Report) -> list[str]:
    rows = [
        f"- {opening(escaped(one.title))}: {escaped(report.why_not(one.probe))}"
        for one in report.parts
        if one.not_run is not None
    ]
    return ["## Not run", "", *rows, ""] if rows else []


def _computed(report: Report) -> list[str]:
    rows = [[escaped(name), markdown_cell(text)] for name, text in computed_rows(report)]
    return [
        "## How it was computed",
        "",
        "All intervals are 95 %. Full precision, n and method of every figure are in "
        "`results.json` and `tables/`.",
        "",
        *table(["", ""], rows),
    ]
