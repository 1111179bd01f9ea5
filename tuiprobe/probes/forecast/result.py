"""Result types of the forecast (definitions: docs/robustness.md)."""

from typing import ClassVar, Literal

from tuiprobe.results.base import Count, Frozen, Many, Points, Real, Share
from tuiprobe.results.report import ProbeResult

Side = Literal["above", "within", "below"]


class Expectation(Frozen):
    """What is expected of one shift or of the mean of several, beside what was measured.

    Attributes:
        target: The shifts whose mean accuracy this is about.
        forecast: Expected accuracy with the 95 % prediction interval.
        low_80: Lower end of the 80 % prediction interval.
        high_80: Upper end.
        measured: Accuracy measured in this run.
        beyond: Measured minus expected, with the 95 % prediction interval: effective robustness by
            peers of other families.
        side: Where the measured accuracy lies of the prediction interval; None if not measured.
    """

    target: Many[str]
    forecast: Share
    low_80: Real
    high_80: Real
    measured: Share
    beyond: Points
    side: Side | None


class FamilyOff(Frozen):
    """The error of the forecast for one family of published models, left out as a whole."""

    family: str
    models: Count
    error: Real


class Forecast(ProbeResult):
    """The forecast and how wrong it was for published models.

    Attributes:
        kind: Kind of training of the peers.
        imagenet: ImageNet accuracy that the forecast starts from.
        source: Whether this run measured it, or it is the published one.
        published_as: Spec of the published accuracies; empty where they were not used.
        models: Peers that the line is fitted to.
        families: Families that they are of.
        without: Family of this model, which was left out; empty if it is not known.
        expectations: The mean of all shifts, then of those measured if they are fewer, then each.
        errors: Error of the mean of all shifts by family left out, largest first.
        mean_error: Their mean over families.
        covered_models: Share of models inside their 95 % interval with their family left out.
        covered_families: The same, averaged over families.
    """

    probe: ClassVar[str] = "forecast"

    kind: Literal["zero-shot", "supervised"]
    imagenet: Share
    source: Literal["measured", "published"]
    published_as: str
    models: Count
    families: Count
    without: str
    expectations: Many[Expectation]
    errors: Many[FamilyOff]
    mean_error: Real
    covered_models: Real
    covered_families: Real
