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
        right: Whether its cells are aligned to the right, as numbers are.
    """

    title: str
    right: bool = False


def text_table(columns: Sequence[TextColumn], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yields headings and rows as aligned lines; nothing without rows.

    Args:
        columns: The columns; the last one is not padded.
        rows: One cell a column; text from outside must be inert already.

    >>> two = [TextColumn("model"), TextColumn("top-1", right=True)]
    >>> list(text_table(two, [("mini_clip", "93.2 %"), ("other", "4 %")]))
    ['model       top-1', 'mini_clip  93.2 %', 'other         4 %']
    >>> list(text_table(two, []))
    []
    """
    lines = [[column.title for column in columns], *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for cells in lines if len(lines) > 1 else ():
        padded = (
            cell.rjust(width) if column.right else cell.ljust(width)
            for column, width, cell in zip(columns, widths, cells, strict=True)
        )
        yield GAP.join(padded).rstrip()


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns the lines of a Markdown table; cells must be escaped already."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]
