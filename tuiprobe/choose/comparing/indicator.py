"""The indicator of Crabbé et al. (2024): do signatures correlate with effective robustness?

Pooled correlations mislead: two clusters of models, each uncorrelated, correlate strongly if they
differ in both figures. So ranks are computed within strata (representation kind and backbone); the
null is permutation within strata. Runs of one encoder are not independent, so each encoder counts
once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from tuiprobe.catalog.published_models import presets
from tuiprobe.channels.array_types import Float64
from tuiprobe.choose.comparing.sentences import reservations
from tuiprobe.numbers import NORMAL_95
from tuiprobe.results import Estimate, Figure, Model, NotRun, is_known
from tuiprobe.results.base import Count, Frozen, Many, Real
from tuiprobe.results.report import Report

SEVERAL: Final = 3
"""Runs from which on figures are correlated, and pairs are shown on request."""

FEWEST: Final = 8
"""Encoders of the smallest stratum that has a correlation."""
PERMUTATIONS: Final = 9_999
NO_OUTCOME: Final = "no effective robustness"

OutcomeKey = tuple[str, tuple[str, ...], str]
"""Baseline, shifts and axis of an effective robustness."""


class Stratum(Frozen):
    """Rank correlation within one stratum.

    Attributes:
        representation: Kind of representation.
        backbone: Name of the backbone.
        models: Number of models in the stratum.
        correlation: Spearman's, with an interval by Fisher's z and Fieller's correction.
    """

    representation: str
    backbone: str
    models: Count
    correlation: Figure


class Indicator(Frozen):
    """One signature against effective robustness.

    Attributes:
        signature: Name of the signature.
        strata: One entry per stratum.
        within: Correlation of ranks within strata, over all strata that are large enough.
        p_value: Two-sided p-value, by permutation within strata; None where `within` is not run.
        permutations: Number of permutations drawn.
        pooled: Spearman's over all models; misleading alone.
        pooled_trivial: The same for the predictor "zero-shot or not".
    """

    signature: str
    strata: Many[Stratum]
    within: Figure
    p_value: Real | None
    permutations: Count
    pooled: Figure
    pooled_trivial: Figure


class CorrelatedRun(Frozen):
    """A run that is part of the correlations.

    Attributes:
        run: Name of the run.
        model: The model as the user typed it.
        representation: Kind of its representation.
        backbone: The presets' name for it, or the library's architecture.
        training: `zero-shot`, `captions`, `finetuned`, `supervised`, or `unknown`.
        robustness: Effective robustness.
        height: Highest channel of the final representation in distribution, in sigmas.
        kurtosis: Kurtosis of the final representation in distribution.
        outcome: Of rule v3 on outlier features, in a word; empty without.
    """

    run: str
    model: str
    representation: str
    backbone: str
    training: str
    robustness: Estimate
    height: Figure
    kurtosis: Figure
    outcome: str = ""


class RunLeftOut(Frozen):
    """A run that was left out, and the reason."""

    run: str
    reason: str


class Correlations(Frozen):
    """Outlier figures of several runs against their effective robustness.

    Attributes:
        baseline: Baseline of effective robustness.
        target: The shifts.
        axis: The x axis of the baseline.
        runs: One run for each encoder.
        left_out: Runs that are not part of the correlations.
        signatures: Each signature against effective robustness.
        predictors: Predictors that need no probe, against effective robustness in the same way.
    """

    baseline: str
    target: Many[str]
    axis: str
    runs: Many[CorrelatedRun]
    left_out: Many[RunLeftOut]
    signatures: Many[Indicator]
    predictors: Many[Indicator]


def correlate(reports: Sequence[Report]) -> Correlations:
    """Correlates every signature with effective robustness, within strata.

    Effective robustness is by the baseline, shifts and axis that most runs have, among equals the
    first. Of two runs of one encoder the one with more images counts.

    Args:
        reports: Of the runs, whose models differ in their names.
    """
    left_out: list[RunLeftOut] = []
    usable: list[Report] = []
    for report in reports:
        reasons = [*reservations(report), *([] if _outcomes(report) else [NO_OUTCOME])]
        if reasons:
            left_out.append(RunLeftOut(run=report.model.name, reason=reasons[0]))
        else:
            usable.append(report)
    counts = Counter(question for report in usable for question in _outcomes(report))
    question = max(counts, key=lambda q: counts[q]) if counts else ("", (), "")
    chosen: list[tuple[CorrelatedRun, Report]] = []
    seen = set()

    def fewer_images(report: Report) -> tuple[int, str]:
        return -sum(d.measured for d in report.data if not d.target), report.model.name

    for report in sorted(usable, key=fewer_images):
        name, robustness = report.model.name, _outcomes(report).get(question)
        encoder = (report.model.weights.digest, report.model.representation)
        if robustness is None:
            left_out.append(RunLeftOut(run=name, reason="other shifts or another baseline"))
        elif encoder in seen:
            left_out.append(RunLeftOut(run=name, reason="another run of the same encoder counts"))
        else:
            seen.add(encoder)
            run = CorrelatedRun(
                run=name,
                model=name,
                representation=report.model.representation,
                backbone=backbone_of(report.model),
                training=report.model.training,
                robustness=robustness,
                height=report.figure("height"),
                kurtosis=report.figure("kurtosis"),
                outcome=report.fact("outcome"),
            )
            chosen.append((run, report))
    signatures = [(run, values_of(report, "signature")) for run, report in chosen]
    return Correlations(
        baseline=question[0],
        target=question[1],
        axis=question[2],
        runs=tuple(run for run, _ in chosen),
        left_out=tuple(left_out),
        signatures=probe_indicators(signatures),
        predictors=probe_indicators([(run, _predictors(report)) for run, report in chosen]),
    )


def _outcomes(report: Report) -> dict[OutcomeKey, Estimate]:
    """Returns effective robustness by each baseline, as the probes name it."""
    outcomes: dict[OutcomeKey, Estimate] = {}
    for part in report.parts:
        for named in part.figures:
            if named.role == "outcome" and len(named.about) > 2 and is_known(named.figure):
                baseline, axis, *target = named.about
                outcomes.setdefault((baseline, tuple(target), axis), named.figure)
    return outcomes


def backbone_of(model: Model) -> str:
    """Returns the presets' name for an architecture, or the library's where none has it."""
    for preset in presets().values():
        if preset.architecture == model.architecture:
            return preset.backbone
    return model.architecture.removesuffix("-quickgelu")


def values_of(report: Report, role: str) -> dict[str, float]:
    """Returns every figure of a role that the probes name, by name and place.

    Args:
        report: The report.
        role: For example `signature`.
    """
    values: dict[str, float] = {}
    for part in report.parts:
        for named in part.figures:
            if named.role == role and is_known(named.figure):
                # Of several sets the first one counts: the in-distribution set.
                values.setdefault(f"{named.name}, {named.place}", named.figure.value)
    return values


def _predictors(report: Report) -> dict[str, float]:
    """Returns the predictors that need no probe, for example in-distribution accuracy."""
    values = values_of(report, "predictor")
    if report.model.training != "unknown":
        values["training: zero-shot or not"] = float(report.model.training == "zero-shot")
    return values


def probe_indicators(
    models: Sequence[tuple[CorrelatedRun, Mapping[str, float]]], *, seed: int = 0
) -> tuple[Indicator, ...]:
    """Returns an indicator for each signature, by name.

    Args:
        models: The runs, each with its signatures; those that a run lacks are left out.
        seed: Seed of the permutations.
    """
    names = sorted({name for _, signatures in models for name in signatures})
    return tuple(_indicator(name, models, seed) for name in names)


def _indicator(
    name: str, models: Sequence[tuple[CorrelatedRun, Mapping[str, float]]], seed: int
) -> Indicator:
    having = [(run, signatures[name]) for run, signatures in models if name in signatures]
    groups: dict[tuple[str, str], list[tuple[CorrelatedRun, float]]] = {}
    for run, value in having:
        groups.setdefault((run.representation, run.backbone), []).append((run, value))
    strata, pairs = [], []
    for (representation, backbone), group in sorted(groups.items()):
        x = np.array([value for _, value in group])
        y = np.array([run.robustness.value for run, _ in group])
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
    x = np.array([value for _, value in having])
    y = np.array([run.robustness.value for run, _ in having])
    trivial = np.array([float(run.training == "zero-shot") for run, _ in having])
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
    z, half = np.arctanh(np.clip(rho, -1 + 1e-6, 1 - 1e-6)), NORMAL_95 * np.sqrt(1.06 / freedom)
    low, high = float(np.tanh(z - half)), float(np.tanh(z + half))
    return Estimate(value=rho, low=min(low, rho), high=max(high, rho), n=n, method=method)


def _centred_ranks(values: Float64) -> Float64:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # equal values share their mean rank
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
