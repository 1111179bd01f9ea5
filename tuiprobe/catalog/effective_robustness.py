"""Effective robustness: accuracy under shift beyond what ImageNet accuracy predicts.

`ER = shift - beta(x)` with `beta(x) = sigmoid(a logit(x) + b)` and x the accuracy on all of
ImageNet's validation set, fitted by least squares in logit space on models trained on ImageNet
(Taori et al. 2020). There are two 95 % intervals:

- *precision*: how well this ER is known. Combines the binomial error of the model's accuracies with
  the uncertainty of the line, from a bootstrap over architecture families (models of one family
  are not independent).
- *prediction*: where a new model of the baseline could lie. Adds the scatter of the baseline's
  models around the line, for the baseline `zero_shot` the reach of families left out
  (`leave_family_out`). Only a model above this interval is above the baseline.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import exp, log, sqrt
from statistics import covariance, fmean, variance

from tuiprobe.catalog.accuracies import SHIFTS, ZERO_SHOT, ModelAccuracies, rows
from tuiprobe.catalog.leave_family_out import (
    ModelPoint,
    Sums,
    reach,
    residuals,
    solve,
    sums_of,
    total,
)
from tuiprobe.numbers import NORMAL_95

IMAGES = {
    "imagenet": 50_000,
    "imagenet_v2": 10_000,
    "imagenet_r": 30_000,
    "imagenet_sketch": 50_889,
    "objectnet": 18_574,
    "imagenet_a": 7_500,
}
"""Images in each set; for ObjectNet, those of the 113 classes shared with ImageNet."""

SUPERVISED = ("standard", "standard_and_low", "timm_imagenet1k")
"""Baselines of supervised models: testbed, testbed with low accuracies, timm on ImageNet-1k."""

BASELINES = (*SUPERVISED, ZERO_SHOT)
"""Names of the bundled baselines."""

REPLICATES = 1000

FEWEST = 7
"""Fewest models for a line: five degrees of freedom remain."""


@dataclass(frozen=True)
class Line:
    """A fitted baseline.

    Attributes:
        baseline: Name of the set of models.
        target: Shifts whose mean is predicted.
        n: Models fitted.
        left_out: Models left out because x or the target is 0 or 1, where the logit is infinite.
        a: Slope in logit space.
        b: Intercept in logit space.
        r2: Share of the variance explained, in logit space.
        scatter: Standard deviation of the residuals in logit space, n - 2 degrees of freedom.
        low: Lowest ImageNet accuracy among the models.
        high: Highest.
        families: Sums (n, x, y, xx, xy) of each family, for the bootstrap.
        reach: Half-width in logits of the 95 % prediction interval from families left out; None
            where the interval comes from the scatter.
        without: Family that was left out, because it is that of the model to compare.
    """

    baseline: str
    target: tuple[str, ...]
    n: int
    left_out: int
    a: float
    b: float
    r2: float
    scatter: float
    low: float
    high: float
    families: tuple[Sums, ...]
    reach: float | None = None
    without: str = ""

    def expected(self, imagenet: float) -> float:
        """Returns beta(x), the shift accuracy expected at this ImageNet accuracy."""
        return sigmoid(self.a * logit(imagenet) + self.b)

    def extrapolates(self, imagenet: float) -> bool:
        """Returns whether an ImageNet accuracy is outside the range of the baseline's models."""
        return not self.low <= imagenet <= self.high


@dataclass(frozen=True)
class RobustnessByBaseline:
    """Effective robustness of one model by one baseline; all values are fractions.

    Attributes:
        value: ER.
        precision: 95 % interval from binomial error and the uncertainty of the line.
        imagenet: ImageNet accuracy of the model.
        mean: Its mean accuracy over the shifts.
        noise: Half-width that the binomial error of its accuracies adds.
        line: The baseline.
    """

    value: float
    precision: tuple[float, float]
    imagenet: float
    mean: float
    noise: float
    line: Line

    @property
    def extrapolated(self) -> bool:
        """Whether the baseline has no model at this ImageNet accuracy."""
        return self.line.extrapolates(self.imagenet)

    @cached_property
    def prediction(self) -> tuple[float, float]:
        """The 95 % interval that also includes the scatter of single models."""
        line, half = self.line, self.line.reach
        if half is None:  # Student's t, for a single model
            from scipy.special import stdtrit  # .3 s, and most readers ask for no prediction

            spread = line.scatter**2 + _line_variance(line, logit(self.imagenet))
            half = float(stdtrit(line.n - 2, 0.975)) * sqrt(spread)
        return _interval(line, self.imagenet, self.mean, half, self.noise)

    @property
    def above(self) -> bool:
        """Whether the model is above the baseline: outside the prediction interval."""
        return self.prediction[0] > 0


