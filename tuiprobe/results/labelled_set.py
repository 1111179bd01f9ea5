"""What a person's labels say of a set of pictures."""

from typing import Literal

from tuiprobe.results.accuracy import Accuracy, accuracy_from
from tuiprobe.results.base import Count, Figure, Frozen, NotRun, Share
from tuiprobe.results.section import Range


class LabelledSet(Frozen):
    """What labels say of one target set.

    Attributes:
        data: Name of the set.
        pictures: Different readable pictures, which the accuracy is about.
        labelled: Labelled pictures among them.
        unsure: Pictures among those on which the labeller was not sure.
        right: On how many of them the run is right.
        accuracy: On all pictures; the reason where there is none.
        evidence: Whether it rests on a `sample` or on what labels prove; `open` without one.
        classes: Among how many classes the run answered; 0 where that is not known.
        of_classes: How many classes its head has.
    """

    data: str
    pictures: Count
    labelled: Count
    unsure: Count
    right: Count
    accuracy: Share
    evidence: Literal["sample", "proof", "open"]
    classes: Count = 0
    of_classes: Count = 0

    @property
    def proven(self) -> tuple[float, float]:
        """The least and the largest accuracy that labels leave possible."""
        unknown = self.pictures - self.labelled + self.unsure
        return self.right / self.pictures, (self.right + unknown) / self.pictures

    def cut(self, figure: Figure) -> Figure:
        """Returns an estimate of the accuracy, cut to what labels prove.

        Args:
            figure: Made without labels.

        Returns:
            The reason why there is none where what labels prove is no wider a range.
        """
        if isinstance(figure, NotRun) or figure.low is None or figure.high is None:
            return figure
        least, most = self.proven
        low, high = max(figure.low, least), min(figure.high, most)
        if low > high or most - least <= figure.high - figure.low:
            return NotRun(reason=f"{self.labelled:,} labels prove more")
        value = min(max(figure.value, low), high)
        return figure.model_copy(update={"value": value, "low": low, "high": high})

    def known(self) -> Accuracy | NotRun:
        """Returns the accuracy with what its range is."""
        if isinstance(self.accuracy, NotRun):
            return self.accuracy
        among = (self.classes, self.of_classes)
        return accuracy_from(self.accuracy, self.data, "labels", self.range, among)

    @property
    def range(self) -> Range:
        """What the range of the accuracy is."""
        return "proven" if self.evidence == "proof" else "labels"
