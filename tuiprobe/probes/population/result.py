"""Figures of other models, for comparison with a run's own."""

from typing import ClassVar, Literal

from tuiprobe.results.base import Count, Figure, Frozen, Many, NotRun, Real
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
        height: Height of the highest channel, in sigmas.
        offset: Offset share.
        kurtosis: kappa.
        persistence: P; without interval where none was kept.
    """

    model: str
    architecture: str
    weights: Literal["pretrained", "checkpoint", "untrained"]
    data: str
    n: Count
    width: Count
    height: Figure = NotRun(reason="not given in its run")
    offset: Figure = NotRun(reason="not given in its run")
    kurtosis: Figure
    persistence: Figure


class Place(Frozen):
    """Where one figure of a model lies among those of filed models.

    Attributes:
        id: Id of the figure.
        name: For people.
        own: The figure of this run.
        below: Share of the filed models whose figure is lower, with Wilson's interval.
    """

    id: str
    name: str
    own: Figure
    below: Figure


class Grade(Frozen):
    """How well height tells effective robustness, one pretraining set left out at a time.

    Errors are mean absolute errors as fractions, averaged over the sets left out.

    Attributes:
        baseline: Baseline of the effective robustness.
        models: Filed models that it rests on.
        sets: Pretraining sets.
        error: Error of the prediction from ImageNet accuracy and height.
        error_alone: Error of the prediction from ImageNet accuracy alone.
        gain: How much smaller the first one is, with a t interval over the sets.
        better: Whether the interval of the gain lies above zero.
    """

    baseline: str
    models: Count
    sets: Count
    error: Real
    error_alone: Real
    gain: Figure
    better: bool


class Population(ProbeResult):
    """Where a model stands among others of its representation kind.

    Attributes:
        untrained: The same architecture with random weights; None if no reference is shipped.
        filed: Trained models that `tuiprobe atlas add` filed on this machine, without this one.
        places: Where its figures lie among those measured on the same source of images.
        grade: What height adds to ImageNet accuracy among them.
    """

    probe: ClassVar[str] = "population"

    untrained: Reference | None
    filed: Many[Reference] = ()
    places: Many[Place] = ()
    grade: Grade | NotRun = NotRun(reason="no model is filed")
