"""The charts of a decision as plain data, which screens and pages draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tuiprobe.choose.comparing.decision import Decision
from tuiprobe.choose.comparing.differences import Comparison
from tuiprobe.choose.comparing.sentences import levels
from tuiprobe.probes.content import series
from tuiprobe.results import Estimate, Frozen, Report, is_known
from tuiprobe.results.figures import LABELS_CURVE
from tuiprobe.results.section import Chart, Series, SeriesRole

MOST_ROWS: Final = 40
"""Differences up to which those of single sets are shown."""

YOUR_PICTURES: Final = "your labelled pictures"
"""Name of the differences on the labelled pictures in question."""

_ROLES: Final[tuple[SeriesRole, ...]] = ("main", "second", "third", "control", "context")


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
    names = {"labels": f"{decision.target} by labels", "pictures": YOUR_PICTURES}
    name = names.get(decision.evidence, "mean of shifts")
    rows = [
        PairedRow(name=name, model=row.model, difference=row.difference)
        for row in decision.models
        if is_known(row.difference)
    ]
    on_sets = [
        PairedRow(name=row.data, model=comparison.models[0], difference=row.difference)
        for comparison in comparisons
        for row in comparison.differences
        if row.id == "top1" and row.paired and not row.inner and is_known(row.difference)
        if row.data != decision.question
    ]
    if len(on_sets) <= MOST_ROWS:
        order = {row.name: index for index, row in reversed(list(enumerate(on_sets)))}
        rows += sorted(on_sets, key=lambda row: order[row.name])
    return tuple(rows)


def paired_chart(rows: Sequence[PairedRow], decision: Decision) -> Chart | None:
    """Returns the paired differences to the model that leads a decision as a chart.

    Args:
        rows: The differences.
        decision: The decision.
    """
    if not rows:
        return None
    models = list(dict.fromkeys(row.model for row in rows))
    marked = [(name, [i for i, row in enumerate(rows) if row.model == name]) for name in models]
    if len(models) > len(_ROLES):
        marked = [("difference", list(range(len(rows))))]
    drawn = [
        series(
            name, [rows[i].difference for i in indices], role, "points", list(map(float, indices))
        )
        for role, (name, indices) in zip(_ROLES, marked, strict=False)
    ]
    zero = Series(
        name="no difference", x=tuple(map(float, range(len(rows)))), y=(0.0,) * len(rows),
        mark="points", role="reference",
    )  # fmt: skip
    of_sets = any(row.name != rows[0].name for row in rows)
    names = [row.model for row in rows]  # a name that is too long is cut at its end
    if len(models) == 1:
        names = [row.name for row in rows]
    elif of_sets:
        names = [f"{row.model} · {row.name}" for row in rows]
    return Chart(
        id="paired",
        title=f"Leads of {decision.models[0].model} on the same pictures",
        x_label="",
        y_label="lead, points",
        series=(*drawn, zero),
        y_unit="points",
        ticks=tuple(names),
        note=f"{rows[0].name}: {levels(decision)}.{' Sets: 95 % each.' if of_sets else ''}",
        across=True,
    )


def labels_chart(models: Sequence[str], reports: Sequence[Report], *, folded: bool) -> Chart | None:
    """Returns the curves of several models by the number of labels as one chart, if two have one.

    Args:
        models: Name of each model, the one to take first.
        reports: Its report.
        folded: Whether a page hides it until it is asked for.
    """
    drawn = [
        (name, chart) for name, of in zip(models, reports, strict=True) if (chart := _curve(of))
    ]
    if len(drawn) < 2:
        return None
    roles = (*_CURVES, *["context"] * len(drawn))
    curves = [
        chart.series[0].model_copy(update={"name": name, "role": role})
        for (name, chart), role in zip(drawn, roles, strict=False)
    ]
    return drawn[0][1].model_copy(update={"series": tuple(curves), "folded": folded})


_CURVES: Final[tuple[SeriesRole, ...]] = ("main", "second", "third")


def _curve(report: Report) -> Chart | None:
    """Returns the chart of accuracy by the number of labels."""
    sections = [part.section for part in report.parts if part.section is not None]
    pieces = [piece for section in sections for piece in section.content]
    charts = (piece for piece in pieces if isinstance(piece, Chart) and piece.id == LABELS_CURVE)
    return next(charts, None)
