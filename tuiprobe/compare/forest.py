"""Forest plots as plain data: figures with their intervals, one below the other.

Screens and pages draw the same rows. Of two runs, a row is the difference of a headline figure;
rows of one kind share a scale, which reaches as far as the farthest interval of that kind, so
accuracies can be held against each other. Of several runs, a plot is one figure and a row is a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from tuiprobe.compare.differences import Comparison, Difference, excludes_zero
from tuiprobe.numbers import number
from tuiprobe.probes.content import listed
from tuiprobe.results import Estimate, Figure, Frozen, Report, given
from tuiprobe.results.base import Real
from tuiprobe.results.headlines import BY_RANK
from tuiprobe.results.section import Chart, Drawn, Series

Groups = Mapping[bool | None, tuple[str, Drawn]]
"""Name and role of the rows that differ, that do not, and of which neither is known."""

_DIFFERENCES: Final[Groups] = {
    False: ("not told apart", "second"),
    True: ("differs", "main"),
    None: ("no interval", "control"),
}


class ForestRow(Frozen):
    """One headline figure of two runs, with what separates them.

    Attributes:
        id: Id of the figure, see `results/headlines.py`.
        rank: Its rank there.
        name: For people; with the set where a report has the figure for several.
        data: Set of images, or what else it is of.
        first: In the first run.
        second: In the second run.
        difference: Second minus first, with interval.
        paired: Whether the interval comes from the same images in both runs.
        differs: Whether the runs differ in it, after Holm's correction; None without an interval.
        reach: How far the scale goes on either side of zero: at least as far as every interval
            of this kind; 0 where none of them has a difference.
    """

    id: str
    rank: int
    name: str
    data: str
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
    rows = [one for one in found.headlines() if one.headline in BY_RANK]
    reaches: dict[tuple[str, bool], float] = {}
    for one in rows:
        reaches[_scale(one)] = max(reaches.get(_scale(one), 0.0), _reach(one))
    return tuple(_row(one, reaches[_scale(one)]) for one in rows)


def _scale(one: Difference) -> tuple[str, bool]:
    """Returns what figures of one scale have in common: the unit, and whether they are outcomes."""
    unit = one.difference.unit if given(one.difference) else ""
    return unit, BY_RANK[one.headline or 0].within_kind


def _reach(one: Difference) -> float:
    told = one.difference
    if not given(told):
        return 0.0
    return max(abs(end) for end in (told.value, told.low, told.high) if end is not None)


def _row(one: Difference, reach: float) -> ForestRow:
    headline = BY_RANK[one.headline or 0]
    return ForestRow(
        id=headline.id,
        rank=headline.rank,
        name=f"{headline.name} on {one.data}" if headline.of_a_set else headline.name,
        data=one.data,
        first=one.first,
        second=one.second,
        difference=one.difference,
        paired=one.paired,
        differs=one.differs,
        reach=reach,
    )


class Interval(NamedTuple):
    """One row of a forest plot as it is drawn."""

    name: str
    low: float
    value: float
    high: float
    differs: bool | None

    @classmethod
    def of(cls, name: str, figure: Estimate, differs: bool | None) -> Interval:
        """Returns the row of a figure; without an interval it is a point."""
        low = figure.value if figure.low is None else figure.low
        high = figure.value if figure.high is None else figure.high
        return cls(name, low, figure.value, high, differs)


def forest_chart(
    id: str,
    title: str,
    label: str,
    rows: Sequence[Interval],
    groups: Groups,
    unit: str = "none",
    note: str = "",
) -> Chart:
    """Returns a forest plot for pages, a row below the other, in their order.

    Args:
        id: Id of the chart.
        title: One line.
        label: What values are.
        rows: The rows.
        groups: How rows are named and drawn by whether they differ.
        unit: What values count.
        note: What a reader must know.
    """
    drawn = []
    for differs, (name, role) in groups.items():
        own = [(float(i), row) for i, row in enumerate(rows) if row.differs is differs]
        if own:
            drawn.append(
                Series(
                    name=name,
                    x=tuple(i for i, _ in own),
                    y=tuple(row.value for _, row in own),
                    low=tuple(row.low for _, row in own),
                    high=tuple(row.high for _, row in own),
                    mark="points",
                    role=role,
                )
            )
    return Chart(
        id=id,
        title=title,
        x_label="",
        y_label=label,
        series=tuple(drawn),
        y_unit=unit,
        ticks=tuple(row.name for row in rows),
        note=note,
        across=True,
    )


def difference_chart(rows: Sequence[ForestRow]) -> Chart | None:
    """Returns the differences of two runs on their scales from -1 to 1; None without any."""
    drawn = [Interval(row.name, *row.ends, row.differs) for row in rows if row.ends is not None]
    if not drawn:
        return None
    chart = forest_chart(
        "forest",
        "Differences of the headline figures",
        "second - first, in parts of the scale",
        drawn,
        _DIFFERENCES,
        note="Figures of one kind share a scale, which ends at the farthest end of an interval.",
    )
    zero = Series(
        name="no difference",
        x=tuple(float(i) for i in range(len(drawn))),
        y=(0.0,) * len(drawn),
        mark="points",
        role="reference",
    )
    return chart.model_copy(update={"series": (*chart.series, zero)})


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
    same = listed([_with_correction(one) for one in known if not one.differs])
    if not known:
        return (
            f"Image by image, {first} and {second} cannot be compared: each interval comes from "
            "two separate ones."
        )
    differing = [one for one in known if one.differs]
    if not differing:
        return f"On the same images, {second} and {first} are not told apart by {same}."
    moved = listed(_points(differing))
    others = listed(_others(differing))
    clauses = [f"{second} {moved}" if moved else ""]
    clauses.append(f"{'its' if moved else f'of {second} the'} {others}" if others else "")
    clauses.append(f"not told apart by {same}" if same else "")
    return f"On the same images, {'; '.join(one for one in clauses if one)}."


def _with_correction(one: ForestRow) -> str:
    """Returns the name of a figure that does not differ, and whether the correction says so."""
    undone = given(one.difference) and excludes_zero(one.difference)
    return f"{one.name} (after correction)" if undone else one.name


def _points(rows: Sequence[ForestRow]) -> list[str]:
    """Returns what is gained and what is lost in points, in the order of the rows."""
    told: dict[str, list[str]] = {}
    for one in rows:
        if (place := BY_RANK[one.rank].place) and given(one.difference):
            found = told.setdefault("gains" if one.difference.value > 0 else "loses", [])
            amount = _amount(one.difference)
            amount = amount.removesuffix(" points") if found else amount
            found.append(f"{amount} {place.format(data=one.data)}")
    return [f"{verb} {listed(found)}" for verb, found in told.items()]


def _others(rows: Sequence[ForestRow]) -> list[str]:
    return [
        f"{one.name} is {_amount(one.difference)} "
        f"{'higher' if one.difference.value > 0 else 'lower'}"
        for one in rows
        if not BY_RANK[one.rank].place and given(one.difference)
    ]


def _amount(difference: Estimate) -> str:
    """Returns the size of a difference, with the digits that its interval allows."""
    value = abs(difference.value)
    return number(value, difference.unit, difference.low, difference.high)


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
