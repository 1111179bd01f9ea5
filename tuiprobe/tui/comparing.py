"""Several runs side by side as plain data: one row per figure, each run against the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuiprobe.compare.describe import kind
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
        name: Name of the figure, for people.
        first: In the first run.
        others: In each further run; None where it lacks the figure.
        headline: Rank of a headline figure; None for the others.
    """

    data: str
    tap: str
    name: str
    first: Figure
    others: tuple[Difference | None, ...]
    headline: int | None = None

    @property
    def differs(self) -> bool:
        """Whether the figure differs in one of the runs."""
        return any(one is not None and one.differs is True for one in self.others)

    @property
    def known(self) -> bool:
        """Whether there is a figure to show at all."""
        return given(self.first) or any(one and given(one.second) for one in self.others)


def compare_rows(found: Sequence[Comparison]) -> list[CompareRow]:
    """Returns the figures of all comparisons with one first run, the headline figures first."""
    tables = [{(d.data, d.place, d.id): d for d in one.differences} for one in found]
    places = dict.fromkeys(place for table in tables for place in table)
    rows = []
    for place in places:
        others = tuple(table.get(place) for table in tables)
        either = next(one for one in others if one is not None)
        name = either.id if either.headline is None else either.name
        rows.append(CompareRow(*place[:2], name, either.first, others, either.headline))
    known = [row for row in rows if row.known]
    return sorted(known, key=lambda row: (row.headline is None, row.headline or 0))


def columns(runs: int) -> tuple[Column, ...]:
    """Returns the columns: figure, place and the first run, then each run with its difference."""
    found = [Column("figure", 20), Column("set", 10, drop=2), Column("layer", 10, drop=3)]
    found.append(Column("A", 12, right=True, drop=1))
    for i in range(1, runs):
        found.append(Column(LETTERS[i % 26], 12, right=True, drop=4 + i))
        found.append(Column(f"{LETTERS[i % 26]} - A", 24, right=True, drop=0 if i == 1 else 4 + i))
        found.append(Column("interval", 8, drop=30 + i))
    return tuple(found)


def cells(row: CompareRow) -> list[str]:
    """Returns the cells of one row of the table."""
    texts = [row.name, row.data, row.tap, short(row.first)]
    for one in row.others:
        told = [] if one is None else [short(one.second), difference_text(one), kind(one)]
        texts += told or ["-", "-", "-"]
    return texts


def difference_text(one: Difference) -> str:
    """Returns the difference and its interval, with a star where the figure differs.

    >>> from tuiprobe.results import Estimate
    >>> e = Estimate(value=-2.0, low=-2.5, high=-1.5, n=9, method="MOVER")
    >>> difference_text(Difference(probe="", data="", place="", id="", name="", first=e, second=e,
    ...                            difference=e, differs=True))
    '* -2.00 (-2.50 to -1.50)'
    """
    if not given(one.difference):
        return "-"
    found = one.difference
    return f"{'*' if one.differs else ' '} {change(found.value, found.low, found.high)}"


def filtered(
    rows: Sequence[CompareRow], query: str, only_different: bool, everything: bool
) -> list[CompareRow]:
    """Returns the rows that contain all words; on request only those that differ.

    A filter looks through all figures, and so does a comparison without headline figures.

    Args:
        rows: The rows to choose from.
        query: Words.
        only_different: Whether to leave out what does not differ.
        everything: Whether to show more than the headline figures.
    """
    few = not everything and not query.strip() and any(row.headline is not None for row in rows)
    return [
        row
        for row in rows
        if (row.headline is not None or not few)
        and (row.differs or not only_different)
        and holds_all(f"{row.name} {row.data} {row.tap}", query.split())
    ]
