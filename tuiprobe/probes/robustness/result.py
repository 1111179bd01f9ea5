"""Result types of the robustness probe (definitions: docs/robustness.md)."""

from typing import Annotated, ClassVar, Literal

from tuiprobe.results.accuracy import Accuracy, accuracy_from
from tuiprobe.results.base import (
    ByName,
    Count,
    Frozen,
    Many,
    NotRun,
    Points,
    Real,
    Share,
    given,
)
from tuiprobe.results.figures import FIGURES, Fig
from tuiprobe.results.headlines import EFFECTIVE, MEAN_SHIFT, TOP1
from tuiprobe.results.report import ProbeResult


class SetAccuracy(Frozen):
    """Accuracy on one set.

    Attributes:
        data: Name of the set.
        shift: Which of the published shifts it is (`imagenet_r`, ...); None for others.
        images: measured.
        classes: Number of classes that an answer may have.
        head_classes: Number of classes (rows) that the head has.
        top1: Wilson interval.
        top1_all: The same where every class of the head may answer; `NotRun` where all may anyway.
        top1_set: The same among the classes of the set; `NotRun` where `top1` is that.
        set_classes: Classes of the set then; 0 otherwise.
        top5: Wilson interval.
        id_own_classes: Accuracy on those in-distribution images whose class this set has too, with
            the answers this set allows: the other x axis.
    """

    place: ClassVar[str] = "accuracy"

    data: str
    shift: str | None
    images: Count
    classes: Count
    head_classes: Count = 0
    top1: Annotated[Share, TOP1]
    top1_all: Annotated[Share, Fig("top1_all", "top-1 among all classes of the head", "top-1")] = (
        NotRun(reason="not computed")
    )
    top1_set: Annotated[Share, Fig("top1_set", "top-1 among the classes of the set", "top-1")] = (
        NotRun(reason="top-1 is that among the classes of the set")
    )
    set_classes: Count = 0
    top5: Annotated[Share, Fig("top5", "top-5", "top-1")]
    id_own_classes: Annotated[
        Share,
        Fig("id_own_classes", "in-distribution top-1 on the same classes", "shift-classes"),
    ]

    @property
    def of_classes(self) -> int:
        """Classes of the head; those that may answer where no row of the head is left out."""
        return self.head_classes if given(self.top1_all) else self.classes

    def other(self) -> Accuracy | None:
        """Returns the accuracy among all classes, or among those of the set, if not quoted."""
        if given(self.top1_all):
            among = (self.head_classes, self.head_classes)
            return accuracy_from(self.top1_all, self.data, "measured", among=among)
        if given(self.top1_set):
            among = (self.set_classes, self.classes)
            return accuracy_from(self.top1_set, self.data, "measured", among=among)
        return None

    def accuracy(self) -> Accuracy | NotRun:
        """Returns the accuracy that is quoted."""
        if not given(self.top1):
            return self.top1
        among = (self.classes, self.of_classes)
        return accuracy_from(self.top1, self.data, "measured", among=among)


class EffectiveRobustness(Frozen):
    """Shift accuracy minus what a baseline predicts at this in-distribution accuracy.

    Attributes:
        baseline: Name of the set of models that the line was fitted to.
        target: The shifts whose mean is predicted.
        axis: What x is: `imagenet` (full validation set), `val` (the miniature's), or `own classes`
            of the shift.
        models: fitted.
        left_out: Models left out for an accuracy of 0 or 1.
        slope: The factor a of sigmoid(a logit(x) + b).
        intercept: The constant b.
        r2: Coefficient of determination of the fit, in logit space.
        covariance: Variance of the slope, covariance, variance of the intercept.
        value: ER with its precision interval: binomial error and the line's.
        prediction: ER with the prediction interval, which adds the scatter of single models.
        above: Whether the model is above the baseline, that is outside the prediction interval.
        percentile: Share of baseline models that lie lower relative to the line, 0 to 1.
        extrapolated: Whether no baseline model reaches this in-distribution accuracy.
        nearest: Distance of the nearest baseline model in in-distribution accuracy; None without.
    """

    baseline: str
    target: Many[str]
    axis: str
    models: Count
    left_out: Count
    slope: Real
    intercept: Real
    r2: Real
    covariance: tuple[Real, Real, Real] = (0.0, 0.0, 0.0)
    value: Annotated[
        Points,
        Fig(name="{outer}", heading="above models of equal accuracy, sampling"),
    ]
    prediction: Annotated[
        Points,
        Fig("prediction", "{outer}, prediction interval", heading="with model spread"),
    ]
    above: bool | None
    percentile: Annotated[
        Share,
        Fig("percentile", "share of baseline models below", heading="share of models below"),
    ]
    extrapolated: bool | None
    nearest: Real | None = None

    @property
    def data(self) -> str:
        """Names it among those of other baselines and shifts."""
        return f"{self.baseline}: {', '.join(self.target)}"

    @property
    def place(self) -> str:
        """Names the axis."""
        return f"robustness by {self.axis}"


