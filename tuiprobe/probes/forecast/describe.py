"""The description of a forecast."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.catalog.baselines import bundled_models, mean_of
from tuiprobe.catalog.forecast import BASELINE_OF
from tuiprobe.numbers import number
from tuiprobe.probes.forecast.result import Expectation, Forecast
from tuiprobe.probes.telling import heading, points, prose, series, several, table
from tuiprobe.results import given
from tuiprobe.results.section import Chart, Code, Content, Section, Series, Text, Value

SIDES = {
    "above": "above what its peers reach",
    "within": "within what its peers reach",
    "below": "below what its peers reach",
}
"""Where a measured accuracy lies, in words; outside the 95 % prediction interval only."""


def describe(result: Forecast) -> Section:
    """Describes the forecast, what was measured beside it, and the forecast's own error."""
    drawn = _picture(result)
    return Section(
        title="Forecast from published models",
        card=tuple(_card(result)),
        pictures=tuple(one.id for one in drawn),
        content=(
            prose(*_from(result)),
            _expectations(result),
            *drawn,
            heading("How wrong it was"),
            prose(*_error(result)),
            _errors(result),
            points(_limits(result)),
        ),
    )


def _card(result: Forecast) -> Iterator[Text]:
    mean, worst = result.expectations[0], result.errors[0]
    which = "its accuracy"
    if result.source == "published" and given(result.imagenet):
        which = f"its published ImageNet accuracy ({result.imagenet.alone()}, not measured here)"
    yield (
        f"Forecast from {result.kind} models of {which}: mean of {len(mean.target)} shifts ",
        mean.forecast,
        f"; off by {number(result.mean_error, 'points')} on average over families left out "
        f"({worst.family} {number(worst.error, 'points', bare=True)}).",
    )
    compared = next((one for one in result.expectations if one.side is not None), None)
    if compared is not None and compared.side is not None:
        yield (f"Measured minus forecast, {_target(compared)}: ", compared.beyond,
               f", {SIDES[compared.side]}.")  # fmt: skip


def _target(one: Expectation) -> str:
    if len(one.target) > 1:
        return f"mean of {len(one.target)} shifts"
    return one.target[0]


def _from(result: Forecast) -> Iterator[Value]:
    start = "measured in this run" if result.source == "measured" else "published for "
    yield from ("ImageNet accuracy ", result.imagenet, f", {start}")
    if result.source == "published":
        yield Code(code=result.published_as)
    yield (
        f". The line is fitted to {several(result.models, f'published {result.kind} model')} of "
        f"{several(result.families, 'family', 'families')}"
    )
    yield (
        f", without the family {result.without} of this model."
        if result.without
        else "; the family of this model is not known, so none was left out."
    )


def _expectations(result: Forecast) -> Content:
    return table(
        "forecast",
        [
            ("target", "shift"),
            ("measured", "measured"),
            ("forecast", "forecast (95 %)"),
            ("low_80", "80 % from", "share"),
            ("high_80", "to", "share"),
            ("beyond", "measured minus forecast"),
            ("side", "beyond its peers"),
        ],
        [
            [
                f"mean of {', '.join(one.target)}" if len(one.target) > 1 else one.target[0],
                one.measured if given(one.measured) else "-",
                one.forecast,
                one.low_80,
                one.high_80,
                one.beyond if given(one.beyond) else "-",
                "-" if one.side is None else {"within": "no"}.get(one.side, one.side),
            ]
            for one in result.expectations
        ],
    )


def _error(result: Forecast) -> Iterator[Value]:
    worst = result.errors[0]
    yield (
        f"For the published {result.kind} models, each family left out in turn, the forecast of "
        f"the mean of all shifts was off by {number(result.mean_error, 'points')} on average over "
        f"{len(result.errors)} families, most for {worst.family} "
        f"({number(worst.error, 'points')}). "
        f"Its 95 % interval held {number(result.covered_models, 'share')} of the models, "
        f"{number(result.covered_families, 'share')} averaged over families."
    )


def _errors(result: Forecast) -> Content:
    return table(
        "forecast_errors",
        [("family", "family left out"), ("models", "models"), ("error", "mean error, points")],
        [[Code(code=one.family), one.models, round(100 * one.error, 1)] for one in result.errors],
        folded=True,
    )


def _limits(result: Forecast) -> Iterator[Value]:
    yield (
        "The interval is where the accuracy of a model from a family not seen before may lie. With "
        f"{several(result.families, 'family', 'families')} no method can guarantee its level; the "
        "shares above are what was seen."
    )
    yield (
        "It is about ImageNet's published shifts only and says nothing about other images. A "
        "difference within the interval is no evidence of robustness beyond the peers."
    )


def _picture(result: Forecast) -> tuple[Chart, ...]:
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
            x_unit="share",
            y_unit="share",
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
