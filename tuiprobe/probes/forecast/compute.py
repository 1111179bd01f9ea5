"""From an ImageNet accuracy and a kind of training to expected accuracies under shift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from tuiprobe.catalog.accuracies import SHIFTS
from tuiprobe.catalog.baselines import RobustnessByBaseline, effective_robustness
from tuiprobe.catalog.forecast import LEVELS, Kind, coverage, errors, peers
from tuiprobe.probes.forecast.result import Expectation, FamilyOff, Forecast, Side
from tuiprobe.probes.robustness.compute import mean_accuracy
from tuiprobe.probes.robustness.result import Accuracy
from tuiprobe.results import Estimate, Figure, NotRun, given


@dataclass(frozen=True)
class Start:
    """What a forecast starts from.

    Attributes:
        kind: Kind of training.
        imagenet: ImageNet accuracy.
        published_as: Spec whose published accuracy that is; empty if it was measured.
        without: Family to leave out; empty if it is not known.
        shifts: Accuracies measured on published shifts.
    """

    kind: Kind
    imagenet: Estimate
    published_as: str = ""
    without: str = ""
    shifts: Sequence[Accuracy] = ()


def forecast(start: Start) -> Forecast | NotRun:
    """Computes the forecast of every published shift and of their mean."""
    try:
        chosen = peers(start.kind, SHIFTS, start.without)
        expectations = tuple(_expectation(start, target) for target in _targets(start.shifts))
    except ValueError as error:
        return NotRun(reason=str(error))
    off = errors(start.kind)
    covered = coverage(start.kind)
    return Forecast(
        kind=start.kind,
        imagenet=start.imagenet,
        source="published" if start.published_as else "measured",
        published_as=start.published_as,
        models=chosen.line.n,
        families=chosen.families,
        without=start.without,
        expectations=expectations,
        errors=tuple(FamilyOff(family=f.family, models=f.models, error=f.error) for f in off),
        mean_error=fmean(one.error for one in off),
        covered_models=covered.models,
        covered_families=covered.families,
    )


def _targets(measured: Sequence[Accuracy]) -> Iterator[tuple[str, ...]]:
    yield SHIFTS
    known = tuple(shift for shift in SHIFTS if shift in {one.shift for one in measured})
    if 1 < len(known) < len(SHIFTS):
        yield known
    for shift in SHIFTS:
        yield (shift,)


def _expectation(start: Start, target: tuple[str, ...]) -> Expectation:
    x = start.imagenet
    chosen = peers(start.kind, target, start.without)
    found = chosen.expected(x.value, None if start.published_as else x.n)
    narrow, wide = (found.intervals[level] for level in LEVELS)
    accuracies = [one for one in start.shifts if one.shift in target]
    measured = _measured(accuracies, target)
    beyond: Figure = NotRun(reason=f"not measured: {', '.join(_missing(accuracies, target))}")
    side: Side | None = None
    if given(measured):
        values = {one.shift or "": one.top1.value for one in accuracies if given(one.top1)}
        images = {one.shift or "": one.top1.n for one in accuracies if given(one.top1)}
        er = effective_robustness(chosen.line, x.value, values, images | {"imagenet": x.n})
        if er is not None:
            low, high = er.prediction
            how = "prediction: binomial, and the reach of peers with families left out"
            beyond = Estimate(value=er.value, low=low, high=high, n=measured.n, method=how)
            side = _side(er)
    return Expectation(
        target=target,
        forecast=Estimate(
            value=found.value,
            low=wide[0],
            high=wide[1],
            n=chosen.line.n,
            method="least squares in logit space over published models; 95 % prediction interval "
            "from residuals with families left out; n counts models",
        ),
        low_80=narrow[0],
        high_80=narrow[1],
        measured=measured,
        beyond=beyond,
        side=side,
    )


def _measured(accuracies: Sequence[Accuracy], target: tuple[str, ...]) -> Figure:
    missing = _missing(accuracies, target)
    if missing:
        return NotRun(reason=f"not measured: {', '.join(missing)}")
    return accuracies[0].top1 if len(target) == 1 else mean_accuracy(accuracies)


def _missing(accuracies: Sequence[Accuracy], target: tuple[str, ...]) -> list[str]:
    known = {one.shift for one in accuracies if given(one.top1)}
    return [shift for shift in target if shift not in known]


def _side(er: RobustnessByBaseline) -> Side:
    low, high = er.prediction
    return "above" if low > 0 else "below" if high < 0 else "within"
