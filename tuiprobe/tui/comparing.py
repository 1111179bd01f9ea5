"""Two runs side by side as rows: the forest plot of the headline figures, and all figures."""

from __future__ import annotations

from collections.abc import Sequence

from tuiprobe.compare.differences import Comparison, Difference
from tuiprobe.compare.differences_section import kind
from tuiprobe.compare.forest import ForestRow
from tuiprobe.numbers import MISSING
from tuiprobe.plaintext import holds_all
from tuiprobe.results import given
from tuiprobe.tui.widgets.rows import RowColumn, kept_columns
from tuiprobe.tui.widgets.spans import span

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LOWEST_FOREST = 16
"""Cells below which an interval beside zero cannot be read."""
_FIGURE = 29


def run_letter(place: int) -> str:
    """Returns what the run at a place of the list is called; it keeps its letter in every pair."""
    return LETTERS[place % len(LETTERS)]


# The forest plot.


def forest_columns(
    letters: tuple[str, str], width: int, colours: tuple[str, str] = ("", "")
) -> tuple[RowColumn, ...]:
    """Returns the columns of the forest plot; the plot takes what the others leave.

    Args:
        letters: What the runs are called.
        width: Cells of the table.
        colours: Variables of the theme that the runs are drawn in.
    """
    first, second = letters
    columns = [
        RowColumn("figure", _FIGURE),
        RowColumn(first, 7, right=True, drop=3, colour=colours[0]),
        RowColumn(second, 7, right=True, drop=2, colour=colours[1]),
        RowColumn(f"{second} − {first}", 13, right=True, term="difference"),  # noqa: RUF001
        RowColumn("95 % interval", 18, right=True, drop=5, term="interval"),
        RowColumn("images", 8, drop=6, term="paired"),
    ]
    kept = kept_columns([*columns, RowColumn("", LOWEST_FOREST)], width)[:-1]
    room = max(width - sum(columns[i].width + 1 for i in kept), 1)
    plot = RowColumn(forest_heading(second, room), room, term="differs")
    return (*columns[:4], plot, *columns[4:])


def forest_heading(second: str, width: int) -> str:
    """Returns the heading above the plot: where zero lies, and what either side means.

    >>> forest_heading("B", 21)
    '  B lower ┼ B higher '
    """
    middle = round((width - 1) / 2)
    left, right = f"{second} lower ", f" {second} higher"
    if len(left) > middle or len(right) > width - middle - 1:
        return " " * middle + "┼"
    return f"{left:>{middle}}┼{right:<{width - middle - 1}}"


def forest_cells(row: ForestRow, width: int) -> list[str]:
    """Returns the cells of a row of the forest plot.

    Args:
        row: The headline figure.
        width: Cells of the plot.
    """
    star = "*" if row.differs else " "
    value, _, ends = row.difference.with_interval(signed=True).partition(" (")
    if not given(row.difference):
        value = MISSING
    interval = f"({ends}" if ends else MISSING
    drawn = ""
    if row.ends is not None and width >= 3:
        low, middle, high = row.ends
        drawn = span(low, middle, high, (-1.0, 1.0), width)
    same = "the same" if row.paired else "separate"
    first, second = row.first.alone(bare=True), row.second.alone(bare=True)
    return [row.name, first, second, f"{star}{value}", drawn, interval, same]


# All figures.


def compare_rows(comparison: Comparison) -> list[Difference]:
    """Returns all figures that one of the runs has, the headline figures first."""
    rows = [row for row in comparison.differences if given(row.first) or given(row.second)]
    return sorted(rows, key=lambda row: (row.headline is None, row.headline or 0))


def columns(letters: tuple[str, str], colours: tuple[str, str] = ("", "")) -> tuple[RowColumn, ...]:
    """Returns the columns of all figures."""
    first, second = letters
    return (
        RowColumn("figure", 16),
        RowColumn("set", 8, drop=3, term="set"),
        RowColumn("layer", 10, drop=4, term="tap"),
        RowColumn(first, 8, right=True, drop=1, colour=colours[0]),
        RowColumn(second, 8, right=True, drop=2, colour=colours[1]),
        RowColumn(f"{second} − {first}", 32, right=True, term="difference"),  # noqa: RUF001
        RowColumn("images", 8, drop=5, term="paired"),
    )


def cells(row: Difference) -> list[str]:
    """Returns the cells of one row of all figures."""
    name = row.id if row.headline is None else row.name
    how = {"paired": "the same", "separate": "separate"}.get(kind(row), "-")
    return [
        name, row.data, row.place, row.first.alone(bare=True), row.second.alone(bare=True),
        difference_text(row), how,
    ]  # fmt: skip


def difference_text(row: Difference) -> str:
    """Returns the difference and its interval, with a star where the figure differs.

    >>> from tuiprobe.results import Estimate
    >>> e = Estimate(value=-2.0, low=-2.5, high=-1.5, n=9, method="MOVER")
    >>> difference_text(Difference(probe="", data="", place="", id="", name="", first=e, second=e,
    ...                            difference=e, differs=True))
    '* −2.0 (−2.5 to −1.5)'
    """
    if not given(row.difference):
        return MISSING
    return f"{'*' if row.differs else ' '} {row.difference.with_interval(signed=True)}"


def filtered(rows: Sequence[Difference], query: str, only_different: bool) -> list[Difference]:
    """Returns the rows that contain all words; on request only those that differ."""
    words = query.split()
    return [
        row
        for row in rows
        if (row.differs or not only_different)
        and holds_all(f"{row.name} {row.id} {row.data} {row.place}", words)
    ]
