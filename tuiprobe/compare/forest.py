"""Forest plots as plain data: figures with their intervals, one below the other.

Screens and pages draw the same rows. Of two runs, a row is the difference of a headline figure;
rows of one kind share a scale, which reaches as far as the farthest interval of that kind, so
accuracies can be held against each other. Of all runs, a plot is one figure and a row is a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tuiprobe.compare.differences import Comparison, Difference
from tuiprobe.numbers import suffix
from tuiprobe.probes.content import prose, series
from tuiprobe.results import Estimate, Report, given
from tuiprobe.results.base import Real
from tuiprobe.results.headlines import BY_RANK, HEADLINES
from tuiprobe.results.section import Chart, Content, Section, Series


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
    forest = []
    for row in rows:
        of_a_set = BY_RANK[row.headline or 0].of_a_set
        name = f"{row.name} on {row.data}" if of_a_set else row.name
        forest.append(ForestRow(**{**dict(row), "name": name, "reach": reaches[_scale(row)]}))
    return tuple(forest)


def _scale(row: Difference) -> tuple[str, bool]:
    """Returns the key of a scale: the unit, and whether figures compare within one kind only."""
    unit = row.difference.unit if given(row.difference) else ""
    return unit, BY_RANK[row.headline or 0].within_kind


def difference_chart(rows: Sequence[ForestRow], first: str, second: str) -> Chart | None:
    """Returns the differences of two runs that share the axis of the first; None without any.

    That of accuracies is in points. The table has the differences of all figures.

    Args:
        rows: The headline figures.
        first: Name of the model that the other one is compared with.
        second: Name of the other.
    """
    known = [row for row in rows if row.ends is not None]
    if not known:
        return None
    drawn = [row for row in known if _scale(row) == _scale(known[0])]
    unit, _ = _scale(known[0])
    places = [float(place) for place in range(len(drawn))]
    zero = Series(
        name="no difference", x=tuple(places), y=(0.0,) * len(drawn), mark="points",
        role="reference",
    )  # fmt: skip
    return Chart(
        id="forest",
        title="Differences of the headline figures",
        x_label="",
        y_label=f"{second} minus {first}{suffix(unit) and ','}{suffix(unit)}",
        series=(series("difference", [row.difference for row in drawn], mark="points"), zero),
        y_unit=unit,
        ticks=tuple(row.name for row in drawn),
        across=True,
    )


READ: Final = (
    "Intervals are 95 %, each of its own run. They may overlap where one run is ahead: the "
    "decision rests on the differences, paired where runs measured the same images."
)


def describe_headlines(reports: Sequence[Report]) -> Section:
    """Describes the headline figures of several runs as plots; a row is a run."""
    content: tuple[Content, ...] = (prose(READ), *forests(reports))
    return Section(title="Headline figures", content=content)


def forests(reports: Sequence[Report]) -> Iterator[Chart]:
    """Yields a plot of every headline figure that a report has, in the order of ranks."""
    for headline in HEADLINES:
        figures = [report.headline(headline.id) for report in reports]
        known = [named for named in figures if named is not None and given(named.figure)]
        if not known:
            continue
        leading, kind = known[0], reports[0].model.representation
        rows: dict[str, Estimate] = {}
        left_out = []
        for report, named in zip(reports, figures, strict=True):
            if named is None or not given(named.figure):
                continue
            other_kind = report.model.representation != kind
            if named.data != leading.data or (headline.within_kind and other_kind):
                left_out.append(report.model.name)
            else:
                rows[report.model.name] = named.figure
        if rows:
            unit = next(iter(rows.values())).unit
            yield Chart(
                id=f"forest_{headline.id.replace('.', '_')}",
                title=f"{headline.name}, {leading.data}",
                x_label="",
                y_label=f"{headline.name}{suffix(unit) and ','}{suffix(unit)}",
                series=(series(headline.name, rows.values(), mark="points"),),
                y_unit=unit,
                ticks=tuple(rows),
                note=f"Not comparable, left out: {', '.join(left_out)}." if left_out else "",
                across=True,
            )


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
                    bars = [drawn for drawn in chart.series if drawn.mark == "bars"]
                    yield from ((chart, drawn) for drawn in bars[:1])
