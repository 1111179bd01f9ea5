"""The description of expected accuracies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, get_args

from tuiprobe import numbers
from tuiprobe.probes.intervals import exact
from tuiprobe.probes.protocol import Subject
from tuiprobe.probes.targets.result import (
    Estimator,
    ShiftCheck,
    TargetPicture,
    Targets,
    TargetSet,
)
from tuiprobe.probes.telling import heading, known, points, prose, series, several, table
from tuiprobe.results import Estimate, Figure, NotRun, TopImage, given
from tuiprobe.results.section import (
    Chart,
    Code,
    Content,
    Section,
    Series,
    Strip,
    StripEnd,
    Strong,
    Text,
    Value,
)

ESTIMATORS: Final[dict[Estimator, str]] = {
    "atc_entropy": "ATC by entropy",
    "atc_confidence": "ATC by confidence",
    "difference": "difference of confidences",
    "average": "average confidence",
}
"""What people call each estimator."""

NOTE: Final = (
    "The estimate takes the drop that ATC by entropy predicts, times k: how much larger the drops "
    "of labelled shifts were than predicted, or 1.35, as on published shifts. The intervals of "
    "figures that are not scaled say how precisely they are known, not how wrong they are."
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
    lines = [line for one in result.targets[:CARD_LINES] for line in _lines(result, one)]
    if any(one.scaled for one in result.targets):
        lines.append(_left_out(result))
    drawn: tuple[Chart | Strip, ...] = (*_picture(result), *_strips(result))
    left = len(result.targets) - CARD_LINES
    if left > 0:
        lines.append((f"{several(left, 'more target set')} in the section of estimates.",))
    return Section(
        title="Accuracy on your images",
        headline=lines[0],
        clause=_clause(result.targets[0]),
        clause_on=result.targets[0].data,
        card=tuple(lines),
        pictures=tuple(one.id for one in drawn if isinstance(one, Strip) and not one.folded),
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
    targets = [one for one in result.targets if one.scaled][:MOST_DRAWN]
    if not checks or not targets:
        return ()
    names = [*(one.data for one in checks), *(one.data for one in targets)]
    found = [*(_from_the_others(one) for one in checks), *(one.headline for one in targets)]
    at, estimates = known(found)
    if not any(place >= len(checks) for place in at):
        return ()
    places, measured = known([one.measured for one in checks])
    beside = [place + BESIDE for place in places]
    drawn = (
        series("estimate", at, estimates, "main", "points"),
        series("measured", beside, measured, "second", "points"),
    )
    return (
        Chart(
            id="targets",
            title="Estimated accuracy, and measured where labels tell",
            x_label="labelled shifts, then your images",
            y_label="accuracy",
            series=drawn,
            y_unit="share",
            ticks=tuple(names),
            note="Each shift is estimated from the others; your images with the 80 % range.",
        ),
    )


def _strips(result: Targets) -> Iterator[Strip]:
    """Yields the pictures of each set that are shown: unsure ones, and common answers."""
    for number, one in enumerate(result.targets):
        groups = (("least sure", one.least_sure), ("common answers", one.common))
        ends = tuple(_end(label, shown) for label, shown in groups if shown)
        if ends:
            yield Strip(
                id=f"pictures_{number}",
                title=("What pictures were taken for, and how surely",),
                data=one.data,
                ends=ends,
                folded=number > 0,
            )


def _end(label: str, pictures: Sequence[TargetPicture]) -> StripEnd:
    return StripEnd(
        label=label,
        images=tuple(
            TopImage(sample_id=one.sample_id, path=one.path, value=one.confidence, position=0)
            for one in pictures
        ),
        captions=tuple(
            f"{one.answer}, {numbers.number(one.confidence, 'share', 0.0, 0.1)}" for one in pictures
        ),
    )


def _from_the_others(one: ShiftCheck) -> Figure:
    """Returns what a labelled shift would have been estimated at, without its own labels."""
    if not given(one.left_out) or not given(one.measured):
        return NotRun(reason="no estimate")
    value = one.measured.value + one.left_out.value
    return exact(value, one.measured.n, "no interval: estimated from the others", "share")


def _lines(result: Targets, one: TargetSet) -> Iterator[Text]:
    """Yields the estimate of a set with its range, what it rests on, and what speaks against it."""
    about: tuple[Value, ...] = (f"{one.data} ({one.images:,} images, no labels): ",)
    estimate = one.headline
    if not given(estimate):
        yield (*about, "no estimate: ", f"{estimate.reason}.")
        return
    if not one.scaled:
        enough = one.labels is not None and one.labels <= one.images
        labels = f"; {one.labels:,} labels would validate it" if enough else ""
        yield (*about, "average confidence ", estimate,
               f", not calibrated and not validated{labels}.")  # fmt: skip
        return
    yield (*about, f"{_right(estimate)}. {_rests_on(one)}")
    if one.opinions_differ:
        second = one.scaled[1]
        yield (f"By {ESTIMATORS[second.estimator]} it would be ", second.accuracy.alone(),
               f", which is outside that range: label some pictures of {one.data}.")  # fmt: skip


def _right(estimate: Estimate) -> str:
    """Returns an estimate with its range, in words: `about 56 % right (37 to 75)`."""
    value, bracket, ends = estimate.with_interval().partition(" (")
    return f"about {value} right{bracket}{ends}"


def _clause(one: TargetSet) -> str:
    """Returns the estimate of a set for the title; empty where nothing is estimated."""
    estimate = one.headline
    if not given(estimate):
        return ""
    return _right(estimate) if one.scaled else f"{_right(estimate)}, not validated"


def _rests_on(one: TargetSet) -> str:
    """Returns what the range of a scaled estimate means, or why the estimate is not scaled."""
    if not one.too_few_wrong:
        return "At least 4 of 5 such estimates on published shifts were at most this far off."
    labels = f"{one.labels:,} labels of {one.data}"
    more = f"{one.more_labelled:,} more labelled images, or {labels}," if one.more_labelled else (
        labels
    )  # fmt: skip
    return (
        f"It rests on {several(one.wrong or 0, 'wrong answer')} in distribution, too few to say in "
        f"which direction it errs; {more} would tell."
    )


def _left_out(result: Targets) -> Text:
    """Returns how wrong the estimate was on labelled shifts, in words."""
    errors = result.left_out
    if not given(errors.mean_absolute) or not given(errors.worst):
        return ("How wrong this is on a labelled shift is unknown: the run has none.",)
    direction = "too high" if errors.worst.value > 0 else "too low"
    worst = numbers.number(abs(errors.worst.value), "points", bare=True)
    if errors.shifts == 1:
        return (f"On the labelled shift {errors.worst_on} it was off by {worst} points, "
                f"{direction}.",)  # fmt: skip
    return (
        f"With the labels of each of {errors.shifts} shifts hidden in turn it was "
        f"{errors.mean_absolute.alone()} off on average, at worst {worst} ({errors.worst_on}, "
        f"{direction}); {errors.too_high} of {errors.shifts} were too high.",
    )


def _estimates(result: Targets) -> Iterator[Content]:
    if any(one.expected for one in result.targets):
        yield prose(NOTE)
    yield table(
        "targets",
        [
            ("data", "data"),
            ("images", "n"),
            ("estimate", "estimate, 80 % range"),
            ("second", "by difference of confidences, 80 % range"),
            ("k", "k"),
            *((name, f"{ESTIMATORS[name]}, not scaled") for name in get_args(Estimator)),
            ("uncalibrated", "average confidence, not calibrated"),
            ("less_confident", "share less confident than 95 % in distribution"),
            ("dispersion", "dispersion"),
            ("labels", "labels for ±5 points"),
        ],
        [
            [
                Code(code=one.data),
                one.images,
                *_scaled_cells(one),
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


def _scaled_cells(one: TargetSet) -> list[Value]:
    """Returns the estimate, the second opinion, and the `k` of the estimate."""
    accuracies: list[Value] = [each.accuracy for each in one.scaled]
    k: Value = one.scaled[0].k if one.scaled else "-"
    return [*accuracies, *["-"] * (2 - len(accuracies)), k]


def _cell(figure: Figure) -> Value:
    return figure if given(figure) else "-"


def _errors(result: Targets) -> Iterator[Content]:
    yield heading("How wrong these estimates are on labelled shifts")
    if not given(result.left_out.mean_absolute):
        yield prose("Error of the estimate: ", f"{result.left_out.mean_absolute.reason}.")
        return
    yield prose(NO_BOUND)
    yield table(
        "targets_checked",
        [
            ("data", "shift"),
            ("measured", "measured"),
            ("left_out", "error of the estimate", "points"),
            ("own", "in distribution, same classes"),
            *((name, f"predicted: {ESTIMATORS[name]}") for name in get_args(Estimator)),
        ],
        [_checked(one) for one in result.checks],
        "Predicted beside measured",
    )
    left_out = result.left_out
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
            ["the estimate, each shift left out", left_out.mean_absolute, left_out.worst,
             left_out.worst_on, left_out.shifts],
            *([f"{ESTIMATORS[one.estimator]}, not scaled", one.mean_absolute, one.worst,
               one.worst_on, one.mean_absolute.n if given(one.mean_absolute) else 0]
              for one in result.errors),
        ],
        "Error, in accuracy",
    )  # fmt: skip


def _checked(one: ShiftCheck) -> list[Value]:
    return [
        Code(code=one.data),
        one.measured,
        _cell(one.left_out),
        _cell(one.own),
        *(_cell(one.of(name)) for name in get_args(Estimator)),
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
    answered = [each for each in one.predicted if each.images]
    shown = answered[:BARS]
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
        y_unit="count",
        ticks=tuple(each.name for each in shown),
        note=f"the {BARS} most predicted classes" if len(answered) > BARS else "",
    )
