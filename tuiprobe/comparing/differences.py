"""Two reports side by side: what differs, with intervals.

Figures compare only within one representation kind. Where both runs measured the same images,
differences of means over images are paired. All others get Newcombe's interval from the two
separate ones (MOVER), which is too wide where both vary together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isinf
from typing import Final

from pydantic import Field

from tuiprobe.comparing.inference import Pairing, ends_of, image_doubts, second_minus_first
from tuiprobe.comparing.label_evidence import LabelEvidence
from tuiprobe.comparing.notes import label_notes, model_notes, subject_notes
from tuiprobe.comparing.overlap import Overlap, overlaps
from tuiprobe.comparing.runs import Run
from tuiprobe.comparing.same_pictures import pairing_of
from tuiprobe.probes import LABELS
from tuiprobe.results import Figure, Frozen, NotRun, Report, is_known
from tuiprobe.results.doubt import Doubt
from tuiprobe.results.figures import HEADLINES, LABELLED
from tuiprobe.results.section import NamedFigure

FigureKey = tuple[str, str, str, str]
"""Probe, set, place and id of a figure."""

ESTIMATES: Final = NotRun(
    reason=(
        "estimates without labels do not order models, because their errors are not only "
        "sampling errors"
    ),
    remedy="label a few pictures: `tuiprobe label RUN RUN`",
)
"""What stands in place of a difference of estimates."""

NOT_STATED: Final = NotRun(reason="labels state no accuracy of both yet")

NO_BOUNDS: Final = NotRun(reason="labels decide only between runs that they were given for")

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
        difference: Second minus first; `NotRun` where one of them is missing, and of estimates.
        paired: Whether its interval comes from the same images in both runs.
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
    inner: bool = False
    headline: int | None = None

    @property
    def differs(self) -> bool | None:
        """Whether its interval excludes zero; None without an interval."""
        low, high = ends_of(self.difference)
        return None if isinf(low) else low > 0 or high < 0


class FactPair(Frozen):
    """A finding of one word in both reports."""

    id: str
    name: str
    first: str
    second: str


class Comparison(Frozen):
    """Two reports side by side.

    Attributes:
        models: Names of the two models.
        facts: Findings of one word each.
        differences: Figures that both have.
        overlaps: What both name, by set of images.
        doubts: What speaks against comparing their images.
        notes: What makes the comparison weaker: widths, preprocessing, untrained.
        unmatched: Sets and places that only one of them has figures of.
        by_labels: Differences by labels that state no accuracy of both yet; for gates.
        of_one: Figures of the final representation that only one of them has: id and set.
    """

    models: tuple[str, str]
    facts: tuple[FactPair, ...]
    differences: tuple[Difference, ...]
    overlaps: tuple[Overlap, ...]
    doubts: tuple[Doubt, ...] = ()
    notes: tuple[str, ...]
    unmatched: tuple[str, ...]
    by_labels: tuple[Difference, ...] = Field(default=(), exclude=True)
    of_one: tuple[tuple[str, str], ...] = Field(default=(), exclude=True)

    def fact(self, id: str) -> FactPair | None:
        """Returns a finding by its id."""
        return next((fact for fact in self.facts if fact.id == id), None)

    def headlines(self) -> tuple[Difference, ...]:
        """Returns the headline figures that both have, in order."""
        headlines = [row for row in self.differences if row.headline is not None]
        return tuple(sorted(headlines, key=lambda row: row.headline or 0))


def compare_runs(
    runs: Sequence[Run], first: int, second: int, labels: LabelEvidence | NotRun | None
) -> Comparison:
    """Compares two of several runs figure by figure, in pairs where they measured the same images.

    Args:
        runs: The runs.
        first: Index of the one that the other is compared with.
        second: Index of the other.
        labels: What labels say of all of them; see `tuiprobe.comparing.runs.label_evidence`.
    """
    known: Mapping[str, Figure] | NotRun | None = None
    if isinstance(labels, LabelEvidence):
        known = {labels.status.target: labels.first_minus_second(second, first)}
    elif isinstance(labels, NotRun):
        known = labels
    one, other = runs[first], runs[second]
    return compare(one.report, other.report, pairing_of(one, other), known)


def compare(
    first: Report,
    second: Report,
    pairing: Pairing | None = None,
    labels: Mapping[str, Figure] | NotRun | None = None,
) -> Comparison:
    """Compares two reports figure by figure; over kinds of representation only their answers.

    Args:
        first: The report that the other one is compared with.
        second: The other report.
        pairing: What the runs know of single images; None for nothing.
        labels: Second minus first by labels, by set, or why labels do not say it.
    """
    pairing = pairing or Pairing({}, {})
    models = first.model.name, second.model.name
    same_kind = first.model.representation == second.model.representation
    of_first, of_second = (
        _figures_by_key(report, all_blocks=same_kind) for report in (first, second)
    )
    places = [{(data, place) for _, data, place, _ in figures} for figures in (of_first, of_second)]
    common = {key: (of_first[key], of_second[key]) for key in of_first if key in of_second}
    lone = [
        (named.id, named.data)
        for figures, others in ((of_first, of_second), (of_second, of_first))
        for key, named in figures.items()
        if key not in others and not named.inner
    ]
    known = {} if isinstance(labels, NotRun) or labels is None else labels
    stated = {data for _, data, _, id in common if id == LABELLED.id}
    unstated = {data: change for data, change in known.items() if data not in stated}
    lone = [of for of in lone if of[0] != LABELLED.id or of[1] not in unstated]
    facts = [fact for report in (first, second) for part in report.parts for fact in part.facts]
    names = {fact.id: fact.name for fact in facts} if same_kind else {}
    return Comparison(
        models=models,
        facts=tuple(
            FactPair(id=id, name=name, first=first.fact(id), second=second.fact(id))
            for id, name in names.items()
        ),
        differences=_only_headlines(list(_differences(common, models, pairing, known))),
        overlaps=tuple(overlaps(first, second)) if same_kind else (),
        doubts=tuple(image_doubts(first, second, pairing)),
        notes=(
            *model_notes(first, second),
            *subject_notes((first, second)),
            *label_notes((first, second), labels),
        ),
        unmatched=tuple(f"{data}/{place}" for data, place in sorted(places[0] ^ places[1])),
        by_labels=tuple(
            Difference(
                probe=LABELS,
                data=data,
                place="labels",
                id=LABELLED.id,
                name=LABELLED.name,
                first=NOT_STATED,
                second=NOT_STATED,
                difference=change,
                paired=is_known(change),
                headline=LABELLED.headline,
            )
            for data, change in unstated.items()
        ),
        of_one=tuple(dict.fromkeys(lone)),
    )


def _figures_by_key(report: Report, all_blocks: bool) -> dict[FigureKey, NamedFigure]:
    """Returns the figures of a report; only those about answers unless `all_blocks`."""
    of_any_kind = {fig.headline for fig in HEADLINES if not fig.within_kind}
    return {
        (part.probe, figure.data, figure.place, figure.id): figure
        for part in report.parts
        for figure in part.figures
        if all_blocks or part.block in _OF_ANSWERS or figure.headline in of_any_kind
    }


def _differences(
    figures: Mapping[FigureKey, tuple[NamedFigure, NamedFigure]],
    models: tuple[str, str],
    pairing: Pairing,
    labels: Mapping[str, Figure],
) -> Iterator[Difference]:
    """Yields the difference of each figure; differences of estimates are withheld."""
    for key, (first, second) in figures.items():
        paired = None
        if first.id == LABELLED.id:
            change = paired = labels.get(first.data, NO_BOUNDS)
        elif first.role == "estimate":
            change = ESTIMATES
        else:
            paired = pairing.second_minus_first(first, second)
            change = paired or second_minus_first(first.figure, second.figure, models)
        yield Difference(
            probe=key[0],
            data=first.data,
            place=first.place,
            id=first.id,
            name=first.name,
            first=first.figure,
            second=second.figure,
            difference=change,
            paired=paired is not None and is_known(change),
            inner=first.inner,
            headline=first.headline,
        )


def _only_headlines(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """Returns the differences; only one difference per headline figure keeps its rank."""
    rows = [row.model_copy(update={"headline": None}) for row in differences]
    for fig in HEADLINES:
        for i, row in enumerate(differences):
            leads = row.headline is not None and not row.inner
            if row.id == fig.id and leads and (is_known(row.first) or is_known(row.second)):
                rows[i] = row
                break
    return tuple(rows)
