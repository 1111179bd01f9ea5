"""Two reports side by side: figures that differ, with intervals, and sets that overlap.

Figures compare only within one representation kind. If both runs measured the same images,
differences of means over images are paired. All others get Newcombe's interval from the two
separate ones (MOVER), which is too wide where both vary together. Sets are channels, concepts, or
whatever else a probe names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from math import exp, isinf, lgamma
from typing import Final

from pydantic import Field

from tuiprobe.choose.comparing.inference import Pairing, ends_of, image_doubts, second_minus_first
from tuiprobe.choose.comparing.label_evidence import LabelEvidence
from tuiprobe.choose.comparing.runs import Run
from tuiprobe.choose.comparing.same_pictures import pairing_of
from tuiprobe.choose.comparing.sentences import label_notes, model_notes, subject_notes
from tuiprobe.probes import LABELS
from tuiprobe.results import Estimate, Figure, Frozen, NotRun, Report, is_known
from tuiprobe.results.doubt import Doubt
from tuiprobe.results.figures import HEADLINES, LABELLED
from tuiprobe.results.section import NamedFigure, NamedSet

TAIL = 0.025


class Overlap(Frozen):
    """Things found by both runs, and by one of them alone.

    Attributes:
        id: Id of the kind of things, for gates.
        name: Name of the kind, for people.
        data: Set of images.
        place: What else they are of.
        not_comparable: Why members of the two runs do not mean the same.
        shared: Found by both runs.
        first_only: Found by the first run only.
        second_only: Found by the second run only.
        jaccard: Shared part of all that was found; `NotRun` where nothing was.
        by_chance: Number shared if each run drew as many at random; the range holds 95 % of these
            draws. Known if it is known out of how many they were found. Easy concepts are
            found by most models, so an overlap beyond it is no sign of a common mechanism.
    """

    id: str
    name: str
    data: str
    place: str
    not_comparable: NotRun | None = None
    shared: tuple[str, ...] = ()
    first_only: tuple[str, ...] = ()
    second_only: tuple[str, ...] = ()
    jaccard: Figure = NotRun(reason="not compared")
    by_chance: Figure | None = None

    @property
    def differ(self) -> bool:
        """Whether one of them found what the other did not."""
        return bool(self.first_only or self.second_only)


def overlaps(first: Report, second: Report) -> Iterator[Overlap]:
    """Yields the overlap of every kind of sets that a run names, by set of images and place."""
    of_first, of_second = (
        {(named.id, named.data, named.place): named for part in report.parts for named in part.sets}
        for report in (first, second)
    )
    for key in dict.fromkeys((*of_first, *of_second)):
        a, b = of_first.get(key), of_second.get(key)
        either = a or of_second[key]
        overlap = Overlap(id=either.id, name=either.name, data=either.data, place=either.place)
        if a is None or b is None:
            without = first if a is None else second
            why = NotRun(reason=f"not in the report of {without.model.name}")
            yield overlap.model_copy(update={"not_comparable": why})
        elif other := _difference_of_basis(a.basis, b.basis):
            yield overlap.model_copy(update={"not_comparable": other})
        else:
            yield _counted(overlap, a, b)


def _counted(overlap: Overlap, first: NamedSet, second: NamedSet) -> Overlap:
    """Returns the members that two sets of one kind share, and those of one set alone."""
    a, b = set(first.members), set(second.members)
    jaccard: Figure = NotRun(reason="neither found any")
    if n := len(a | b):
        share = len(a & b) / n
        jaccard = Estimate(value=share, low=None, high=None, unit="share", n=n, method="count")
    universe = first.universe
    return overlap.model_copy(
        update={
            "shared": _sorted(a & b),
            "first_only": _sorted(a - b),
            "second_only": _sorted(b - a),
            "jaccard": jaccard,
            "by_chance": None if universe is None else by_chance(len(a), len(b), universe),
        }
    )


def _difference_of_basis(
    first: Mapping[str, str | None], second: Mapping[str, str | None]
) -> NotRun | None:
    """Returns why members of two sets are not comparable."""
    for aspect in dict.fromkeys((*first, *second)):
        if first.get(aspect) is None or second.get(aspect) is None:
            return NotRun(reason=f"a report does not say its {aspect}")
        if first[aspect] != second[aspect]:
            return NotRun(reason=f"they differ in their {aspect}")
    return None


def _sorted(members: set[str]) -> tuple[str, ...]:
    """Sorts numbers by their value, then names."""

    def order(member: str) -> tuple[bool, int, str]:
        is_number = member.isascii() and member.isdecimal() and len(member) < 16
        return not is_number, int(member) if is_number else 0, member

    return tuple(sorted(members, key=order))


def by_chance(first: int, second: int, universe: int) -> Figure:
    """Returns mean and 95 % range of a hypergeometric number of shared things.

    >>> by_chance(10, 20, 100).value
    2.0
    """
    if not (universe > 0 and max(first, second) <= universe):
        return NotRun(reason=f"{universe} cannot hold {max(first, second)}")

    def log_comb(n: int, k: int) -> float:
        return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)

    most = min(first, second)
    log = [
        log_comb(first, k) + log_comb(universe - first, second - k) - log_comb(universe, second)
        for k in range(max(0, first + second - universe), most + 1)
    ]
    below = list(accumulate(exp(term) for term in log))
    least = most + 1 - len(below)
    low = next((k for k, part in enumerate(below, least) if part >= TAIL), most)
    high = next((k for k, part in enumerate(below, least) if part >= 1 - TAIL - 1e-12), most)
    return Estimate(
        value=first * second / universe,
        low=low,
        high=high,
        unit="count",
        n=universe,
        method="hypergeometric",
    )


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
        """Whether its interval excludes zero."""
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
        of_one: Figures of the final representation that only one of them has: id, set, model.
    """

    models: tuple[str, str]
    facts: tuple[FactPair, ...]
    differences: tuple[Difference, ...]
    overlaps: tuple[Overlap, ...]
    doubts: tuple[Doubt, ...] = ()
    notes: tuple[str, ...]
    unmatched: tuple[str, ...]
    by_labels: tuple[Difference, ...] = Field(default=(), exclude=True)
    of_one: tuple[tuple[str, str, str], ...] = Field(default=(), exclude=True)

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
        labels: The evidence of labels for all of them; see `label_evidence`.
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
        pairing: What the runs know of single images.
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
        (named.id, named.data, model)
        for model, figures, others in (
            (models[0], of_first, of_second),
            (models[1], of_second, of_first),
        )
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
