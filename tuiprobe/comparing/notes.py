"""What weakens a comparison of runs, in sentences: other images, untrained models, warnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tuiprobe.comparing.answered import AnsweredPictures
from tuiprobe.comparing.equal_answers import equal_answers
from tuiprobe.comparing.inference import NO_VALUES, Pairing
from tuiprobe.comparing.label_evidence import LabelEvidence
from tuiprobe.comparing.runs import Run
from tuiprobe.comparing.same_pictures import pairing_of
from tuiprobe.datasets.registry import last_part
from tuiprobe.plaintext import listed
from tuiprobe.probes import LABELS
from tuiprobe.results import NotRun, Report
from tuiprobe.results.accuracy import among_few

NAMED = 4
"""Models that a note names."""


def weakening(
    runs: Sequence[Run],
    order: Sequence[int],
    labels: LabelEvidence | NotRun | None,
    answered: AnsweredPictures | None = None,
) -> Iterator[str]:
    """Yields the notes that weaken a decision, each with the models that it is about.

    Args:
        runs: The runs.
        order: Places of those that are compared, first the one that the others are compared with.
        labels: What labels say of them.
        answered: The labelled pictures on which they are compared.
    """
    reports = [run.report for run in runs]
    warnings = [(text, report) for report in reports for text in report.warnings]
    yield from by_models(warnings, len(runs))
    yield from subject_notes(reports)
    few = [
        (f"answers on {of.data} count among {of.classes:,} of {of.of_classes:,} classes", report)
        for report in reports
        for of in report.accuracies
        if among_few(of)
    ]
    yield from by_models(few, len(runs))
    first = runs[order[0]]
    context = f"beside {first.report.model.name}, " if len(order) > 2 else ""
    matched = () if answered is None else answered.runs  # their pictures are the same
    images = [
        (f"{context}{note}", runs[n].report)
        for n in order[1:]
        if not {n, order[0]} <= {*matched}
        for note in image_notes(runs[n].report, first.report, pairing_of(runs[n], first))
    ]
    yield from by_models(images, len(order) - 1)
    yield from equal_answers(runs)
    known = {text for text, _ in warnings}
    yield from (note for note in label_notes(reports, labels) if note not in known)
    if isinstance(labels, LabelEvidence):
        if labels.status.verdict == "contradictory":
            yield f"the labels of {labels.status.target} contradict each other"
        yield from labels.status.remarks()


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
        yield note if len(names) == everybody else f"{listed(names, NAMED)}: {note}"


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
            f"{kinds[1]} ones: answers are compared, figures of channels are not; for those of a "
            "CLIP's ViT, compare at the tap before its projection"
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


def image_notes(first: Report, second: Report, pairing: Pairing) -> Iterator[str]:
    """Yields why images are not compared in pairs, and which ones differ or are left out."""
    for report, images in ((first, pairing.first), (second, pairing.second)):
        if not images and (pairing.first or pairing.second):
            yield f"{report.model.name}: {NO_VALUES.why}, so differences are not paired"
    of_second = {data.name: data for data in second.data}
    for data in first.data:
        other = of_second.get(data.name)
        if other is None:
            continue
        unpaired = pairing.why_not(data.name)
        if unpaired and data.name in pairing.first and data.name in pairing.second:
            yield f"{data.name}: differences are not paired: {unpaired.why}"
        sources = last_part(data.source), last_part(other.source)
        if unpaired and (sources[0] != sources[1] or data.measured != other.measured):
            yield (
                f"{data.name} differs: {data.measured} images of {data.source} against "
                f"{other.measured} of {other.source}"
            )
        if data.name in pairing.rows:
            both = len(pairing.rows[data.name][0])
            most = max(len(of[data.name].ids) for of in (pairing.first, pairing.second))
            if both < most:
                yield f"{data.name}: compared on the {both:,} images that both runs could use"
        if data.nonfinite or other.nonfinite:
            yield (
                f"{data.name}: images left out because their representation is not finite: "
                f"{data.nonfinite} against {other.nonfinite}"
            )


def label_notes(reports: Sequence[Report], labels: object) -> Iterator[str]:
    """Yields why labels do not count, once each."""
    parts = [part for report in reports if (part := report.part_of(LABELS)) is not None]
    reasons = [part.not_run.reason for part in parts if part.not_run is not None]
    if parts and not reasons and isinstance(labels, NotRun):
        reasons.append(f"labels do not tell these runs apart: {labels.reason}")
    yield from dict.fromkeys(reasons)
