"""Text for a terminal: a section, a card. Prose is at most `WIDTH` columns wide.

Charts, strips and folded tables are left out: pages and files have them.
"""

from __future__ import annotations

import textwrap
from typing import Final, Literal, NamedTuple

from tuiprobe.numbers import MISSING, NO_BREAK, unbroken
from tuiprobe.plaintext import GAP, plain
from tuiprobe.results.card import card
from tuiprobe.results.report import Report
from tuiprobe.results.reproduce import next_step, provenance
from tuiprobe.results.section import Bullets, Heading, Prose, Section, Table
from tuiprobe.show.report.strings import cells_of, line

WIDTH: Final = 100
_INDENT: Final = 13
"""Columns of the titles of blocks of a card, left of their lines."""

TextRole = Literal["title", "heading", "doubt", "warning"]
_COLOURS: Final[dict[TextRole, str]] = {
    "title": "1", "heading": "36", "doubt": "1;33", "warning": "33",
}  # fmt: skip
"""What each role looks like, as parameters of the escape sequence SGR: bold, cyan, yellow."""


class Terminal(NamedTuple):
    """What a text is printed to.

    Attributes:
        width: Columns of tables; prose takes no more than `WIDTH` of them.
        colour: Whether roles are coloured.
    """

    width: int = WIDTH
    colour: bool = False

    def painted(self, text: str, role: TextRole) -> str:
        """Returns a text, coloured by its role if the terminal has colours."""
        return f"\x1b[{_COLOURS[role]}m{text}\x1b[0m" if self.colour and text else text

    def wrapped(self, text: str, first: str = "", indent: str = "") -> list[str]:
        """Returns a text as rows, the first behind `first` and the others behind `indent`."""
        rows = textwrap.wrap(
            unbroken(text),
            min(self.width, WIDTH),
            initial_indent=first,
            subsequent_indent=indent,
            break_on_hyphens=False,
        )
        rows = [row.replace(NO_BREAK, " ") for row in rows]
        if not rows and first.strip():
            return [first.rstrip()]
        return rows

    def rows(self, text: str, role: TextRole) -> list[str]:
        """Returns a text of one role as rows, indented from the second on."""
        return [self.painted(row, role) for row in self.wrapped(text, "", "  ")]


PLAIN: Final = Terminal()
"""A file, or a pipe."""


def section_text(section: Section, terminal: Terminal = PLAIN) -> str:
    """Returns title, headline, prose and unfolded tables, each followed by an empty line."""
    headline = [terminal.painted(row, "title") for row in terminal.wrapped(line(section.headline))]
    title = terminal.painted(section.title, "heading")
    blocks = [[title, "=" * len(section.title)], headline]
    for piece in section.content:
        if isinstance(piece, Heading):
            heading = line(piece.text)
            blocks.append([terminal.painted(heading, "heading"), "-" * len(heading)])
        elif isinstance(piece, Prose):
            blocks.append(terminal.wrapped(line(piece.text)))
        elif isinstance(piece, Bullets):
            items = (terminal.wrapped(line(item), "- ", "  ") for item in piece.items)
            blocks.append([row for rows in items for row in rows])
        elif isinstance(piece, Table) and piece.reading and not piece.folded:
            rows = table_lines(piece, terminal.width)
            blocks.append([*terminal.wrapped(line(piece.title)), *rows])
    return "".join("\n".join(block) + "\n\n" for block in blocks if block)


def table_lines(table: Table, width: int = WIDTH) -> list[str]:
    """Returns a table as aligned lines; where it does not fit, each row as a list of its cells.

    Args:
        table: The table; columns without content are left out.
        width: Columns of the terminal.
    """
    titles, rows = _filled(table)
    return aligned_lines(table, width) or (_records(titles, rows, width) if titles else [])


def _filled(table: Table) -> tuple[list[str], list[list[str]]]:
    """Returns titles and cells of the columns with content."""
    cells = [
        [unbroken(line((cell,))) for cell in row]
        for row in cells_of(table.rows[: table.shown], table.columns)
    ]
    filled = [i for i in range(len(table.columns)) if {row[i] for row in cells} - {"", MISSING}]
    titles = [line(table.columns[i].title) for i in filled]
    return titles, [[row[i] for i in filled] for row in cells]


def aligned_lines(table: Table, width: int) -> list[str]:
    """Returns a table as aligned lines, at most `width` columns wide; none where it does not fit.

    Until it fits, titles of the widest columns are wrapped, then their cells; between words, and
    never inside a range.
    """
    titles, rows = _filled(table)
    widths = _widths(titles, rows, width - len(GAP) * (len(titles) - 1)) if titles else []
    if not widths:
        return []
    lines: list[list[str]] = []
    for row in (titles, *rows):
        wrapped = [_words(cell, w) or [""] for cell, w in zip(row, widths, strict=True)]
        for at in range(max(map(len, wrapped))):
            lines.append([part[at] if at < len(part) else "" for part in wrapped])
        if row is titles:
            lines.append(["-" * each for each in widths])
    return [
        GAP.join(cell.ljust(each) for cell, each in zip(row, widths, strict=True)).rstrip()
        for row in lines
    ]


def _widths(titles: list[str], rows: list[list[str]], room: int) -> list[int]:
    """Returns the widths of columns, none below its longest word; nothing where they do not fit."""
    columns = list(zip(titles, *rows, strict=True))
    widths = [max(map(len, cells)) for cells in columns]
    words = [max(len(word) for cell in cells for word in cell.split(" ")) for cells in columns]
    bodies = [max(least, *map(len, cells[1:])) for least, cells in zip(words, columns, strict=True)]
    for leasts in (bodies, words):
        while sum(widths) > room:
            wide = [i for i, width in enumerate(widths) if width > leasts[i]]
            if not wide:
                break
            widths[max(wide, key=widths.__getitem__)] -= 1
    return widths if sum(widths) <= room else []


def _records(titles: list[str], rows: list[list[str]], width: int) -> list[str]:
    """Returns each row as a list: its first cell, then title and cell of each of the others."""
    lines = []
    for first, *cells in rows:
        lines += _words(first, width)
        for title, cell in zip(titles[1:], cells, strict=True):
            if cell not in ("", MISSING):
                lines += [f"  {part}" for part in _words(f"{title}: {cell}", width - 2)]
    return lines


def _words(text: str, width: int) -> list[str]:
    """Returns a text wrapped between words."""
    rows = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [row.replace(NO_BREAK, " ") for row in rows]


def summary(report: Report, run: str = "RUN", terminal: Terminal = PLAIN) -> str:
    """Returns title, warnings, card, next step and date of a report; `run` as for `next_step`."""
    rows = terminal.rows(plain(report.title).strip(), "title")
    for kind, text in report.remarks:
        rows += terminal.rows(plain(f"{kind}: {text}"), "doubt" if kind == "doubt" else "warning")
    lines = [
        (line(text), "" if number else block.title)
        for block in card(report)
        for number, text in enumerate(block.lines)
    ]
    if following := next_step(report, run):
        lines.append((line(following), "Next"))
    lines.append((plain(provenance(report, verb="")), "Measured"))
    for text, heading in lines:
        first, *others = terminal.wrapped(text.strip(), f"{heading:<{_INDENT}}", " " * _INDENT)
        rows += [terminal.painted(first[:_INDENT], "heading") + first[_INDENT:], *others]
    return "\n".join(rows) + "\n"
