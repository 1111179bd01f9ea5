"""What weakens a comparison of runs, in sentences: other images, untrained models, warnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tuiprobe.comparing.label_evidence import LabelEvidence
from tuiprobe.comparing.runs import Run
from tuiprobe.plaintext import joined
from tuiprobe.probes import LABELS
from tuiprobe.results import NotRun, Report, is_known
from tuiprobe.results.accuracy import MOST_RIGHT, among_few, if_same_mix

NAMED = 4
"""Models that a note names."""


def weakening(
    runs: Sequence[Run],
    labels: LabelEvidence | NotRun | None,
) -> Iterator[str]:
    """Yields the notes that weaken a decision, each with the models that it is about.

    Args:
        runs: The runs.
        labels: What labels say of them.
    """
    reports = [run.report for run in runs]
    warnings = [(text, report) for report in reports for text in report.warnings]
    yield from by_models(warnings, len(runs))
    yield from subject_notes(reports)
    few = [
        (
            f"answers on {of.data} are chosen among {of.classes:,} of {of.of_classes:,} classes",
            report,
        )
        for report in reports
        for of in report.accuracies
        if among_few(of)
    ]
    yield from by_models(few, len(runs))
    yield from by_models(_bounds(reports), len(runs))
    yield from by_models(_types(reports), len(runs))
    known = {text for text, _ in warnings}
    yield from (note for note in label_notes(reports, labels) if note not in known)
    if isinstance(labels, LabelEvidence):
        if labels.status.verdict == "contradictory":
            yield f"the labels of {labels.status.target} contradict each other"
        yield from labels.status.remarks()


def _bounds(reports: Sequence[Report]) -> Iterator[tuple[str, Report]]:
    """Yields what the mix of classes bounds on sets where nothing was measured or estimated."""
    for report in reports:
        known = {of.data for of in report.accuracies}
        for bound in (named for part in report.parts for named in part.figures):
            if bound.id == MOST_RIGHT and bound.data not in known and is_known(bound.figure):
                yield f"right on {bound.data} are {if_same_mix(bound.figure.value)}", report


def _types(reports: Sequence[Report]) -> list[tuple[str, Report]]:
    """Returns in which floating point types encoders computed, unless all did in float32."""
    of_encoders = [report for report in reports if report.model.preprocessing.known]
    types = [(f"computed in {report.spec.get('dtype')}", report) for report in of_encoders]
    return types if {text for text, _ in types} != {"computed in float32"} else []


def by_models(notes: Iterable[tuple[str, Report]], everybody: int) -> Iterator[str]:
    """Yields each note once, behind the models that it is about unless it is about all of them.

    Args:
        notes: Each note with the report that it is about.
        everybody: Number of models that it can be about.
    """
    models: dict[str, list[str]] = {}
    for note, report in notes:
        models.setdefault(note, []).append(report.model.name)
    for note, names in models.items():
        yield note if len(names) == everybody else f"{joined(names, NAMED)}: {note}"


def subject_notes(reports: Iterable[Report]) -> Iterator[str]:
    """Yields a note on each report that does not describe a trained model as it is."""
    for report in reports:
        yield from (f"{report.model.name} is {text}" for text in reservations(report))


def reservations(report: Report) -> Iterator[str]:
    """Yields why a report does not describe a trained model as it is."""
    if report.model.weights.kind == "untrained":
        yield "UNTRAINED: its weights are random"
    if report.partial:
        yield "PARTIAL: not all of its images were measured"


def model_notes(first: Report, second: Report) -> Iterator[str]:
    """Yields the differences of two models that weaken the comparison."""
    kinds = first.model.representation, second.model.representation
    if kinds[0] != kinds[1]:
        yield (
            f"{first.model.name} gives {kinds[0]} representations and {second.model.name} "
            f"{kinds[1]} ones: only answers are compared, not figures of channels; to compare "
            "these for a CLIP's ViT, take the tap before its projection"
        )
    widths = first.model.width, second.model.width
    if widths[0] != widths[1]:
        yield (
            f"widths differ, {widths[0]} and {widths[1]} channels: compare height, in "
            "sigmas, not kurtosis"
        )
    before, after = (
        report.model.preprocessing.model_copy(update={"source": ""}) for report in (first, second)
    )
    if before != after:
        yield "preprocessing differs"


def label_notes(reports: Sequence[Report], labels: object) -> Iterator[str]:
    """Yields why labels do not count, once each."""
    parts = [part for report in reports if (part := report.part_of(LABELS)) is not None]
    reasons = [part.not_run.reason for part in parts if part.not_run is not None]
    if parts and not reasons and isinstance(labels, NotRun):
        reasons.append(f"labels cannot decide between these runs: {labels.reason}")
    yield from dict.fromkeys(reasons)
