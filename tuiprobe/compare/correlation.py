"""`tuiprobe runs --correlate`: do signatures correlate with effective robustness over runs?

Takes reports, returns rank correlations. Runs of one encoder are not independent, so each encoder
counts once; encoders compare only within one kind of representation and one backbone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tuiprobe.catalog.presets import presets
from tuiprobe.compare.indicator import ModelPoint, probe_indicators
from tuiprobe.compare.indicator_result import CorrelatedRun, Correlations, RunLeftOut
from tuiprobe.plaintext import encodable
from tuiprobe.results import Model, given
from tuiprobe.results.report import Report

Question = tuple[str, tuple[str, ...], str]
"""Baseline, target and axis of an effective robustness."""


@dataclass(frozen=True)
class Outcome:
    """An effective robustness, and what it belongs to."""

    question: Question
    value: float


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
        reports: Name of each run with its report, or with the reason why it cannot be read; each
            is let go before the next. Of two runs of one encoder the one with more images counts.
        baseline: Baseline of effective robustness; None for the one that most runs have.
    """
    left_out: list[RunLeftOut] = []
    usable: dict[str, _Usable] = {}
    for name, report in ((encodable(name), report) for name, report in reports):
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
    headlines: tuple[Outcome, ...]
    signatures: Mapping[str, float]
    predictors: Mapping[str, float]


def _usable(report: Report, baseline: str | None) -> _Usable | str:
    """Returns what is kept of a report, or the reason why it does not count."""
    reason = _unusable(report, baseline)
    if reason is not None:
        return reason
    return _Usable(
        model=report.model,
        images=sum(one.measured for one in report.data if not one.target),
        headlines=tuple(_headlines(report, None)),
        signatures=signatures_of(report),
        predictors=_predictors(report),
    )


def _unusable(report: Report, baseline: str | None) -> str | None:
    if report.model.weights.kind == "untrained":
        return "untrained: random weights"
    if report.model.ablated:
        return "ablated: no longer the model"
    if report.partial:
        return "partial: not every image was measured"
    if not _headlines(report, baseline):
        return f"no effective robustness{f' by {baseline}' if baseline else ''}"
    return None


def _headlines(report: Report, baseline: str | None) -> list[Outcome]:
    """Returns effective robustness by each baseline, as the probes name it."""
    return [
        Outcome((one.about[0], one.about[2:], one.about[1]), one.figure.value)
        for part in report.parts
        for one in part.figures
        if one.role == "outcome"
        and len(one.about) > 2
        and given(one.figure)
        and baseline in (None, one.about[0])
    ]


def _most_common(reports: Mapping[str, _Usable], baseline: str | None) -> Question:
    """Returns the outcome that most runs have; among equals the report's first baseline."""
    counts = Counter(
        one.question
        for report in reports.values()
        for one in report.headlines
        if baseline in (None, one.question[0])
    )
    return max(counts, key=lambda q: counts[q]) if counts else ("", (), "")


def _one_an_encoder(
    reports: Mapping[str, _Usable], question: Question, left_out: list[RunLeftOut]
) -> list[_Kept]:
    kept, seen = [], set()
    for name, report in sorted(reports.items(), key=lambda item: (-item[1].images, item[0])):
        found = [one for one in report.headlines if one.question == question]
        digest = (report.model.weights.digest, report.model.representation)
        if not found:
            left_out.append(RunLeftOut(run=name, reason="other shifts or another baseline"))
        elif digest in seen:
            left_out.append(RunLeftOut(run=name, reason="another run of the same encoder counts"))
        else:
            seen.add(digest)
            kept.append(_kept(name, report, found[0]))
    return kept


def _kept(name: str, report: _Usable, found: Outcome) -> _Kept:
    backbone, training = backbone_and_training(report.model)
    about = CorrelatedRun(
        run=name,
        model=report.model.name,
        representation=report.model.representation,
        backbone=backbone,
        training=training,
        robustness=found.value,
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
    """Returns every signature that the probes name, by name and place."""
    return _values(report, "signature")


def _predictors(report: Report) -> dict[str, float]:
    """Returns the predictors that need no probe, such as in-distribution accuracy."""
    found = _values(report, "predictor")
    if report.model.training != "unknown":
        found["training: zero-shot or not"] = float(report.model.training == "zero-shot")
    return found


def _values(report: Report, role: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in report.parts:
        for one in part.figures:
            if one.role == role and given(one.figure):
                # of several sets the first one counts: the in-distribution set
                found.setdefault(f"{one.name}, {one.place}", one.figure.value)
    return found