@dataclass(frozen=True)
class ShiftFamily:
    """Sets with a common in-distribution set, and models whose accuracies on them are known.

    Attributes:
        id_set: Name of the in-distribution set, as its source and tables call it.
        shifts: Names of all its shifts.
        models: Returns the models of each baseline, by the baseline's name.
    """

    id_set: str
    shifts: tuple[str, ...]
    models: Callable[[], Mapping[str, Sequence[ModelAccuracies]]]


def logit(p: float) -> float:
    """Returns log(p / (1 - p)).

    >>> logit(0.5)
    0.0
    """
    return log(p / (1 - p))


def sigmoid(x: float) -> float:
    """Returns the inverse of `logit`, without overflow.

    >>> sigmoid(-1000.0)
    0.0
    """
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def family(model: str) -> str:
    """Returns the architecture family of a model, from its name.

    >>> family("tf_efficientnet_b0.aa_in1k"), family("FixResNet50_v2"), family("se_resnet50")
    ('efficientnet', 'resnet', 'seresnet')
    """
    name = re.sub(r"^(tf_|fix|legacy_|gluon_|google_|instagram-|caffe)+", "", model.lower())
    name = name.replace("se_res", "seres")
    letters = re.match(r"[a-z]+", name)
    return letters.group() if letters else name


def family_of_row(row: ModelAccuracies) -> str:
    """Returns the family of a model: its pretraining set if known, else its architecture."""
    return row.pretraining or family(row.model)


def mean_of(target: Sequence[str], shifts: Mapping[str, float | None]) -> float | None:
    """Returns the mean accuracy over the target shifts."""
    values = [shifts.get(shift) for shift in target]
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) and known else None


def default_target(baseline: str) -> tuple[str, ...]:
    """Returns the shifts that a baseline has accuracies for; timm's lacks ObjectNet."""
    if baseline == "timm_imagenet1k":
        return tuple(shift for shift in SHIFTS if shift != "objectnet")
    return SHIFTS


@lru_cache(maxsize=256)
def bundled(baseline: str, target: tuple[str, ...] | None = None, without: str = "") -> Line:
    """Returns a bundled baseline, fitted to the mean of `target` (default: all its shifts).

    Args:
        baseline: One of `BASELINES`.
        target: Shifts.
        without: Family whose models are left out.

    >>> line = bundled("standard")
    >>> f"{line.n} {line.a:.4f} {line.b:.4f} {line.r2:.3f}"
    '80 1.0439 -1.8918 0.948'
    """
    models = bundled_models(baseline, without)
    return fit(baseline, models, target or default_target(baseline), without)


def bundled_models(baseline: str, without: str = "") -> list[ModelAccuracies]:
    """Returns the published models of a baseline.

    >>> len(bundled_models("zero_shot")), len(bundled_models("zero_shot", "openai"))
    (110, 101)
    """
    if baseline not in BASELINES:
        raise ValueError(f"unknown baseline {baseline!r}; one of {', '.join(BASELINES)}")
    return [
        row
        for row in rows()
        if baseline in row.baselines and not (without and family_of_row(row) == without)
    ]


def on_classes_of_shift(models: Sequence[ModelAccuracies], shift: str) -> list[ModelAccuracies]:
    """Returns the models with an accuracy among the classes of a shift, which becomes their x."""
    moved = [replace(row, imagenet=row.on_shift_classes.get(shift)) for row in models]
    return [row for row in moved if row.imagenet is not None]


def points_of(
    models: Sequence[ModelAccuracies], target: Sequence[str]
) -> tuple[list[ModelPoint], int]:
    """Returns the models in logit space, and how many have an accuracy whose logit is infinite.

    Models without one of the accuracies are in neither.
    """
    points: list[ModelPoint] = []
    infinite = 0
    for row in models:
        mean = mean_of(target, row.shifts)
        if mean is None or row.imagenet is None:
            continue
        if not (0 < mean < 1 and 0 < row.imagenet < 1):
            infinite += 1
            continue
        points.append(ModelPoint(logit(row.imagenet), logit(mean), family_of_row(row)))
    return points, infinite


