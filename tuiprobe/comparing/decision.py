"""Which of several models to take on the same pictures, by the best evidence there is.

Labels of the target come first, then the mean of the same labelled shifts. Neither an estimate
without labels nor accuracy in distribution orders models: both have ordered models wrongly, the
latter backwards.

By measured accuracy, the best model is called "not the best" with a chance of at most 5 %, and all
ranges of differences, so also "behind", hold together with 95 %. Both levels count the models,
since which of them is the reference follows from the same images.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from tuiprobe.comparing.inference import (
    Pairing,
    best_reach,
    ends_of,
    joint_reach,
    reaching,
    second_minus_first,
)
from tuiprobe.comparing.not_compared import (
    NotCompared,
    left_out,
    same_measurements,
    without_evidence,
)
from tuiprobe.comparing.notes import NAMED, weakening
from tuiprobe.comparing.runs import LabelEvidence, Run, label_evidence
from tuiprobe.comparing.same_pictures import MeasuredSet, other_pictures, pictures_groups
from tuiprobe.errors import TuiprobeError
from tuiprobe.labelling.contest import MARGIN, MARGIN_POINTS
from tuiprobe.plaintext import listed, plain
from tuiprobe.probes.content import several
from tuiprobe.results import Figure, Frozen, NotRun, Report, SetSummary, is_known
from tuiprobe.results.accuracy import Accuracy, accuracy_from, best_accuracy
from tuiprobe.results.base import Count
from tuiprobe.results.headlines import MEAN_SHIFT
from tuiprobe.results.section import NamedFigure
from tuiprobe.run.directory import RunDir

MOST_TO_LABEL: Final = 12
"""Models that a command to label names."""

Standing = Literal[
    "take", "as good", "behind", "not the best", "at most 2 points better", "undecided",
    "not compared",
]  # fmt: skip
DecisionEvidence: TypeAlias = Literal["labels", "shifts", "none"]
Verdict: TypeAlias = Literal["best", "within", "equal", "undecided"]

BEATEN: Final = ("behind", "not the best")

_VERDICTS: Final[dict[str, Verdict]] = {"best": "best", "within": "within", "equal": "equal"}
_UNBEATEN: Final[dict[Verdict, Standing]] = {
    "best": "undecided", "within": "at most 2 points better", "equal": "as good",
    "undecided": "undecided",
}  # fmt: skip

REFERENCE: Final = NotRun(reason="the others are compared with this model")
NOT_COMPARED: Final = NotRun(reason="no measured mean over the same labelled shifts")


class DecidedModel(Frozen):
    """One of the models of a decision.

    Attributes:
        place: Its place among the runs as they were given, from 0.
        model: Its name, which no other one has.
        run: Its run directory as it was named; empty where that is not known.
        accuracy: On the target, or else in distribution, by its best evidence.
        standing: `take` it; `as good` as the best within `MARGIN`; `behind` the reference by the
            range of the difference; `not the best`, without a range that says behind whom; by
            labels `at most 2 points better` than the one to take; `undecided`; `not compared`.
        difference: Accuracy of the reference minus that of this model, by the evidence. The
            ranges of all pairs hold together with 95 %.
    """

    place: Count
    model: str
    run: str
    accuracy: Accuracy | NotRun
    standing: Standing
    difference: Figure


class Decision(Frozen):
    """Which model to take, and by what evidence.

    Attributes:
        sentence: All of it in one sentence.
        verdict: Whether the first model is the `best`, `within` 2 points of the best, `equal` to
            others on every picture, or whether it is `undecided`.
        evidence: `labels` of the target, or the mean of labelled `shifts`; else `none`.
        models: In order. The first one is to be taken, or leads; it is the reference of all
            differences. Without evidence in the order in which they were given.
        target: The target set that all models have and that could be labelled; empty without one.
        pictures: Pictures of it that can be labelled.
        labels: Pictures of it that are labelled.
        shifts: The labelled shifts that the mean is of.
        command: What to type to decide it by labels, or to find stronger evidence; empty where
            labels have decided, or cannot.
        obstacle: Why labels cannot decide: the models were measured on different pictures, or
            answer with different classes; empty where they can, or where no pictures are known.
        more: Roughly how many more labels that takes; None while it is not known, as before the
            first label.
        notes: What weakens it.
        not_compared: Runs that it leaves out, each with the reason. What is an earlier run again
            is not among the models.
    """

    sentence: str = ""
    verdict: Verdict
    evidence: DecisionEvidence
    models: tuple[DecidedModel, ...]
    target: str = ""
    pictures: Count = 0
    labels: Count = 0
    shifts: tuple[str, ...] = ()
    command: str = ""
    obstacle: str = ""
    more: Count | None = None
    notes: tuple[str, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()

    @property
    def take(self) -> DecidedModel | None:
        """The model to take; None while it is undecided."""
        return None if self.verdict == "undecided" else self.models[0]

    @property
    def by(self) -> str:
        """The evidence in words."""
        if self.evidence == "labels":
            return f"your pictures by {several(self.labels, 'label')}"
        return several(len(self.shifts), "labelled shift") if self.shifts else "labelled shifts"


class _Order(NamedTuple):
    """Models by one kind of evidence; the first of `order` is the reference."""

    verdict: Verdict
    order: list[int]
    standings: dict[int, Standing]
    differences: dict[int, Figure]


def decide(runs: Sequence[Run], target: str | None = None) -> Decision:
    """Decides which of two or more models to take.

    Args:
        runs: The runs, whose models differ in their names; see `with_names`.
        target: Name of the target set; None for the first that is labelled, or that all have.
    """
    same = same_measurements(runs)
    if not same:
        return _decide(runs, target)
    places = [n for n in range(len(runs)) if n not in same]
    decision = _decide([runs[n] for n in places], target)
    again = tuple(
        left_out(runs, n, "same measurement", f"the same as {runs[first].report.model.name}")
        for n, first in same.items()
    )
    others = (of.model_copy(update={"place": places[of.place]}) for of in decision.not_compared)
    changes: dict[str, Any] = {
        "models": tuple(
            row.model_copy(update={"place": places[row.place]}) for row in decision.models
        ),
        "not_compared": (*again, *others),
    }
    if len(places) == 1:
        changes["sentence"] = "Nothing to compare: all runs are the same measurement."
    return decision.model_copy(update=changes)


def _decide(runs: Sequence[Run], target: str | None) -> Decision:
    """Decides between different measurements; of one alone nothing."""
    labels = label_evidence(runs, target) if len(runs) > 1 else None
    by_labels = _by_labels(runs, labels) if isinstance(labels, LabelEvidence) else None
    by_shifts, shifts = _by_shifts(runs)
    evidence: DecisionEvidence = "none" if by_shifts is None else "shifts"
    in_question: tuple[str, ...] = ()
    chosen = by_shifts or _Order("undecided", list(range(len(runs))), {}, {})
    if by_labels is not None:
        lost = by_labels.standings[chosen.order[0]] in BEATEN
        if by_labels.verdict != "undecided" or chosen.verdict == "undecided" or lost:
            chosen, evidence = by_labels, "labels"
    data = _target(runs, target, labels)
    if evidence == "none":
        order, in_question = _on_the_same_pictures(runs, None if data is None else data.name)
        chosen = chosen._replace(order=order, standings=dict.fromkeys(order, "undecided"))
    others = [n for n in range(len(runs)) if n not in chosen.order]
    decision = Decision(
        verdict=chosen.verdict,
        evidence=evidence,
        models=tuple(
            DecidedModel(
                place=n,
                model=runs[n].report.model.name,
                run=plain(str(runs[n].directory.path)),
                accuracy=_accuracy(runs, n, data, labels),
                standing=chosen.standings.get(n, "not compared"),
                difference=chosen.differences.get(n, NOT_COMPARED if number else REFERENCE),
            )
            for number, n in enumerate((*chosen.order, *others))
        ),
        shifts=shifts,
        not_compared=without_evidence(runs, others, chosen.order[0], shifts or in_question),
        notes=tuple(weakening(runs, chosen.order[0], labels)),
        **_labelling(runs, chosen, data, labels),
    )
    return decision.model_copy(update={"sentence": _sentence(decision, runs)})


def _on_the_same_pictures(
    runs: Sequence[Run], target: str | None
) -> tuple[list[int], tuple[str, ...]]:
    """Returns the most runs that measured the same pictures, where nothing orders them.

    Args:
        runs: The runs.
        target: The target set; the first set of each run counts where that has none.

    Returns:
        Their places, and the name of the set.
    """
    sets = {}
    for n, run in enumerate(runs):
        names = [data.name for data in run.report.data]
        sets[n] = MeasuredSet(run, target if target in names else (*names, "")[0])
    group = pictures_groups(sets)[0]
    return group, (sets[group[0]].name,)


def _accuracy(
    runs: Sequence[Run],
    place: int,
    target: SetSummary | None,
    labels: LabelEvidence | NotRun | None,
) -> Accuracy | NotRun:
    """Returns the accuracy of a run by its best evidence: by labels as `tuiprobe label` says it."""
    known = best_accuracy(runs[place].report, None if target is None else target.name)
    if isinstance(labels, LabelEvidence):
        by_labels = labels.status.candidates[labels.places[place]].accuracy
        name, figure = labels.status.target, by_labels.figure
        if is_known(figure):
            among = (0, 0) if isinstance(known, NotRun) else (known.classes, known.of_classes)
            proven = by_labels.evidence == "proof"
            return accuracy_from(figure, name, "labels", "proven" if proven else "labels", among)
    return known


def _by_labels(runs: Sequence[Run], labels: LabelEvidence) -> _Order:
    """Orders all runs by the labels of a target: the leader first, then by difference."""
    status, count = labels.status, len(runs)
    candidates = [status.candidates[place] for place in labels.places]
    verdict = _VERDICTS.get(status.verdict, "undecided")
    first = labels.places.index(status.leader if status.winner is None else status.winner)
    if verdict == "equal":
        equal = [n for n in range(count) if not candidates[n].dropped]
        first = _cheapest(runs, equal, otherwise=first)
    others = [n for n in range(count) if n != first]
    differences = {n: labels.first_minus_second(first, n) for n in others}
    standings = dict.fromkeys(others, _UNBEATEN[verdict])
    standings |= {n: _beaten(differences[n]) for n in others if candidates[n].dropped}
    standings[first] = "undecided" if verdict == "undecided" else "take"

    def place(n: int) -> tuple[bool, float]:
        change = differences[n]
        return candidates[n].dropped, change.value if is_known(change) else 0.0

    return _Order(verdict, [first, *sorted(others, key=place)], standings, differences)


def _by_shifts(runs: Sequence[Run]) -> tuple[_Order | None, tuple[str, ...]]:
    """Orders the runs that measured the same labelled shifts by their mean; None without two.

    Returns:
        The order, and the shifts.
    """
    means = _means_of_shifts(runs)
    if len(means) < 2:
        return None, ()
    order, count = list(means), len(means)
    leader, others = order[0], order[1:]

    def ahead(n: int, other: int) -> Figure:
        first, second = means[other], means[n]
        paired = Pairing(runs[other].images, runs[n].images).second_minus_first(first, second)
        return paired or second_minus_first(first.figure, second.figure)

    changes = {n: ahead(leader, n) for n in others}
    standings: dict[int, Standing] = dict.fromkeys(others, "undecided")
    for n, change in changes.items():
        low, high = ends_of(reaching(change, joint_reach(count)))
        if low >= -MARGIN and high <= MARGIN:
            standings[n] = "as good"
        elif ends_of(reaching(change, best_reach(count)))[0] > 0:
            standings[n] = "not the best"
    good = [leader, *(n for n in others if standings[n] == "as good")]
    verdict: Verdict = "best" if len(good) == 1 else "within"
    standings[leader] = "as good"
    if "undecided" in standings.values():
        verdict, standings[leader] = "undecided", "undecided"
    elif (chosen := _cheapest(runs, good, otherwise=leader)) != leader:
        order = [chosen, *(n for n in order if n != chosen)]
        changes = {n: ahead(chosen, n) for n in order[1:]}
    if verdict != "undecided":
        standings[order[0]] = "take"
    differences = {n: reaching(changes[n], joint_reach(count)) for n in order[1:]}
    standings |= {n: _beaten(differences[n]) for n in others if standings[n] == "not the best"}
    shifts = means[leader].mean_of
    return _Order(verdict, order, standings, differences), () if shifts is None else shifts.sets


def _beaten(difference: Figure) -> Standing:
    """Returns the standing of a model that is not the best, by the reference minus it."""
    return "behind" if ends_of(difference)[0] > 0 else "not the best"


def _means_of_shifts(runs: Sequence[Run]) -> dict[int, NamedFigure]:
    """Returns the means over the same labelled shifts that most runs have, the best first.

    Means over other shifts, or over other pictures of equally named ones, do not compare.
    """
    means: dict[int, NamedFigure] = {}
    groups: list[list[int]] = []
    for n, run in enumerate(runs):
        mean = run.report.headline(MEAN_SHIFT.id)
        if mean is not None and is_known(mean.figure):
            means[n] = mean
            group = next((of for of in groups if _same_mean(runs, means, of[0], n)), None)
            if group is None:
                groups.append([n])
            else:
                group.append(n)

    def value(n: int) -> float:
        figure = means[n].figure
        return figure.value if is_known(figure) else 0.0

    most = max(groups, key=len, default=[])
    return {n: means[n] for n in sorted(most, key=lambda n: (-value(n), n))}


def _same_mean(runs: Sequence[Run], means: Mapping[int, NamedFigure], one: int, other: int) -> bool:
    """Returns whether the means of two runs are over the same pictures of the same sets."""
    first, second = means[one], means[other]
    sets = [() if mean.mean_of is None else mean.mean_of.sets for mean in (first, second)]
    if first.data != second.data or sets[0] != sets[1]:
        return False
    return not other_pictures(runs[one], runs[other], sets[0])


def _cheapest(runs: Sequence[Run], places: Sequence[int], otherwise: int) -> int:
    """Returns the place of the cheapest of some runs, or `otherwise` where costs are not known.

    Models cost their time per image if all were measured on one device, and else their parameters.
    """
    reports = {n: runs[n].report for n in places}
    if not _costs_known(reports.values()):
        return otherwise
    devices = {report.fingerprint.device for report in reports.values()}
    speeds = {n: report.timings.images_per_second for n, report in reports.items()}
    if len(devices) == 1 and all(speeds.values()):
        return max(places, key=lambda n: speeds[n] or 0.0)
    return min(places, key=lambda n: reports[n].model.parameters)


def _costs_known(reports: Iterable[Report]) -> bool:
    """Returns whether all reports are of models: answers and stored vectors cost what they cost."""
    return all(report.model.parameters for report in reports)


def _target(
    runs: Sequence[Run], target: str | None, labels: LabelEvidence | NotRun | None
) -> SetSummary | None:
    """Returns the target of a name, the labelled one, or the first that all with targets have."""
    sets = [[data for data in run.report.data if data.target] for run in runs]
    first, *others = [targets for targets in sets if targets] or [[]]
    if isinstance(labels, LabelEvidence):
        target = labels.status.target
    if target is not None:
        return next((data for data in first if data.name == target), None)
    names = [{data.name for data in targets} for targets in others]
    return next((data for data in first if all(data.name in other for other in names)), None)


def _labelling(
    runs: Sequence[Run],
    order: _Order,
    target: SetSummary | None,
    labels: LabelEvidence | NotRun | None,
) -> dict[str, Any]:
    """Returns the fields about labels of the target: how many, and what more of them would take.

    A labelling that began goes on with all its runs. Before that, labels are worth most for the
    models that may still be the best, or else for the first models of the order.
    """
    fields: dict[str, Any] = {}
    if target is not None:
        fields = {"target": target.name, "pictures": target.measured}
    if isinstance(labels, LabelEvidence):
        status = labels.status
        fields |= {"pictures": status.pictures, "labels": status.labelled}
        if status.verdict in _VERDICTS:
            return fields
        fields["more"], worth = status.more, list(runs)
    else:
        unbeaten = ("undecided", "as good", "take")
        still = [n for n in order.order if order.standings.get(n) in unbeaten]
        some = sorted((still if len(still) > 1 else order.order)[:MOST_TO_LABEL])
        name = None if target is None else target.name
        worth = [runs[n] for n in some if _answers_on_target(runs[n], name)]
    paths = dict.fromkeys(
        str(run.directory.path)
        for run in worth
        if not run.report.partial and run.report.model.weights.kind != "unknown"
    )
    if len(paths) < 2:
        return fields
    readable, fields["obstacle"] = _matched(paths, target)
    if not fields["obstacle"] and (readable or target is not None):
        fields["command"] = plain(f"tuiprobe label {shlex.join(paths)}")
    return fields


def _answers_on_target(run: Run, target: str | None) -> bool:
    """Returns whether a run answers on a target set, or on any where None is named."""
    names = [data.name for data in run.report.data if data.target and target in (None, data.name)]
    return any(
        (name in run.images and run.images[name].answers is not None)
        or not isinstance(best_accuracy(run.report, name), NotRun)
        for name in names
    )


def _matched(paths: Iterable[str], target: SetSummary | None) -> tuple[bool, str]:
    """Returns whether runs can be labelled together, and what is different where they cannot."""
    from tuiprobe.labelling.candidates import read_candidate  # scipy, which few decisions need
    from tuiprobe.labelling.matching import DifferentPoolsError, match

    name = None if target is None else target.name
    try:
        match([read_candidate(RunDir(Path(path)), name) for path in paths])
    except DifferentPoolsError as error:
        return False, plain(str(error))
    except TuiprobeError:
        return False, ""
    return True, ""


def _sentence(decision: Decision, runs: Sequence[Run]) -> str:
    models, by, take = decision.models, decision.by, decision.take
    if take is None:
        undecided = [row.model for row in models if row.standing == "undecided"]
        if decision.evidence == "none":
            return "Undecided: nothing that was measured orders these models."
        return f"Undecided between {listed(undecided, NAMED)} on {by}."
    equal = [row for row in models if row.standing in ("take", "as good")]
    chosen = "the cheapest" if _costs_known(runs[row.place].report for row in equal) else "one"
    if decision.verdict == "equal":
        return (
            f"Take {take.model}: {chosen} of {len(equal)} that are equally often right on all "
            f"{decision.pictures:,} pictures of {decision.target}."
        )
    if decision.verdict == "within":
        cheapest = f"{chosen} of {len(equal)} models " if len(equal) > 1 else ""
        words = f"{cheapest}within {MARGIN_POINTS} of the best on {by}"
    else:
        words, change = f"best on {by}", models[1].difference
        if is_known(change):
            words += f", {change.with_interval()} ahead of {models[1].model}"
    if decision.evidence == "shifts" and decision.target:
        words += f"; on {decision.target} itself undecided"
        words += f" by {several(decision.labels, 'label')}" if decision.labels else ""
    return f"Take {take.model}: {words}."
