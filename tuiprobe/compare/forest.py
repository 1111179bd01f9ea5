"""Forest plots as plain data: figures with their intervals, one below the other.

Screens and pages draw the same rows. Of two runs, a row is the difference of a headline figure;
rows of one kind share a scale, which reaches as far as the farthest interval of that kind, so
accuracies can be held against each other. Of several runs, a plot is one figure and a row is a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tuiprobe.compare.differences import Comparison, Difference
from tuiprobe.numbers import number, suffix
from tuiprobe.plaintext import listed
from tuiprobe.results import Estimate, Report, given
from tuiprobe.results.base import Real
from tuiprobe.results.headlines import BY_RANK
from tuiprobe.results.section import Chart, Drawn, Series

RowLegend = Mapping[bool | None, tuple[str, Drawn]]
"""Name and role of the rows that differ, that do not, and of which neither is known."""

_DIFFERENCES: Final[RowLegend] = {
    False: ("not told apart", "second"),
    True: ("differs", "main"),
    None: ("no interval", "control"),
}


class ForestRow(Difference):
    """A headline figure of two runs; its name has the set where reports have it for several.

    Attributes:
        reach: How far the scale goes on either side of zero: at least as far as every interval
            of this kind; 0 where none of them has a difference.
    """

    reach: Real

    @property
    def ends(self) -> tuple[float, float, float] | None:
        """Low end, value and high end of the difference in parts of the scale, from -1 to 1.

        None where there is no interval to draw.
        """
        change = self.difference
        if not given(change) or change.low is None or change.high is None:
            return None
        scale = self.reach or 1.0
        return change.low / scale, change.value / scale, change.high / scale


def forest_rows(comparison: Comparison) -> tuple[ForestRow, ...]:
    """Returns the headline figures that both runs have, in the order of their ranks."""
    rows = [row for row in comparison.headlines() if row.headline in BY_RANK]
    reaches: dict[tuple[str, bool], float] = {}
    for row in rows:
        change = row.difference
        ends = (change.value, change.low, change.high) if given(change) else ()
        reach = max((abs(end) for end in ends if end is not None), default=0.0)
        reaches[_scale(row)] = max(reaches.get(_scale(row), 0.0), reach)
    return tuple(
        ForestRow(**{**dict(row), "name": headline_name(row), "reach": reaches[_scale(row)]})
        for row in rows
    )


def headline_name(row: Difference) -> str:
    """Returns the name of a headline figure, with the set where reports have it for several."""
    of_a_set = BY_RANK[row.headline or 0].of_a_set
    return f"{row.name} on {row.data}" if of_a_set else row.name


def _scale(row: Difference) -> tuple[str, bool]:
    """Returns what figures of one scale have in common: the unit, and whether they are outcomes."""
    unit = row.difference.unit if given(row.difference) else ""
    return unit, BY_RANK[row.headline or 0].within_kind


def forest_chart(
    id: str,
    title: str,
    label: str,
    rows: Sequence[tuple[str, Estimate, bool | None]],
    legend: RowLegend,
    unit: str = "none",
    note: str = "",
) -> Chart:
    """Returns a forest plot for pages, a row below the other, in their order.

    Args:
        id: Id of the chart.
        title: One line.
        label: What values are.
        rows: Name and figure of each row, and whether it differs.
        legend: How rows are named and drawn by whether they differ.
        unit: What values count.
        note: What a reader must know.
    """
    drawn = []
    for differs, (name, role) in legend.items():
        places = [i for i, (_, _, differing) in enumerate(rows) if differing is differs]
        figures = [rows[i][1] for i in places]
        if places:
            drawn.append(
                Series(
                    name=name,
                    x=tuple(map(float, places)),
                    y=tuple(figure.value for figure in figures),
                    low=tuple(
                        figure.value if figure.low is None else figure.low for figure in figures
                    ),
                    high=tuple(
                        figure.value if figure.high is None else figure.high for figure in figures
                    ),
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
        ticks=tuple(name for name, _, _ in rows),
        note=note,
        across=True,
    )


def difference_chart(rows: Sequence[ForestRow]) -> Chart | None:
    """Returns the differences of two runs that share the axis of the first; None without any.

    That of accuracies is in points. The table has the differences of all figures.
    """
    known = [row for row in rows if row.ends is not None]
    if not known:
        return None
    drawn = [
        (row.name, row.difference, row.differs)
        for row in known
        if given(row.difference) and _scale(row) == _scale(known[0])
    ]
    unit, _ = _scale(known[0])
    chart = forest_chart(
        "forest",
        "Differences of the headline figures",
        f"second - first{suffix(unit) and ','}{suffix(unit)}",
        drawn,
        _DIFFERENCES,
        unit,
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
    paired = [row for row in rows if row.paired and row.differs is not None]
    if not paired:
        return (
            f"No headline figure of {first} and {second} was compared image by image: each "
            "interval of a difference comes from two separate ones."
        )
    same = listed(
        [f"{row.name}{' (after correction)' * row.undone}" for row in paired if not row.differs]
    )
    points: dict[str, list[str]] = {}  # what is gained and what is lost, in the order of the rows
    others = []
    for row in paired:
        change = row.difference
        if not row.differs or not given(change):
            continue
        amount = number(abs(change.value), change.unit, change.low, change.high)
        if place := BY_RANK[row.headline or 0].place:
            verb = "gains" if change.value > 0 else "loses"
            points.setdefault(verb, []).append(f"{amount} {place.format(data=row.data)}")
        else:
            others.append(f"{row.name} is {amount} {'higher' if change.value > 0 else 'lower'}")
    if not points and not others:
        return f"On the same images, {second} and {first} are not told apart by {same}."
    moved = listed([f"{verb} {listed(amounts)}" for verb, amounts in points.items()])
    clauses = [f"{second} {moved}" if moved else ""]
    clauses.append(f"{'its' if moved else f'of {second} the'} {listed(others)}" if others else "")
    clauses.append(f"not told apart by {same}" if same else "")
    return f"On the same images, {'; '.join(clause for clause in clauses if clause)}."


def bar_pair(first: Report, second: Report) -> tuple[Chart, Series, Series] | None:
    """Returns the first bars by channel that both reports describe inside; None without any.

    The chart is that of the first report.
    """
    theirs = {chart.id: bars for chart, bars in _bars(second)}
    for chart, bars in _bars(first):
        if chart.id in theirs:
            return chart, bars, theirs[chart.id]
    return None


def _bars(report: Report) -> Iterator[tuple[Chart, Series]]:
    """Yields the charts of the block "inside" that have bars, with these."""
    for part in report.parts:
        if part.block == "inside" and part.section is not None:
            for chart in part.section.content:
                if isinstance(chart, Chart):
                    for series in chart.series:
                        if series.mark == "bars":
                            yield chart, series
                            break
