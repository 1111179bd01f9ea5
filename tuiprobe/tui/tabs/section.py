"""The generic tab of a probe: renders its section."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rich.table import Table as RichTable
from rich.text import Text as RichText
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content as Styled
from textual.widget import Widget
from textual.widgets import Static

from tuiprobe.catalog.glossary import mentioned
from tuiprobe.plaintext import plain
from tuiprobe.report.text import in_column, line
from tuiprobe.results import Part
from tuiprobe.results.section import Chart, Content, Heading, Points, Prose, Strip, Table
from tuiprobe.tui.tabs.tab import SHOWN, ResultTab, ShownRun
from tuiprobe.tui.text import inert
from tuiprobe.tui.widgets.chart import ChartView
from tuiprobe.tui.widgets.pictures import PictureGrid

LISTED_ROWS = 100
"""Rows of a table that the tab shows; exported files hold all."""


class SectionTab(ResultTab):
    """The section of a probe, from top to bottom.

    Args:
        found: The run.
        part: The part of the probe.
    """

    ANSWERS = frozenset({"copy"})
    SCOPED_CSS = False
    DEFAULT_CSS = """
    SectionTab VerticalScroll { padding: 0 1; }
    SectionTab Static { height: auto; margin: 0 0 1 0; }
    SectionTab .section-heading { color: $secondary; text-style: bold; }
    SectionTab .section-headline { text-style: bold; }
    SectionTab ChartView { height: 16; }
    SectionTab PictureGrid { height: 12; }
    """

    def __init__(self, found: ShownRun, part: Part) -> None:
        super().__init__(found)
        self._part = part

    def compose(self) -> ComposeResult:
        """Lays the section out."""
        section = self._part.section
        if section is None:
            yield Static(inert(self.found.why_not(self._part.probe)), classes="none")
            return
        with VerticalScroll(classes="panel", can_focus=True) as scroll:
            scroll.border_title = inert(section.title)
            if section.headline:
                yield Static(inert(line(section.headline)), classes="section-headline")
            for one in section.content:
                yield from self._widgets(one)

    async def on_mount(self) -> None:
        """Shows charts and pictures."""
        section = self._part.section
        content = section.content if section is not None else ()
        charts = [one for one in content if isinstance(one, Chart)]
        for view, chart in zip(self.query(ChartView), charts, strict=True):
            view.show(chart)
        strips = [one for one in content if isinstance(one, Strip) and not one.folded]
        for grid, strip in zip(self.query(PictureGrid), strips, strict=True):
            await grid.show(
                [
                    (
                        f"{line(strip.title)}, {end.label}",
                        [
                            replace(self.found.picture(strip.data, image), value=text)
                            for image, text in end.captioned(SHOWN)
                        ],
                    )
                    for end in strip.ends
                ]
            )

    def first(self) -> Widget | None:
        """Returns the section, which scrolls."""
        return next(iter(self.query(VerticalScroll)), None)

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the title, the headline and the headings of the tables."""
        section = self._part.section
        if section is None:
            return ("not-run",)
        tables = [one for one in section.content if isinstance(one, Table) and one.reading]
        words = [section.title, line(section.headline)]
        words += [line(column.title) for one in tables for column in one.columns]
        return tuple(one.id for one in mentioned(" . ".join(words)))

    def copied(self) -> str:
        """Returns the headline, or why there is none."""
        section = self._part.section
        return line(section.headline) if section is not None else self._part.not_run or ""

    def _widgets(self, one: Content) -> Iterator[Widget]:
        if isinstance(one, Heading):
            yield Static(inert(line(one.text)), classes="section-heading")
        elif isinstance(one, Prose):
            yield Static(inert(line(one.text)))
        elif isinstance(one, Points):
            yield Static(Styled("\n".join(f"- {line(item)}" for item in one.items)))
        elif isinstance(one, Table):
            if one.reading and one.rows:
                yield Static(_table(one))
        elif isinstance(one, Chart):
            yield ChartView()
        elif not one.folded:
            yield PictureGrid()


def _table(one: Table) -> RichTable:
    """Returns a table without the columns in which no row says anything."""
    table = RichTable(box=None, pad_edge=False, title_justify="left")
    if one.title:
        table.title = RichText(plain(line(one.title)))
    rows = [
        [line((in_column(value, column),)) for value, column in zip(row, one.columns, strict=True)]
        for row in one.rows[:LISTED_ROWS]
    ]
    kept = [i for i in range(len(one.columns)) if {row[i] for row in rows} - {"", "-"}]
    for i in kept:
        table.add_column(RichText(line(one.columns[i].title)), overflow="fold")
    for cells in rows:
        table.add_row(*(RichText(cells[i]) for i in kept))
    if len(one.rows) > LISTED_ROWS:
        table.caption = RichText(f"and {len(one.rows) - LISTED_ROWS:,} more: e exports them")
    return table
