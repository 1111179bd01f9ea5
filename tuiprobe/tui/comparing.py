"""Two runs side by side as rows: headline figures as a forest plot, or all figures."""

from __future__ import annotations

from collections.abc import Sequence

from tuiprobe.comparing.differences import Comparison, Difference
from tuiprobe.comparing.differences_section import kind
from tuiprobe.comparing.forest import ForestRow
from tuiprobe.numbers import MISSING
from tuiprobe.plaintext import holds_all
from tuiprobe.results import given
from tuiprobe.tui.widgets.rows import RowColumn, kept_columns
from tuiprobe.tui.widgets.spans import span

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LOWEST_PLOT = 16
"""Cells below which an interval beside zero cannot be read."""


def run_letter(place: int) -> str:
    """Returns what the run at a place of the list is called; it keeps its letter in every pair."""
    return LETTERS[place % len(LETTERS)]


def compare_columns(
    letters: tuple[str, str], colours: tuple[str, str], width: int, plot: bool
) -> tuple[RowColumn, ...]:
    """Returns the columns of a comparison; the plot takes what the others leave.

    Args:
        letters: What the runs are called.
        colours: Variables of the theme that the runs are drawn in.
        width: Cells of the table.
        plot: Whether intervals are drawn beside zero.
    """
    first, second = letters
    columns = (
        RowColumn("figure", 29 if plot else 22),
        RowColumn(first, 7, right=True, drop=3, colour=colours[0]),
        RowColumn(second, 7, right=True, drop=2, colour=colours[1]),
        RowColumn(f"{second} − {first}", 13, right=True, term="difference"),  # noqa: RUF001
        RowColumn("95 % interval", 18, right=True, drop=5, term="interval"),
        RowColumn("images", 8, drop=6, term="paired"),
    )
    if not plot:
        return columns
    kept = kept_columns([*columns, RowColumn("", LOWEST_PLOT)], width)[:-1]
    room = max(width - sum(columns[i].width + 1 for i in kept), 1)
    drawn = RowColumn(plot_heading(second, room), room, term="differs")
    return (*columns[:4], drawn, *columns[4:])


def plot_heading(second: str, width: int) -> str:
    """Returns the heading above the plot: where zero lies, and what either side means.

    >>> plot_heading("B", 21)
    '  B lower ┼ B higher '
    """
    middle = round((width - 1) / 2)
    left, right = f"{second} lower ", f" {second} higher"
    if len(left) > middle or len(right) > width - middle - 1:
        return " " * middle + "┼"
    return f"{left:>{middle}}┼{right:<{width - middle - 1}}"


def compare_cells(row: Difference) -> list[str]:
    """Returns the cells of a row but for its plot; a headline figure has no set of its own."""
    name = row.name if isinstance(row, ForestRow) else f"{row.id} {row.data} {row.place}".strip()
    value, between = row.difference.alone(signed=True), row.difference.ends(signed=True)
    images = {"paired": "the same", "separate": "separate"}.get(kind(row), "-")
    first, second = row.first.alone(bare=True), row.second.alone(bare=True)
    star = "*" if row.differs else " "
    return [name, first, second, f"{star}{value}", f"({between})" if between else MISSING, images]


def plot_cell(row: Difference, width: int) -> str:
    """Returns the interval of a headline figure beside zero, in `width` cells."""
    if not isinstance(row, ForestRow) or row.ends is None or width < 3:
        return ""
    low, middle, high = row.ends
    return span(low, middle, high, (-1.0, 1.0), width)


def compare_rows(comparison: Comparison, headlines: Sequence[ForestRow]) -> list[Difference]:
    """Returns all figures that one of the runs has, the headline figures first."""
    ranks = {row.headline for row in headlines}
    others = [
        row
        for row in comparison.differences
        if row.headline not in ranks and (given(row.first) or given(row.second))
    ]
    return [*headlines, *others]


def filtered(rows: Sequence[Difference], query: str, only_different: bool) -> list[Difference]:
    """Returns the rows that contain all words; on request only those that differ."""
    words = query.split()
    return [
        row
        for row in rows
        if (row.differs or not only_different)
        and holds_all(f"{row.name} {row.id} {row.data} {row.place}", words)
    ]
