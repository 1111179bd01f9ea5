"""Figures of other models, for comparison with a run's own."""

from typing import ClassVar, Literal

from tuiprobe.results.base import Count, Figure, Frozen, Many
from tuiprobe.results.report import ProbeResult


class Reference(Frozen):
    """The signature of another model, or of the same architecture untrained.

    Attributes:
        model: Name of the model in its run.
        architecture: The library's name.
        weights: `untrained` for random weights.
        data: What it was measured on.
        n: images.
        width: Channels of the representation.
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
        untrained: The same architecture with random weights; None if no reference is shipped.
        filed: Trained models that `tuiprobe atlas add` filed on this machine, without this one.
        lower_kurtosis: How many of them have a lower kappa.
        lower_persistence: How many of them have a lower P.
    """

    probe: ClassVar[str] = "population"

    untrained: Reference | None
    filed: Many[Reference] = ()
    lower_kurtosis: Count = 0
    lower_persistence: Count = 0
