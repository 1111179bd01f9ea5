"""Result types of the targets probe (definitions: docs/targets.md)."""

from typing import Annotated, ClassVar, Final, Literal

from tuiprobe.results.accuracy import Accuracy, Evidence, accuracy_from
from tuiprobe.results.base import Count, Figure, Frozen, Many, NotRun, Points, Real, Share
from tuiprobe.results.figures import FIGURES, Fig
from tuiprobe.results.headlines import TARGET_ERROR
from tuiprobe.results.report import ProbeResult

Estimator = Literal["atc_entropy", "difference"]

HEADLINE: Final[Estimator] = "atc_entropy"
"""Fixed before any data were seen."""

ESTIMATORS: Final[dict[Estimator, str]] = {
    "atc_entropy": "ATC by entropy",
    "difference": "difference of confidences",
}
"""What people call each estimator."""


class OfEstimator(Frozen):
    """What belongs to one estimator."""

    estimator: Estimator

    @property
    def called(self) -> str:
        """What people call the estimator."""
        return ESTIMATORS[self.estimator]


class Expected(OfEstimator):
    """What one estimator expects of one set."""

    accuracy: Annotated[
        Share, Fig("{self.estimator}", "{self.called}", "estimate", role="estimate")
    ]


class ScaledEstimate(OfEstimator):
    """An estimate whose predicted drop is scaled by what labelled shifts lost.

    Attributes:
        estimator: The estimator that predicts the drop.
        accuracy: The estimate with its 80 % range, both within 0 and 1.
        k: What the predicted drop is multiplied by.
        half: Half the range before it is cut at 0 and 1, in accuracy.
    """

    accuracy: Annotated[
        Share, Fig("{self.estimator}.scaled", "{self.called}, scaled", "estimate", role="estimate")
    ]
    k: Real
    half: Real


class Predicted(Frozen):
    """How many images of a set the head puts into a class."""

    name: str
    images: Count


class TargetPicture(Frozen):
    """An image of a set with what it was taken for.

    Attributes:
        sample_id: Id in the run's sample list.
        path: Relative path in the data set; None where the run knows none.
        answer: The class that it was taken for.
        confidence: Of that answer, after temperature scaling where there is a temperature.
    """

    sample_id: Count
    path: str | None
    answer: str
    confidence: Real


class TargetSet(Frozen):
    """Estimates for one set of images without labels.

    Attributes:
        data: Name of the set.
        images: Images with a finite representation.
        expected: By every estimator, as it stands; empty where nothing is calibrated.
        scaled: The headline estimate, then the second opinion; empty where nothing is calibrated.
        wrong: Wrong answers in distribution among the classes of the set, on which all rests.
        too_few_wrong: Whether they are too few to scale the estimate, and no labelled shift helps.
        uncalibrated: Average confidence at the head's own scale, where there are no labels to
            calibrate with.
        labels: Labels that would give an interval of +-5 points, drawn as `tuiprobe label` does.
        predicted: Every class that may be answered, most predicted first.
        head_classes: Classes of the head; as many as may be answered where no row is left out.
        least_sure: The images of lowest confidence, lowest first.
        common: An image of middle confidence of each of the most common answers.
    """

    data: str
    images: Count
    expected: Annotated[Many[Expected], Fig("target")] = ()
    scaled: Annotated[Many[ScaledEstimate], Fig("target")] = ()
    wrong: Count | None = None
    too_few_wrong: bool = False
    uncalibrated: Share = NotRun(reason="the estimates are calibrated")
    labels: Count | None = None
    predicted: Many[Predicted]
    head_classes: Count = 0
    least_sure: Many[TargetPicture] = ()
    common: Many[TargetPicture] = ()

    @property
    def place(self) -> str:
        """Says whether the estimates are validated."""
        return "estimate" if self.scaled else "not validated"

    def of(self, estimator: Estimator) -> Figure:
        """Returns the accuracy that an estimator expects."""
        return _of(self.expected, estimator)

    @property
    def headline(self) -> Figure:
        """The estimate that is quoted: the scaled one, or the uncalibrated confidence."""
        return self.scaled[0].accuracy if self.scaled else self.uncalibrated

    def accuracy(self) -> Accuracy | NotRun:
        """Returns the accuracy that is quoted, or the confidence that stands in its place."""
        if isinstance(self.headline, NotRun):
            return self.headline
        evidence: Evidence = "estimate" if self.scaled else "confidence"
        among = (len(self.predicted), self.head_classes)
        return accuracy_from(self.headline, self.data, evidence, among=among)

    @property
    def opinions_differ(self) -> bool:
        """Whether the second opinion lies outside the range of the estimate."""
        if len(self.scaled) < 2:
            return False
        first, second = (opinion.accuracy for opinion in self.scaled[:2])
        if isinstance(first, NotRun) or isinstance(second, NotRun):
            return False
        return not (first.low or 0.0) <= second.value <= (first.high or 1.0)


class ShiftCheck(Frozen):
    """Estimates for a labelled shift beside its accuracy.

    Attributes:
        data: Name of the set.
        measured: Accuracy, with Wilson's interval.
        expected: By every estimator; the reason where there is none.
        own: Accuracy in distribution among the classes of the set.
        left_out: Estimate less measured accuracy, scaled by the other shifts alone.
    """

    data: str
    measured: Share
    expected: Many[Expected] | NotRun
    own: Share
    left_out: Points

    def of(self, estimator: Estimator) -> Figure:
        """Returns the accuracy that an estimator expects."""
        if isinstance(self.expected, NotRun):
            return self.expected
        return _of(self.expected, estimator)


class LeftOut(Frozen):
    """How wrong the scaled estimate was on each labelled shift, left out and estimated.

    Attributes:
        shifts: Labelled shifts.
        too_high: Shifts whose estimate was above the measured accuracy.
        mean_absolute: Mean absolute error; n counts shifts.
        worst: The error of largest magnitude, with its sign.
        worst_on: The shift that has it.
    """

    shifts: Count
    too_high: Count
    mean_absolute: Annotated[Points, TARGET_ERROR]
    worst: Points
    worst_on: str = ""


class Targets(ProbeResult):
    """Accuracy expected on images without labels.

    Attributes:
        data: The in-distribution set.
        basis: Whether the estimates rest on a labelled in-distribution set, or why not.
        temperature: Fitted to the whole in-distribution set.
        targets: In the order of the run.
        checks: The same estimators on every labelled shift.
        left_out: Errors of the scaled estimate.
    """

    probe: ClassVar[str] = "targets"
    place: ClassVar[str] = "labelled shifts"

    data: str
    basis: Literal["calibrated", "not validated"]
    temperature: Figure
    targets: Annotated[Many[TargetSet], FIGURES]
    checks: Many[ShiftCheck] = ()
    left_out: Annotated[LeftOut, FIGURES]


def _of(expected: Many[Expected], estimator: Estimator) -> Figure:
    for figure in expected:
        if figure.estimator == estimator:
            return figure.accuracy
    return NotRun(reason="no labelled in-distribution set to calibrate with")
