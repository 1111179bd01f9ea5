"""report.html: the whole report with figures and pictures, in one file that loads nothing.

The page is built as a tree of elements, so that an outside string can only be text. A content
security policy forbids scripts and requests besides.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from xml.etree.ElementTree import Element, tostring

from tuiprobe.plaintext import plain
from tuiprobe.report.common import (
    NAMED_IMAGES,
    computed_rows,
    data_rows,
    image_name,
    nonfinite_rest,
    subject_rows,
)
from tuiprobe.report.elements import element, inside
from tuiprobe.report.numbers import number
from tuiprobe.report.svg import COLOURS
from tuiprobe.report.svg import figure as drawing
from tuiprobe.report.text import said
from tuiprobe.results import DataSet, Report, TopImage
from tuiprobe.results.card import card
from tuiprobe.results.section import (
    Chart,
    Code,
    Content,
    Heading,
    Points,
    Prose,
    Section,
    Strip,
    StripEnd,
    Strong,
    Table,
    Text,
    Value,
)

Pictures = Mapping[tuple[str, int], bytes]
"""JPEG files by set and sample id."""

SHOWN_IMAGES = 8
LISTED_IMAGES = 20
LISTED_ROWS = 200
"""Rows of a table that a page shows; files hold all."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
:root { color-scheme: light dark; --page: #fdfdfc; --text: #1b2530; --soft: #5d6b78;
  --rule: #dde2e7; --head: #f1f3f5; --warn: #fff4df; --link: #1f6fb2; }
@media (prefers-color-scheme: dark) { :root { --page: #11151a; --text: #d8dee6; --soft: #8f9ba8;
  --rule: #2b333c; --head: #1a2028; --warn: #2e2714; --link: #5aa9e6; } }
body { background: var(--page); color: var(--text); margin: 0 auto; padding: 2rem 1.5rem 4rem;
  max-width: 72rem; font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin-top: 2.5rem; padding-top: .8rem; border-top: 1px solid var(--rule);
  overflow-wrap: anywhere; }
code { font: .88em ui-monospace, monospace; overflow-wrap: anywhere; }
blockquote { margin: 1rem 0; padding: .2rem 1rem; background: var(--warn);
  border-left: 4px solid #e0a030; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .28rem .8rem .28rem .4rem;
  border-bottom: 1px solid var(--rule); }
th { background: var(--head); }
h3 { font-size: 1rem; margin-top: 1.6rem; overflow-wrap: anywhere; }
.headline { font-size: 1.05rem; }
figure { margin: 1.2rem 0; }
figure svg { width: 100%; max-width: 50rem; height: auto; display: block; }
.pictures { display: flex; flex-wrap: wrap; gap: .6rem; }
.pictures div { width: 96px; font-size: .72rem; color: var(--soft); overflow-wrap: anywhere; }
.pictures img { width: 96px; height: 96px; object-fit: contain; background: var(--head);
  display: block; }
summary { cursor: pointer; color: var(--link); }
nav a { color: var(--link); margin-right: 1rem; }
@media print { details > * { display: block; } nav { display: none; } }
"""


def html(report: Report, pictures: Pictures | None = None) -> str:
    """Returns the whole report as one HTML file.

    Args:
        report: What was found.
        pictures: Small JPEG files to show; other files are left out.
    """
    page, body = _shell(report.title)
    inside(body, "h1", report.title)
    navigation = inside(body, "nav")
    _Page(body, navigation, pictures or {}).write(report)
    return _written(page)


def sections_html(title: str, sections: Sequence[Section]) -> str:
    """Returns sections that are of no single report as one HTML file, a comparison for example."""
    page, body = _shell(title)
    inside(body, "h1", title)
    written = _Page(body, inside(body, "nav"), {})
    for one in sections:
        written.told(one)
    return _written(page)


def _shell(title: str) -> tuple[Element, Element]:
    """Returns an empty page and its body."""
    page = element("html", lang="en")
    head = inside(page, "head")
    inside(head, "meta", charset="utf-8")
    inside(head, "meta", http_equiv="Content-Security-Policy", content=_POLICY)
    inside(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    inside(head, "title", title)
    inside(head, "style").text = _STYLE + COLOURS
    return page, inside(page, "body")


def _written(page: Element) -> str:
    return "<!DOCTYPE html>\n" + tostring(page, encoding="unicode", method="html")


class _Page:
    """The body of the page while it is written."""

    def __init__(self, body: Element, navigation: Element, pictures: Pictures) -> None:
        self._body, self._navigation, self._pictures = body, navigation, pictures
        self._count = 0

    def write(self, report: Report) -> None:
        """Writes everything, in order."""
        if report.warnings:
            warnings = inside(inside(self._body, "blockquote"), "ul")
            for warning in report.warnings:
                inside(warnings, "li", f"Warning: {warning}")
        self._card(report)
        self._subject(report)
        for part in report.parts:
            if part.section is not None:
                self.told(part.section)
        self._not_run(report)
        self._computed(report)

    def _section(self, title: str) -> Element:
        self._count += 1
        name = f"s{self._count}"
        section = inside(self._body, "section", id=name)
        inside(section, "h2", title)
        inside(self._navigation, "a", title, href=f"#{name}").tail = " "
        return section

    def _card(self, report: Report) -> None:
        section = self._section("The answer")
        if report.model.weights.kind == "untrained":
            inside(
                inside(section, "p"), "strong", "The weights are random."
            ).tail = " Nothing here describes a trained model."
        for block in card(report):
            inside(section, "h3", block.title)
            points = inside(section, "ul")
            for one in block.lines:
                _text(inside(points, "li"), one)

    def _subject(self, report: Report) -> None:
        section = self._section("What was probed")
        _rows(section, (), ((name, *text) for name, text in _joined(subject_rows(report))))
        header, rows = data_rows(report)
        _rows(section, tuple((name,) for name in header), rows)
        for one in report.data:
            _lost(section, one)

    def told(self, told: Section) -> None:
        """Writes one section."""
        section = self._section(told.title)
        if told.headline:
            _text(inside(section, "p", class_="headline"), told.headline)
        folded: Element | None = None
        for one in told.content:
            place = section
            if isinstance(one, Chart) and one.folded:
                if folded is None:
                    folded = inside(section, "details")
                    inside(folded, "summary", "More charts")
                place = folded
            self._add(place, one)

    def _add(self, place: Element, one: Content) -> None:
        if isinstance(one, Heading):
            _text(inside(place, "h3"), one.text)
        elif isinstance(one, Prose):
            _text(inside(place, "p"), one.text)
        elif isinstance(one, Points):
            points = inside(place, "ul")
            for item in one.items:
                _text(inside(points, "li"), item)
        elif isinstance(one, Table):
            _table(place, one)
        elif isinstance(one, Chart):
            if any(series.x for series in one.series):
                inside(place, "figure").append(drawing(one))
        elif isinstance(one, Strip) and not one.folded:
            self._strip(place, one)

    def _strip(self, place: Element, one: Strip) -> None:
        for end in one.ends:
            shown = [
                image
                for image in end.images[:SHOWN_IMAGES]
                if _is_jpeg(self._pictures.get((one.data, image.sample_id)))
            ]
            if not shown:
                _named(place, one, end)
                continue
            _text(inside(place, "p"), (*one.title, f", {end.label}:"))
            row = inside(place, "div", class_="pictures")
            for image in shown:
                _picture(row, image, self._pictures[one.data, image.sample_id])

    def _not_run(self, report: Report) -> None:
        missing = [one for one in report.parts if one.not_run is not None]
        if missing:
            points = inside(self._section("Not run"), "ul")
            for one in missing:
                inside(points, "li", f"{one.title}: {report.why_not(one.probe)}")

    def _computed(self, report: Report) -> None:
        section = self._section("How it was computed")
        inside(
            section, "p",
            "All intervals are 95 %. Full precision, n and method of every figure are in "
            "results.json and tables/.",
        )  # fmt: skip
        _rows(section, (), ((name, *text) for name, text in _joined(computed_rows(report))))


def _joined(rows: Iterable[tuple[str, Text]]) -> Iterable[tuple[str, tuple[Text]]]:
    return ((name, (text,)) for name, text in rows)


def _text(place: Element, text: Text) -> None:
    """Appends the pieces of one line."""
    for piece in text:
        if isinstance(piece, Code):
            inside(place, "code", piece.code)
        elif isinstance(piece, Strong):
            inside(place, "strong", piece.strong)
        else:
            _append(place, said(piece))


def _append(parent: Element, text: str) -> None:
    """Appends text after the existing content of `parent`."""
    clean = plain(text)
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + clean
    else:
        parent.text = (parent.text or "") + clean


def _rows(place: Element, header: tuple[Text, ...], rows: Iterable[Iterable[Value | Text]]) -> None:
    table = inside(inside(place, "div", class_="table"), "table")
    if header:
        heads = inside(inside(table, "thead"), "tr")
        for title in header:
            _text(inside(heads, "th"), title)
    body = inside(table, "tbody")
    for row in rows:
        cells = inside(body, "tr")
        for cell in row:
            _text(inside(cells, "td"), cell if isinstance(cell, tuple) else (cell,))


def _table(place: Element, one: Table) -> None:
    if not one.reading or not one.rows:
        return
    if one.folded:
        place = inside(place, "details")
        counted = f"{len(one.rows):,} row{'s' if len(one.rows) > 1 else ''}"
        _text(inside(place, "summary"), one.title or (f"Table of {counted}",))
    elif one.title:
        _text(inside(place, "p"), one.title)
    shown = one.rows[: LISTED_ROWS if one.shown is None else one.shown]
    _rows(place, tuple(column.title for column in one.columns), shown)
    rest = len(one.rows) - len(shown)
    if rest > 0:
        inside(place, "p", f"and {rest:,} more in tables/{one.id + '.csv' if one.file else ''}")


def _lost(place: Element, one: DataSet) -> None:
    """Adds the lists of images that could not be used."""
    if one.skipped:
        _text(inside(place, "p"), ("Skipped images of ", Code(code=one.name), ":"))
        points = inside(place, "ul")
        for image in one.skipped[:LISTED_IMAGES]:
            _text(inside(points, "li"), (Code(code=image.path), f": {image.reason}"))
        if len(one.skipped) > LISTED_IMAGES:
            rest = len(one.skipped) - LISTED_IMAGES
            inside(points, "li", f"and {rest:,} more in results.json")
    if one.nonfinite:
        why = " with a representation that is not finite, left out of every figure of it:"
        _text(inside(place, "p"), ("Images of ", Code(code=one.name), why))
        points = inside(place, "ul")
        for path in one.nonfinite_images[:LISTED_IMAGES]:
            _text(inside(points, "li"), (Code(code=path),))
        if (rest := nonfinite_rest(one, LISTED_IMAGES)) > 0:
            inside(points, "li", f"and {rest:,} more")


def _is_jpeg(content: bytes | None) -> bool:
    return content is not None and content.startswith(b"\xff\xd8\xff")


def _named(place: Element, strip: Strip, end: StripEnd) -> None:
    """Names the images at one end, where there are no pictures of them."""
    text: list[Value] = [*strip.title, f", {end.label}: "]
    for i, image in enumerate(end.images[:NAMED_IMAGES]):
        text += [", " if i else None, Code(code=image_name(image)), f" ({number(image.value)})"]
    _text(inside(place, "p"), tuple(text))


def _picture(row: Element, image: TopImage, content: bytes) -> None:
    box, name = inside(row, "div"), image_name(image)
    encoded = base64.b64encode(content).decode("ascii")
    inside(box, "img", src=f"data:image/jpeg;base64,{encoded}", alt=name)
    inside(box, "span", f"{number(image.value)} {name}")
