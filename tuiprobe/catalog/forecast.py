"""Accuracy under shift, forecast from published models of the same kind of training.

The line of `baselines` through published models says what accuracy to expect; `leave_family_out`
says how far models lie from it whose family it does not hold. docs/robustness.md has the
definitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import sqrt
from statistics import NormalDist, fmean
from typing import Literal

from tuiprobe.catalog.accuracies import SHIFTS, ZERO_SHOT, ModelAccuracies
from tuiprobe.catalog.effective_robustness import (
    Line,
    bundled_models,
    family,
    fit,
    logit,
    points_of,
    sigmoid,
)
from tuiprobe.catalog.leave_family_out import ModelPoint, Residuals, reach, residuals
from tuiprobe.numbers import number

TrainingKind = Literal["zero-shot", "supervised"]


LEVELS = (0.80, 0.95)
"""Levels of the prediction intervals."""

BASELINE_OF: Mapping[TrainingKind, str] = {"zero-shot": ZERO_SHOT, "supervised": "standard"}
"""The published models that a kind of training is compared with."""


@dataclass(frozen=True)
class FamilyError:
    """The error of the forecast for the models of a family that was left out.

    Attributes:
        family: Name of the family.
        models: How many models it has.
        error: Mean absolute error, as a fraction.
    """

    family: str
    models: int
    error: float


@dataclass(frozen=True)
class Peers:
    """Published models of one kind of training, and the forecast that they allow.

    Attributes:
        kind: Kind of training.
        line: The fit; its reach is that of families left out.
        reach: Half-width of the prediction interval in logits, by level.
        families: How many families the models are of.
    """

    kind: TrainingKind
    line: Line
    reach: Mapping[float, float]
    families: int

    def expected(self, imagenet: float, images: int | None = None) -> ShiftForecast:
        """Returns the forecast for a model with this ImageNet accuracy.

        Args:
            imagenet: Accuracy on ImageNet's validation set.
            images: How many images it was measured on; None for a published accuracy.

        Raises:
            ValueError: If the accuracy lies outside those of the peers.
        """
        line = self.line
        if line.extrapolates(imagenet) or not 0 < imagenet < 1:
            of = f" outside the family {line.without}" if line.without else ""
            raise ValueError(
                f"an ImageNet accuracy of {number(imagenet, 'share')} lies outside those of the "
                f"{line.n} published {self.kind} models{of}, {number(line.low, 'share')} to "
                f"{number(line.high, 'share')}"
            )
        centre = line.a * logit(imagenet) + line.b
        intervals = {}
        for level, half in self.reach.items():
            noise = 0.0  # squared, that the binomial error of x adds, in logits of y
            if images is not None:
                z = NormalDist().inv_cdf((1 + level) / 2)
                noise = (z * line.a) ** 2 / (images * imagenet * (1 - imagenet))
            half = sqrt(half**2 + noise)
            intervals[level] = sigmoid(centre - half), sigmoid(centre + half)
        return ShiftForecast(line.target, sigmoid(centre), intervals)


@dataclass(frozen=True)
class ShiftForecast:
    """A forecast.

    Attributes:
        target: The shifts whose mean accuracy it is of.
        value: Expected accuracy.
        intervals: Prediction interval by level.
    """

    target: tuple[str, ...]
    value: float
    intervals: Mapping[float, tuple[float, float]]


def kind_of(training: str, row: ModelAccuracies | None) -> TrainingKind:
    """Returns the published models that a model is compared with.

    Args:
        training: Its kind of training, `unknown` if that is not known.
        row: Its row among the published accuracies, if it has one.

    Raises:
        ValueError: If no published models of its kind are known.
    """
    if training == "zero-shot":
        return "zero-shot"
    if training == "supervised" or (row is not None and row.training == "imagenet-1k"):
        return "supervised"
    if row is not None and row.training == "other":
        raise ValueError(
            "it is not listed as trained on ImageNet-1k only, and the forecast for supervised "
            "models rests on these"
        )
    raise ValueError(
        "the forecast covers zero-shot and supervised models, and the training of this one is "
        f"{training}"
    )


def family_of_model(kind: TrainingKind, row: ModelAccuracies | None, architecture: str) -> str:
    """Returns the family of a model that must not forecast it; empty if that is not known.

    >>> family_of_model("supervised", None, "resnet50")
    'resnet'
    """
    if kind == "zero-shot":
        return row.pretraining if row is not None else ""
    return family(architecture)


@lru_cache(maxsize=1024)
def peers(kind: TrainingKind, target: tuple[str, ...] = SHIFTS, without: str = "") -> Peers:
    """Returns the published models of a kind of training without those of one family.

    Raises:
        ValueError: If too few are left.
    """
    points, left_out = _left_out(kind, target, without)
    line = fit(BASELINE_OF[kind], bundled_models(BASELINE_OF[kind], without), target, without)
    half = {level: reach(left_out, level) for level in LEVELS}
    line = replace(line, reach=half[LEVELS[-1]])
    return Peers(kind, line, half, len({point.family for point in points}))


@lru_cache(maxsize=64)
def errors(kind: TrainingKind) -> tuple[FamilyError, ...]:
    """Returns the errors of the forecast for families left out, largest first."""
    points, left_out = _left_out(kind, SHIFTS)
    by_family = []
    for name, values in left_out.items():
        truth = [point.y for point in points if point.family == name]
        off = [abs(sigmoid(y) - sigmoid(y - r)) for y, r in zip(truth, values, strict=True)]
        by_family.append(FamilyError(name, len(values), fmean(off)))
    return tuple(sorted(by_family, key=lambda family: -family.error))


@lru_cache(maxsize=1024)
def _left_out(
    kind: TrainingKind, target: tuple[str, ...], without: str = ""
) -> tuple[tuple[ModelPoint, ...], Residuals]:
    points, _ = points_of(bundled_models(BASELINE_OF[kind], without), target)
    return tuple(points), residuals(points)
