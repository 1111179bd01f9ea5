"""From an ImageNet accuracy and a kind of training to expected accuracies under shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tuiprobe.catalog.accuracies import SHIFTS
from tuiprobe.catalog.baselines import effective_robustness
from tuiprobe.catalog.forecast import LEVELS, TrainingKind, coverage, errors, peers
from tuiprobe.probes.forecast.result import Expectation, FamilyOff, Forecast, Side
from tuiprobe.probes.robustness.compute import mean_accuracy
from tuiprobe.probes.robustness.result import SetAccuracy
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

    kind: TrainingKind
    imagenet: Estimate
    published_as: str = ""
    without: str = ""
    shifts: Sequence[SetAccuracy] = ()


def forecast(start: Start) -> Forecast | NotRun:
    """Computes the forecast of every published shift and of their mean."""
    measured = {accuracy.shift for accuracy in start.shifts}
    known = tuple(shift for shift in SHIFTS if shift in measured)
    targets = [SHIFTS, *((shift,) for shift in SHIFTS)]
    if 1 < len(known) < len(SHIFTS):
        targets.insert(1, known)
    try:
        chosen = peers(start.kind, SHIFTS, start.without)
        expectations = tuple(_expectation(start, target) for target in targets)
    except ValueError as error:
        return NotRun(reason=str(error))
    left_out = errors(start.kind)
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
        errors=tuple(FamilyOff(family=f.family, models=f.models, error=f.error) for f in left_out),
        mean_error=fmean(family.error for family in left_out),
        covered_models=covered.models,
        covered_families=covered.families,
    )


def _expectation(start: Start, target: tuple[str, ...]) -> Expectation:
    x = start.imagenet
    chosen = peers(start.kind, target, start.without)
    expected = chosen.expected(x.value, None if start.published_as else x.n)
    narrow, wide = (expected.intervals[level] for level in LEVELS)
    accuracies = [accuracy for accuracy in start.shifts if accuracy.shift in target]
    top1 = {row.shift or "": row.top1 for row in accuracies if given(row.top1)}
    missing = [shift for shift in target if shift not in top1]
    measured: Figure = NotRun(reason=f"not measured: {', '.join(missing)}")
    if not missing:
        measured = accuracies[0].top1 if len(target) == 1 else mean_accuracy(accuracies)
    beyond: Figure = NotRun(reason=f"not measured: {', '.join(missing)}")
    side: Side | None = None
    if given(measured):
        values = {shift: accuracy.value for shift, accuracy in top1.items()}
        images = {shift: accuracy.n for shift, accuracy in top1.items()}
        er = effective_robustness(chosen.line, x.value, values, images | {"imagenet": x.n})
        if er is not None:
            low, high = er.prediction
            how = "prediction: binomial, and the reach of peers with families left out"
            beyond = Estimate(value=er.value, low=low, high=high, n=measured.n, method=how)
            side = "above" if low > 0 else "below" if high < 0 else "within"
    return Expectation(
        target=target,
        forecast=Estimate(
            value=expected.value,
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
