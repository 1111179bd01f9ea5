"""Which model to take: in the order of what labels measured, the best evidence first, or in none.

Labels on the target come first, then the mean of labelled shifts. An estimate without labels
orders no models, nor does accuracy in distribution: both have ordered models wrongly, the latter
backwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from pydantic import Field

from tuiprobe.compare.differences import Difference, Run, difference_between, image_notes
from tuiprobe.compare.inference import LEVEL, detectable, difference, holm, p_value
from tuiprobe.compare.labels import LabelEvidence, label_evidence
from tuiprobe.compare.paired import Pairing
from tuiprobe.label.contest import MARGIN, Verdict
from tuiprobe.label.result import TargetLabels
from tuiprobe.plaintext import listed
from tuiprobe.probes import LABELS
from tuiprobe.report.text import line
from tuiprobe.results import DataSet, Figure, Frozen, NotRun, Report, given
from tuiprobe.results.base import Count, Real
from tuiprobe.results.headlines import BY_ID, LABELLED_ID, TARGET_ERROR
from tuiprobe.results.report import ABSENT
from tuiprobe.results.reproduce import provenance
from tuiprobe.results.section import NamedFigure

MEAN_SHIFT_ID: Final = "mean_shift"

Decision = Literal[
    "take", "as good", "behind", "not the best", "at most 2 points better", "undecided"
]


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
        decision: `take` it; `as good` as the best within `MARGIN`; `behind` it; by labels `not the
            best`, or `at most 2 points better` than the one to take; or `undecided`.
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
        target: The first set without labels of all models that are ordered and have any, whose
            pictures could be labelled; empty without.
        pictures: Images of that set; 0 without.
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
    facts: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    pictures: Count = 0
    labels: DecidedByLabels | None = None


def rank(runs: Sequence[Run]) -> Ranking:
    """Orders runs by what labels measured, and decides which to take.

    Args:
        runs: Two or more. By labels of shifts, whether a model is told apart from the first is
            corrected for the number of models (Holm).
    """
    names = names_of([run.report for run in runs])
    models = [
        run.report.model.model_copy(update={"name": name})
        for run, name in zip(runs, names, strict=True)
    ]
    runs = [
        run._replace(report=run.report.model_copy(update={"model": model}))
        for run, model in zip(runs, models, strict=True)
    ]
    labels = label_evidence([run.report for run in runs], [run.directory for run in runs])
    notes = list(_notes(runs))
    if isinstance(labels, LabelEvidence) and (
        labels.status.decided
        or all(given(run.report.figure(LABELLED_ID, labels.status.target)) for run in runs)
    ):
        ranking = _rank_by_labels(runs, labels)
    else:
        ranking = _rank_by_shifts(runs)
        if isinstance(labels, NotRun) and any(run.report.part(TargetLabels) for run in runs):
            notes.append(f"labels do not order these models: {labels.reason}")
    facts = {fact.id: fact.name for run in runs for part in run.report.parts for fact in part.facts}
    return ranking.model_copy(update={"facts": facts, "notes": tuple(notes)})


def names_of(reports: Sequence[Report]) -> tuple[str, ...]:
    """Returns what each run is called: its model, and where several have it, its key too."""
    counts = Counter(report.model.name for report in reports)
    return tuple(
        f"{report.model.name} ({report.key[:8]})"
        if counts[report.model.name] > 1
        else report.model.name
        for report in reports
    )


def _rank_by_labels(runs: Sequence[Run], labels: LabelEvidence) -> Ranking:
    """Orders runs as the labels of a target do: the one that is ahead, then by accuracy."""
    status = labels.status
    candidates = [status.candidates[place] for place in labels.places]
    accuracies = [run.report.figure(LABELLED_ID, status.target) for run in runs]
    first = labels.places.index(status.leader if status.winner is None else status.winner)

    def behind(n: int) -> tuple[bool, bool, float]:
        figure = accuracies[n]
        return n != first, candidates[n].dropped, -figure.value if given(figure) else 0.0

    rows = []
    for n, run in enumerate(runs):
        from_first = None
        if n != first:
            change, ahead = labels.difference(first, n)
            from_first = Difference(
                probe=LABELS,
                data=status.target,
                place="labels",
                id=LABELLED_ID,
                name=BY_ID[LABELLED_ID].name,
                first=accuracies[n],
                second=accuracies[first],
                difference=change,
                paired=True,
                differs=ahead,
            )
        rows.append(_row(run, from_first))
    rest: Decision = "at most 2 points better" if status.verdict == "within" else "undecided"
    if status.verdict == "equal":
        rest = "as good"
    decisions: list[Decision] = ["not the best" if row.dropped else rest for row in candidates]
    if status.winner is not None:
        decisions[first] = "take"
    elif status.verdict == "equal":
        decisions[_cheapest(rows, decisions)] = "take"
    models = _with_decisions(rows, decisions)
    meanwhile = ""
    if not status.decided:
        others = _rank_by_shifts(runs).models
        meanwhile = next((model.model for model in others if model.decision == "take"), "")
    return Ranking(
        by=LABELLED_ID,
        data=status.target,
        sets=0,
        target=status.target,
        models=tuple(models[n] for n in sorted(range(len(runs)), key=behind)),
        detectable=None,
        labels=DecidedByLabels(
            labels=status.labelled,
            pictures=status.pictures,
            verdict=status.verdict,
            more=status.more,
            meanwhile=meanwhile,
        ),
    )


def _rank_by_shifts(runs: Sequence[Run]) -> Ranking:
    """Orders runs by the measured mean of the same labelled shifts, or not at all."""
    ordered = _by_shifts(runs)
    rest = [run for run in runs if not any(run is other for other, _ in ordered)]
    differences = _from_first(ordered)
    rows = [None, *differences] if ordered else []
    models = [_row(run, row) for (run, _), row in zip(ordered, rows, strict=True)]
    changes = [row.difference for row in differences]
    limits = [detectable(change, len(changes)) for change in changes if given(change)]
    mean = ordered[0][1] if ordered else None
    target = _shared_target([run for run, _ in ordered] or runs)
    return Ranking(
        by=MEAN_SHIFT_ID if mean is not None else "",
        data=mean.data if mean is not None else "",
        sets=len(mean.mean_of.sets) if mean is not None and mean.mean_of is not None else 0,
        target="" if target is None else target.name,
        pictures=0 if target is None else target.measured,
        models=(*_with_decisions(models, _decisions(models)), *(_row(run, None) for run in rest)),
        detectable=max((limit for limit in limits if limit is not None), default=None),
    )


def _shared_target(runs: Sequence[Run]) -> DataSet | None:
    """Returns the first target set that all runs with target sets have; None without one."""
    sets = [[data for data in run.report.data if data.target] for run in runs]
    first, *others = [targets for targets in sets if targets] or [[]]
    names = [{data.name for data in targets} for targets in others]
    return next((data for data in first if all(data.name in other for other in names)), None)


def _by_shifts(runs: Sequence[Run]) -> list[tuple[Run, NamedFigure]]:
    """Returns the runs with a mean of the same labelled shifts, the best first; two or none.

    Means over other shifts do not compare.
    """
    by_sets: dict[tuple[str, ...], list[tuple[float, Run, NamedFigure]]] = {}
    for run in runs:
        mean = run.report.headline(MEAN_SHIFT_ID)
        if mean is not None and given(mean.figure):
            sets = mean.mean_of.sets if mean.mean_of is not None else ()
            by_sets.setdefault((mean.data, *sets), []).append((mean.figure.value, run, mean))
    largest = max(by_sets.values(), key=len, default=[])
    if len(largest) < 2:
        return []
    ordered = sorted(largest, key=lambda entry: -entry[0])
    return [(run, mean) for _, run, mean in ordered]


def _from_first(ordered: Sequence[tuple[Run, NamedFigure]]) -> list[Difference]:
    """Returns the first model minus each other by the figure of the order, corrected by Holm."""
    rows: list[Difference] = []
    for run, ours in ordered[1:]:
        first, theirs = ordered[0]
        paired = Pairing(run.images, first.images).difference(ours, theirs)
        change = paired or difference(ours.figure, theirs.figure)
        named = ours.model_copy(update={"name": BY_ID[ours.id].name, "headline": None})
        p = p_value(change) if given(change) else None
        row = difference_between("", named, theirs, change, paired=paired is not None, differs=None)
        rows.append(row.model_copy(update={"p": p}))
    adjusted = iter(holm([row.p for row in rows if row.p is not None]))
    for n, row in enumerate(rows):
        if row.p is not None:
            p = next(adjusted)
            rows[n] = row.model_copy(update={"p": p, "differs": p < LEVEL})
    return rows


def _decisions(models: Sequence[RankedModel]) -> list[Decision]:
    """Returns the decision about each of the ordered models, by its difference from the first."""
    if not models:
        return []
    decisions: list[Decision] = ["as good"]
    for model in models[1:]:
        row = model.from_first
        change = row.difference if row is not None else ABSENT
        decision: Decision = "undecided"
        if row is not None and given(change) and change.low is not None and change.high is not None:
            if change.low >= -MARGIN and change.high <= MARGIN:
                decision = "as good"
            elif row.differs:
                decision = "behind"
        decisions.append(decision)
    if "undecided" in decisions:
        decisions[0] = "undecided"
    else:
        decisions[_cheapest(models, decisions)] = "take"
    return decisions


def _with_decisions(
    models: Sequence[RankedModel], decisions: Sequence[Decision]
) -> list[RankedModel]:
    return [
        model.model_copy(update={"decision": decision})
        for model, decision in zip(models, decisions, strict=True)
    ]


def _cheapest(models: Sequence[RankedModel], decisions: Sequence[Decision]) -> int:
    """Returns the place of the cheapest model that is as good as the best.

    Models cost their time per image if all were measured on one device, and else their parameters.
    """
    equal = [place for place, decision in enumerate(decisions) if decision == "as good"]
    timed = len({models[place].device for place in equal}) == 1 and all(
        models[place].images_per_second for place in equal
    )

    def cost(place: int) -> float:
        speed = models[place].images_per_second
        return 1 / speed if timed and speed else float(models[place].parameters)

    return min(equal, key=cost)


def _row(run: Run, from_first: Difference | None) -> RankedModel:
    report = run.report
    headlines = {id: report.headline(id) for id in BY_ID}
    figures = {id: named.figure for id, named in headlines.items() if named is not None}
    error = report.figure(TARGET_ERROR)
    if headlines["target"] is not None and given(error):
        figures[TARGET_ERROR] = error
    partial = "PARTIAL: " if report.partial else ""
    untrained = "UNTRAINED network " if report.model.weights.kind == "untrained" else ""
    lost_on, loss = _largest_loss(report)
    return RankedModel(
        model=f"{partial}{untrained}{report.model.name}",
        representation=report.model.representation,
        parameters=report.model.parameters,
        images_per_second=report.timings.images_per_second,
        device=report.fingerprint.device,
        facts={fact.id: fact.value for part in report.parts for fact in part.facts},
        figures=figures,
        largest_loss=loss,
        lost_on=lost_on,
        from_first=from_first,
    )


def _largest_loss(report: Report) -> tuple[str, Figure]:
    """Returns the labelled shift that loses most against the same classes in distribution."""
    own = report.figure("top1")
    losses = {}
    for part in report.parts:
        for named in part.figures:
            if named.id == "top1" and named.headline is not None and given(named.figure):
                same = report.figure("id_own_classes", named.data)
                change = difference(same if given(same) else own, named.figure)
                if given(change):
                    losses[named.data] = change
    shifts = list(losses)[1:]  # the first set is in distribution
    worst = min(shifts, key=lambda name: losses[name].value, default=None)
    return ("", ABSENT) if worst is None else (worst, losses[worst])


def _notes(runs: Sequence[Run]) -> Iterator[str]:
    reports = [run.report for run in runs]
    yield "± and all other parentheses are 95 % intervals."
    measured: dict[str, list[str]] = {}
    for report in reports:
        measured.setdefault(provenance(report), []).append(report.model.name)
    for text, names in measured.items():
        yield f"{text}: {listed(names)}" if len(measured) > 1 else text
    if len({report.model.representation for report in reports}) > 1:
        yield "Kurtosis and heights compare only within one kind of representation."
    for run in runs[1:]:
        for note in image_notes(reports[0], run.report, Pairing(runs[0].images, run.images)):
            yield f"{run.report.model.name} beside {reports[0].model.name}: {note}"
    for report in reports:
        labels = report.part_of(LABELS)
        if labels is not None and labels.section is not None and not labels.section.clause:
            yield f"{report.model.name}: {line(labels.section.headline)}"
    missing: dict[str, list[str]] = {}
    for report in reports:
        for part in report.parts:
            if part.not_run is not None and part.applies:
                reason = f"{part.title.lower()}: not run: {report.why_not(part.probe)}"
                missing.setdefault(reason, []).append(report.model.name)
    yield from (f"{listed(names)}: {reason}" for reason, names in missing.items())
