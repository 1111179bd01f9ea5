"""What published models of the same training and ImageNet accuracy reach under ImageNet's shifts.

The line is that of `tuiprobe.catalog.forecast`, without the model's own family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tuiprobe.catalog.accuracies import SHIFTS, ModelAccuracies
from tuiprobe.catalog.forecast import LEVELS, TrainingKind, errors, kind_of, own_family, peers
from tuiprobe.probes.robustness.baselines import family_of, published_of
from tuiprobe.probes.robustness.result import Forecast, SetAccuracy
from tuiprobe.results import Estimate, Model, NotRun, given
from tuiprobe.run.records import SetRecord


@dataclass(frozen=True)
class PeerChoice:
    """Which published models a model is compared with, and by which ImageNet accuracy.

    Attributes:
        kind: Kind of training.
        family: Family of the model, which is left out; empty if it is not known.
        measured: Whether the run measures the accuracy on ImageNet's validation set.
        published: Published accuracies of the model, if it has any.
    """

    kind: TrainingKind
    family: str
    measured: bool
    published: ModelAccuracies | None


def peers_of(model: Model, sets: Sequence[SetRecord]) -> PeerChoice | NotRun:
    """Returns which published models a model is compared with; or why none are.

    Args:
        model: The encoder.
        sets: The sets of the run, the in-distribution one first.
    """
    if model.weights.kind == "untrained":
        return NotRun(reason="published models say nothing about random weights")
    if model.ablated:
        return NotRun(reason="channels are ablated: it is no longer the published model")
    family = family_of(sets)
    if family is not None and family.own is not None:
        return NotRun(reason="too few models are published on these sets")
    published = published_of(model)
    try:
        kind = kind_of(model.training, published)
    except ValueError as error:
        return NotRun(reason=str(error))
    own = own_family(kind, published, model.architecture)
    return PeerChoice(kind, own, family is not None, published)


def forecast(by: PeerChoice | NotRun, first: SetAccuracy) -> Forecast | NotRun:
    """Computes the accuracy to expect as the mean of ImageNet's shifts.

    Args:
        by: The published models.
        first: Accuracy on the in-distribution set.
    """
    if isinstance(by, NotRun):
        return by
    x, n, published_as = 0.0, None, ""
    if by.measured and given(first.top1):
        x, n = first.top1.value, first.top1.n
    elif by.published is not None and by.published.imagenet is not None:
        x, published_as = by.published.imagenet, by.published.spec
    else:
        reason = "its accuracy on ImageNet is neither measured here nor published"
        return NotRun(reason=reason, remedy="measure ImageNet's validation set: `--suite auto`")
    try:
        chosen = peers(by.kind, SHIFTS, by.family)
        expected = chosen.expected(x, n)
    except ValueError as error:
        return NotRun(reason=str(error))
    left_out = errors(by.kind)
    low, high = expected.intervals[LEVELS[-1]]
    return Forecast(
        kind=by.kind,
        target=expected.target,
        expected=Estimate(
            value=expected.value,
            low=low,
            high=high,
            n=chosen.line.n,
            method="least squares in logit space over published models; 95 % prediction interval "
            "from residuals with families left out; n counts models",
        ),
        imagenet=x,
        published_as=published_as,
        models=chosen.line.n,
        families=chosen.families,
        without=by.family,
        mean_error=fmean(family.error for family in left_out),
        worst_family=left_out[0].family,
        worst_error=left_out[0].error,
    )
