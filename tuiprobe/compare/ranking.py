"""Which model to take: in the order of what labels measured, the best evidence first, or in none.

Labels on the target come first, then the mean of labelled shifts. An estimate without labels
orders no models, nor does accuracy in distribution: both have ordered models wrongly, the latter
backwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from tuiprobe.compare.differences import (
    Difference,
    Run,
    difference,
    difference_between,
    images_of,
)
from tuiprobe.compare.holm import LEVEL, detectable, holm, p_value
from tuiprobe.compare.labelled import by_labels, labelled_difference
from tuiprobe.compare.paired import Pairing
from tuiprobe.label.among import LabelsAmong
from tuiprobe.label.contest import MARGIN, UNDECIDED, Verdict
from tuiprobe.label.part import TargetLabels
from tuiprobe.probes import LABELS
from tuiprobe.probes.content import listed
from tuiprobe.report.text import line
from tuiprobe.results import Figure, Frozen, NotRun, Report, given
from tuiprobe.results.base import Count, Real
from tuiprobe.results.headlines import BY_ID, LABELLED_ID, TARGET_ERROR
from tuiprobe.results.report import ABSENT
from tuiprobe.results.section import NamedFigure

MEAN_SHIFT_ID: Final = "mean_shift"

Decision = Literal["take", "as good", "behind", "not the best", "undecided"]


class RankedModel(Frozen):
    """One row of the table.

    Attributes:
        model: Name of the model, with what a reader must know about its figures.
        representation: Kind of its representation.
        parameters: Of the visual tower.
        images_per_second: While it was measured; None where that is not known.
        device: What it was measured on.
        facts: Findings of one word, by id.
        figures: Headline figures, and the error of the estimate, by id.
        largest_loss: Accuracy on the labelled shift that loses most, less that in distribution.
        lost_on: That shift; empty without.
        from_first: First model minus this one by the figure of the order; None for the first.
        decision: `take` it; `as good` as the best within `MARGIN`; `behind` it; `not the best` by
            labels; or `undecided`.
    """

    model: str
    representation: str
    parameters: int
    images_per_second: float | None
    device: str
    facts: dict[str, str]
    figures: dict[str, Figure]
    largest_loss: Figure
    lost_on: str
    from_first: Difference | None = None
    decision: Decision = "undecided"


class DecidedByLabels(Frozen):
    """What labels decide among models.

    Attributes:
        labels: Labelled pictures.
        pictures: Pictures that can be labelled.
        verdict: What is decided.
        more: Roughly how many more labels the next decision takes; None while that is not known.
        meanwhile: The model to take by the mean of labelled shifts while labels do not decide;
            empty if it does not either.
    """

    labels: Count
    pictures: Count
    verdict: Verdict
    more: Count | None
    meanwhile: str = ""


class Ranking(Frozen):
    """Models in the order of a figure, and which to take.

    Attributes:
        by: Id of the figure: that by labels where these decide or all models have it, or that of
            the mean of shifts; empty where no two models have either.
        data: The set that the figure is of.
        sets: Number of the labelled shifts that it is the mean of; 0 where that is not known.
        target: The first set without labels, whose pictures could be labelled; empty without.
        labels: What labels decide, where models are ordered by them.
        models: In order; those without the figure at the end. Without a figure as they were given.
        detectable: Smallest difference from the first that shows in 80 % of such samples of images.
        facts: Names of the findings by id.
        notes: What weakens the comparison.
    """

    by: str
    data: str
    sets: int
    target: str
    models: tuple[RankedModel, ...]
    detectable: Real | None
    facts: dict[str, str]
    notes: tuple[str, ...]
    labels: DecidedByLabels | None = None


def rank(runs: Sequence[Run]) -> Ranking:
    """Orders runs by what labels measured, and decides which to take.

    Args:
        runs: Two or more. By labels of shifts, whether a model is told apart from the first is
            corrected for the number of models (Holm).
    """
    labels = by_labels([run.report for run in runs], [run.directory for run in runs])
    if isinstance(labels, LabelsAmong) and (
        labels.verdict not in UNDECIDED or all(_labelled(run, labels.target) for run in runs)
    ):
        return _rank_by_labels(runs, labels)
    ranking = _rank_by_shifts(runs)
    if isinstance(labels, NotRun) and any(run.report.part(TargetLabels) for run in runs):
        note = f"labels do not order these models: {labels.reason}"
        ranking = ranking.model_copy(update={"notes": (*ranking.notes, note)})
    return ranking


def _labelled(run: Run, data: str) -> bool:
    return given(run.report.figure(LABELLED_ID, data))


def _rank_by_labels(runs: Sequence[Run], labels: LabelsAmong) -> Ranking:
    """Orders runs as the labels of a target do: the winner, then by accuracy, if all have it."""
    accuracies = [run.report.figure(LABELLED_ID, labels.target) for run in runs]
    values = [figure.value for figure in accuracies if given(figure)]
    order = labels.order
    if len(values) == len(runs):
        order = tuple(
            sorted(order, key=lambda n: (n != labels.winner, labels.dropped[n], -values[n]))
        )
    first = order[0]
    rows = [
        _row(run, None if n == first else _behind(runs, labels, first, n))
        for n, run in enumerate(runs)
    ]
    models = _with_decisions(rows, _by_verdict(rows, labels))
    meanwhile = ""
    if labels.verdict in UNDECIDED:
        others = _rank_by_shifts(runs).models
        meanwhile = next((one.model for one in others if one.decision == "take"), "")
    return Ranking(
        by=LABELLED_ID,
        data=labels.target,
        sets=0,
        target=labels.target,
        models=tuple(models[n] for n in order),
        detectable=None,
        facts=_fact_names(runs),
        notes=tuple(_notes(runs)),
        labels=DecidedByLabels(
            labels=labels.labels,
            pictures=labels.pictures,
            verdict=labels.verdict,
            more=labels.more,
            meanwhile=meanwhile,
        ),
    )


def _behind(runs: Sequence[Run], labels: LabelsAmong, first: int, place: int) -> Difference:
    """Returns the model that is ahead minus another, with the bounds of the labels."""
    change, ahead = labelled_difference(labels, labels.target, first, place)
    return Difference(
        probe=LABELS,
        data=labels.target,
        place="labels",
        id=LABELLED_ID,
        name=BY_ID[LABELLED_ID].name,
        first=runs[place].report.figure(LABELLED_ID, labels.target),
        second=runs[first].report.figure(LABELLED_ID, labels.target),
        difference=change,
        paired=True,
        differs=ahead,
    )


def _by_verdict(models: Sequence[RankedModel], labels: LabelsAmong) -> list[Decision]:
    """Returns the decision about each model."""
    decisions: list[Decision] = [
        "not the best" if dropped else "undecided" for dropped in labels.dropped
    ]
    if labels.winner is not None:
        decisions[labels.winner] = "take"
    elif labels.verdict == "equal":
        decisions = ["as good" if one == "undecided" else one for one in decisions]
        decisions[_cheapest(models, decisions)] = "take"
    return decisions


def _fact_names(runs: Sequence[Run]) -> dict[str, str]:
    return {fact.id: fact.name for run in runs for part in run.report.parts for fact in part.facts}


def _rank_by_shifts(runs: Sequence[Run]) -> Ranking:
    """Orders runs by the measured mean of the same labelled shifts, or not at all."""
    ordered = _by_shifts(runs)
    rest = [run for run in runs if not any(run is one for one, _ in ordered)]
    against = _corrected([_against(ordered[0], one) for one in ordered[1:]])
    models = [_row(run, None) for run, _ in ordered[:1]]
    models += [_row(run, one) for (run, _), one in zip(ordered[1:], against, strict=True)]
    first = ordered[0][1] if ordered else None
    limits = [
        limit
        for one in against
        if given(one.difference)
        if (limit := detectable(one.difference, len(against))) is not None
    ]
    return Ranking(
        by=MEAN_SHIFT_ID if ordered else "",
        data=first.data if first is not None else "",
        sets=len(first.mean_of.sets) if first is not None and first.mean_of is not None else 0,
        target=next((one.name for run in runs for one in run.report.data if one.target), ""),
        models=(*_decided(models), *(_row(run, None) for run in rest)),
        detectable=max(limits, default=None),
        facts=_fact_names(runs),
        notes=tuple(_notes(runs)),
    )


def _by_shifts(runs: Sequence[Run]) -> list[tuple[Run, NamedFigure]]:
    """Returns the runs with a mean of the same labelled shifts, the best first; two or none."""
    found = [
        (run, one)
        for run in runs
        if (one := run.report.headline(MEAN_SHIFT_ID)) is not None and given(one.figure)
    ]
    counts = Counter(_about(one) for _, one in found)
    for about, count in counts.most_common(1):
        if count > 1:
            same = [pair for pair in found if _about(pair[1]) == about]
            return sorted(same, key=lambda pair: -_value(pair[1]))
    return []


def _about(one: NamedFigure) -> tuple[str, ...]:
    """Returns the sets that a figure is of: means over other shifts do not compare."""
    return one.data, *(one.mean_of.sets if one.mean_of is not None else ())


def _value(one: NamedFigure) -> float:
    return one.figure.value if given(one.figure) else float("-inf")


def _against(first: tuple[Run, NamedFigure], other: tuple[Run, NamedFigure]) -> Difference:
    """Returns the first model minus another by the figure of the order."""
    ours, theirs = other[1], first[1]
    paired = Pairing(other[0].images, first[0].images).difference(ours, theirs)
    change = paired or difference(ours.figure, theirs.figure)
    named = ours.model_copy(update={"name": BY_ID[ours.id].name, "headline": None})
    return difference_between("", named, theirs, change, paired=paired is not None, differs=None)


def _corrected(found: list[Difference]) -> list[Difference]:
    ps = [p_value(one.difference) if given(one.difference) else None for one in found]
    adjusted = iter(holm([p for p in ps if p is not None]))
    settled = []
    for one, p in zip(found, ps, strict=True):
        q = None if p is None else next(adjusted)
        differs = None if q is None else q < LEVEL
        settled.append(one.model_copy(update={"p": q, "differs": differs}))
    return settled


def _decided(models: Sequence[RankedModel]) -> list[RankedModel]:
    """Returns the ordered models with the decision about each."""
    if not models:
        return []
    decisions: list[Decision] = ["as good", *(_beside(one.from_first) for one in models[1:])]
    if "undecided" in decisions:
        decisions[0] = "undecided"
    else:
        decisions[_cheapest(models, decisions)] = "take"
    return _with_decisions(models, decisions)


def _with_decisions(
    models: Sequence[RankedModel], decisions: Sequence[Decision]
) -> list[RankedModel]:
    return [
        model.model_copy(update={"decision": decision})
        for model, decision in zip(models, decisions, strict=True)
    ]


def _cheapest(models: Sequence[RankedModel], decisions: Sequence[Decision]) -> int:
    """Returns the place of the cheapest model of those that are as good as the best."""
    equal = [place for place, decision in enumerate(decisions) if decision == "as good"]
    costs = dict(zip(equal, _costs([models[place] for place in equal]), strict=True))
    return min(equal, key=costs.__getitem__)


def _beside(found: Difference | None) -> Decision:
    """Returns the decision about a model from the difference of the first one from it."""
    change = found.difference if found is not None else None
    if found is None or change is None or not given(change) or change.high is None:
        return "undecided"
    if change.low is not None and change.low >= -MARGIN and change.high <= MARGIN:
        return "as good"
    return "behind" if found.differs else "undecided"


def _costs(models: Sequence[RankedModel]) -> list[float]:
    """Returns what each model costs: time an image on one device, and else its parameters."""
    speeds = [one.images_per_second for one in models]
    timed = len({one.device for one in models}) == 1 and all(speeds)
    return [1 / one for one in speeds if one] if timed else [float(m.parameters) for m in models]


def _row(run: Run, against: Difference | None) -> RankedModel:
    report = run.report
    ids = (*BY_ID, TARGET_ERROR)
    found = {id: report.headline(id) for id in BY_ID}
    figures = {id: one.figure for id, one in found.items() if one is not None}
    target = found["target"]
    error = report.figure(TARGET_ERROR) if target is not None else ABSENT
    if given(error):
        figures[TARGET_ERROR] = error
    lost_on, loss = _largest_loss(report)
    return RankedModel(
        model=_called(report),
        representation=report.model.representation,
        parameters=report.model.parameters,
        images_per_second=report.timings.images_per_second,
        device=report.fingerprint.device,
        facts={one.id: one.value for part in report.parts for one in part.facts},
        figures={id: figures[id] for id in ids if id in figures},
        largest_loss=loss,
        lost_on=lost_on,
        from_first=against,
    )


def _largest_loss(report: Report) -> tuple[str, Figure]:
    """Returns the labelled shift that loses most against the same classes in distribution."""
    own = report.figure("top1")
    losses = {}
    for part in report.parts:
        for one in part.figures:
            if one.id == "top1" and one.headline is not None and given(one.figure):
                same = report.figure("id_own_classes", one.data)
                change = difference(same if given(same) else own, one.figure)
                if given(change):
                    losses[one.data] = change
    shifts = list(losses)[1:]  # the first set is in distribution
    worst = min(shifts, key=lambda name: losses[name].value, default=None)
    return ("", ABSENT) if worst is None else (worst, losses[worst])


def _called(report: Report) -> str:
    partial = "PARTIAL: " if report.partial else ""
    untrained = "UNTRAINED network " if report.model.weights.kind == "untrained" else ""
    return f"{partial}{untrained}{report.model.name}"


def _notes(runs: Sequence[Run]) -> Iterator[str]:
    reports = [run.report for run in runs]
    yield "± and all other parentheses are 95 % intervals."
    if len({one.model.representation for one in reports}) > 1:
        yield "Kurtosis and heights compare only within one kind of representation."
    for run in runs[1:]:
        if not _saw_the_same(runs[0], run):
            images = ", ".join(f"{one.measured} of {one.name}" for one in run.report.data)
            yield f"{run.report.model.name} saw other images: {images}"
    for report in reports:
        for one in report.data:
            if one.nonfinite:
                yield (
                    f"{report.model.name}: {one.nonfinite} of {one.measured} images of {one.name} "
                    "are left out, because their representation is not finite"
                )
        labels = report.part_of(LABELS)
        if labels is not None and labels.section is not None and not labels.section.clause:
            yield f"{report.model.name}: {line(labels.section.headline)}"
    lost: dict[str, list[str]] = {}
    for report in reports:
        for part in report.parts:
            if part.not_run is not None and part.applies:
                why = f"{part.title.lower()}: not run: {report.why_not(part.probe)}"
                lost.setdefault(why, []).append(report.model.name)
    yield from (f"{listed(names)}: {why}" for why, names in lost.items())


def _saw_the_same(first: Run, other: Run) -> bool:
    """Returns whether two runs saw the same images, by contents where both know them."""
    if list(map(images_of, first.report.data)) != list(map(images_of, other.report.data)):
        return False
    for one in first.report.data:
        ours, theirs = first.images.get(one.name), other.images.get(one.name)
        if ours is None or theirs is None:
            continue
        if ours.contents and theirs.contents:
            same = ours.contents == theirs.contents
        else:  # lists of different lengths tell nothing: images may be left out
            same = ours.samples == theirs.samples or len(ours.ids) != len(theirs.ids)
        if not same:
            return False
    return True
