"""The description of expected accuracies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, get_args

from tuiprobe.probes.protocol import Subject
from tuiprobe.probes.targets.result import (
    HEADLINE,
    Error,
    Estimator,
    ShiftCheck,
    Targets,
    TargetSet,
)
from tuiprobe.probes.telling import heading, known, points, prose, series, several, table
from tuiprobe.results import Estimate, Figure, NotRun, given
from tuiprobe.results.section import Chart, Code, Content, Section, Series, Strong, Text, Value

ESTIMATORS: Final[dict[Estimator, str]] = {
    "atc_entropy": "ATC by entropy",
    "atc_confidence": "ATC by confidence",
    "difference": "difference of confidences",
    "average": "average confidence",
}
"""What people call each estimator."""

NOTE: Final = (
    "Estimates assume that right and wrong answers differ in confidence as they do on the "
    "in-distribution set. ATC by entropy was chosen as the headline before any data were seen."
)
NO_BOUND: Final = (
    "The worst error on labelled shifts does not bound the error on your images: they may differ "
    "from the in-distribution set in a way that no labelled shift has."
)
NO_CLASS: Final = (
    "An image of none of the head's classes makes every estimate meaningless: it still gets a "
    "class and a confidence."
)
DISPERSION: Final = (
    "Dispersion orders several sets under one model: higher means more confident answers spread "
    "over more classes. It does not compare models."
)

CARD_LINES: Final = 3
BARS: Final = 30
NAMED: Final = 3
MOST_DRAWN: Final = 6
BESIDE: Final = 0.16
"""How far beside an estimate the measured accuracy is drawn, in places."""


def describe(result: Targets, subject: Subject) -> Section:
    """Describes every target set, then how wrong the estimators were."""
    lines = [_line(result, one) for one in result.targets[:CARD_LINES]]
    drawn = _picture(result)
    left = len(result.targets) - CARD_LINES
    if left > 0:
        lines.append((f"{several(left, 'more target set')} in the section of estimates.",))
    return Section(
        title="Accuracy on your images",
        headline=lines[0],
        card=tuple(lines),
        pictures=tuple(one.id for one in drawn),
        content=(
            *drawn,
            *_estimates(result),
            *_errors(result),
            *(piece for at in enumerate(result.targets) for piece in _answers(*at)),
        ),
    )


def _picture(result: Targets) -> tuple[Chart, ...]:
    """Returns the estimates beside what was measured where labels tell; none without a check."""
    checks = [one for one in result.checks if given(one.measured)]
    targets = [one for one in result.targets if one.expected][:MOST_DRAWN]
    if not checks or not targets:
        return ()
    names = [*(one.data for one in checks), *(one.data for one in targets)]
    found = [*(one.of(HEADLINE) for one in checks), *(one.of(HEADLINE) for one in targets)]
    at, estimates = known(found)
    if not any(place >= len(checks) for place in at):
        return ()
    places, measured = known([one.measured for one in checks])
    beside = [place + BESIDE for place in places]
    drawn = (
        series(f"estimate, {ESTIMATORS[HEADLINE]}", at, estimates, "main", "points"),
        series("measured", beside, measured, "second", "points"),
    )
    return (
        Chart(
            id="targets",
            title="Estimated accuracy, and measured where labels tell",
            x_label="labelled shifts, then your images",
            y_label="accuracy",
            series=drawn,
            ticks=tuple(names),
            note="Intervals say how precisely an estimate is known, not how wrong it is.",
        ),
    )


def _line(result: Targets, one: TargetSet) -> Text:
    about: tuple[Value, ...] = (f"{one.data} ({one.images:,}, unlabelled): ",)
    estimate = one.headline
    if not given(estimate):
        return (*about, "no estimate: ", f"{estimate.reason}.")
    if not one.expected:
        labels = f"; {one.labels:,} labels would validate it" if one.labels else ""
        return (*about, "average confidence ", _short(estimate),
                f", not calibrated and not validated{labels}.")  # fmt: skip
    return (*about, "about ", _short(estimate), f" right; {_wrong(result.error())}.")


def _wrong(error: Error) -> str:
    """Returns how wrong the headline estimate was, in words."""
    if not given(error.mean_absolute) or not given(error.worst):
        return "how wrong this may be is unknown: no labelled shift in this run"
    shifts = error.mean_absolute.n
    mean, worst = (f"{100 * one.value:.0f}" for one in (error.mean_absolute, error.worst))
    if shifts == 1:
        return f"on the labelled shift {error.worst_on} this estimate was off by {worst} points"
    return (
        f"on {shifts} labelled shifts this estimate was off by {mean} points on average, "
        f"{worst} at worst ({error.worst_on})"
    )


def _short(one: Estimate) -> Estimate:
    """Returns a figure for the card, rounded to percent."""
    ends = {
        k: None if v is None else round(v, 2) for k, v in (("low", one.low), ("high", one.high))
    }
    return one.model_copy(update={"value": round(one.value, 2), **ends})


def _estimates(result: Targets) -> Iterator[Content]:
    if any(one.expected for one in result.targets):
        yield prose(NOTE)
    yield table(
        "targets",
        [
            ("data", "data"),
            ("images", "n"),
            *((name, ESTIMATORS[name]) for name in get_args(Estimator)),
            ("uncalibrated", "average confidence, not calibrated"),
            ("less_confident", "share less confident than 95 % in distribution"),
            ("dispersion", "dispersion"),
            ("labels", "labels for ±5 points"),
        ],
        [
            [
                Code(code=one.data),
                one.images,
                *(_cell(one.of(name)) for name in get_args(Estimator)),
                _cell(one.uncalibrated),
                _cell(one.less_confident),
                _cell(one.dispersion),
                one.labels,
            ]
            for one in result.targets
        ],
        Strong(strong="Expected accuracy"),
    )
    if result.basis == "not validated":
        why = result.temperature
        if isinstance(why, NotRun):
            yield prose("Not calibrated and not validated: ", f"{why.reason}.")
    else:
        yield prose("Temperature fitted to ", Code(code=result.data), ": ", result.temperature, ".")
    yield prose(NO_CLASS)
    if len(result.targets) > 1:
        yield prose(DISPERSION)


def _cell(figure: Figure) -> Value:
    return figure if given(figure) else "-"


def _errors(result: Targets) -> Iterator[Content]:
    yield heading("How wrong these estimates are on labelled shifts")
    error = result.error()
    if not given(error.mean_absolute):
        yield prose("Error of the estimate: ", f"{error.mean_absolute.reason}.")
        return
    yield prose(NO_BOUND)
    yield table(
        "targets_checked",
        [
            ("data", "shift"),
            ("measured", "measured"),
            *((name, f"predicted: {ESTIMATORS[name]}") for name in get_args(Estimator)),
            ("error", f"error of {ESTIMATORS[HEADLINE]}"),
        ],
        [_checked(one) for one in result.checks],
        "Predicted beside measured",
    )
    yield table(
        "targets_errors",
        [
            ("estimator", "estimator"),
            ("mean_absolute", "mean absolute error"),
            ("worst", "worst"),
            ("worst_on", "on"),
            ("shifts", "shifts"),
        ],
        [
            [ESTIMATORS[one.estimator], one.mean_absolute, one.worst, one.worst_on,
             one.mean_absolute.n if given(one.mean_absolute) else 0]
            for one in result.errors
        ],
        "Absolute error, in accuracy",
    )  # fmt: skip


def _checked(one: ShiftCheck) -> list[Value]:
    expected = one.of(HEADLINE)
    away: Value = None
    if given(expected) and given(one.measured):
        away = expected.value - one.measured.value
    return [
        Code(code=one.data),
        one.measured,
        *(_cell(one.of(name)) for name in get_args(Estimator)),
        away,
    ]


def _answers(number: int, one: TargetSet) -> Iterator[Content]:
    if not one.images or not one.predicted:
        return
    yield heading("Predicted classes of ", Code(code=one.data))
    most, least = one.predicted[:NAMED], one.predicted[-NAMED:][::-1]
    never = sum(each.images == 0 for each in one.predicted)
    yield points(
        [
            f"Most predicted: {', '.join(f'{each.name} ({each.images:,})' for each in most)}.",
            f"Least predicted: {', '.join(f'{each.name} ({each.images:,})' for each in least)}.",
            f"Classes never predicted: {never:,} of {len(one.predicted):,}.",
        ]
    )
    shown = one.predicted[:BARS]
    yield Chart(
        id=f"predicted_{number}",
        title=f"Images of {one.data} by predicted class",
        x_label="class",
        y_label="images",
        series=(
            Series(
                name="images",
                x=tuple(float(i) for i in range(len(shown))),
                y=tuple(float(each.images) for each in shown),
                mark="bars",
            ),
        ),
        ticks=tuple(each.name for each in shown),
        note=f"the {BARS} most predicted classes" if len(one.predicted) > BARS else "",
    )
