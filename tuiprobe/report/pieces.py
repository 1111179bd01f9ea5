"""The pieces of a description as elements of a page: lines, tables, figures, pictures."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from tuiprobe.plaintext import plain
from tuiprobe.report.common import NAMED_IMAGES, image_name
from tuiprobe.report.elements import append, inside
from tuiprobe.report.svg import legend, plot
from tuiprobe.report.terms import Terms
from tuiprobe.report.text import in_column, said
from tuiprobe.results import Estimate, TopImage
from tuiprobe.results.section import (
    Chart,
    Code,
    Column,
    Content,
    Heading,
    Points,
    Prose,
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
"""Images at one end of a channel or direction that a page shows."""
LISTED_ROWS = 100
"""Rows of a table that a page shows; files hold all."""
LISTED_POINTS = 400
"""Points of a figure that a page lists as a table too."""
LONGEST_TEXT, LONGEST_LABEL = 2000, 120
"""Letters of a piece of text, and of a label or a word, that a page shows."""
_LONG_WORD = re.compile(rf"\S{{{LONGEST_LABEL + 1},}}")
_PIECE = 12
_LONGEST_NAME = 36


@dataclass(frozen=True)
class PageOptions:
    """What a page shows.

    Attributes:
        pictures: Small JPEG files by set and sample id; other files are left out.
        linked: Whether tables/ lies beside the page, so that links to it lead somewhere.
        open: Whether tables stand open.
    """

    pictures: Pictures
    linked: bool = False
    open: bool = False


class Pieces:
    """Writes pieces of descriptions.

    Args:
        shown: What the page shows.
        terms: Where terms are explained.
    """

    def __init__(self, shown: PageOptions, terms: Terms) -> None:
        self.shown, self.terms = shown, terms
        self._figures: dict[tuple[str, str], str] = {}

    def content(self, place: Element, one: Content, probe: str, folded: bool = True) -> None:
        """Appends one piece; tables that only files hold are left out.

        Args:
            place: Where it is appended.
            one: The piece.
            probe: Whose it is.
            folded: Whether tables are folded.
        """
        if isinstance(one, Heading):
            self.text(inside(place, "h3"), one.text)
        elif isinstance(one, Prose):
            self.text(inside(place, "p"), one.text, terms=True)
        elif isinstance(one, Points):
            self.points(place, one.items)
        elif isinstance(one, Table):
            self.table(place, one, folded and not self.shown.open)
        elif isinstance(one, Chart):
            self.chart(place, one, probe)
        elif not one.folded:
            self.strip(place, one, probe)

    def text(self, place: Element, text: Text, terms: bool = False) -> None:
        """Appends the pieces of one line.

        Args:
            place: Where they are appended.
            text: The line.
            terms: Whether the first mention of a term is explained.
        """
        for piece in text:
            if isinstance(piece, Code):
                inside(place, "code", shortened(piece.code))
            elif isinstance(piece, Strong):
                strong = inside(place, "strong")
                self._words(strong, shortened(piece.strong), terms)
            else:
                self._words(place, shortened(said(piece)), terms and isinstance(piece, str))

    def _words(self, place: Element, text: str, terms: bool) -> None:
        if terms:
            self.terms.explain(place, text)
        else:
            append(place, text)

    def points(self, place: Element, items: Iterable[Text]) -> None:
        """Appends a list of sentences."""
        listed = inside(place, "ul")
        for item in items:
            self.text(inside(listed, "li"), item, terms=True)

    # Tables.

    def table(self, place: Element, one: Table, folded: bool) -> None:
        """Appends a table, folded or open; none that only files hold or that `long` says."""
        if not one.rows or not one.reading or long(one):
            return
        shown = one.rows[:LISTED_ROWS]
        name: Text = one.title or (one.id.replace("_", " ").capitalize(),)
        if isinstance(name[-1], str):
            name = (*name[:-1], name[-1].removesuffix(":"))
        if folded:
            place = inside(place, "details")
            counted = f"{len(one.rows):,} row{'s' if len(one.rows) > 1 else ''}"
            self.text(inside(place, "summary"), (*name, f" ({counted})"))
        self.rows(place, name, one.columns, shown)
        if (rest := len(one.rows) - len(shown)) > 0:
            inside(place, "p", f"and {rest:,} more in tables/", class_="note")

    def rows(
        self, place: Element, name: Text, columns: Sequence[Column], rows: Sequence[Sequence[Value]]
    ) -> None:
        """Appends an open table."""
        words = shortened("".join(said(piece) for piece in name), LONGEST_LABEL)
        table = scrolled(place, words)
        heads = inside(inside(table, "thead"), "tr")
        for column in columns:
            title = column.title if any(said(one) for one in column.title) else (column.id,)
            self.text(inside(heads, "th", scope="col"), title)
        body = inside(table, "tbody")
        for row in rows:
            cells = inside(body, "tr")
            for value, column in zip(row, columns, strict=True):
                self.text(inside(cells, "td", **_sorted_by(value)), (in_column(value, column),))

    def pairs(self, place: Element, name: str, rows: Iterable[tuple[str, Text]]) -> None:
        """Appends names and values as a table."""
        body = inside(scrolled(place, name, pairs=True), "tbody")
        for title, text in rows:
            row = inside(body, "tr")
            inside(row, "th", title, scope="row")
            self.text(inside(row, "td"), text)

    def files(self, place: Element, files: Sequence[tuple[str, int]]) -> None:
        """Appends where the tables are that the page does not show in full."""
        if not files:
            return
        line = inside(place, "p", "In full: ", class_="files")
        for i, (name, rows) in enumerate(files):
            path = f"tables/{name}.csv"
            if self.shown.linked:
                inside(line, "a", path, href=path)
            else:
                inside(line, "code", path)
            append(line, f" ({rows:,} rows){'' if i + 1 == len(files) else ', '}")

    # Figures.

    def chart(self, place: Element, one: Chart, probe: str) -> None:
        """Appends a chart with its title, legend and note; one without points is left out."""
        if not any(series.x for series in one.series):
            return
        figure = inside(place, "figure", id=self._id(probe, one.id))
        inside(figure, "figcaption", shortened(one.title, LONGEST_LABEL))
        figure.append(plot(one))
        listed = inside(figure, "ul", class_="legend")
        for name, swatch in legend(one):
            item = inside(listed, "li")
            item.append(swatch)
            swatch.tail = plain(shortened(name, LONGEST_LABEL))
        if any(series.names for series in one.series):
            inside(figure, "p", class_="reading", role="status")
        if one.note:
            inside(figure, "p", one.note, class_="note")
        if not one.folded:
            self._named_points(figure, one)

    def _named_points(self, figure: Element, one: Chart) -> None:
        """Lists the named points of a chart, for readers who cannot point at them."""
        rows: list[Sequence[Value]] = [
            (series.names[i], series.name, series.x[i], series.y[i])
            for series in reversed(one.back_to_front())
            if series.names
            for i in range(len(series.x))
        ]
        if not rows:
            return
        shown = rows[:LISTED_POINTS]
        titles = (
            "model",
            "shown as",
            *(shortened(x, LONGEST_LABEL) for x in (one.x_label, one.y_label)),
        )
        units = ("none", "none", one.x_unit, one.y_unit)
        columns = [
            Column(id=f"c{i}", title=(title,), unit=unit)
            for i, (title, unit) in enumerate(zip(titles, units, strict=True))
        ]
        folded = inside(figure, "details")
        inside(folded, "summary", f"The {len(rows):,} models of the figure")
        self.rows(folded, ("Models of the figure",), columns, shown)
        if len(rows) > len(shown):
            inside(folded, "p", f"and {len(rows) - len(shown):,} more in the figure", class_="note")

    def strip(self, place: Element, one: Strip, probe: str, most: int = SHOWN_IMAGES) -> None:
        """Appends the pictures at both ends, or the names of those without one."""
        figure = inside(place, "figure", id=self._id(probe, one.id))
        self.text(inside(figure, "figcaption"), (*one.title, ", images of ", Code(code=one.data)))
        for end in one.ends:
            shown = [
                (image, text)
                for image, text in end.captioned(most)
                if _is_jpeg(self.shown.pictures.get((one.data, image.sample_id)))
            ]
            if not shown:
                self._named(figure, end)
                continue
            inside(figure, "p", f"{end.label}:", class_="end")
            row = inside(figure, "div", class_="pictures")
            for image, text in shown:
                _picture(row, image, text, self.shown.pictures[one.data, image.sample_id])

    def _named(self, place: Element, end: StripEnd) -> None:
        """Names the images at one end, where there are no pictures of them."""
        text: list[Value] = [f"{end.label}: "]
        for i, (image, below) in enumerate(end.captioned(NAMED_IMAGES)):
            text += [", " if i else None, Code(code=image_name(image)), f" ({below})"]
        self.text(inside(place, "p", class_="end"), tuple(text))

    def _id(self, probe: str, id: str) -> str:
        name = self._figures[probe, id] = f"figure-{probe}-{id}".replace("_", "-")
        return name

    def drawn(self, probe: str, id: str) -> str:
        """Returns the place of a figure that stands on the page already; empty if it does not."""
        return self._figures.get((probe, id), "")


def shortened(text: str, most: int = LONGEST_TEXT) -> str:
    """Returns text that a page can hold; names of ten thousand letters are whole in the files.

    >>> shortened("short"), shortened("x" * 300, 9), len(shortened("a " + "x" * 300 + " b"))
    ('short', 'xxxxxxxx…', 124)
    """
    if len(text) <= LONGEST_LABEL:
        return text if len(text) <= most else f"{text[: most - 1]}…"
    words = _LONG_WORD.sub(lambda word: f"{word[0][: LONGEST_LABEL - 1]}…", text)
    return words if len(words) <= most else f"{words[: most - 1]}…"


def long(one: Table) -> bool:
    """Returns whether a page only says where a table is."""
    return one.file and len(one.rows) > LISTED_ROWS


def scrolled(place: Element, name: str, pairs: bool = False) -> Element:
    """Appends a table that scrolls by itself where it is wider than the page."""
    around = inside(place, "div", class_="table", role="group", aria_label=name, tabindex=0)
    table = inside(around, "table", class_="pairs" if pairs else "data")
    inside(table, "caption", name)
    return table


def _sorted_by(value: Value) -> dict[str, str]:
    """Returns the number by which a cell is sorted; nothing for text."""
    if isinstance(value, Estimate):
        return {"data_v": f"{value.value:.6g}"}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"data_v": f"{value:.6g}"}
    return {}


def _is_jpeg(content: bytes | None) -> bool:
    return content is not None and content.startswith(b"\xff\xd8\xff")


def _picture(row: Element, image: TopImage, text: str, content: bytes) -> None:
    box, name = inside(row, "div"), image_name(image)
    encoded = base64.b64encode(content).decode("ascii")
    inside(box, "img", src=f"data:image/jpeg;base64,{encoded}", alt=shortened(name, LONGEST_LABEL))
    inside(box, "b", shortened(text)).tail = " "
    for i, piece in enumerate(caption(name)):
        if i:
            inside(box, "wbr")
        append(box, piece)


def caption(name: str) -> list[str]:
    """Returns a file's name in pieces between which a line may end; the extension stays whole.

    >>> caption("val/ILSVRC2012_val_00000293.JPEG")
    ['ILSVRC2012_', 'val_', '00000293.JPEG']
    >>> caption("x" * 30 + ".jpg")
    ['xxxxxxxxxxxx', 'xxxxxxxxxxxx', 'xxxxxx.jpg']
    >>> caption("y" * 99 + ".jpg")
    ['yyyyyyyyyyyy', 'yyyyyyyyyyy…', 'yyyyyyyy.jpg']
    """
    last = name.rpartition("/")[2] or name
    if len(last) > _LONGEST_NAME:
        last = f"{last[: _LONGEST_NAME - 13]}…{last[-12:]}"
    stem, dot, extension = last.rpartition(".")
    if not dot or len(extension) > _PIECE // 2:
        stem, dot, extension = last, "", ""
    pieces = [
        part[at : at + _PIECE]
        for part in re.findall(r"[^_\- ]*[_\- ]|[^_\- ]+", stem)
        for at in range(0, len(part), _PIECE)
    ]
    return [*pieces[:-1], f"{''.join(pieces[-1:])}{dot}{extension}"]
