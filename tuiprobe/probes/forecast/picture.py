"""Forecast and measured accuracy among the published models that the forecast rests on."""

from __future__ import annotations

from tuiprobe.catalog.baselines import bundled_models, mean_of
from tuiprobe.catalog.forecast import BASELINE_OF
from tuiprobe.probes.forecast.result import Expectation, Forecast
from tuiprobe.probes.telling import series, several
from tuiprobe.results import given
from tuiprobe.results.section import Chart, Series


def picture(result: Forecast) -> tuple[Chart, ...]:
    """Returns the chart of the forecast that was compared, else of the mean of all shifts."""
    compared = [one for one in result.expectations if given(one.measured)]
    shown = (compared or list(result.expectations))[0]
    if not given(result.imagenet) or not given(shown.forecast):
        return ()
    x = result.imagenet.value
    drawn = [_peers(result, shown), series("forecast, 95 %", (x,), (shown.forecast,), "second",
             "points")]  # fmt: skip
    if given(shown.measured):
        drawn.append(series("measured", (x,), (shown.measured,), "main", "points"))
    what = shown.target[0]
    if len(shown.target) > 1:
        what = f"mean of {several(len(shown.target), 'shift')}"
    measured = "measured here" if result.source == "measured" else "as published"
    return (
        Chart(
            id="forecast",
            title=f"Forecast and published {result.kind} models, {what}",
            x_label=f"ImageNet accuracy ({measured})",
            y_label=f"accuracy, {what}",
            series=tuple(drawn),
            note="Outside the forecast's interval a model is beyond its peers; within it, it is "
            "not.",
        ),
    )


def _peers(result: Forecast, shown: Expectation) -> Series:
    points = []
    for row in bundled_models(BASELINE_OF[result.kind], result.without):
        mean = mean_of(shown.target, row.shifts)
        if mean is not None and row.imagenet is not None:
            name = f"{row.model}, {row.tag}" if row.tag else row.model
            points.append((name, row.imagenet, mean))
    return Series(
        name=f"published {result.kind} models",
        x=tuple(x for _, x, _ in points),
        y=tuple(y for _, _, y in points),
        mark="points",
        role="context",
        names=tuple(name for name, _, _ in points),
    )
