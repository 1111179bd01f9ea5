"""Accuracy under shift against accuracy without: the run, its baseline, and published models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from tuiprobe.catalog.accuracies import rows
from tuiprobe.catalog.effective_robustness import logit, mean_of, sigmoid
from tuiprobe.choose.robustness.compute import EffectiveRobustness, Robustness
from tuiprobe.results import NotRun, is_known
from tuiprobe.results.section import Chart, Series, SeriesRole

MOST_NAMED = 2
_STEPS = 40
_OTHERS, _ZERO_SHOT = "timm and testbed, others", "open_clip, zero-shot"


def scatter(result: Robustness, name: str) -> list[Chart]:
    """Returns the charts of a run's accuracies and its baselines; none without a baseline.

    Args:
        result: Accuracies and effective robustness.
        name: Name of the model.
    """
    charts = []
    for number, er in enumerate(result.headlines()):
        x = result.accuracies[0].top1
        if er.axis == "own classes":
            same = [row for row in result.accuracies if row.shift in er.target]
            if len(same) != 1:
                continue
            x = same[0].id_own_classes
        if is_known(x) and 0 < x.value < 1:
            charts.append(_baseline(er, x.value, name, number, result))
    return charts


def _baseline(
    er: EffectiveRobustness, x: float, name: str, number: int, result: Robustness
) -> Chart:
    def predicted(x: float) -> float:
        return sigmoid(er.slope * logit(x) + er.intercept)

    behind = _behind(er, result)
    xs = [x, *(value for models in behind for value in models.x)]
    low, high = max(min(xs) - 0.02, 1e-3), min(max(xs) + 0.02, 1 - 1e-3)
    along = tuple(low + (high - low) * i / (_STEPS - 1) for i in range(_STEPS))
    expected = tuple(predicted(value) for value in along)
    drawn = [
        *behind,
        Series(name=f"baseline {er.baseline}", x=along, y=expected, role="reference"),
    ]
    if isinstance(er.value, NotRun):
        note = f"This run is not drawn: {er.value.reason}."
    else:
        note = "The vertical line is the precision interval of the effective robustness."
        if not behind:
            note = "No models behind: none has figures on these axes."
        ends = (er.value.value, er.value.low, er.value.high)
        y, bottom, top = (
            (predicted(x) + (er.value.value if end is None else end),) for end in ends
        )
        drawn.append(Series(name=name, x=(x,), y=y, low=bottom, high=top, mark="points"))
    target = f"accuracy on {er.target[0]}"
    if len(er.target) > MOST_NAMED:
        target = f"mean accuracy on {len(er.target)} shifts"
    elif len(er.target) > 1:
        target = f"mean accuracy on {', '.join(er.target)}"
    return Chart(
        id=f"robustness_{number}",
        title=f"Accuracy under shift against the baseline {er.baseline}",
        x_label=f"accuracy without shift ({er.axis})",
        y_label=target,
        series=tuple(drawn),
        x_unit="share",
        y_unit="share",
        note=note,
        folded=number > 0,
    )


def _behind(er: EffectiveRobustness, result: Robustness) -> list[Series]:
    """Returns the models of the baseline, and behind one of ImageNet's sets all published ones."""
    fitted = f"models of {er.baseline}"
    roles: dict[str, SeriesRole] = {_OTHERS: "context", _ZERO_SHOT: "third", fitted: "control"}
    models: list[tuple[str, str, float, Mapping[str, float | None]]] = [
        (fitted, model.name, model.x, model.shifts)
        for baseline in result.baseline_models
        if baseline.baseline == er.baseline
        for model in baseline.models
    ]
    for row in rows() if er.axis == "imagenet" else ():
        if er.baseline in row.baselines:
            models.append((fitted, row.label, row.imagenet or 0.0, row.shifts))
        elif row.imagenet is not None:
            group = _ZERO_SHOT if row.table == "open_clip" else _OTHERS
            models.append((group, row.label, row.imagenet, row.shifts))
    points = defaultdict(list)
    for group, name, x, shifts in models:
        mean = mean_of(er.target, shifts)
        if mean is not None:
            points[group].append((name, x, mean))
    return [
        Series(
            name=group,
            x=tuple(x for _, x, _ in points[group]),
            y=tuple(y for _, _, y in points[group]),
            mark="points",
            role=role,
            names=tuple(name for name, _, _ in points[group]),
        )
        for group, role in roles.items()
        if group in points
    ]
