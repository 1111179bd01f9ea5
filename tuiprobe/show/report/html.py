"""Pages: files that load nothing and run one embedded script.

`report.html` is the card with its pictures, then the evidence, then how to reproduce it. Templates
escape every outside string. A content security policy allows the style and script of the page by
their hashes, pictures inside the page, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tuiprobe.numbers import unbroken
from tuiprobe.plaintext import plain
from tuiprobe.results import Report
from tuiprobe.results.card import (
    card,
    data_rows,
    left_out,
    not_run,
    sets_axis,
    sets_line,
    subject_rows,
)
from tuiprobe.results.reproduce import (
    command,
    command_note,
    next_step,
    provenance,
    software,
    speed,
    verified,
)
from tuiprobe.results.section import Column, Section
from tuiprobe.results.subject import PROBE as PREFLIGHT
from tuiprobe.show.report.page_layout import (
    FILTERS,
    LIMITS,
    TESTS,
    PageState,
    Thumbnails,
    has_points,
    only_in_a_file,
    shortened,
    with_options,
)
from tuiprobe.show.report.strings import line
from tuiprobe.show.report.svg import COLOURS
from tuiprobe.show.report.tables import table_files

TEMPLATES = Path(__file__).with_name("templates")


def html(report: Report, pictures: Thumbnails | None = None, linked: bool = False) -> str:
    """Returns the report as one HTML file.

    Args:
        report: The report.
        pictures: Small JPEG files to show; other files are left out.
        linked: Whether tables/ lies next to the page.
    """
    blocks = card(report)
    described = [part for part in report.parts if part.section and part.probe != PREFLIGHT]
    owners = {
        id: part.probe for part in report.parts if part.section for id in part.section.pictures
    }
    tables: dict[str, list[tuple[str, int]]] = {}
    for probe, name, table in table_files(report):
        if not table.reading or only_in_a_file(table):
            tables.setdefault(probe, []).append((f"tables/{name}.csv", len(table.rows)))
    drawn = [piece.id for block in blocks for piece in block.pictures if has_points(piece)]
    page = PageState(
        pictures or {},
        linked,
        on_card={(owners[id], id) for id in drawn},
        tables=tables,
        card_text="\n".join(line(text) for block in blocks for text in block.lines),
    )
    columns, rows = data_rows(report)
    return render(
        "report.html", report.title, page=page, report=report, blocks=blocks, owners=owners,
        axis=sets_axis(report), sets=sets_line(report), next=next_step(report),
        note=f"{provenance(report)} · {shortened(report.model.name, 120)}",
        described=described, not_run=not_run(report),
        command=[escape(text) for text in with_options(plain(command(report)))],  # copied as it is
        command_note=command_note(report), checks=verified(report),
        preflight=PREFLIGHT, machine=(*software(report), *speed(report)),
        encoder=list(subject_rows(report)), left_out=list(left_out(report)),
        image_columns=[Column(id=name, title=(name,)) for name in columns], image_rows=rows,
    )  # fmt: skip


def sections_html(
    title: str,
    sections: Sequence[Section],
    folded: Sequence[Section] = (),
    pictures: Thumbnails | None = None,
) -> str:
    """Returns sections that are of no single report as one HTML file, a comparison for example.

    Args:
        title: Of the page.
        sections: What stands open.
        folded: What follows, each section folded.
        pictures: Small JPEG files to show.
    """
    page = PageState(pictures or {}, open=True)
    return render("sections.html", title, page=page, sections=sections, folded=folded)


def card_html(report: Report) -> str:
    """Returns the card for the cell of a notebook: no script, no address, nothing to load."""
    return (
        environment()
        .get_template("notebook.html")
        .render(
            page=PageState(),
            report=report,
            blocks=card(report),
            next=next_step(report),
            measured=provenance(report),
        )
    )


def render(
    template: str,
    title: str,
    style: str = COLOURS,
    script: str = "page.js",
    note: str = "",
    **values: Any,
) -> str:
    """Returns a page as HTML.

    Args:
        template: File of the template, which extends page.html.
        title: Of the document, and its first heading.
        style: What is added to the style of every page.
        script: File of its script.
        note: The line below the heading: date and version, for example.
        values: What the template shows; strings in it become text, whatever they hold.
    """
    style, script = page_file("page.css") + style, page_file(script)
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
        for text in (style, script)
    ]
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; "
        f"script-src 'sha256-{hashes[1]}'; base-uri 'none'; form-action 'none'"
    )
    return (
        environment()
        .get_template(template)
        .render(title=title, note=note, style=style, script=script, policy=policy, **values)
    )


@cache
def environment() -> Environment:
    """Returns the environment of all templates; a name that a template lacks is an error."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        finalize=_inert, trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.do"],
    )  # fmt: skip
    templates.filters |= FILTERS
    templates.tests |= TESTS
    templates.globals |= LIMITS
    templates.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return templates


@cache
def page_file(name: str) -> str:
    """Returns a style or script that pages are made of."""
    return (TEMPLATES / name).read_text("utf-8")


def _inert(value: Any) -> Any:
    """Returns a value without control characters, whose numbers keep their units.

    What was escaped before stays as it is.
    """
    return value if isinstance(value, Markup) else unbroken(plain(str(value)))