def fit(
    baseline: str, models: Sequence[ModelAccuracies], target: tuple[str, ...], without: str = ""
) -> Line:
    """Fits a line by ordinary least squares in logit space.

    Args:
        baseline: Name of the set of models; `zero_shot` gets its reach from families left out.
        models: Published models.
        target: Shifts whose mean is y.
        without: Family that the models do not hold, for the record.

    Raises:
        ValueError: If fewer than `FEWEST` models have usable accuracies, or all have the same x.
    """
    points, infinite = points_of(models, target)
    if len(points) < FEWEST:
        raise ValueError(f"{len(points)} models have the accuracies; a line needs {FEWEST}")
    if len({point.x for point in points}) == 1:
        raise ValueError("all models have the same in-distribution accuracy")
    sums = sums_of(points)
    a, b = solve(total(list(sums.values())))
    off = [point.y - a * point.x - b for point in points]
    spread = variance([point.y for point in points]) * (len(points) - 1)
    return Line(
        baseline=baseline,
        target=target,
        n=len(points),
        left_out=infinite,
        a=a,
        b=b,
        r2=1 - sum(r * r for r in off) / spread,
        scatter=sqrt(sum(r * r for r in off) / (len(points) - 2)),
        low=sigmoid(min(point.x for point in points)),
        high=sigmoid(max(point.x for point in points)),
        families=tuple(sums.values()),
        reach=reach(residuals(points), 0.95) if baseline == ZERO_SHOT else None,
        without=without,
    )


def effective_robustness(
    line: Line,
    imagenet: float | None,
    shifts: Mapping[str, float | None],
    images: Mapping[str, int] = IMAGES,
) -> RobustnessByBaseline | None:
    """Returns the ER of a model with its two intervals.

    Args:
        line: The baseline.
        imagenet: Accuracy on ImageNet.
        shifts: Accuracy by shift; must contain the line's target.
        images: How many images each accuracy was measured on.
    """
    mean = mean_of(line.target, shifts)
    if mean is None or imagenet is None or not 0 < imagenet < 1:
        return None
    beta = line.expected(imagenet)
    value = mean - beta
    slope = line.a * beta * (1 - beta) / (imagenet * (1 - imagenet))
    binomial = (
        sum(
            p * (1 - p) / images[shift] for shift in line.target if (p := shifts[shift]) is not None
        )
        / len(line.target) ** 2
    )
    binomial += slope**2 * imagenet * (1 - imagenet) / images["imagenet"]
    noise = NORMAL_95 * sqrt(binomial)
    narrow = NORMAL_95 * sqrt(_line_variance(line, logit(imagenet)))
    return RobustnessByBaseline(
        value=value,
        precision=_interval(line, imagenet, mean, narrow, noise),
        imagenet=imagenet,
        mean=mean,
        noise=noise,
        line=line,
    )


def _interval(
    line: Line, imagenet: float, mean: float, half: float, noise: float
) -> tuple[float, float]:
    """Combines a half-width in logits around the line with noise in fractions to an interval.

    The half-width is mapped back through the sigmoid, so the interval is not symmetric. The two
    terms are independent and add in quadrature on each side.
    """
    centre = line.a * logit(imagenet) + line.b
    beta = sigmoid(centre)
    up, down = sigmoid(centre + half) - beta, beta - sigmoid(centre - half)
    return mean - beta - sqrt(up**2 + noise**2), mean - beta + sqrt(down**2 + noise**2)


@lru_cache(maxsize=64)
def line_covariance(line: Line) -> tuple[float, float, float]:
    """Returns var(a), cov(a, b), var(b) over lines refitted to resampled families."""
    generator = random.Random(0)
    fitted: list[tuple[float, float]] = []
    while len(fitted) < REPLICATES:
        drawn = total(generator.choices(line.families, k=len(line.families)))
        # A resample of a single family does not determine a line.
        if drawn[0] * drawn[3] - drawn[1] ** 2 > 1e-9 * drawn[0] * drawn[3]:
            fitted.append(solve(drawn))
    slopes, intercepts = [a for a, _ in fitted], [b for _, b in fitted]
    return variance(slopes), covariance(slopes, intercepts), variance(intercepts)


def _line_variance(line: Line, x: float) -> float:
    """Returns the bootstrap variance of the line at x, in squared logits."""
    aa, ab, bb = line_covariance(line)
    return aa * x * x + 2 * ab * x + bb
