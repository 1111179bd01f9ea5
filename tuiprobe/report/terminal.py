"""A section as plain text for a terminal, at most `WIDTH` columns wide.

Charts, strips and folded tables are left out: pages and files have them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from tuiprobe.report.text import in_column, line
from tuiprobe.results.section import Heading, Points, Prose, Section, Table, Text
from tuiprobe.texttable import GAP, TextColumn, text_table

WIDTH: Final = 100
_LONGEST: Final = 24
"""Width up to which a column takes its longest word whole."""


def section_text(section: Section) -> str:
    """Returns title, headline, prose and unfolded tables, each followed by an empty line."""
    blocks = [[section.title, "=" * len(section.title)], _wrapped(section.headline)]
    for piece in section.content:
        if isinstance(piece, Heading):
            blocks.append([line(piece.text), "-" * len(line(piece.text))])
        elif isinstance(piece, Prose):
            blocks.append(_wrapped(piece.text))
        elif isinstance(piece, Points):
            blocks.append([row for item in piece.items for row in _wrapped(item, "- ")])
        elif isinstance(piece, Table) and piece.reading and not piece.folded:
            blocks.append([*_wrapped(piece.title), *table_lines(piece)])
    return "".join("\n".join(block) + "\n\n" for block in blocks if block)


def _wrapped(text: Text, mark: str = "") -> list[str]:
    indent = " " * len(mark)
    return textwrap.wrap(
        line(text), WIDTH, initial_indent=mark, subsequent_indent=indent, break_on_hyphens=False
    )


def table_lines(table: Table) -> Iterator[str]:
    """Yields a table as aligned lines; cells of the widest columns are wrapped until it fits."""
    titles = [line(column.title) for column in table.columns]
    rows = [
        [line((in_column(cell, column),)) for cell, column in zip(row, table.columns, strict=True)]
        for row in table.rows[: table.shown]
    ]
    if not rows:
        return
    widths = [max(map(len, cells)) for cells in zip(titles, *rows, strict=True)]
    least = [
        min(max(len(word) for cell in cells for word in cell.split() or [""]), _LONGEST)
        for cells in zip(titles, *rows, strict=True)
    ]
    while sum(widths) + len(GAP) * (len(widths) - 1) > WIDTH:
        wide = [i for i, width in enumerate(widths) if width > least[i]]
        if not wide:
            break
        widths[max(wide, key=widths.__getitem__)] -= 1
    heading, *body = (_broken(cells, widths) for cells in (titles, *rows))
    rule = ["-" * width for width in widths]
    columns = [TextColumn("", width) for width in widths]
    lines = [*heading, rule, *(row for cells in body for row in cells)]
    yield from list(text_table(columns, lines))[1:]


def _broken(cells: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    """Returns a row as the lines that it takes where cells are wrapped to the widths."""
    pieces = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)]
    height = max(map(len, pieces))
    return [[(piece + [""] * height)[at] for piece in pieces] for at in range(height)]
