"""Tables as lines of text: aligned columns for the terminal, and Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

GAP = "  "


@dataclass(frozen=True)
class TextColumn:
    """One column of an aligned table.

    Attributes:
        title: Heading.
        width: Its width where rows are printed as they come; None for that of its widest cell.
        right: Whether its cells are aligned to the right, as numbers are.
    """

    title: str
    width: int | None = None
    right: bool = False


def text_table(columns: Sequence[TextColumn], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yields headings and rows as aligned lines; nothing without rows.

    Args:
        columns: The columns; the last one is not padded. Where all others have a width, each row
            is yielded as soon as it comes.
        rows: One cell a column; text from outside must be inert already.

    >>> two = [TextColumn("model"), TextColumn("top-1", right=True)]
    >>> list(text_table(two, [("mini_clip", "93.2 %"), ("other", "4 %")]))
    ['model       top-1', 'mini_clip  93.2 %', 'other         4 %']
    >>> list(text_table(two, []))
    []
    """
    headings = [column.title for column in columns]
    widths = [column.width or 0 for column in columns]
    if any(column.width is None for column in columns[:-1]):
        rows = list(rows)
        widths = [max(map(len, cells)) for cells in zip(headings, *rows, strict=True)]
    widths = [max(width, len(title)) for width, title in zip(widths, headings, strict=True)]
    for number, row in enumerate(rows):
        if number == 0:
            yield _line(columns, widths, headings)
        yield _line(columns, widths, row)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns the lines of a Markdown table; cells must be escaped already."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def _line(columns: Sequence[TextColumn], widths: Sequence[int], cells: Sequence[str]) -> str:
    padded = (
        cell.rjust(width) if column.right else cell.ljust(width)
        for column, width, cell in zip(columns, widths, cells, strict=True)
    )
    return GAP.join(padded).rstrip()
