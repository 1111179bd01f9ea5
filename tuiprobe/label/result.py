"""What labels say of the target sets of a run, as a report keeps it."""

from __future__ import annotations

from typing import ClassVar

from tuiprobe.probes import LABELS
from tuiprobe.results import Frozen, ProbeResult, given
from tuiprobe.results.base import Count, Many, Share


class LabelledSet(Frozen):
    """What labels say of one target set.

    Attributes:
        data: Name of the set.
        pictures: Pictures that the accuracy is about.
        labelled: Labelled pictures among those of the set.
        right: On how many of them the run is right.
        accuracy: On all pictures; the reason where there is none.
    """

    data: str
    pictures: Count
    labelled: Count
    right: Count
    accuracy: Share

    @property
    def measured(self) -> bool:
        """Whether there is an accuracy, whose range leaves anything out."""
        known = self.accuracy
        return given(known) and ((known.low or 0) > 0 or (known.high or 0) < 1)

    def sentence(self) -> str:
        """Returns what is known, in words."""
        known = self.accuracy
        if not given(known):
            return known.reason
        return f"measured on {known.n:,} of your pictures: {known.with_interval()}"


class TargetLabels(ProbeResult):
    """What the labels beside a run say of it.

    Attributes:
        targets: In the order of the run.
    """

    probe: ClassVar[str] = LABELS

    targets: Many[LabelledSet]


def unplanned(right: int, labelled: int) -> str:
    """Returns how often a run is right on pictures of unknown selection, in words.

    >>> unplanned(31, 50)
    'right on 31 of 50 labelled pictures, which were not drawn at random'
    """
    return f"right on {right:,} of {labelled:,} labelled pictures, which were not drawn at random"
