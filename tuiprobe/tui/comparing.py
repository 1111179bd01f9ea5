"""Several runs side by side as plain data: one row per figure, each run against the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuiprobe.compare.differences import Comparison, Difference
from tuiprobe.plaintext import holds_all
from tuiprobe.report.numbers import change, short
from tuiprobe.results import Figure, given
from tuiprobe.tui.widgets.rows import Column

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class CompareRow:
    """One figure.

    Attributes:
        data: Set of images.
        tap: Layer, or what the figure is about.
        name: Dotted name of the figure.
        first: In the first run.
        others: In each further run; None where it lacks the figure.
    """

    data: str
    tap: str
    name: str
    first: Figure
    others: tuple[Difference | None, ...]

    @property
    def differs(self) -> bool:
        """Whether one of the differences has an interval that excludes zero."""
        return any(one is not None and one.differs is True for one in self.others)

    @property
    def known(self) -> bool:
        """Whether there is a figure to show at all."""
        return given(self.first) or any(one and given(one.second) for one in self.others)


def compare_rows(found: Sequence[Comparison]) -> list[CompareRow]:
    """Returns the figures of all comparisons with one first run, in their order."""
    tables = [{(d.data, d.place, d.id): d for d in one.differences} for one in found]
    places = dict.fromkeys(place for table in tables for place in table)
    rows = []
    for place in places:
        others = tuple(table.get(place) for table in tables)
        first = next(one.first for one in others if one is not None)
        rows.append(CompareRow(*place, first, others))
    return [row for row in rows if row.known]


def columns(runs: int) -> tuple[Column, ...]:
    """Returns the columns: figure, place and the first run, then each run with its difference."""
    found = [Column("figure", 20), Column("set", 10, drop=2), Column("layer", 10, drop=3)]
    found.append(Column("A", 12, right=True, drop=1))
    for i in range(1, runs):
        found.append(Column(LETTERS[i % 26], 12, right=True, drop=4 + i))
        found.append(Column(f"{LETTERS[i % 26]} - A", 24, right=True, drop=0 if i == 1 else 4 + i))
    return tuple(found)


def cells(row: CompareRow) -> list[str]:
    """Returns the cells of one row of the table."""
    texts = [row.name, row.data, row.tap, short(row.first)]
    for one in row.others:
        texts += ["-", "-"] if one is None else [short(one.second), difference_text(one)]
    return texts


def difference_text(one: Difference) -> str:
    """Returns sign, difference and interval; the sign shows whether the interval excludes zero.

    >>> from tuiprobe.results import Estimate
    >>> e = Estimate(value=-2.0, low=-2.5, high=-1.5, n=9, method="MOVER")
    >>> difference_text(Difference(probe="", data="", place="", id="", name="", first=e, second=e,
    ...                            difference=e, differs=True))
    '▼ -2.00 (-2.50 to -1.50)'
    """
    if not given(one.difference):
        return "-"
    found = one.difference
    sign = " "
    if one.differs:
        sign = "▲" if found.value > 0 else "▼"
    return f"{sign} {change(found.value, found.low, found.high)}"


def filtered(rows: Sequence[CompareRow], query: str, only_different: bool) -> list[CompareRow]:
    """Returns the rows that contain all words; on request only those that differ."""
    return [
        row
        for row in rows
        if (row.differs or not only_different)
        and holds_all(f"{row.name} {row.data} {row.tap}", query.split())
    ]
