"""The forest plot of a comparison as plain data: a row a headline figure, and one sentence.

The screens and the reports draw the same rows. All rows of one unit share a scale, which reaches as
far as the farthest interval of that unit, so accuracies can be held against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tuiprobe.compare.differences import Comparison, Difference
from tuiprobe.report.numbers import few
from tuiprobe.results import Figure, Frozen, Report, given
from tuiprobe.results.base import Real
from tuiprobe.results.headlines import EFFECTIVE, HEADLINES, MEAN_SHIFT, TARGET, TOP1, Unit
from tuiprobe.results.section import Chart, Series

_BY_RANK: Final = {one.rank: one for one in HEADLINES}

_PLACES: Final = {
    TOP1: "on {data}",
    MEAN_SHIFT: "on the mean of the shifts",
    EFFECTIVE: "of effective robustness",
    TARGET: "of estimated accuracy on {data}",
}
"""Where points are gained or lost, for a sentence."""


class ForestRow(Frozen):
    """One headline figure of two runs, with what separates them.

    Attributes:
        id: Id of the figure, see `results/headlines.py`.
        rank: Its rank there.
        name: For people; with the set where a report has the figure for several.
        data: Set of images, or what else it is of.
        unit: What it counts; rows of one unit are drawn on one scale.
        term: Id of what the glossary says about it.
        first: In the first run.
        second: In the second run.
        difference: Second minus first, with interval.
        paired: Whether the interval comes from the same images in both runs.
        differs: Whether the runs differ in it, after Holm's correction; None without an interval.
        reach: How far the scale goes on either side of zero: at least as far as every interval
            of this unit; 0 where none of them has a difference.
    """

    id: str
    rank: int
    name: str
    data: str
    unit: Unit
    term: str
    first: Figure
    second: Figure
    difference: Figure
    paired: bool
    differs: bool | None
    reach: Real

    @property
    def ends(self) -> tuple[float, float, float] | None:
        """Low end, value and high end of the difference in parts of the scale, from -1 to 1.

        None where there is no interval to draw.
        """
        told = self.difference
        if not given(told) or told.low is None or told.high is None:
            return None
        scale = self.reach or 1.0
        return told.low / scale, told.value / scale, told.high / scale


def forest_rows(found: Comparison) -> tuple[ForestRow, ...]:
    """Returns the headline figures that both runs have, in the order of their ranks."""
    rows = [one for one in found.headlines() if one.headline in _BY_RANK]
    reaches: dict[Unit, float] = {}
    for one in rows:
        unit = _BY_RANK[one.headline or 0].unit
        reaches[unit] = max(reaches.get(unit, 0.0), _reach(one))
    return tuple(_row(one, reaches) for one in rows)


def _reach(one: Difference) -> float:
    told = one.difference
    if not given(told):
        return 0.0
    return max(abs(end) for end in (told.value, told.low, told.high) if end is not None)


def _row(one: Difference, reaches: dict[Unit, float]) -> ForestRow:
    headline = _BY_RANK[one.headline or 0]
    of_a_set = headline.rank in (TOP1, TARGET)
    return ForestRow(
        id=headline.id,
        rank=headline.rank,
        name=f"{headline.name} on {one.data}" if of_a_set else headline.name,
        data=one.data,
        unit=headline.unit,
        term=headline.term,
        first=one.first,
        second=one.second,
        difference=one.difference,
        paired=one.paired,
        differs=one.differs,
        reach=reaches[headline.unit],
    )


def verdict(rows: Sequence[ForestRow], first: str, second: str) -> str:
    """Returns what the figures that were measured on the same images say, in one sentence.

    Screens and reports say it alike.

    Args:
        rows: The headline figures.
        first: What to call the first run.
        second: What to call the second run.
    """
    if not rows:
        return "No headline figure is in both runs."
    known = [one for one in rows if one.paired and one.differs is not None]
    if not known:
        return (
            f"Image by image, {first} and {second} cannot be compared: each interval comes from "
            "two separate ones."
        )
    differing = [one for one in known if one.differs]
    if not differing:
        alike = _listed([one.name for one in known])
        return f"On the same images, {second} and {first} are not told apart by {alike}."
    moved = _listed(_points(differing))
    others = _listed(_others(differing))
    same = _listed([one.name for one in known if not one.differs])
    clauses = [f"{second} {moved}" if moved else ""]
    clauses.append(f"{'its' if moved else f'of {second} the'} {others}" if others else "")
    clauses.append(f"not told apart by {same}" if same else "")
    return f"On the same images, {'; '.join(one for one in clauses if one)}."


def _points(rows: Sequence[ForestRow]) -> list[str]:
    """Returns what is gained and what is lost in points, in the order of the rows."""
    told: dict[str, list[str]] = {}
    for one in rows:
        if one.unit == "points" and given(one.difference):
            found = told.setdefault("gains" if one.difference.value > 0 else "loses", [])
            unit = "" if found else " points"
            place = _PLACES[one.rank].format(data=one.data)
            found.append(f"{abs(one.difference.value) * 100:.1f}{unit} {place}")
    return [f"{verb} {_listed(found)}" for verb, found in told.items()]


def _others(rows: Sequence[ForestRow]) -> list[str]:
    return [
        f"{one.name} is {few(abs(one.difference.value))} "
        f"{'higher' if one.difference.value > 0 else 'lower'}"
        for one in rows
        if one.unit != "points" and given(one.difference)
    ]


def _listed(parts: Sequence[str]) -> str:
    """Returns parts as one list.

    >>> _listed([]), _listed(["a"]), _listed(["a", "b", "c"])
    ('', 'a', 'a, b and c')
    """
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


class BarPair(Frozen):
    """The same bars of two runs, to be drawn side by side on one scale.

    Attributes:
        title: What they are, from the chart of the first report.
        y_label: What a bar counts.
        first: Of the first run.
        second: Of the second run.
    """

    title: str
    y_label: str
    first: Series
    second: Series


def bar_pair(first: Report, second: Report) -> BarPair | None:
    """Returns the first bars by channel that both reports describe inside; None without any."""
    theirs = {one.id: one for one in _bar_charts(second)}
    for one in _bar_charts(first):
        other = theirs.get(one.id)
        if other is not None:
            return BarPair(
                title=one.title, y_label=one.y_label, first=_bars(one), second=_bars(other)
            )
    return None


def _bar_charts(report: Report) -> Iterator[Chart]:
    for part in report.parts:
        if part.block == "inside" and part.section is not None:
            for one in part.section.content:
                if isinstance(one, Chart) and any(s.mark == "bars" for s in one.series):
                    yield one


def _bars(chart: Chart) -> Series:
    return next(one for one in chart.series if one.mark == "bars")
