"""Accuracy under shift against accuracy without: the run, its baseline, and published models."""

from __future__ import annotations

from collections.abc import Mapping

from tuiprobe.catalog.accuracies import rows
from tuiprobe.catalog.baselines import logit, mean_of, sigmoid
from tuiprobe.probes.robustness.result import Accuracy, EffectiveRobustness, Robustness
from tuiprobe.results import Estimate, Figure, NotRun, given
from tuiprobe.results.section import Chart, Drawn, Series

MOST_NAMED = 2
_STEPS = 40
_OTHERS = "timm and testbed, others"
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
            charts.append(_baseline(one, x.value, (name, number), found))
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
        x_unit="share",
        y_unit="share",
        note="No baseline: nothing here about effective robustness.",
    )


def _point(name: str, x: float, figure: Estimate) -> Series:
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    return Series(name=name, x=(x,), y=(figure.value,), low=(low,), high=(high,), mark="points")


def _baseline(
    one: EffectiveRobustness, x: float, named: tuple[str, int], found: Robustness
) -> Chart:
    (name, number), behind = named, _behind(one, found)
    xs = [x, *(value for series in behind for value in series.x)]
    along, expected = _line(one, min(xs), max(xs))
    line = Series(name=f"baseline {one.baseline}", x=along, y=expected, role="reference")
    return Chart(
        id=f"robustness_{number}",
        title=f"Accuracy under shift against the baseline {one.baseline}",
        x_label=f"accuracy without shift ({one.axis})",
        y_label=_mean_on(one.target),
        series=(*behind, line, *_own_point(one, x, name)),
        x_unit="share",
        y_unit="share",
        note=_note(one, bool(behind)),
        folded=number > 0,
    )


def _mean_on(target: tuple[str, ...]) -> str:
    if len(target) > MOST_NAMED:
        return f"mean accuracy on {len(target)} shifts"
    return (
        f"mean accuracy on {', '.join(target)}" if len(target) > 1 else f"accuracy on {target[0]}"
    )


def _note(one: EffectiveRobustness, behind: bool) -> str:
    if isinstance(one.value, NotRun):
        return f"This run is not drawn: {one.value.reason}."
    if not behind:
        return "No models behind: none has figures on these axes."
    return "The vertical line is the precision interval of the effective robustness."


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


def _behind(one: EffectiveRobustness, found: Robustness) -> tuple[Series, ...]:
    """Returns the models of the baseline, and behind one of ImageNet's sets all published ones."""
    own = next((each for each in found.baseline_models if each.baseline == one.baseline), None)
    fitted: list[tuple[str, float, Mapping[str, float | None]]] = []
    if own is not None:
        fitted += [(each.name, each.x, each.shifts) for each in own.models]
    published = _Models(_OTHERS), _Models(_ZERO_SHOT)
    if one.axis == "imagenet":
        for row in rows():
            model = f"{row.model}, {row.tag}" if row.tag else row.model
            if one.baseline in row.baselines:
                fitted.append((model, row.imagenet or 0.0, row.shifts))
            elif row.imagenet is not None:
                published[row.table == "open_clip"].add(model, row.imagenet, one, row.shifts)
    models = _Models(f"models of {one.baseline}")
    for model, x, shifts in fitted:
        models.add(model, x, one, shifts)
    roles: dict[Drawn, _Models] = {
        "context": published[0], "third": published[1], "control": models,
    }  # fmt: skip
    return tuple(one.series(role) for role, one in roles.items() if one.x)


class _Models:
    """Models as points of one series."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.names: list[str] = []
        self.x: list[float] = []
        self.y: list[float] = []

    def add(
        self, model: str, x: float, one: EffectiveRobustness, shifts: Mapping[str, float | None]
    ) -> None:
        """Adds a model that has an accuracy on every shift of the target."""
        mean = mean_of(one.target, shifts)
        if mean is not None:
            self.names.append(model)
            self.x.append(x)
            self.y.append(mean)

    def series(self, role: Drawn) -> Series:
        """Returns the series."""
        return Series(
            name=self.name,
            x=tuple(self.x),
            y=tuple(self.y),
            mark="points",
            role=role,
            names=tuple(self.names),
        )
