"""Result types of the targets probe (definitions: docs/targets.md)."""

from typing import ClassVar, Final, Literal

from tuiprobe.results.base import Count, Figure, Frozen, Many, NotRun
from tuiprobe.results.report import ProbeResult

Estimator = Literal["atc_entropy", "atc_confidence", "difference", "average"]

HEADLINE: Final[Estimator] = "atc_entropy"
"""Fixed before any data were seen."""


class Expected(Frozen):
    """What one estimator expects of one set."""

    estimator: Estimator
    accuracy: Figure


class Predicted(Frozen):
    """How many images of a set the head puts into a class."""

    name: str
    images: Count


class TargetSet(Frozen):
    """Estimates for one set of images without labels.

    Attributes:
        data: Name of the set.
        images: Images with a finite representation.
        expected: By every estimator; empty where nothing is calibrated.
        uncalibrated: Average confidence at the head's own scale, where there are no labels to
            calibrate with.
        labels: Random labels that would give an interval of +-5 points at the estimate.
        less_confident: Share of images less confident than 95 % of in-distribution ones.
        dispersion: Nuclear norm of the probabilities over sqrt(n min(n, K)).
        predicted: Every class that may be answered, most predicted first.
    """

    data: str
    images: Count
    expected: Many[Expected] = ()
    uncalibrated: Figure = NotRun(reason="the estimates are calibrated")
    labels: Count | None = None
    less_confident: Figure
    dispersion: Figure
    predicted: Many[Predicted]

    def of(self, estimator: Estimator) -> Figure:
        """Returns the accuracy that an estimator expects."""
        return _of(self.expected, estimator)

    @property
    def headline(self) -> Figure:
        """The estimate that is quoted: of the headline estimator, or uncalibrated."""
        return self.of(HEADLINE) if self.expected else self.uncalibrated


class ShiftCheck(Frozen):
    """Estimates for a labelled shift beside its accuracy.

    Attributes:
        data: Name of the set.
        measured: Accuracy, with Wilson's interval.
        expected: By every estimator; the reason where there is none.
    """

    data: str
    measured: Figure
    expected: Many[Expected] | NotRun

    def of(self, estimator: Estimator) -> Figure:
        """Returns the accuracy that an estimator expects."""
        if isinstance(self.expected, NotRun):
            return self.expected
        return _of(self.expected, estimator)


class Error(Frozen):
    """How wrong an estimator was on the labelled shifts of this run, in accuracy.

    Attributes:
        estimator: Which one.
        mean_absolute: Mean absolute error; n counts shifts.
        worst: Largest absolute error.
        worst_on: The shift that has it.
    """

    estimator: Estimator
    mean_absolute: Figure
    worst: Figure
    worst_on: str = ""


class Targets(ProbeResult):
    """Accuracy expected on images without labels.

    Attributes:
        data: The in-distribution set.
        basis: Whether the estimates rest on a labelled in-distribution set, or why not.
        temperature: Fitted to the whole in-distribution set.
        targets: In the order of the run.
        checks: The same estimators on every labelled shift.
        errors: One per estimator.
    """

    probe: ClassVar[str] = "targets"

    data: str
    basis: Literal["calibrated", "not validated"]
    temperature: Figure
    targets: Many[TargetSet]
    checks: Many[ShiftCheck] = ()
    errors: Many[Error]

    def error(self, estimator: Estimator = HEADLINE) -> Error:
        """Returns how wrong an estimator was."""
        return next(one for one in self.errors if one.estimator == estimator)


def _of(expected: Many[Expected], estimator: Estimator) -> Figure:
    for one in expected:
        if one.estimator == estimator:
            return one.accuracy
    return NotRun(reason="no labelled in-distribution set to calibrate with")
