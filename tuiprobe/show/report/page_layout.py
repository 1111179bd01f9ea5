"""A section in the order of a page, and the words, rows and pictures that templates show."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tuiprobe.catalog.glossary import Term, mentions
from tuiprobe.results import Estimate, TopImage
from tuiprobe.results.section import (
    Bullets,
    Chart,
    Code,
    Column,
    Heading,
    Section,
    SectionContent,
    Strip,
    StripEnd,
    Strong,
    Table,
    Text,
    Value,
)
from tuiprobe.show.report.strings import NAMED_IMAGES, cells_of, image_name, value_text
from tuiprobe.show.report.strings import line as line_of
from tuiprobe.show.report.svg import legend, plot

Thumbnails = Mapping[tuple[str, int], bytes]
"""JPEG files by set and sample id."""

LISTED_ROWS = 100
"""Rows of a table that a page or a screen shows; files hold all."""
LONGEST_TEXT, LONGEST_LABEL = 2000, 120
"""Letters of a piece of text, and of a label or a word, that a page shows."""
_LONG_WORD = re.compile(rf"\S{{{LONGEST_LABEL + 1},}}")
_LONGEST_NAME = 36
_SENTENCE = 40
"""Letters from which on a text is a sentence: a shorter one may be a part of any line."""
_OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z0-9-]{1,40})")

Words = list[tuple[str, Term | None]]
"""Text in pieces, each with the term that it leads to."""


class Layout(NamedTuple):
    """A section in the order of a page.

    Attributes:
        on_card: Figures that the card shows.
        opening: What stands open; a list of charts is folded.
        parts: Each heading with what is folded below it.
        tables_folded: Whether tables of the opening are folded.
    """

    on_card: list[Chart | Strip]
    opening: list[SectionContent | list[Chart]]
    parts: list[tuple[Heading, list[SectionContent | list[Chart]]]]
    tables_folded: bool


@dataclass
class PageState:
    """What stands on a page, and which terms it has explained so far.

    Attributes:
        small: Small JPEG files to show; other files are left out.
        linked: Whether tables/ lies next to the page, so that links to it lead somewhere.
        open: Whether tables stand open.
        on_card: Figures of the card, by probe and id.
        tables: Path and rows of the tables that only files hold in full, by probe.
        card_text: The lines of the card, which sections do not repeat.
    """

    small: Thumbnails = field(default_factory=dict)
    linked: bool = False
    open: bool = False
    on_card: Collection[tuple[str, str]] = ()
    tables: Mapping[str, Sequence[tuple[str, int]]] = field(default_factory=dict)
    card_text: str = ""
    _used: dict[str, Term] = field(default_factory=dict)
    _in_section: set[str] = field(default_factory=set)

    @property
    def terms(self) -> list[Term]:
        """The terms used so far, by name."""
        return sorted(self._used.values(), key=lambda term: term.name.casefold())

    def repeats(self, text: Text) -> bool:
        """Returns whether a line stands on the card already."""
        return line_of(text) in self.card_text

    def begin_section(self) -> None:
        """Begins a section, which marks its terms again."""
        self._in_section.clear()

    def files(self, probe: str) -> Sequence[tuple[str, int]]:
        """Returns path and rows of a probe's tables that the page does not show in full."""
        return self.tables.get(probe, ())

    def words(self, text: Text, explained: bool = False) -> Iterator[tuple[str, Words]]:
        """Yields the pieces of a line: an element, empty for none, and the words inside it.

        Args:
            text: The line.
            explained: Whether the first mention of a term in a section leads to the glossary.
        """
        for piece in text:
            if isinstance(piece, Code):
                yield "code", [(shortened(piece.code), None)]
                continue
            tag = "strong" if isinstance(piece, Strong) else ""
            words = shortened(value_text(piece))
            if explained and isinstance(piece, str | Strong):
                yield tag, list(self._explained(words))
            else:
                yield tag, [(words, None)]

    def _explained(self, text: str) -> Iterator[tuple[str, Term | None]]:
        done = 0
        for start, end, term in mentions(text):
            name = text[start:end]
            # A set that is called "objectnet" is not the published ObjectNet.
            if term.id in self._in_section or (name.islower() and name not in term.words):
                continue
            self._in_section.add(term.id)
            self._used[term.id] = term
            yield text[done:start], None
            yield name, term
            done = end
        yield text[done:], None

    def layout(self, section: Section, probe: str) -> Layout:
        """Returns a section in the order of a page: figure, meaning, then folded evidence."""
        visible = [piece for piece in map(self._unrepeated, section.content) if _visible(piece)]
        on_card = [
            piece
            for piece in visible
            if isinstance(piece, Chart | Strip) and (probe, piece.id) in self.on_card
        ]
        others = [piece for piece in visible if piece not in on_card]
        charts = [piece for piece in others if isinstance(piece, Chart) and not piece.folded]
        first = charts[:1] if not (on_card or self.open) else []
        others = [piece for piece in others if piece not in first]
        opening = others[: opening_pieces(others)]
        parts: list[tuple[Heading, list[SectionContent]]] = []
        for piece in others[len(opening) :]:
            if isinstance(piece, Heading):
                parts.append((piece, []))
            else:
                parts[-1][1].append(piece)
        return Layout(
            on_card,
            [*first, *_figures_folded(opening, all_of_them=not self.open)],
            [(head, _figures_folded(under)) for head, under in parts if self.open or under],
            tables_folded=not self.open,
        )

    def _unrepeated(self, piece: SectionContent) -> SectionContent:
        """Returns a piece without the sentences of a list that stand on the card already."""
        if not isinstance(piece, Bullets):
            return piece
        items = [
            item for item in piece.items if len(line_of(item)) < _SENTENCE or not self.repeats(item)
        ]
        return piece.model_copy(update={"items": tuple(items)})

    def pictures(self, data: str, end: StripEnd, most: int) -> list[tuple[TopImage, str, str]]:
        """Returns the first images at an end that have a picture: image, caption, source."""
        sources = []
        for image, below in end.captioned(most):
            content = self.small.get((data, image.sample_id), b"")
            if content.startswith(b"\xff\xd8\xff"):
                encoded = base64.b64encode(content).decode("ascii")
                sources.append((image, below, f"data:image/jpeg;base64,{encoded}"))
        return sources


