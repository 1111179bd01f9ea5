"""Other models' figures that a run's own stand beside."""

from typing import ClassVar, Literal

from tuiprobe.results.base import Count, Figure, Frozen, Many
from tuiprobe.results.report import ProbeResult


class Reference(Frozen):
    """The signature of another model, or of the same architecture untrained.

    Attributes:
        model: as its run named it.
        architecture: the library's name.
        weights: `untrained` for random weights.
        data: what it was measured on.
        n: images.
        width: channels of the representation.
        kurtosis: kappa.
        persistence: P; without interval where none was kept.
    """

    model: str
    architecture: str
    weights: Literal["pretrained", "checkpoint", "untrained"]
    data: str
    n: Count
    width: Count
    kurtosis: Figure
    persistence: Figure


class Population(ProbeResult):
    """Where a model stands among others of its representation kind.

    Attributes:
        untrained: the same architecture with random weights; None where none ships.
        filed: trained models that `tuiprobe atlas add` filed on this machine, without this one.
        lower_kurtosis: how many of them have a lower kappa / (C - 1), which compares across widths.
        lower_persistence: how many of them have a lower P.
    """

    probe: ClassVar[str] = "population"

    untrained: Reference | None
    filed: Many[Reference] = ()
    lower_kurtosis: Count = 0
    lower_persistence: Count = 0
