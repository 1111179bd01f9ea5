"""Which model to take: in the order of what labels measured, the best evidence first, or in none.

Labels on the target come first, then the mean of labelled shifts. An estimate without labels
orders no models, nor does accuracy in distribution: both have ordered models wrongly, the latter
backwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from tuiprobe.compare.differences import Difference, Run, difference_between, images_of
from tuiprobe.compare.inference import LEVEL, detectable, difference, holm, p_value
from tuiprobe.compare.labels import LabelEvidence, label_evidence
from tuiprobe.compare.paired import Pairing
from tuiprobe.label.contest import MARGIN, Verdict
from tuiprobe.label.result import TargetLabels
from tuiprobe.plaintext import listed
from tuiprobe.probes import LABELS
from tuiprobe.report.text import line
from tuiprobe.results import Figure, Frozen, NotRun, Report, given
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
        forecast: The same in words; empty while it is not known.
        among: Models of the candidates, where the plan of other candidates decided it.
        meanwhile: The model to take by the mean of labelled shifts while labels do not decide;
            empty if it does not either.
    """

    labels: Count
    pictures: Count
    verdict: Verdict
    more: Count | None
    forecast: str = ""
    among: tuple[str, ...] = ()
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
    names = names_of([run.report for run in runs])
    runs = [_renamed(run, name) for run, name in zip(runs, names, strict=True)]
    labels = label_evidence([run.report for run in runs], [run.directory for run in runs])
    if isinstance(labels, LabelEvidence) and (
        labels.status.decided
        or all(given(run.report.figure(LABELLED_ID, labels.status.target)) for run in runs)
    ):
        return _rank_by_labels(runs, labels)
    ranking = _rank_by_shifts(runs)
    if isinstance(labels, NotRun) and any(run.report.part(TargetLabels) for run in runs):
        note = f"labels do not order these models: {labels.reason}"
        ranking = ranking.model_copy(update={"notes": (*ranking.notes, note)})
    return ranking


def names_of(reports: Sequence[Report]) -> tuple[str, ...]:
    """Returns what each run is called: its model, and where several have it, its key too."""
    counts = Counter(report.model.name for report in reports)
    return tuple(
        f"{report.model.name} ({report.key[:8]})"
        if counts[report.model.name] > 1
        else report.model.name
        for report in reports
    )


def _renamed(run: Run, name: str) -> Run:
    model = run.report.model.model_copy(update={"name": name})
    return run._replace(report=run.report.model_copy(update={"model": model}))


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
        facts=_fact_names(runs),
        notes=(*labels.status.taken_lines(), *_notes(runs)),
        labels=DecidedByLabels(
            labels=status.labelled,
            pictures=status.pictures,
            verdict=status.verdict,
            more=status.more,
            forecast=status.forecast,
            among=status.among,
            meanwhile=meanwhile,
        ),
    )


def _fact_names(runs: Sequence[Run]) -> dict[str, str]:
    return {fact.id: fact.name for run in runs for part in run.report.parts for fact in part.facts}


def _rank_by_shifts(runs: Sequence[Run]) -> Ranking:
    """Orders runs by the measured mean of the same labelled shifts, or not at all."""
    ordered = _by_shifts(runs)
    rest = [run for run in runs if not any(run is other for other, _ in ordered)]
    models: list[RankedModel] = []
    smallest = None
    if ordered:
        differences = _corrected([_from_first(ordered[0], other) for other in ordered[1:]])
        models = [_row(ordered[0][0], None)]
        models += [_row(run, row) for (run, _), row in zip(ordered[1:], differences, strict=True)]
        models = _with_decisions(models, _decisions(models))
        limits = [
            detectable(row.difference, len(differences))
            for row in differences
            if given(row.difference)
        ]
        smallest = max((limit for limit in limits if limit is not None), default=None)
    first = ordered[0][1] if ordered else None
    return Ranking(
        by=MEAN_SHIFT_ID if ordered else "",
        data=first.data if first is not None else "",
        sets=len(first.mean_of.sets) if first is not None and first.mean_of is not None else 0,
        target=next((data.name for run in runs for data in run.report.data if data.target), ""),
        models=(*models, *(_row(run, None) for run in rest)),
        detectable=smallest,
        facts=_fact_names(runs),
        notes=tuple(_notes(runs)),
    )


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


def _from_first(first: tuple[Run, NamedFigure], other: tuple[Run, NamedFigure]) -> Difference:
    """Returns the first model minus another by the figure of the order."""
    ours, theirs = other[1], first[1]
    paired = Pairing(other[0].images, first[0].images).difference(ours, theirs)
    change = paired or difference(ours.figure, theirs.figure)
    named = ours.model_copy(update={"name": BY_ID[ours.id].name, "headline": None})
    return difference_between("", named, theirs, change, paired=paired is not None, differs=None)


def _corrected(rows: list[Difference]) -> list[Difference]:
    """Returns differences with Holm's p over all of them, and whether each differs."""
    ps = [p_value(row.difference) if given(row.difference) else None for row in rows]
    adjusted = iter(holm([p for p in ps if p is not None]))
    corrected = []
    for row, p in zip(rows, ps, strict=True):
        q = None if p is None else next(adjusted)
        differs = None if q is None else q < LEVEL
        corrected.append(row.model_copy(update={"p": q, "differs": differs}))
    return corrected


def _decisions(models: Sequence[RankedModel]) -> list[Decision]:
    """Returns the decision about each of the ordered models, by its difference from the first."""
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
        if not _saw_the_same(runs[0], run):
            images = ", ".join(f"{data.measured} of {data.name}" for data in run.report.data)
            yield f"{run.report.model.name} saw other images: {images}"
    for report in reports:
        for data in report.data:
            if data.nonfinite:
                yield (
                    f"{report.model.name}: {data.nonfinite} of {data.measured} images of "
                    f"{data.name} are left out, because their representation is not finite"
                )
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


def _saw_the_same(first: Run, other: Run) -> bool:
    """Returns whether two runs saw the same images, by contents where both know them."""
    if list(map(images_of, first.report.data)) != list(map(images_of, other.report.data)):
        return False
    for data in first.report.data:
        ours, theirs = first.images.get(data.name), other.images.get(data.name)
        if ours is None or theirs is None:
            continue
        if ours.contents and theirs.contents:
            same = ours.contents == theirs.contents
        else:  # lists of different lengths tell nothing: images may be left out
            same = ours.samples == theirs.samples or len(ours.ids) != len(theirs.ids)
        if not same:
            return False
    return True
