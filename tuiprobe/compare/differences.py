"""Two reports side by side: what differs, with intervals.

Figures compare only within one representation kind. Where both runs measured the same images,
differences of means over images are paired. All others get Newcombe's interval from the two
separate ones (MOVER), which is too wide where both vary together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import hypot
from typing import Final, NamedTuple

from tuiprobe.compare.holm import LEVEL, holm, p_value
from tuiprobe.compare.labelled import by_labels, labelled_difference
from tuiprobe.compare.overlap import Overlap, overlaps
from tuiprobe.compare.paired import KEEPS_NONE, Pairing
from tuiprobe.datasets.registry import last_part
from tuiprobe.label.ranking import LabelledRanking
from tuiprobe.numbers import unit_of_difference
from tuiprobe.probes import LABELS
from tuiprobe.report import read_report
from tuiprobe.results import DataSet, Estimate, Figure, Frozen, NotRun, Report, given
from tuiprobe.results.headlines import HEADLINES, LABELLED_ID
from tuiprobe.results.section import NamedFigure
from tuiprobe.run.directory import RunDir
from tuiprobe.run.per_image import Images, read_per_image

Place = tuple[str, str, str, str]
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
        overlaps: Things that both found, by set of images.
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
        return next((one for one in self.facts if one.id == id), None)

    def headlines(self) -> tuple[Difference, ...]:
        """Returns the headline figures that both have, in order."""
        found = [one for one in self.differences if one.headline is not None]
        return tuple(sorted(found, key=lambda one: one.headline or 0))


class Run(NamedTuple):
    """A run to compare: its report, what it knows of single images, and where its labels lie."""

    report: Report
    images: Images
    directory: RunDir | None = None


def read_run(directory: RunDir) -> Run:
    """Reads a run directory, which is not trusted.

    Raises:
        DamagedFileError: If its report is missing or damaged, or its per-image values are damaged.
    """
    return Run(read_report(directory), read_per_image(directory), directory)


def compare_runs(first: Run, second: Run) -> Comparison:
    """Compares two runs figure by figure, in pairs where they measured the same images."""
    labels = by_labels((first.report, second.report), (first.directory, second.directory))
    return compare(first.report, second.report, Pairing(first.images, second.images), labels)


def compare(
    first: Report,
    second: Report,
    pairing: Pairing | None = None,
    labels: LabelledRanking | NotRun | None = None,
) -> Comparison:
    """Compares two reports figure by figure; over kinds of representation only their answers.

    Args:
        first: The report that the other one is compared with.
        second: The other report.
        pairing: What the runs know of single images; None for nothing.
        labels: What labels say of which is ahead, see `tuiprobe.compare.labelled.by_labels`.
    """
    pairing = pairing or Pairing({}, {})
    alike = first.model.representation == second.model.representation
    ours, theirs = (_by_place(one, whole=alike) for one in (first, second))
    return Comparison(
        titles=(first.title, second.title),
        models=(first.model.name, second.model.name),
        facts=tuple(_facts(first, second)) if alike else (),
        differences=_corrected(
            [
                _labelled(place[0], one, theirs[place], labels)
                if one.id == LABELLED_ID
                else _difference(place[0], one, theirs[place], pairing)
                for place, one in ours.items()
                if place in theirs
            ]
        ),
        overlaps=tuple(overlaps(first, second)) if alike else (),
        notes=(*_notes(first, second, pairing), *_label_notes((first, second), labels)),
        unmatched=tuple(
            f"{data}/{place}" for data, place in sorted(_places(ours) ^ _places(theirs))
        ),
    )


def difference(first: Figure, second: Figure) -> Figure:
    """Returns second minus first, with Newcombe's square-and-add interval (Zou and Donner 2008).

    >>> one = Estimate(value=3.0, low=2.7, high=3.3, n=9, method="m")
    >>> two = Estimate(value=5.0, low=4.6, high=5.4, n=8, method="m")
    >>> found = difference(one, two)
    >>> found.value, round(found.low, 6), round(found.high, 6), found.n
    (2.0, 1.5, 2.5, 8)
    """
    if not given(first):
        return NotRun(reason=f"first: {first.reason}")
    if not given(second):
        return NotRun(reason=f"second: {second.reason}")
    value, n = second.value - first.value, min(first.n, second.n)
    unit = unit_of_difference(first.unit)
    if first.low is None or first.high is None or second.low is None or second.high is None:
        method = "no interval on both sides"
        return Estimate(value=value, low=None, high=None, unit=unit, n=n, method=method)
    down = hypot(second.value - second.low, first.high - first.value)
    up = hypot(second.high - second.value, first.value - first.low)
    return Estimate(value=value, low=value - down, high=value + up, unit=unit, n=n, method="MOVER")


def _by_place(report: Report, whole: bool) -> dict[Place, NamedFigure]:
    """Returns the figures of a report; only those about answers unless `whole`."""
    of_any_kind = {one.rank for one in HEADLINES if not one.within_kind}
    return {
        (part.probe, one.data, one.place, one.id): one
        for part in report.parts
        for one in part.figures
        if whole or part.block in _OF_ANSWERS or one.headline in of_any_kind
    }


def _places(figures: Mapping[Place, NamedFigure]) -> set[tuple[str, str]]:
    return {(data, place) for _, data, place, _ in figures}


def excludes_zero(one: Estimate) -> bool:
    """Returns whether a difference has an interval, and zero lies outside it."""
    return one.low is not None and one.high is not None and (one.low > 0 or one.high < 0)


def _difference(probe: str, ours: NamedFigure, theirs: NamedFigure, pairing: Pairing) -> Difference:
    paired = pairing.difference(ours, theirs)
    found = paired or difference(ours.figure, theirs.figure)
    if ours.role == "estimate" and given(found):
        found = found.model_copy(update={"low": None, "high": None, "method": ESTIMATES})
    known = given(found) and found.low is not None
    differs = excludes_zero(found) if known and given(found) else None
    return difference_between(
        probe, ours, theirs, found, paired=paired is not None, differs=differs
    )


def _labelled(
    probe: str, ours: NamedFigure, theirs: NamedFigure, labels: LabelledRanking | NotRun | None
) -> Difference:
    """Returns the difference of two accuracies by labels, with the bounds that labels give it."""
    change, ahead = labelled_difference(labels, ours.data, 1, 0)
    return difference_between(probe, ours, theirs, change, paired=ahead is not None, differs=ahead)


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


def _corrected(found: list[Difference]) -> tuple[Difference, ...]:
    """Keeps the ranks of the headline figures alone, and corrects which of them differ."""
    leading: set[int] = set()
    families: dict[bool, dict[int, float]] = {True: {}, False: {}}
    for one in HEADLINES:
        places = [i for i, d in enumerate(found) if d.id == one.id and _leads(d)]
        for i in places[:1]:
            leading.add(i)
            change = found[i].difference
            p = p_value(change) if given(change) else None
            if p is not None and one.id != LABELLED_ID:  # labels decide by themselves
                families[one.is_accuracy][i] = p
            found[i] = found[i].model_copy(update={"name": one.name, "headline": one.rank})
    for tested in families.values():
        for i, p in zip(tested, holm(list(tested.values())), strict=True):
            found[i] = found[i].model_copy(update={"p": p, "differs": p < LEVEL})
    return tuple(
        one if i in leading else one.model_copy(update={"headline": None})
        for i, one in enumerate(found)
    )


def images_of(data: DataSet) -> tuple[str, int]:
    """Returns what a report says of where images come from; earlier versions have whole paths."""
    return last_part(data.source), data.measured


def _leads(one: Difference) -> bool:
    known = given(one.first) or given(one.second)
    return known and one.headline is not None and not one.inner


def _facts(first: Report, second: Report) -> Iterator[FactPair]:
    named = [one for report in (first, second) for part in report.parts for one in part.facts]
    for id, name in dict.fromkeys((one.id, one.name) for one in named):
        yield FactPair(id=id, name=name, first=first.fact(id), second=second.fact(id))


def _notes(first: Report, second: Report, pairing: Pairing) -> Iterator[str]:
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
    for one in (first, second):
        if one.model.weights.kind == "untrained":
            yield f"{one.model.name} is untrained"
        for ablation in one.model.ablated:
            yield f"{one.model.name} is ablated: {ablation}"
    ours, others = (
        one.model.preprocessing.model_copy(update={"source": ""}) for one in (first, second)
    )
    if ours != others:
        yield "preprocessing differs"
    for one, images in ((first, pairing.first), (second, pairing.second)):
        if not images and (pairing.first or pairing.second):
            yield f"{one.model.name}: {KEEPS_NONE}, so differences are not paired"
    theirs = {data.name: data for data in second.data}
    for data in first.data:
        other = theirs.get(data.name)
        if other is None:
            continue
        why = pairing.why_not(data.name)
        if why and data.name in pairing.first and data.name in pairing.second:
            yield f"{data.name}: differences are not paired: {why}"
        if why and images_of(data) != images_of(other):
            yield (
                f"{data.name} differs: {data.measured} images of {data.source} against "
                f"{other.measured} of {other.source}"
            )
        if data.nonfinite or other.nonfinite:
            yield (
                f"{data.name}: images left out because their representation is not finite: "
                f"{data.nonfinite} against {other.nonfinite}"
            )


def _label_notes(
    reports: Sequence[Report], labels: LabelledRanking | NotRun | None
) -> Iterator[str]:
    """Yields why labels do not count, once each."""
    parts = [part for report in reports if (part := report.part_of(LABELS)) is not None]
    reasons = [part.not_run for part in parts if part.not_run is not None]
    if parts and not reasons and isinstance(labels, NotRun):
        reasons.append(f"labels do not tell these runs apart: {labels.reason}")
    yield from dict.fromkeys(reasons)
