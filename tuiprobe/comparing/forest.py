"""Forest plots as plain data: figures with their intervals, one below the other.

Screens and pages draw the same rows. Of two runs, a row is the difference of a headline figure;
rows of one kind share a scale, which reaches as far as the farthest interval of that kind, so
accuracies can be held against each other. Of all runs, a plot is one figure and a row is a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tuiprobe.comparing.decision import Decision
from tuiprobe.comparing.differences import Comparison, Difference
from tuiprobe.probes.content import series
from tuiprobe.results import Estimate, Frozen, Report, given
from tuiprobe.results.base import Real
from tuiprobe.results.headlines import BY_RANK
from tuiprobe.results.section import Chart, Drawn, Series

MOST_ROWS: Final = 40
"""Differences up to which those of single sets are shown."""

_ROLES: Final[tuple[Drawn, ...]] = ("main", "second", "third", "control", "context")


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


class PairedRow(Frozen):
    """One accuracy of the model that leads a decision, minus that of another model.

    Attributes:
        name: The set, or what else the accuracy is over.
        model: The other model.
        difference: The first model minus it, with its interval.
    """

    name: str
    model: str
    difference: Estimate


def paired_rows(decision: Decision, comparisons: Sequence[Comparison]) -> tuple[PairedRow, ...]:
    """Returns the differences that a decision rests on, then those on each set.

    Args:
        decision: The decision.
        comparisons: Its first model as `second`, with each of the others as `first`, in order.
    """
    by_labels = decision.evidence == "labels"
    name = f"{decision.target} by labels" if by_labels else "mean of shifts"
    rows = [
        PairedRow(name=name, model=row.model, difference=row.difference)
        for row in decision.models
        if given(row.difference)
    ]
    on_sets = [
        PairedRow(name=row.data, model=comparison.models[0], difference=row.difference)
        for comparison in comparisons
        for row in comparison.differences
        if row.id == "top1" and row.paired and not row.inner and given(row.difference)
    ]
    if len(on_sets) <= MOST_ROWS:
        order = {row.name: place for place, row in reversed(list(enumerate(on_sets)))}
        rows += sorted(on_sets, key=lambda row: order[row.name])
    return tuple(rows)


def paired_chart(rows: Sequence[PairedRow], reference: str) -> Chart | None:
    """Returns the paired differences to one model as a chart; None without any.

    Args:
        rows: The differences.
        reference: The model that all others are subtracted from.
    """
    if not rows:
        return None
    models = list(dict.fromkeys(row.model for row in rows))
    by_model = [
        series(
            model,
            [row.difference for row in rows if row.model == model],
            _ROLES[i] if len(models) <= len(_ROLES) else "main",
            "points",
            [float(place) for place, row in enumerate(rows) if row.model == model],
        )
        for i, model in enumerate(models)
    ]
    zero = Series(
        name="no difference", x=tuple(map(float, range(len(rows)))), y=(0.0,) * len(rows),
        mark="points", role="reference",
    )  # fmt: skip
    return Chart(
        id="paired",
        title=f"Paired differences to {reference}",
        x_label="",
        y_label=f"{reference} minus it, points",
        series=(*by_model, zero),
        y_unit="points",
        ticks=tuple(row.name if len(models) == 1 else f"{row.name} · {row.model}" for row in rows),
        note=f"{rows[0].name}: ranges of all pairs hold together with 95 %. Sets: each interval is "
        "95 % by itself. All are of the same images for both models.",
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
