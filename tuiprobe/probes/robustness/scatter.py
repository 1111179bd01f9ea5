"""Accuracy under shift against accuracy without: the run, its baseline, and published models."""

from __future__ import annotations

from tuiprobe.catalog.accuracies import rows
from tuiprobe.catalog.baselines import BASELINES, logit, mean_of, sigmoid
from tuiprobe.probes.robustness.result import Accuracy, EffectiveRobustness, Robustness
from tuiprobe.results import Estimate, Figure, NotRun, given
from tuiprobe.results.section import Chart, Drawn, Series

_STEPS = 40
_OTHERS = "timm and testbed models"
_ZERO_SHOT = "open_clip, zero-shot"


def scatter(found: Robustness, name: str) -> list[Chart]:
    """Returns the charts of a run's accuracies under shift; none if only the first set is known.

    Args:
        found: Accuracies and effective robustness.
        name: Name of the model.
    """
    first, *shifts = found.accuracies
    if not given(first.top1) or not shifts:
        return []
    if isinstance(found.effective, NotRun):
        return [_sets(first.top1, shifts, name)]
    charts = []
    for number, one in enumerate(found.headlines()):
        x = _on_axis(one, found)
        if given(x) and 0 < x.value < 1:
            charts.append(_baseline(one, x.value, name, number))
    return charts


def _on_axis(one: EffectiveRobustness, found: Robustness) -> Figure:
    """Returns this model's in-distribution accuracy, on the axis of the baseline."""
    if one.axis != "own classes":
        return found.accuracies[0].top1
    same = [accuracy for accuracy in found.accuracies if accuracy.shift in one.target]
    if len(same) != 1:
        return NotRun(reason="an axis of own classes has one shift")
    return same[0].id_own_classes


def _sets(first: Estimate, shifts: list[Accuracy], name: str) -> Chart:
    """Returns the chart without a baseline: each shifted set of this run against the first one."""
    points = tuple(_point(one.data, first.value, one.top1) for one in shifts if given(one.top1))
    low = min([first.value, *(y for point in points for y in point.y)])
    equal = Series(name="no loss", x=(low, 1.0), y=(low, 1.0), role="reference")
    return Chart(
        id="robustness",
        title=f"Accuracy under shift, {name}",
        x_label="accuracy on the first set",
        y_label="accuracy on the shifted set",
        series=(equal, *points),
        note="No baseline: nothing here about effective robustness.",
    )


def _point(name: str, x: float, figure: Estimate) -> Series:
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    return Series(name=name, x=(x,), y=(figure.value,), low=(low,), high=(high,), mark="points")


def _baseline(one: EffectiveRobustness, x: float, name: str, number: int) -> Chart:
    behind = _published(one)
    xs = [x, *(value for series in behind for value in series.x)]
    along, expected = _line(one, min(xs), max(xs))
    line = Series(name=f"baseline {one.baseline}", x=along, y=expected, role="reference")
    return Chart(
        id=f"robustness_{number}",
        title=f"Accuracy under shift against the baseline {one.baseline}",
        x_label=f"accuracy without shift ({one.axis})",
        y_label=f"mean accuracy on {', '.join(one.target)}",
        series=(*behind, line, *_own_point(one, x, name)),
        note=_note(one, bool(behind)),
    )


def _note(one: EffectiveRobustness, behind: bool) -> str:
    if isinstance(one.value, NotRun):
        return f"This run is not drawn: {one.value.reason}."
    return "" if behind else "No published models behind: they have no figures on these axes."


def _line(
    one: EffectiveRobustness, low: float, high: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    low, high = max(low - 0.02, 1e-3), min(high + 0.02, 1 - 1e-3)
    x = tuple(low + (high - low) * i / (_STEPS - 1) for i in range(_STEPS))
    return x, tuple(sigmoid(one.slope * logit(value) + one.intercept) for value in x)


def _own_point(one: EffectiveRobustness, x: float, name: str) -> tuple[Series, ...]:
    """Returns this model's point, with the precision interval of its effective robustness."""
    if not given(one.value):
        return ()
    expected = sigmoid(one.slope * logit(x) + one.intercept)
    low = one.value.value if one.value.low is None else one.value.low
    high = one.value.value if one.value.high is None else one.value.high
    return (
        Series(
            name=name,
            x=(x,),
            y=(expected + one.value.value,),
            low=(expected + low,),
            high=(expected + high,),
            mark="points",
        ),
    )


def _published(one: EffectiveRobustness) -> tuple[Series, ...]:
    """Returns the atlas models with the same shifts; none for a baseline of other data."""
    if one.baseline not in BASELINES or one.axis != "imagenet":
        return ()
    found: dict[str, list[tuple[float, float]]] = {_OTHERS: [], _ZERO_SHOT: []}
    for row in rows():
        mean = mean_of(one.target, row.shifts)
        if mean is not None and row.imagenet is not None:
            name = _ZERO_SHOT if row.table == "open_clip" else _OTHERS
            found[name].append((row.imagenet, mean))
    roles: dict[str, Drawn] = {_OTHERS: "context", _ZERO_SHOT: "third"}
    return tuple(
        Series(
            name=name,
            x=tuple(x for x, _ in points),
            y=tuple(y for _, y in points),
            mark="points",
            role=roles[name],
        )
        for name, points in found.items()
        if points
    )
