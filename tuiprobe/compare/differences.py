"""Two reports side by side: what differs, with intervals.

Figures compare only within one representation kind. Where both runs measured the same images,
differences of means over images are paired. All others get Newcombe's interval from the two
separate ones (MOVER), which is too wide where both vary together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tuiprobe.compare.inference import LEVEL, difference, excludes_zero, holm, p_value
from tuiprobe.compare.labels import NO_BOUNDS, LabelEvidence, label_evidence
from tuiprobe.compare.overlap import Overlap, overlaps
from tuiprobe.compare.paired import KEEPS_NONE, Pairing
from tuiprobe.datasets.registry import last_part
from tuiprobe.probes import LABELS
from tuiprobe.report import read_report
from tuiprobe.results import DataSet, Figure, Frozen, NotRun, Report, given
from tuiprobe.results.headlines import HEADLINES, LABELLED_ID
from tuiprobe.results.section import NamedFigure
from tuiprobe.run.directory import RunDir
from tuiprobe.run.per_image import ImageValues, read_per_image

FigurePlace = tuple[str, str, str, str]
"""Probe, set, place and id of a figure."""

ESTIMATES: Final = "estimates without labels: their errors are no matter of sampling"
"""Why a difference of estimates has no interval."""

_OF_ANSWERS: Final = frozenset({"your images", "shifts"})
"""Blocks whose figures are about answers, so that they compare over kinds of representation."""


class Difference(Frozen):
    """One figure in both reports.

    Attributes:
        probe: Id of the probe that gave it.
        data: Data set, in both reports.
        place: Layer, or what else it is of.
        id: Id of the figure, for gates.
        name: Name of the figure, for people.
        first: The figure in the first report.
        second: The figure in the second report.
        difference: Second minus first; `NotRun` where one of them is missing.
        paired: Whether its interval comes from the same images in both runs.
        differs: Whether the interval excludes zero; None without an interval. For headline figures
            after Holm's correction, over accuracies and over all others.
        p: Of a headline figure, adjusted by Holm; None for the others, by labels, and without an
            interval.
        inner: Whether this is a layer before the final representation.
        headline: Rank of a headline figure; None for the others.
    """

    probe: str
    data: str
    place: str
    id: str
    name: str
    first: Figure
    second: Figure
    difference: Figure
    paired: bool = False
    differs: bool | None
    p: float | None = None
    inner: bool = False
    headline: int | None = None

    @property
    def undone(self) -> bool:
        """Whether the interval excludes zero, and the correction says that this may be chance."""
        return self.differs is False and given(self.difference) and excludes_zero(self.difference)


class FactPair(Frozen):
    """A finding of one word in both reports; empty where a report has none."""

    id: str
    name: str
    first: str
    second: str


class Comparison(Frozen):
    """Two reports side by side.

    Attributes:
        titles: Titles of the two reports.
        models: Names of the two models.
        facts: Findings of one word each.
        differences: Figures that both have.
        overlaps: What both name, by set of images.
        notes: What makes the comparison weaker: other images, widths, preprocessing, untrained.
        unmatched: Sets and places that only one of them has figures of.
    """

    titles: tuple[str, str]
    models: tuple[str, str]
    facts: tuple[FactPair, ...]
    differences: tuple[Difference, ...]
    overlaps: tuple[Overlap, ...]
    notes: tuple[str, ...]
    unmatched: tuple[str, ...]

    def fact(self, id: str) -> FactPair | None:
        """Returns a finding by its id; None where neither report has it."""
        return next((fact for fact in self.facts if fact.id == id), None)

    def headlines(self) -> tuple[Difference, ...]:
        """Returns the headline figures that both have, in order."""
        headlines = [row for row in self.differences if row.headline is not None]
        return tuple(sorted(headlines, key=lambda row: row.headline or 0))


class Run(NamedTuple):
    """A run to compare: its report, what it knows of single images, and where its labels lie."""

    report: Report
    images: ImageValues
    directory: RunDir | None = None


def read_run(directory: RunDir) -> Run:
    """Reads a run directory, which is not trusted.

    Raises:
        DamagedFileError: If its report is missing or damaged, or its per-image values are damaged.
    """
    return Run(read_report(directory), read_per_image(directory), directory)


def compare_runs(first: Run, second: Run) -> Comparison:
    """Compares two runs figure by figure, in pairs where they measured the same images."""
    labels = label_evidence((first.report, second.report), (first.directory, second.directory))
    return compare(first.report, second.report, Pairing(first.images, second.images), labels)


def compare(
    first: Report,
    second: Report,
    pairing: Pairing | None = None,
    labels: LabelEvidence | NotRun | None = None,
) -> Comparison:
    """Compares two reports figure by figure; over kinds of representation only their answers.

    Args:
        first: The report that the other one is compared with.
        second: The other report.
        pairing: What the runs know of single images; None for nothing.
        labels: Which run is ahead by labels, see `tuiprobe.compare.labels.label_evidence`.
    """
    pairing = pairing or Pairing({}, {})
    alike = first.model.representation == second.model.representation
    ours, theirs = (_figures_by_place(report, all_blocks=alike) for report in (first, second))
    places = [{(data, place) for _, data, place, _ in figures} for figures in (ours, theirs)]
    differences = []
    change: Figure
    for place, figure in ours.items():
        if place not in theirs:
            continue
        if figure.id == LABELLED_ID:
            change, differs = labels if isinstance(labels, NotRun) else NO_BOUNDS, None
            if isinstance(labels, LabelEvidence) and labels.status.target == figure.data:
                change, differs = labels.difference(1, 0)
            paired = differs is not None
        else:
            change, paired, differs = _difference(figure, theirs[place], pairing)
        differences.append(
            difference_between(
                place[0], figure, theirs[place], change, paired=paired, differs=differs
            )
        )
    return Comparison(
        titles=(first.title, second.title),
        models=(first.model.name, second.model.name),
        facts=tuple(_facts(first, second)) if alike else (),
        differences=_corrected(differences),
        overlaps=tuple(overlaps(first, second)) if alike else (),
        notes=(
            *_model_notes(first, second),
            *image_notes(first, second, pairing),
            *_label_notes((first, second), labels),
        ),
        unmatched=tuple(f"{data}/{place}" for data, place in sorted(places[0] ^ places[1])),
    )


def _figures_by_place(report: Report, all_blocks: bool) -> dict[FigurePlace, NamedFigure]:
    """Returns the figures of a report; only those about answers unless `all_blocks`."""
    of_any_kind = {headline.rank for headline in HEADLINES if not headline.within_kind}
    return {
        (part.probe, figure.data, figure.place, figure.id): figure
        for part in report.parts
        for figure in part.figures
        if all_blocks or part.block in _OF_ANSWERS or figure.headline in of_any_kind
    }


def _difference(
    ours: NamedFigure, theirs: NamedFigure, pairing: Pairing
) -> tuple[Figure, bool, bool | None]:
    """Returns a difference, whether it is paired, and whether its interval excludes zero."""
    paired = pairing.difference(ours, theirs)
    change = paired or difference(ours.figure, theirs.figure)
    if not given(change):
        return change, False, None
    if ours.role == "estimate":
        change = change.model_copy(update={"low": None, "high": None, "method": ESTIMATES})
    differs = None if change.low is None else excludes_zero(change)
    return change, paired is not None, differs


def difference_between(
    probe: str,
    ours: NamedFigure,
    theirs: NamedFigure,
    change: Figure,
    *,
    paired: bool,
    differs: bool | None,
) -> Difference:
    """Returns the same figure of two reports with their difference; see `Difference`."""
    return Difference(
        probe=probe,
        data=ours.data,
        place=ours.place,
        id=ours.id,
        name=ours.name,
        first=ours.figure,
        second=theirs.figure,
        difference=change,
        paired=paired,
        differs=differs,
        inner=ours.inner,
        headline=ours.headline,
    )


def _corrected(differences: list[Difference]) -> tuple[Difference, ...]:
    """Keeps the ranks of the headline figures alone, and corrects which of them differ."""
    corrected = [row.model_copy(update={"headline": None}) for row in differences]
    p_values: dict[bool, dict[int, float]] = {True: {}, False: {}}  # of accuracies, of all others
    for headline in HEADLINES:
        for i, row in enumerate(differences):
            leads = row.headline is not None and not row.inner
            if row.id == headline.id and leads and (given(row.first) or given(row.second)):
                update = {"name": headline.name, "headline": headline.rank}
                corrected[i] = row.model_copy(update=update)
                p = p_value(row.difference) if given(row.difference) else None
                if p is not None and row.id != LABELLED_ID:  # labels decide by themselves
                    p_values[headline.is_accuracy][i] = p
                break
    for family in p_values.values():
        for i, p in zip(family, holm(list(family.values())), strict=True):
            corrected[i] = corrected[i].model_copy(update={"p": p, "differs": p < LEVEL})
    return tuple(corrected)


def images_of(data: DataSet) -> tuple[str, int]:
    """Returns what a report says of where images come from; earlier versions have whole paths."""
    return last_part(data.source), data.measured


def _facts(first: Report, second: Report) -> Iterator[FactPair]:
    facts = [fact for report in (first, second) for part in report.parts for fact in part.facts]
    for id, name in dict.fromkeys((fact.id, fact.name) for fact in facts):
        yield FactPair(id=id, name=name, first=first.fact(id), second=second.fact(id))


def _model_notes(first: Report, second: Report) -> Iterator[str]:
    """Yields how two models differ in what weakens the comparison."""
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
    for model in (first.model, second.model):
        if model.weights.kind == "untrained":
            yield f"{model.name} is untrained"
        for ablation in model.ablated:
            yield f"{model.name} is ablated: {ablation}"
    ours, theirs = (
        report.model.preprocessing.model_copy(update={"source": ""}) for report in (first, second)
    )
    if ours != theirs:
        yield "preprocessing differs"


def image_notes(first: Report, second: Report, pairing: Pairing) -> Iterator[str]:
    """Yields why images are not compared in pairs, and which ones differ or are left out."""
    for report, images in ((first, pairing.first), (second, pairing.second)):
        if not images and (pairing.first or pairing.second):
            yield f"{report.model.name}: {KEEPS_NONE}, so differences are not paired"
    theirs = {data.name: data for data in second.data}
    for data in first.data:
        other = theirs.get(data.name)
        if other is None:
            continue
        reason = pairing.why_not(data.name)
        if reason and data.name in pairing.first and data.name in pairing.second:
            yield f"{data.name}: differences are not paired: {reason}"
        if reason and images_of(data) != images_of(other):
            yield (
                f"{data.name} differs: {data.measured} images of {data.source} against "
                f"{other.measured} of {other.source}"
            )
        if data.nonfinite or other.nonfinite:
            yield (
                f"{data.name}: images left out because their representation is not finite: "
                f"{data.nonfinite} against {other.nonfinite}"
            )


def _label_notes(reports: Sequence[Report], labels: LabelEvidence | NotRun | None) -> Iterator[str]:
    """Yields why labels do not count, once each."""
    parts = [part for report in reports if (part := report.part_of(LABELS)) is not None]
    reasons = [part.not_run for part in parts if part.not_run is not None]
    if parts and not reasons and isinstance(labels, NotRun):
        reasons.append(f"labels do not tell these runs apart: {labels.reason}")
    yield from dict.fromkeys(reasons)
