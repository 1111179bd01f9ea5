"""``tuiprobe runs --correlate``: do signatures go with effective robustness, over several runs?

Reports in, rank correlations out. Runs of one encoder are no independent points, so each encoder
counts once; encoders compare only within one kind of representation and one backbone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tuiprobe.catalog.presets import presets
from tuiprobe.compare.indicator import ModelPoint, probe_indicators
from tuiprobe.compare.indicator_result import CorrelatedRun, Correlations, RunLeftOut
from tuiprobe.probes.outliers.result import PersistentChannels
from tuiprobe.probes.robustness.result import EffectiveRobustness, Robustness
from tuiprobe.results import Figure, Model, given
from tuiprobe.results.report import Report

Question = tuple[str, tuple[str, ...], str]
"""Baseline, target and axis of an effective robustness."""


@dataclass(frozen=True)
class _Kept:
    """One run that counts."""

    about: CorrelatedRun
    signatures: Mapping[str, float]
    predictors: Mapping[str, float]

    def point(self, figures: Mapping[str, float]) -> ModelPoint:
        return ModelPoint(
            representation=self.about.representation,
            backbone=self.about.backbone,
            zero_shot=self.about.training == "zero-shot",
            robustness=self.about.robustness,
            signatures=figures,
        )


def correlate(
    reports: Iterable[tuple[str, Report | str]], baseline: str | None = None
) -> Correlations:
    """Correlates every signature with effective robustness, within strata.

    Args:
        reports: name of each run with its report, or with the reason why it cannot be read; each
            is let go before the next. Of two runs of one encoder the one with more images counts.
        baseline: by which effective robustness is taken; None for the one most runs have.
    """
    left_out: list[RunLeftOut] = []
    usable: dict[str, _Usable] = {}
    for name, report in reports:
        found = report if isinstance(report, str) else _usable(report, baseline)
        if isinstance(found, str):
            left_out.append(RunLeftOut(run=name, reason=found))
        else:
            usable[name] = found
    question = _most_common(usable, baseline)
    kept = _one_an_encoder(usable, question, left_out)
    points = [one.point(one.signatures) for one in kept]
    anyway = [one.point(one.predictors) for one in kept]
    return Correlations(
        baseline=question[0],
        target=question[1],
        axis=question[2],
        runs=tuple(one.about for one in kept),
        left_out=tuple(left_out),
        signatures=probe_indicators(points),
        predictors=probe_indicators(anyway),
    )


@dataclass(frozen=True)
class _Usable:
    """What is kept of a report that may count."""

    model: Model
    images: int
    headlines: tuple[EffectiveRobustness, ...]
    signatures: Mapping[str, float]
    predictors: Mapping[str, float]


def _usable(report: Report, baseline: str | None) -> _Usable | str:
    """What is kept of a report, or the reason why it does not count."""
    reason = _unusable(report, baseline)
    if reason is not None:
        return reason
    return _Usable(
        model=report.model,
        images=sum(one.measured for one in report.data),
        headlines=tuple(_headlines(report, None)),
        signatures=signatures_of(report),
        predictors=_predictors(report),
    )


def _unusable(report: Report, baseline: str | None) -> str | None:
    if report.model.weights.kind == "untrained":
        return "untrained: random weights"
    if report.model.ablated:
        return "ablated: no longer the model"
    if report.title.startswith("PARTIAL:"):
        return "partial: not every image was measured"
    if not _headlines(report, baseline):
        return f"no effective robustness{f' by {baseline}' if baseline else ''}"
    return None


def _headlines(report: Report, baseline: str | None) -> list[EffectiveRobustness]:
    if report.robustness is None:
        return []
    return [
        one
        for one in report.robustness.headlines()
        if given(one.value) and baseline in (None, one.baseline)
    ]


def _question(one: EffectiveRobustness) -> Question:
    return one.baseline, one.target, one.axis


def _most_common(reports: Mapping[str, _Usable], baseline: str | None) -> Question:
    """What most runs have an answer to; the report's first baseline among equals."""
    counts = Counter(
        _question(one)
        for report in reports.values()
        for one in report.headlines
        if baseline in (None, one.baseline)
    )
    return max(counts, key=lambda q: counts[q]) if counts else ("", (), "")


def _one_an_encoder(
    reports: Mapping[str, _Usable], question: Question, left_out: list[RunLeftOut]
) -> list[_Kept]:
    kept, seen = [], set()
    for name, report in sorted(reports.items(), key=lambda item: (-item[1].images, item[0])):
        found = [one for one in report.headlines if _question(one) == question]
        digest = (report.model.weights.digest, report.model.representation)
        if not found:
            left_out.append(RunLeftOut(run=name, reason="other shifts or another baseline"))
        elif digest in seen:
            left_out.append(RunLeftOut(run=name, reason="another run of the same encoder counts"))
        else:
            seen.add(digest)
            kept.append(_kept(name, report, found[0]))
    return kept


def _kept(name: str, report: _Usable, found: EffectiveRobustness) -> _Kept:
    assert given(found.value)
    backbone, training = backbone_and_training(report.model)
    about = CorrelatedRun(
        run=name,
        model=report.model.name,
        representation=report.model.representation,
        backbone=backbone,
        training=training,
        robustness=found.value.value,
    )
    return _Kept(about, report.signatures, report.predictors)


def backbone_and_training(model: Model) -> tuple[str, str]:
    """Returns the backbone and the kind of training of an encoder.

    The backbone is the presets' name for the architecture, or the library's where none has it.
    """
    alike = [one for one in presets().values() if one.architecture == model.architecture]
    backbone = alike[0].backbone if alike else model.architecture.removesuffix("-quickgelu")
    return backbone, model.training


def signatures_of(report: Report) -> dict[str, float]:
    """Returns every signature of the final representation on the in-distribution set."""
    found: dict[str, Figure] = {}
    counts: dict[str, float] = {}
    one = next((o for o in report.outliers if o.final), None)
    if one is not None:
        if isinstance(one.persistent, PersistentChannels):
            counts["persistent channels"] = float(len(one.persistent.channels))
        found |= {
            "kurtosis": one.kurtosis,
            "kurtosis / (C - 1)": one.relative_kurtosis,
            "kurtosis after centring": one.centred_kurtosis,
            "persistence": one.persistence.value,
            "effective channels": one.persistence.effective_channels,
            "channel RMS kurtosis": one.rms_kurtosis,
            "mean cosine": one.mean_cosine,
        }
    if report.directions is not None:
        for basis in report.directions.bases:
            matrix = "centred W" if basis.centred else "W"
            found |= {
                f"top share of importance, {matrix}": basis.top_share,
                f"effective rank of importance, {matrix}": basis.effective_rank,
                f"Gini of importance, {matrix}": basis.gini,
            }
    if report.concepts is not None:
        found["excess concepts, W"] = report.concepts.excess
        found["excess concepts, centred W"] = report.concepts.excess_centred
    return _values(found) | counts


def _values(figures: Mapping[str, Figure]) -> dict[str, float]:
    return {name: one.value for name, one in figures.items() if given(one)}


def _predictors(report: Report) -> dict[str, float]:
    robustness = report.robustness
    assert isinstance(robustness, Robustness)  # a run without is left out
    found = _values(
        {
            "in-distribution accuracy": robustness.accuracies[0].top1,
            "mean confidence": robustness.confidence,
        }
    )
    if report.model.training != "unknown":
        found["training: zero-shot or not"] = float(report.model.training == "zero-shot")
    return found
