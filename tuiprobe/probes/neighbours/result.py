"""Result types of the probe of nearest neighbours (definitions: docs/inside.md)."""

from typing import ClassVar

from tuiprobe.results.base import Count, Frozen, Many, Share
from tuiprobe.results.report import ProbeResult


class NeighbourAccuracy(Frozen):
    """Accuracy of one set.

    Attributes:
        data: Name of the set.
        classes: Classes that may be answered: those of the set.
        among: In-distribution images of these classes, among which neighbours are looked for.
        accuracy: Share of images whose neighbours vote for their class.
    """

    data: str
    classes: Count
    among: Count
    accuracy: Share


class Neighbours(ProbeResult):
    """Accuracy by nearest neighbours.

    Attributes:
        k: Neighbours that vote.
        sets: The labelled sets, the in-distribution one first.
    """

    probe: ClassVar[str] = "neighbours"

    k: Count
    sets: Many[NeighbourAccuracy]
