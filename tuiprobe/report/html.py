"""report.html: the card with its pictures, then the evidence, then how to reproduce it."""

from __future__ import annotations

from collections.abc import Sequence

from tuiprobe.report.common import data_rows, subject_rows, table_files
from tuiprobe.report.page import environment, render
from tuiprobe.report.pieces import PageState, Pictures, has_points, only_in_a_file, shortened
from tuiprobe.results import Report
from tuiprobe.results.card import card, sets_axis
from tuiprobe.results.reproduce import (
    command,
    command_note,
    provenance,
    software,
    speed,
    verified,
)
from tuiprobe.results.section import Column, Section
from tuiprobe.results.subject import PROBE as PREFLIGHT

LISTED_IMAGES = 20
"""Images that could not be used, of each set, that a page names."""


def html(report: Report, pictures: Pictures | None = None, linked: bool = False) -> str:
    """Returns the whole report as one HTML file.

    Args:
        report: What was found.
        pictures: Small JPEG files to show; other files are left out.
        linked: Whether tables/ lies beside the page.
    """
    blocks = card(report)
    described = [one for one in report.parts if one.section is not None and one.probe != PREFLIGHT]
    not_run = [one for one in report.parts if one.not_run is not None]
    owners = {id: one.probe for one in report.parts if one.section for id in one.section.pictures}
    tables: dict[str, list[tuple[str, int]]] = {}
    for probe, name, table in table_files(report):
        if not table.reading or only_in_a_file(table):
            tables.setdefault(probe, []).append((f"tables/{name}.csv", len(table.rows)))
    drawn = [one for block in blocks for one in block.pictures if has_points(one)]
    page = PageState(
        pictures or {}, linked, on_card={(owners[one.id], one.id) for one in drawn}, tables=tables
    )
    columns, rows = data_rows(report)
    titles = [one.section.title for one in described if one.section is not None]
    return render(
        "report.html", report.title, page=page, report=report, blocks=blocks, owners=owners,
        axis=sets_axis(report), note=f"{provenance(report)} · {shortened(report.model.name, 120)}",
        described=described, not_run=not_run, preflight=PREFLIGHT,
        titles=[*titles, *["Not run"] * bool(not_run), "How to reproduce"],
        command=command(report), command_note=command_note(report), checks=verified(report),
        machine=(*software(report), *speed(report)), encoder=list(subject_rows(report)),
        image_columns=[Column(id=name, title=(name,)) for name in columns], image_rows=rows,
        listed_images=LISTED_IMAGES,
    )  # fmt: skip


def sections_html(title: str, sections: Sequence[Section]) -> str:
    """Returns sections that are of no single report as one HTML file, a comparison for example."""
    return render("sections.html", title, page=PageState(open=True), sections=sections)


def card_html(report: Report) -> str:
    """Returns the card for the cell of a notebook: no script, no address, nothing to load."""
    template = environment().get_template("notebook.html")
    return template.render(
        page=PageState(), report=report, blocks=card(report), measured=provenance(report)
    )
