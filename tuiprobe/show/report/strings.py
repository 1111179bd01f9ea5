"""How figures and outside strings are written in a report."""

import re
from collections import defaultdict
from collections.abc import Sequence

from tuiprobe.numbers import MISSING, number
from tuiprobe.plaintext import plain
from tuiprobe.results import Estimate, NotRun, TopImage
from tuiprobe.results.base import decimals_of
from tuiprobe.results.section import Code, Column, Strong, Text, Value

NAMED_IMAGES = 5
"""Images at one end of a channel or direction that a page names."""

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~&!$])")
_LINK = re.compile(r"(?i):(?=//)|(?<=www)\.")
_BLOCK = re.compile(r"^\s*(?:(?=[-+=])|(\d+)(?=[.)]))")


def value_text(value: Value) -> str:
    """Returns a cell of a table, or a piece of prose, as plain text.

    >>> value_text(True), value_text(12_000), value_text(None), value_text(0.5)
    ('yes', '12,000', '', '0.5')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, Estimate | NotRun):
        return value.with_interval()
    if isinstance(value, Code):
        return value.code
    return value.strong if isinstance(value, Strong) else value


def cells_of(rows: Sequence[Sequence[Value]], columns: Sequence[Column]) -> list[list[Value]]:
    """Returns the rows of a table with numbers as text and a dash for None.

    Those of one unit in a column have as many decimals; plain numbers are in its unit.
    Figures without a unit that have intervals may be of different things, and keep their digits.

    >>> columns = Column(id="a", title=("a",)), Column(id="b", title=("b",), unit="share")
    >>> cells_of([[0.7, 0.25], [0.657, "none"]], columns)
    [['0.700', '25.0 %'], ['0.657', 'none']]
    """
    texts: list[list[Value]]
    texts = [[MISSING if value is None else value for value in row] for row in rows]
    by_unit: defaultdict[tuple[int, str], dict[int, Estimate | float]] = defaultdict(dict)
    for at, row in enumerate(rows):
        for i, (value, column) in enumerate(zip(row, columns, strict=True)):
            if isinstance(value, Estimate) and (value.low is None or value.unit != "none"):
                by_unit[i, value.unit][at] = value
            elif isinstance(value, int | float) and not isinstance(value, bool):
                by_unit[i, column.unit][at] = value
    for (i, unit), values in by_unit.items():
        decimals = decimals_of(values.values(), unit)
        for at, each in values.items():
            if isinstance(each, Estimate):
                texts[at][i] = each.with_interval(decimals=decimals)
            else:
                texts[at][i] = number(each, unit, decimals=decimals)
    return texts


def image_name(image: TopImage) -> str:
    """Returns the display name of an image: its path, or its id where none is known."""
    return image.path if image.path is not None else f"id {image.sample_id}"


def line(text: Text) -> str:
    """Returns the pieces of one line as plain text, foreign characters made inert."""
    return plain("".join(value_text(piece) for piece in text))


def markdown_text(text: Text) -> str:
    """Returns the pieces of one line as Markdown in which nothing foreign formats or links."""
    return "".join(_markdown(piece) for piece in text)


def markdown_cell(text: Text) -> str:
    """Returns the pieces of a table cell as Markdown, as `markdown_text` does for a line."""
    return "".join(
        code_cell(piece.code) if isinstance(piece, Code) else _markdown(piece) for piece in text
    )


def opening(text: str) -> str:
    r"""Returns Markdown text escaped so that it starts no list, rule or code block.

    >>> opening("- a"), opening("12. a"), opening("    a"), opening("a - b")
    ('\\- a', '12\\. a', 'a', 'a - b')
    """
    return _BLOCK.sub(lambda start: f"{start[1] or ''}\\", text, count=1).lstrip()


def _markdown(value: Value) -> str:
    if isinstance(value, Code):
        return code(value.code)
    if isinstance(value, Strong):
        return f"**{escaped(value.strong)}**"
    return escaped(value_text(value))


def escaped(text: str) -> str:
    r"""Escapes outside text for Markdown: nothing in it formats, links or breaks a table.

    >>> print(escaped("*a*|<b> www.x"))
    \*a\*\|\<b\> www\.x
    """
    return _LINK.sub(r"\\\g<0>", _MARKDOWN.sub(r"\\\1", plain(text)))


def code(text: str) -> str:
    r"""Returns outside text as a Markdown code span.

    >>> print(code("a`b|c"))
    ``a`b|c``
    """
    inner = plain(text)
    longest = max((len(run) for run in re.findall("`+", inner)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if inner[:1] in ("`", "") or inner[-1:] == "`" else ""
    return f"{fence}{pad}{inner}{pad}{fence}"


def code_cell(text: str) -> str:
    r"""Returns outside text as a Markdown code span in a table, where a bar ends a cell.

    >>> print(code_cell("a|b"))
    `a\|b`
    """
    return code(text).replace("|", "\\|")
