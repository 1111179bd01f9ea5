"""report.html: the card with its pictures, then the evidence, then how to reproduce it."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from tuiprobe.report.common import (
    data_rows,
    nonfinite_rest,
    opening_pieces,
    subject_rows,
    table_files,
)
from tuiprobe.report.elements import append, inside
from tuiprobe.report.page import Contents, Page
from tuiprobe.report.pieces import PageOptions, Pictures, Pieces, long, shortened
from tuiprobe.report.terms import Terms
from tuiprobe.report.text import line as line_of
from tuiprobe.results import DataSet, Report
from tuiprobe.results.card import CardBlock, card
from tuiprobe.results.reproduce import command, command_note, software, speed, verified
from tuiprobe.results.section import (
    Chart,
    Code,
    Column,
    Content,
    Heading,
    Section,
    Strip,
    Table,
    Text,
)
from tuiprobe.results.subject import PROBE as PREFLIGHT

LISTED_IMAGES = 20
CARD_IMAGES = 8
"""Images at each end of a channel beside the card."""

READ = (
    "All intervals are 95 %. Full precision, n and method of every figure are in results.json and "
    "tables/."
)


def html(report: Report, pictures: Pictures | None = None, linked: bool = False) -> str:
    """Returns the whole report as one HTML file.

    Args:
        report: What was found.
        pictures: Small JPEG files to show; other files are left out.
        linked: Whether tables/ lies beside the page.
    """
    page = Page(report.title)
    _Report(page, report, PageOptions(pictures or {}, linked)).write()
    return page.written()


def sections_html(title: str, sections: Sequence[Section]) -> str:
    """Returns sections that are of no single report as one HTML file, a comparison for example."""
    page, terms = Page(title), Terms()
    pieces = Pieces(PageOptions({}, open=True), terms)
    contents = Contents(page.main)
    for number, one in enumerate(sections):
        terms.begin()
        _Told(pieces, contents, page.main).write(one, f"section{number}", ())
    _glossary(terms, contents, page.main)
    return page.written()


def _glossary(terms: Terms, contents: Contents, place: Element) -> None:
    if terms:
        section = contents.section(place, "Glossary")
        folded = inside(section, "details")
        inside(folded, "summary", "The terms of this page")
        terms.write(folded)


class _Told:
    """Sections as a page tells them: a sentence, a figure, what it means, and folded evidence.

    Args:
        pieces: Writes the pieces.
        contents: The list of sections.
        place: Where sections are appended.
    """

    def __init__(self, pieces: Pieces, contents: Contents, place: Element) -> None:
        self._pieces, self._contents, self._place = pieces, contents, place

    def write(self, told: Section, probe: str, files: Sequence[tuple[str, int]]) -> None:
        """Appends one section."""
        section = self._contents.section(self._place, told.title)
        self.inside(section, told, probe, files)

    def inside(
        self, section: Element, told: Section, probe: str, files: Sequence[tuple[str, int]]
    ) -> None:
        """Appends what a section says, without its heading."""
        if told.headline:
            line = inside(section, "p", class_="headline")
            self._pieces.text(line, told.headline, terms=True)
        rest = self._figure(section, told, probe)
        opening = rest[: opening_pieces(rest)]
        self._run(section, opening, probe)
        for heading, content in _parts(rest[len(opening) :]):
            if self._pieces.shown.open:
                self._pieces.content(section, heading, probe)
                self._run(section, content, probe)
            elif any(map(_shows, content)):
                part = inside(section, "details", class_="part")
                self._pieces.text(inside(inside(part, "summary"), "h3"), heading.text)
                self._run(part, content, probe, folded=False)
        self._pieces.files(section, files)

    def _figure(self, section: Element, told: Section, probe: str) -> list[Content]:
        """Appends the first figure, or where the card has it; returns the other pieces."""
        on_card = [
            (one, place)
            for one in told.content
            if isinstance(one, Chart | Strip) and (place := self._pieces.drawn(probe, one.id))
        ]
        if on_card:
            line = inside(section, "p", "Beside the card: ", class_="note")
            for i, (one, place) in enumerate(on_card):
                append(line, ", " if i else "")
                title = one.title if isinstance(one, Chart) else line_of(one.title)
                inside(line, "a", title, href=f"#{place}")
            append(line, ".")
        gone = [one for one, _ in on_card]
        rest = [one for one in told.content if one not in gone]
        charts = [one for one in rest if isinstance(one, Chart) and not one.folded]
        if charts and not on_card and not self._pieces.shown.open:
            self._pieces.chart(section, charts[0], probe)
            rest.remove(charts[0])
        return rest

    def _run(
        self, place: Element, content: Sequence[Content], probe: str, folded: bool = True
    ) -> None:
        more: Element | None = None
        for one in content:
            if isinstance(one, Chart) and (one.folded or (folded and not self._pieces.shown.open)):
                if more is None:
                    more = inside(place, "details")
                    inside(more, "summary", "More figures")
                self._pieces.content(more, one, probe)
            else:
                self._pieces.content(place, one, probe, folded)


def _parts(content: Sequence[Content]) -> list[tuple[Heading, list[Content]]]:
    """Returns each heading with what stands below it."""
    found: list[tuple[Heading, list[Content]]] = []
    for one in content:
        if isinstance(one, Heading):
            found.append((one, []))
        else:
            found[-1][1].append(one)
    return found


def _shows(one: Content) -> bool:
    """Returns whether a page shows anything of a piece."""
    if isinstance(one, Table):
        return one.reading and bool(one.rows) and not long(one)
    return not (isinstance(one, Strip) and one.folded)


class _Report:
    """A report on a page.

    Args:
        page: The page.
        report: What was found.
        shown: What the page shows.
    """

    def __init__(self, page: Page, report: Report, shown: PageOptions) -> None:
        self._page, self._report, self._terms = page, report, Terms()
        self._pieces = Pieces(shown, self._terms)
        self._files: dict[str, list[tuple[str, int]]] = {}
        for probe, name, table in table_files(report):
            if not table.reading or long(table):
                self._files.setdefault(probe, []).append((name, len(table.rows)))

    def write(self) -> None:
        """Writes everything, in order."""
        report, main = self._report, self._page.main
        if report.warnings:
            box = inside(self._page.header, "div", class_="warnings")
            warnings = inside(box, "ul")
            for warning in report.warnings:
                inside(warnings, "li", shortened(f"Warning: {warning}"))
        self._card(inside(main, "div", class_="card"))
        contents = Contents(main)
        told = _Told(self._pieces, contents, main)
        for part in report.parts:
            if part.section is not None and part.probe != PREFLIGHT:
                self._terms.begin()
                told.write(part.section, part.probe, self._files.get(part.probe, ()))
        self._not_run(contents)
        self._terms.begin()
        self._reproduce(contents.section(main, "How to reproduce"), told)
        _glossary(self._terms, contents, main)

    # The card.

    def _card(self, place: Element) -> None:
        if self._report.model.weights.kind == "untrained":
            inside(
                inside(place, "p"), "strong", "The weights are random."
            ).tail = " Nothing here describes a trained model."
        owners = {
            id: part.probe
            for part in self._report.parts
            if part.section is not None
            for id in part.section.pictures
        }
        for number, block in enumerate(card(self._report)):
            self._block(place, block, number, owners)

    def _block(self, place: Element, block: CardBlock, number: int, owners: dict[str, str]) -> None:
        kind = {} if block.pictures else {"class_": "plain"}
        if block.folded:
            place = inside(place, "details")
            inside(inside(place, "summary"), "h2", block.title)
        section = inside(place, "section", id=f"card{number}", **kind)
        if not block.folded:
            inside(section, "h2", block.title)
        self._pieces.points(inside(section, "div", class_="lines"), block.lines)
        if not block.pictures:
            return
        drawn = inside(section, "div")
        for one in block.pictures:
            if isinstance(one, Chart):
                self._pieces.chart(drawn, one, owners[one.id])
            else:
                self._pieces.strip(drawn, one, owners[one.id], CARD_IMAGES)

    # What is of no probe.

    def _not_run(self, contents: Contents) -> None:
        missing = [one for one in self._report.parts if one.not_run is not None]
        if missing:
            points = inside(contents.section(self._page.main, "Not run"), "ul")
            for one in missing:
                why = self._report.why_not(one.probe)
                inside(points, "li", shortened(f"{one.title}: {why}"))

    def _reproduce(self, section: Element, told: _Told) -> None:
        report = self._report
        if line := command(report):
            inside(inside(section, "pre"), "code", line)
        if note := command_note(report):
            inside(section, "p", note.replace("`", ""))
        if (checks := verified(report)) is not None:
            told.inside(section, checks, PREFLIGHT, self._files.get(PREFLIGHT, ()))
        self._pieces.pairs(section, "Software and machine", (*software(report), *speed(report)))
        inside(section, "p", READ)
        probed = inside(section, "details", class_="part")
        inside(inside(probed, "summary"), "h3", "What was probed")
        self._pieces.pairs(probed, "The encoder", subject_rows(report))
        header, rows = data_rows(report)
        columns = [Column(id=name, title=(name,)) for name in header]
        self._pieces.rows(probed, ("The images",), columns, rows)
        for one in report.data:
            self._lost(probed, one)

    def _lost(self, place: Element, one: DataSet) -> None:
        """Adds the lists of images that could not be used."""
        if one.skipped:
            rest = len(one.skipped) - LISTED_IMAGES
            self._images(
                place,
                ("Skipped images of ", Code(code=one.name), ":"),
                [(i.path, f": {i.reason}") for i in one.skipped[:LISTED_IMAGES]],
                f"and {rest:,} more in results.json" if rest > 0 else "",
            )
        if one.nonfinite:
            rest = nonfinite_rest(one, LISTED_IMAGES)
            why = " with a representation that is not finite, left out of every figure of it:"
            self._images(
                place,
                ("Images of ", Code(code=one.name), why),
                [(path, "") for path in one.nonfinite_images[:LISTED_IMAGES]],
                f"and {rest:,} more" if rest > 0 else "",
            )

    def _images(
        self,
        place: Element,
        about: Text,
        images: list[tuple[str, str]],
        rest: str,
    ) -> None:
        self._pieces.text(inside(place, "p"), about)
        points = inside(place, "ul")
        for path, reason in images:
            line = inside(points, "li")
            inside(line, "code", shortened(path))
            append(line, shortened(reason))
        if rest:
            inside(points, "li", rest)