def opening_pieces(content: Sequence[SectionContent]) -> int:
    """Returns the number of pieces that open a section: those before the second of its parts."""
    headings = (i for i, piece in enumerate(content) if i and isinstance(piece, Heading))
    return next(headings, len(content))


def _visible(piece: SectionContent) -> bool:
    """Returns whether a page shows anything of a piece."""
    if isinstance(piece, Table):
        return piece.reading and bool(piece.rows) and not only_in_a_file(piece)
    if isinstance(piece, Chart):
        return has_points(piece)
    if isinstance(piece, Bullets):
        return bool(piece.items)
    return not (isinstance(piece, Strip) and piece.folded)


def _figures_folded(
    content: Sequence[SectionContent], all_of_them: bool = False
) -> list[SectionContent | list[Chart]]:
    """Returns pieces with the figures that are folded as one list, where the first stands."""
    charts = (piece for piece in content if isinstance(piece, Chart))
    folded = [chart for chart in charts if chart.folded or all_of_them]
    arranged: list[SectionContent | list[Chart]] = []
    for piece in content:
        if piece not in folded:
            arranged.append(piece)
        elif piece is folded[0]:
            arranged.append(folded)
    return arranged


def only_in_a_file(table: Table) -> bool:
    """Returns whether a page only links to a table."""
    return table.file and table.shown is None and len(table.rows) > LISTED_ROWS


def shown_rows(table: Table) -> int:
    """Returns the rows of a table that a page lists: as many as it asks for, if a file has all."""
    return min(table.shown or LISTED_ROWS, LISTED_ROWS) if table.file else LISTED_ROWS


def has_points(piece: Chart | Strip) -> bool:
    """Returns whether there is anything to draw."""
    return not isinstance(piece, Chart) or any(series.x for series in piece.series)


def figure_id(piece: Chart | Strip, probe: str) -> str:
    """Returns the id of a figure on a page."""
    return f"figure-{probe}-{piece.id}".replace("_", "-")


def _title_text(piece: Chart | Strip) -> str:
    return piece.title if isinstance(piece, Chart) else line_of(piece.title)


def _table_name(table: Table) -> Text:
    name: Text = table.title or (table.id.replace("_", " ").capitalize(),)
    if isinstance(name[-1], str):
        name = (*name[:-1], name[-1].removesuffix(":"))
    return name


def _column_title(column: Column) -> Text:
    return column.title if any(value_text(piece) for piece in column.title) else (column.id,)


def _sort_key(value: Value) -> str:
    """Returns the number by which a cell is sorted; empty for text."""
    number = value.value if isinstance(value, Estimate) else value
    if isinstance(number, int | float) and not isinstance(number, bool):
        return f"{number:.6g}"
    return ""


def shortened(text: str, most: int = LONGEST_TEXT) -> str:
    """Returns text that a page can hold; names of ten thousand letters are complete in the files.

    >>> shortened("short"), shortened("x" * 300, 9), len(shortened("a " + "x" * 300 + " b"))
    ('short', 'xxxxxxxx…', 124)
    """
    if len(text) <= LONGEST_LABEL:
        return text if len(text) <= most else f"{text[: most - 1]}…"
    words = _LONG_WORD.sub(lambda word: f"{word[0][: LONGEST_LABEL - 1]}…", text)
    return words if len(words) <= most else f"{words[: most - 1]}…"


def with_options(text: str) -> list[str]:
    """Returns text in pieces, of which every second one is an option, where no line breaks.

    >>> with_options("pass --batch-size 8")
    ['pass ', '--batch-size', ' 8']
    """
    return _OPTION.split(text)


def file_name(path: str) -> str:
    """Returns the last part of a path, a long one without its middle.

    >>> file_name("val/cat.jpg"), file_name("x" * 99 + ".jpg")
    ('cat.jpg', 'xxxxxxxxxxxxxxxxxxxxxxx…xxxxxxxx.jpg')
    """
    name = path.rpartition("/")[2] or path
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 13]}…{name[-12:]}"


FILTERS: Mapping[str, Callable[..., Any]] = {
    "cells": cells_of,
    "column_title": _column_title,
    "figure_id": figure_id,
    "file_name": file_name,
    "image_name": image_name,
    "legend": legend,
    "plot": plot,
    "shown_rows": shown_rows,
    "shortened": shortened,
    "sort_key": _sort_key,
    "table_name": _table_name,
    "text": lambda text: "".join(value_text(piece) for piece in text),
    "title_text": _title_text,
    "with_options": with_options,
}
"""Functions of pieces that templates apply."""

TESTS: Mapping[str, Callable[..., bool]] = {
    "drawn": has_points,
    "more_figures": lambda piece: isinstance(piece, list),
}

LIMITS = {"named_images": NAMED_IMAGES}
