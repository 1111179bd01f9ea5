"""The difference of two figures: its interval, and the levels of several models.

Where two runs measured the same images, the images of each set are drawn with replacement 2,000
times, both runs on the same draw. A figure that is no mean over images, or whose images differ, is
left to the interval from the two separate ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import hypot, inf
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from tuiprobe.channels.array_types import Float64, Int64
from tuiprobe.datasets.registry import last_part
from tuiprobe.measure.run.per_image import ImageValues
from tuiprobe.numbers import NORMAL_95, unit_of_difference
from tuiprobe.results import Estimate, Figure, NotRun, Report, is_known
from tuiprobe.results.doubt import Doubt
from tuiprobe.results.section import BaselineLine, MeanOf, NamedFigure, PerImage

ALPHA: Final = 0.05
DRAWS: Final = 2000
METHOD: Final = "paired bootstrap over images"
NO_VALUES: Final = NotRun(
    reason="the run has no values of single images", remedy="`tuiprobe reprobe RUN` writes them"
)

_SEED = 0
_TAILS = (0.025, 0.975)
_SIMULATE_BELOW = 10_000
"""With more images the mean of a draw is normal far below the noise of 2,000 draws."""
_ALL_ROWS = (slice(None), slice(None))
_AGREES = 1e-5
"""Relative difference up to which per-image values give the figure of the report."""


def second_minus_first(
    first: Figure, second: Figure, names: tuple[str, str] = ("first", "second")
) -> Figure:
    """Returns second minus first, with Newcombe's square-and-add interval (Zou and Donner 2008).

    Args:
        first: The figure that is subtracted.
        second: The other one.
        names: What the two are called where one of them is missing.

    >>> first = Estimate(value=3.0, low=2.7, high=3.3, n=9, method="m")
    >>> second = Estimate(value=5.0, low=4.6, high=5.4, n=8, method="m")
    >>> change = second_minus_first(first, second)
    >>> change.value, round(change.low, 6), round(change.high, 6), change.n
    (2.0, 1.5, 2.5, 8)
    """
    if not is_known(first):
        return NotRun(reason=f"{names[0]}: {first.reason}")
    if not is_known(second):
        return NotRun(reason=f"{names[1]}: {second.reason}")
    value, n = second.value - first.value, min(first.n, second.n)
    unit = unit_of_difference(first.unit)
    if first.low is None or first.high is None or second.low is None or second.high is None:
        method = "one of the two has none"
        return Estimate(value=value, low=None, high=None, unit=unit, n=n, method=method)
    down = hypot(second.value - second.low, first.high - first.value)
    up = hypot(second.high - second.value, first.value - first.low)
    return Estimate(value=value, low=value - down, high=value + up, unit=unit, n=n, method="MOVER")


def best_reach(models: int) -> float:
    """Returns the standard errors behind another model from which one is not the best of several.

    The best of them is compared with at most all others, one-sided: at `ALPHA` / (models - 1). Two
    models are compared in both directions, as any two figures.

    >>> round(best_reach(2), 3), round(best_reach(4), 3), round(best_reach(10), 3)
    (1.96, 2.128, 2.539)
    """
    return NormalDist().inv_cdf(1 - ALPHA / max(models - 1, 2))


def joint_reach(models: int) -> float:
    """Returns the half-width, in standard errors, with which ranges of all pairs hold together.

    >>> round(joint_reach(2), 3), round(joint_reach(4), 3), round(joint_reach(10), 3)
    (1.96, 2.638, 3.261)
    """
    return NormalDist().inv_cdf(1 - ALPHA / (models * (models - 1)))


def reaching(change: Figure, reach: float) -> Figure:
    """Returns a difference with the ends of its 95 % interval moved to another level.

    Args:
        change: A difference, or why there is none.
        reach: Standard errors from its value to either end.
    """
    if not is_known(change) or change.low is None or change.high is None:
        return change
    scale, value = reach / NORMAL_95, change.value
    low, high = value - scale * (value - change.low), value + scale * (change.high - value)
    return change.model_copy(update={"low": low, "high": high})


def ends_of(change: Figure) -> tuple[float, float]:
    """Returns the ends of the interval of a difference; infinite ones without an interval."""
    if not is_known(change) or change.low is None or change.high is None:
        return -inf, inf
    return change.low, change.high


@dataclass(frozen=True, eq=False)
class _Resampled:
    """Means of one set for both runs.

    Attributes:
        n: Images that both hold.
        means: `[2]`, of these images.
        drawn: `[2, draws]`, of each draw.
        of_all: `[2]`, each of all images of its run.
    """

    n: int
    means: Float64
    drawn: Float64
    of_all: Float64


@dataclass(frozen=True, eq=False)
class Pairing:
    """What two runs know of single images.

    Attributes:
        first: Of the first run.
        second: Of the second run.
        rows: Rows of the images that both hold, by set, where the runs do not hold the same ones.
    """

    first: ImageValues
    second: ImageValues
    rows: Mapping[str, tuple[Int64, Int64]] = field(default_factory=dict)
    _drawn: dict[tuple[PerImage, str], _Resampled] = field(default_factory=dict)

    def why_not(self, name: str) -> NotRun | None:
        """Returns why a set cannot be paired."""
        first, second = self.first.get(name), self.second.get(name)
        if first is None or second is None:
            return NO_VALUES
        return None if name in self.rows else first.differs_from(second)

    def second_minus_first(self, first: NamedFigure, second: NamedFigure) -> Estimate | None:
        """Returns second minus first with its paired interval."""
        about = first.mean_of
        if about is None or second.mean_of != about or not about.sets:
            return None
        if not (is_known(first.figure) and is_known(second.figure)):
            return None
        names = (*about.sets, *((about.line.set,) if about.line is not None else ()))
        sets = [self._of(about.values, name) for name in names]
        known = [resampled for resampled in sets if resampled is not None]
        if len(known) < len(sets):
            return None
        fixed = lines = np.zeros((2, 1))
        if (line := about.line) is not None:
            fixed, lines = np.array([[line.slope], [line.intercept]]), _lines(line)
        values = _figure(about, [resampled.of_all[:, None] for resampled in known], fixed)[:, 0]
        if not np.allclose(values, (first.figure.value, second.figure.value), _AGREES, _AGREES):
            return None  # the figures are of another head than the values
        figures = _figure(about, [resampled.drawn for resampled in known], lines)
        if not np.isfinite(figures).all():
            return None  # a line that no baseline has
        value = second.figure.value - first.figure.value
        if any(name in self.rows for name in names):
            values = _figure(about, [resampled.means[:, None] for resampled in known], fixed)[:, 0]
            value = float(values[1] - values[0])
        changes = figures[1] - figures[0]
        ends = value + self._widening(names) * np.quantile(changes - changes.mean(), _TAILS)
        low, high = min(float(ends[0]), value), max(float(ends[1]), value)
        n = sum(resampled.n for resampled in known[: len(about.sets)])
        unit = unit_of_difference(first.figure.unit)
        return Estimate(value=value, low=low, high=high, unit=unit, n=n, method=METHOD)

    def _widening(self, names: Sequence[str]) -> float:
        """Returns the largest factor of a run on the ranges of its accuracies on some sets."""
        sets = [images[name] for images in (self.first, self.second) for name in names]
        return max(of.answers.widening if of.answers else 1.0 for of in sets)

    def _of(self, kind: PerImage, name: str) -> _Resampled | None:
        if self.why_not(name):
            return None
        if (kind, name) not in self._drawn:
            values = [of[name].values.get(kind) for of in (self.first, self.second)]
            known = [np.asarray(of, dtype=np.float64) for of in values if of is not None]
            rows = self.rows.get(name, _ALL_ROWS)
            resampled = _resample(kind, name, known, rows)
            if resampled is None:
                return None
            self._drawn[kind, name] = resampled
        return self._drawn[kind, name]


def _resample(
    kind: PerImage,
    name: str,
    values: Sequence[Float64],
    rows: tuple[Int64 | slice, Int64 | slice],
) -> _Resampled | None:
    """Returns the means of both runs, if both have values of the same images.

    Args:
        kind: Kind of the values.
        name: Name of the set.
        values: `[n]` of each run.
        rows: Rows of the images that both hold, of each run.
    """
    if len(values) < 2:
        return None
    both = np.stack([of[row] for of, row in zip(values, rows, strict=True)])
    counted = np.isfinite(both)
    if not counted.any() or (counted[0] != counted[1]).any():
        return None
    both = both[:, counted[0]]
    rng = np.random.default_rng([_SEED, *name.encode("utf-8", "surrogatepass")])
    drawn = _binary_means(both, rng) if kind == "correct" else _means_of_draws(both, rng)
    means = both.mean(axis=1)
    of_all = np.array([of[np.isfinite(of)].mean() for of in values])
    return _Resampled(both.shape[1], means, drawn, of_all)


def _binary_means(both: Float64, rng: np.random.Generator) -> Float64:
    """Returns the mean of each run in each draw, exactly, from the counts of the four outcomes.

    One image is added to either kind of change (Bonett and Price 2012), because identical
    answers on a few images do not imply identical answers on all.

    Args:
        both: [2, n], of zeros and ones.
        rng: Source of the draws.
    """
    n = both.shape[1]
    outcomes = np.bincount((both[0] + 2 * both[1]).astype(np.int64), minlength=4)
    counts = rng.multinomial(n, (outcomes + np.array([0, 1, 1, 0])) / (n + 2), DRAWS) / n
    return np.stack([counts[:, 1] + counts[:, 3], counts[:, 2] + counts[:, 3]])


def _means_of_draws(both: Float64, rng: np.random.Generator) -> Float64:
    n = both.shape[1]
    if n > _SIMULATE_BELOW:
        covariance = np.cov(both, bias=True) / n
        return rng.multivariate_normal(both.mean(axis=1), covariance, DRAWS).T
    from tuiprobe.probes.intervals import resampled_means  # needs scipy

    return resampled_means(both, rng, DRAWS)


def _figure(about: MeanOf, sets: Sequence[Float64], lines: Float64) -> Float64:
    """Returns the figure of both runs, [2, draws], from the means of its sets.

    Args:
        about: What the figure is the mean of.
        sets: [2, draws] each; the last one is x of the line, where there is a line.
        lines: [2, draws], slope and intercept.
    """
    shifts = sets[: len(about.sets)]
    mean = np.asarray(np.mean(shifts, axis=0), dtype=np.float64)
    if about.line is None:
        return mean
    x = np.clip(sets[-1], 1e-6, 1 - 1e-6)
    with np.errstate(over="ignore", invalid="ignore"):
        exponent: Any = lines[0] * np.log(x / (1 - x)) + lines[1]
        return np.asarray(mean - 1 / (1 + np.exp(-exponent)), dtype=np.float64)


def _lines(line: BaselineLine) -> Float64:
    """Returns slope and intercept of each draw: the same line for both runs, as uncertain as it is.

    The covariance is that of the baseline's bootstrap over families of models.
    """
    slope, both, intercept = line.covariance
    rng = np.random.default_rng(_SEED)
    covariance = [[slope, both], [both, intercept]]
    centre = line.slope, line.intercept
    return rng.multivariate_normal(centre, covariance, DRAWS, check_valid="ignore").T


def image_doubts(first: Report, second: Report, pairing: Pairing) -> Iterator[Doubt]:
    """Yields why images are not compared in pairs, and which ones differ or are left out."""
    for report, images in ((first, pairing.first), (second, pairing.second)):
        if not images and (pairing.first or pairing.second):
            text = f"{report.model.name}: {NO_VALUES.why}, so differences are not paired"
            yield Doubt(id="other-pictures", sentence=text)
    of_second = {data.name: data for data in second.data}
    for data in first.data:
        other = of_second.get(data.name)
        if other is None:
            continue
        unpaired, texts = pairing.why_not(data.name), []
        if unpaired and data.name in pairing.first and data.name in pairing.second:
            texts.append(f"{data.name}: differences are not paired: {unpaired.why}")
        sources = last_part(data.source), last_part(other.source)
        if unpaired and (sources[0] != sources[1] or data.measured != other.measured):
            texts.append(
                f"{data.name} differs: {data.measured} images of {data.source} against "
                f"{other.measured} of {other.source}"
            )
        if data.name in pairing.rows:
            both = len(pairing.rows[data.name][0])
            most = max(len(of[data.name].ids) for of in (pairing.first, pairing.second))
            if both < most:
                texts.append(f"{data.name}: compared on the {both:,} images that both could use")
        if data.nonfinite or other.nonfinite:
            texts.append(
                f"{data.name}: images left out because their representation is not finite: "
                f"{data.nonfinite} against {other.nonfinite}"
            )
        yield from (Doubt(id="other-pictures", data=data.name, sentence=text) for text in texts)
