"""Rank correlation of signatures with effective robustness, within strata of models.

Pooled correlations mislead: two clusters of models, each uncorrelated, correlate strongly if they
differ in both figures. So ranks are computed within strata (representation kind and backbone); the
null is permutation within strata.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tuiprobe.compare.indicator_result import Indicator, Stratum
from tuiprobe.probes.inputs import Float64
from tuiprobe.results import Estimate, Figure, NotRun

FEWEST = 8
PERMUTATIONS = 9_999
Z = 1.959964


@dataclass(frozen=True)
class ModelPoint:
    """One model.

    Attributes:
        representation: kind.
        backbone: name.
        zero_shot: Whether it is a zero-shot encoder.
        robustness: Effective robustness.
        signatures: By name; a signature the model lacks is left out.
    """

    representation: str
    backbone: str
    zero_shot: bool
    robustness: float
    signatures: Mapping[str, float]


def probe_indicators(models: Sequence[ModelPoint], *, seed: int = 0) -> tuple[Indicator, ...]:
    """Returns one indicator per signature, by name.

    Args:
        models: The runs.
        seed: Seed of the permutations.
    """
    names = sorted({name for model in models for name in model.signatures})
    return tuple(_indicator(name, models, seed) for name in names)


def _indicator(name: str, models: Sequence[ModelPoint], seed: int) -> Indicator:
    having = [model for model in models if name in model.signatures]
    groups: dict[tuple[str, str], list[ModelPoint]] = {}
    for model in having:
        groups.setdefault((model.representation, model.backbone), []).append(model)
    strata, pairs = [], []
    for (representation, backbone), group in sorted(groups.items()):
        x = np.array([model.signatures[name] for model in group])
        y = np.array([model.robustness for model in group])
        figure = spearman(x, y)
        strata.append(
            Stratum(
                representation=representation,
                backbone=backbone,
                models=len(group),
                correlation=figure,
            )
        )
        if isinstance(figure, Estimate):
            pairs.append((_centred_ranks(x), _centred_ranks(y)))
    within, p_value = _within(pairs, seed)
    x = np.array([model.signatures[name] for model in having])
    y = np.array([model.robustness for model in having])
    trivial = np.array([float(model.zero_shot) for model in having])
    return Indicator(
        signature=name,
        strata=tuple(strata),
        within=within,
        p_value=p_value,
        permutations=PERMUTATIONS if p_value is not None else 0,
        pooled=spearman(x, y),
        pooled_trivial=spearman(trivial, y),
    )


def spearman(x: Float64, y: Float64) -> Figure:
    """Returns Spearman's correlation; interval by Fisher's z, variance 1.06/(n - 3) (Fieller 1957).

    Args:
        x: [n].
        y: [n].
    """
    n = x.size
    if n < FEWEST:
        return NotRun(reason=f"{n} models; {FEWEST} are needed")
    a, b = _centred_ranks(x), _centred_ranks(y)
    if not a.any() or not b.any():
        return NotRun(reason="one of the two is the same for all models")
    rho = float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))
    return _fisher(rho, n, n - 3, "models; Fisher's z")


def _fisher(rho: float, n: int, freedom: int, method: str) -> Figure:
    # A perfect correlation has no z; the largest value below 1 replaces it.
    z, half = np.arctanh(np.clip(rho, -1 + 1e-6, 1 - 1e-6)), Z * np.sqrt(1.06 / freedom)
    low, high = float(np.tanh(z - half)), float(np.tanh(z + half))
    return Estimate(value=rho, low=min(low, rho), high=max(high, rho), n=n, method=method)


def _centred_ranks(values: Float64) -> Float64:
    ranks = stats.rankdata(values)
    return np.asarray(ranks - ranks.mean(), dtype=np.float64)


def _within(pairs: list[tuple[Float64, Float64]], seed: int) -> tuple[Figure, float | None]:
    if not pairs:
        return NotRun(reason=f"no stratum of {FEWEST} models in which both vary"), None
    # Ranks are scaled by stratum size, so that large strata do not dominate.
    scaled = [(a / a.size, b / b.size) for a, b in pairs]
    scale = np.sqrt(sum(a @ a for a, _ in scaled) * sum(b @ b for _, b in scaled))
    value = float(np.clip(sum(a @ b for a, b in scaled) / scale, -1, 1))
    rng, sums = np.random.default_rng(seed), np.zeros(PERMUTATIONS)
    for a, b in scaled:
        sums += rng.permuted(np.tile(b, (PERMUTATIONS, 1)), axis=1) @ a
    beyond = int((np.abs(sums / scale) >= abs(value) - 1e-12).sum())
    n = sum(a.size for a, _ in pairs)
    figure = _fisher(value, n, n - 2 * len(pairs) - 1, f"models in {len(pairs)} strata; Fisher's z")
    return figure, (beyond + 1) / (PERMUTATIONS + 1)
