"""Agreement on the line: accuracy on images without labels from how several models agree.

ALine-S and ALine-D (Baek et al. 2022, arXiv 2206.13089). Where the agreements of pairs of models,
in probits, lie on a line between the in-distribution set and another set, accuracies tend to lie on
the same line. ALine-S carries each accuracy over by it; ALine-D solves for the accuracies whose
pairs have the agreements that were measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtr, ndtri

from tuiprobe.errors import UsageError
from tuiprobe.probes.inputs import Bool, Float32, Float64, Int64
from tuiprobe.probes.proportions import wilson
from tuiprobe.results.base import Count, Estimate, Figure, Frozen, Many, NotRun, Real

MIN_MODELS: Final = 5
MOST_MODELS: Final = 40
MIN_R2: Final = 0.95
DRAWS = 300
DRAWN_AT_ONCE = 1 << 22
SEED = 22


class OnTheLine(Frozen):
    """What the line expects of one model on one set.

    Attributes:
        model: Name of the model.
        first: Its in-distribution accuracy.
        aline_s: Accuracy by ALine-S.
        aline_d: Accuracy by ALine-D.
        measured: Accuracy where the set has labels.
    """

    model: str
    first: Figure
    aline_s: Figure
    aline_d: Figure
    measured: Figure


class SetAgreement(Frozen):
    """The agreement line of one set.

    Attributes:
        data: Name of the set.
        images: Images that all models answered.
        pairs: Pairs of models.
        slope: Of the line in probits.
        intercept: Likewise.
        r2: Its coefficient of determination.
        refused: Why there is no estimate; empty where there is one.
        models: In the order of the command.
    """

    data: str
    images: Count
    pairs: Count
    slope: Real
    intercept: Real
    r2: Real
    refused: str = ""
    models: Many[OnTheLine] = ()


@dataclass(frozen=True, eq=False)
class Answers:
    """What every model answers on the same images.

    Attributes:
        data: Name of the set.
        answer: int64 [M, n], classes.
        right: bool [M, n]; None without labels.
    """

    data: str
    answer: Int64
    right: Bool | None = None


def refuse_models(training: Sequence[str], digests: Sequence[str]) -> None:
    """Refuses models that agreement on the line does not hold for.

    Args:
        training: Kind of training of each model.
        digests: Digest of the weights of each.

    Raises:
        UsageError: If there are too few or too many, one is there twice, or kinds are mixed.
    """
    if not MIN_MODELS <= len(training) <= MOST_MODELS:
        raise UsageError(
            f"agreement on the line takes {MIN_MODELS} to {MOST_MODELS} models, not {len(training)}"
        )
    if len(set(digests)) < len(digests):
        raise UsageError(
            f"agreement on the line takes different models: {len(digests)} runs have "
            f"{len(set(digests))} different weights"
        )
    kinds = sorted(set(training))
    if len(kinds) > 1:
        raise UsageError(
            f"agreement on the line takes models of one training kind, not {len(kinds)}: "
            f"{', '.join(kinds)}"
        )


def agreement(models: Sequence[str], first: Answers, other: Answers) -> SetAgreement:
    """Fits the agreement line of one set, and estimates the accuracy of every model.

    Args:
        models: Name of each of M models.
        first: Answers on the labelled in-distribution set.
        other: Answers on another set.
    """
    if first.right is None:
        raise UsageError(f"{first.data} has no labels")
    n, m = first.answer.shape[1], other.answer.shape[1]
    own, theirs = _agreeing(first.answer), _agreeing(other.answer)
    right = first.right.T.astype(np.float32)
    line = _Line(_rates(own, n), _rates(theirs, m), _rates(right, n))
    found = SetAgreement(
        data=other.data, images=m, pairs=own.shape[1], slope=line.slope,
        intercept=line.intercept, r2=line.r2,
    )  # fmt: skip
    if line.r2 < MIN_R2:
        why = f"the agreement line has R^2 {line.r2:.3f}, below {MIN_R2}"
        return found.model_copy(update={"refused": why})
    drawn = _drawn(own, theirs, right)
    measured = [
        NotRun(reason="no labels") if other.right is None else wilson(int(one.sum()), m)
        for one in (other.answer if other.right is None else other.right)
    ]
    rows = tuple(
        OnTheLine(
            model=name,
            first=wilson(int(first.right[i].sum()), n),
            aline_s=_estimate(float(line.aline_s[i]), drawn[0, :, i], m),
            aline_d=_estimate(float(line.aline_d[i]), drawn[1, :, i], m),
            measured=measured[i],
        )
        for i, name in enumerate(models)
    )
    return found.model_copy(update={"models": rows})


def _agreeing(answer: Int64) -> Float32:
    """Returns whether each pair of models agrees on each image, [n, pairs]."""
    i, j = np.triu_indices(len(answer), 1)
    return np.stack([answer[a] == answer[b] for a, b in zip(i, j, strict=True)], axis=1).astype(
        np.float32
    )


def _rates(columns: Float32, n: int) -> Float64:
    """Returns the share of each column, pulled off 0 and 1, where probits are infinite."""
    return np.asarray((columns.sum(axis=0, dtype=np.float64) + 0.5) / (n + 1))


class _Line:
    """The least-squares line of agreements in probits, and the accuracies by it.

    Args:
        own: Agreement of each pair in distribution.
        theirs: On the other set.
        right: In-distribution accuracy of each model.
    """

    def __init__(self, own: Float64, theirs: Float64, right: Float64) -> None:
        x, y, accuracy = ndtri(own), ndtri(theirs), ndtri(right)
        centred = x - x.mean()
        spread = float(centred @ centred)
        self.slope = float(centred @ y) / spread if spread > 0 else 0.0
        self.intercept = float(y.mean() - self.slope * x.mean())
        total = float(((y - y.mean()) ** 2).sum())
        left = float(((y - self.slope * x - self.intercept) ** 2).sum())
        self.r2 = 1 - left / total if total > 0 else 0.0
        self.aline_s = ndtr(self.slope * accuracy + self.intercept)
        i, j = np.triu_indices(right.size, 1)
        pairs = np.zeros((i.size, right.size))
        pairs[np.arange(i.size), i] = pairs[np.arange(i.size), j] = 0.5
        wanted = y + self.slope * (pairs @ accuracy - x)
        self.aline_d = ndtr(np.linalg.lstsq(pairs, wanted, rcond=None)[0])


def _drawn(own: Float32, theirs: Float32, right: Float32) -> Float64:
    """Returns ALine-S and ALine-D of `DRAWS` draws of the images of both sets, [2, B, M]."""
    rng = np.random.default_rng(SEED)
    n, m = len(own), len(theirs)
    both = np.concatenate([own, right], axis=1)
    found = np.zeros((2, DRAWS, right.shape[1]))
    step = max(1, DRAWN_AT_ONCE // max(n, m))
    for start in range(0, DRAWS, step):
        count = min(step, DRAWS - start)
        first = (_weights(rng, count, n) @ both + 0.5) / (n + 1)
        other = (_weights(rng, count, m) @ theirs + 0.5) / (m + 1)
        for k in range(count):
            line = _Line(first[k, : own.shape[1]], other[k], first[k, own.shape[1] :])
            found[:, start + k] = line.aline_s, line.aline_d
    return found


def _weights(rng: np.random.Generator, draws: int, n: int) -> Float32:
    """Returns how often each of n images is drawn, [draws, n]."""
    at = rng.integers(0, n, (draws, n)) + n * np.arange(draws)[:, None]
    counts = np.bincount(at.ravel(), minlength=draws * n).reshape(draws, n)
    return counts.astype(np.float32)


def _estimate(value: float, drawn: Float64, n: int) -> Estimate:
    low, high = (float(end) for end in np.quantile(drawn, [0.025, 0.975]))
    return Estimate(
        value=value,
        low=min(low, value),
        high=max(high, value),
        n=n,
        method="bootstrap over both sets, line refitted",
    )