class BaselineNotRun(NotRun):
    """Why a baseline has no line for a target."""

    baseline: str
    target: Many[str]
    axis: str


class BaselineModel(Frozen):
    """A model that a line was fitted to.

    Attributes:
        name: What its table calls it.
        x: In-distribution accuracy.
        shifts: Accuracy by shift; shifts without a figure are left out.
    """

    name: str
    x: Real
    shifts: ByName[Real]


class BaselineModels(Frozen):
    """The models of a baseline that does not ship as a table of published models."""

    baseline: str
    models: Many[BaselineModel]


class OwnNames(Frozen):
    """A shift answered by a zero-shot head of its own class names only, as an alternative.

    Attributes:
        data: Name of the set.
        head: Where the head came from.
        accuracy: Accuracy with it; the in-distribution set has no counterpart.
    """

    data: str
    head: str
    accuracy: SetAccuracy | NotRun


class Forecast(Frozen):
    """What published models of the same training and ImageNet accuracy lead one to expect.

    Attributes:
        kind: Kind of training of these models.
        target: The published shifts that the expectation is the mean of.
        expected: Expected accuracy with the 95 % prediction interval.
        imagenet: ImageNet accuracy that it starts from.
        published_as: Spec of the published accuracy; empty where the run measured it.
        models: Models that the line is fitted to.
        families: Families that they are of.
        without: Family of this model, which was left out; empty if it is not known.
        mean_error: Mean absolute error over families, each left out in turn.
        worst_family: The family with the largest error.
        worst_error: Its error.
    """

    kind: Literal["zero-shot", "supervised"]
    target: Many[str]
    expected: Annotated[Share, Fig("forecast", "forecast", "forecast")]
    imagenet: Real
    published_as: str
    models: Count
    families: Count
    without: str
    mean_error: Real
    worst_family: str
    worst_error: Real

    @property
    def data(self) -> str:
        """The shifts that it is about."""
        return ", ".join(self.target)

    @property
    def place(self) -> str:
        """The models that it is from."""
        return f"published {self.kind} models"


OrderId = Literal[
    "reversed", "by name", "to name", "by number", "to number", "one up", "one down", "next label",
    "previous label", "exchanged", "matched",
]  # fmt: skip
"""An order of names or labels other than the given one.

`by name` and `by number` sort the names of the rows, numbers in them by value; `to name` and `to
number` number the labels so. `one up` and `one down` move each row's name, `next label` and
`previous label` each image's label. `exchanged` exchanges pairs of
classes; `matched` is fitted to half of the images.
"""


class OtherOrder(Frozen):
    """An order by which significantly more images of a set are right than by the given one.

    Attributes:
        data: Name of the set.
        order: Which one.
        accuracy: Accuracy by that order, on the images compared.
        given: Accuracy by the given order on the same images.
        classes: The first two classes that are exchanged; empty for other orders.
    """

    data: str
    order: OrderId
    accuracy: Share
    given: Share
    classes: Many[str] = ()


class Robustness(ProbeResult):
    """Accuracies and effective robustness.

    Attributes:
        data: The in-distribution set.
        accuracies: In-distribution first.
        mean_shift: Mean top-1 over the shifts measured.
        effective: One entry per baseline, target and axis; the reason where there is no baseline.
        not_run: Baselines without a line for a target.
        own_names: Shifts answered by their own class names.
        confidence: Mean largest softmax probability on the in-distribution set.
        baseline_models: Models of the baselines that are no published tables: those that a source
            brings, and the user's own.
        forecast: The accuracy to expect under ImageNet's shifts, or why published models say
            nothing about this one.
        other_orders: Sets on which another order of names or labels does better.
    """

    probe: ClassVar[str] = "robustness"

    data: str
    accuracies: Annotated[Many[SetAccuracy], FIGURES]
    mean_shift: Annotated[Share, MEAN_SHIFT]
    effective: Annotated[Many[EffectiveRobustness] | NotRun, EFFECTIVE]
    not_run: Many[BaselineNotRun] = ()
    own_names: Many[OwnNames] = ()
    confidence: Annotated[
        Share, Fig("confidence", "mean confidence", "average-confidence", role="predictor")
    ] = NotRun(reason="not measured")
    baseline_models: Many[BaselineModels] = ()
    forecast: Annotated[Forecast | NotRun, FIGURES] = NotRun(reason="not asked for")
    other_orders: Many[OtherOrder] = ()

    def headlines(self) -> tuple[EffectiveRobustness, ...]:
        """Returns the first entry of each baseline: the mean over shifts if there are several."""
        if isinstance(self.effective, NotRun):
            return ()
        first: dict[str, EffectiveRobustness] = {}
        for er in self.effective:
            first.setdefault(er.baseline, er)
        return tuple(first.values())
