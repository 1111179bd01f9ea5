"""Accuracy on one labelled set, as a part of a report holds it."""

from typing import Annotated, ClassVar

from tuiprobe.results.accuracy import Accuracy, accuracy_from
from tuiprobe.results.base import Count, Frozen, NotRun, Real, Share, is_known
from tuiprobe.results.figures import TOP1, Fig


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
        left_out: Whether the head was fitted to these images, each of which is answered by one
            fitted to the others.
        labels: Classes that the labels are of.
        largest: Share of the largest class among the labels.
        unanswered: Images without an answer.
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

    left_out: bool = False
    labels: Count = 0
    largest: Real = 0.0
    unanswered: Count = 0

    @property
    def of_classes(self) -> int:
        """Classes of the head; those that may answer where no row of the head is left out."""
        return self.head_classes if is_known(self.top1_all) else self.classes

    def other(self) -> Accuracy | None:
        """Returns the accuracy among all classes, or among those of the set, if not quoted."""
        if is_known(self.top1_all):
            among = (self.head_classes, self.head_classes)
            return accuracy_from(self.top1_all, self.data, "measured", among=among)
        if is_known(self.top1_set):
            among = (self.set_classes, self.classes)
            return accuracy_from(self.top1_set, self.data, "measured", among=among)
        return None

    def accuracy(self) -> Accuracy | NotRun:
        """Returns the accuracy that is quoted."""
        if not is_known(self.top1):
            return self.top1
        among = (self.classes, self.of_classes)
        return accuracy_from(self.top1, self.data, "measured", among=among)
