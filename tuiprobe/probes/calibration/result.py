"""Result types of the calibration probe (definitions: docs/targets.md)."""

from typing import Annotated, ClassVar

from tuiprobe.results.base import Count, Figure, Frozen, Many, Points, Real, Share
from tuiprobe.results.figures import FIGURES, Fig
from tuiprobe.results.report import ProbeResult


class Bin(Frozen):
    """Images of similar confidence: their mean confidence beside their accuracy."""

    confidence: Real
    accuracy: Share


class SetCalibration(Frozen):
    """Calibration of one labelled set.

    Attributes:
        data: Name of the set.
        before: Expected calibration error at the head's own scale.
        after: After temperature scaling: cross-fitted in distribution; on shifts at the
            in-distribution temperature.
        bins: What `after` rests on.
        bins_before: What `before` rests on.
        spread: Mean over images of the standard deviation of their logits.
    """

    data: str
    before: Annotated[
        Points,
        Fig("ece.before", "calibration error before temperature scaling", "ece"),
    ]
    after: Annotated[Points, Fig("ece", "calibration error", "ece")]
    bins: Many[Bin] = ()
    bins_before: Many[Bin] = ()
    spread: Real


class ClassChange(Frozen):
    """Accuracy of one class in distribution and on a shift.

    Attributes:
        name: Name of the class.
        first: In distribution, with the answers that the shift allows.
        shift: On the shift.
        change: Newcombe's interval.
        taken_for: The class that most of its images on the shift were wrongly taken for; empty
            where none was.
        taken: Number of those images.
    """

    name: str
    first: Share
    shift: Share
    change: Points
    taken_for: str = ""
    taken: Count = 0


class ShiftClasses(Frozen):
    """Accuracy by class between the in-distribution set and one shift.

    Attributes:
        data: Name of the shift.
        compared: Classes with images in both.
        fell: Classes whose interval of change lies below 0.
        rose: Classes whose interval of change lies above 0.
        worst: The classes that fell most by the upper end of the interval, worst first.
        reason: Why nothing is compared; empty where something is.
    """

    data: str
    compared: Count = 0
    fell: Count = 0
    rose: Count = 0
    worst: Many[ClassChange] = ()
    reason: str = ""


class Calibration(ProbeResult):
    """Calibration of the head, and accuracy by class.

    Attributes:
        data: The in-distribution set.
        temperature: Fitted to it, relative to the scale of the head's logits.
        scale_known: Whether the head tells that scale.
        sets: In-distribution first.
        classes: One entry per labelled shift.
    """

    probe: ClassVar[str] = "calibration"

    data: str
    temperature: Annotated[Figure, Fig("temperature", "temperature", "temperature")]
    scale_known: bool
    sets: Annotated[Many[SetCalibration], FIGURES]
    classes: Many[ShiftClasses] = ()
