"""Models in the order of one kind of evidence: labels, labelled pictures or labelled shifts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil
from typing import Final, Literal, NamedTuple

from tuiprobe.choose.comparing.inference import (
    best_reach,
    ends_of,
    joint_reach,
    reaching,
    second_minus_first,
)
from tuiprobe.choose.comparing.label_evidence import AnsweredPictures, LabelEvidence
from tuiprobe.choose.comparing.runs import Run
from tuiprobe.choose.comparing.same_pictures import means_of_shifts, pairing_of, shifts_groups
from tuiprobe.choose.labelling.contest import MARGIN
from tuiprobe.results import Estimate, Figure, Report, is_known
from tuiprobe.results.section import NamedFigure

FEWEST_PICTURES: Final = 30
"""Labelled pictures below which nothing is decided: each moves an accuracy by over 3 points."""

POWER: Final = 0.84
"""Standard errors that make four of five samples decide, at the number of pictures that is said."""

MOST_TIMES_MORE: Final = 20
"""No number of further pictures is said above so many times those that are labelled."""

TOO_CLOSE: Final = 0.005
"""Difference below which no number of further pictures is said."""

Standing = Literal[
    "take", "as good", "behind", "not the best", "at most 2 points better", "undecided",
    "not compared",
]  # fmt: skip
Verdict = Literal["best", "within", "equal", "undecided"]

BEATEN: Final = ("behind", "not the best")
VERDICTS: Final[dict[str, Verdict]] = {"best": "best", "within": "within", "equal": "equal"}

_UNBEATEN: Final[dict[Verdict, Standing]] = {
    "best": "undecided", "within": "at most 2 points better", "equal": "as good",
    "undecided": "undecided",
}  # fmt: skip

Lead = Callable[[int, int, float], Figure]
"""Accuracy of one model minus that of another, with ends so many standard errors away."""


class ModelOrder(NamedTuple):
    """Models by one kind of evidence.

    Attributes:
        verdict: What is decided.
        order: Indices of the models; the first one is the reference.
        standings: Of each model.
        leads: Accuracy of the reference minus that of each other model; ranges of all pairs hold
            together with 95 %.
        at_least: The least of each lead at the level at which a model is not the best.
        more: Roughly how many more pictures would decide; None where that is not said.
        close: Whether the undecided models are within `MARGIN` of each other, so that more pictures
            would hardly decide.
    """

    verdict: Verdict
    order: list[int]
    standings: dict[int, Standing]
    leads: dict[int, Figure]
    at_least: Mapping[int, float] = {}
    more: int | None = None
    close: bool = False


def order_by_labels(runs: Sequence[Run], labels: LabelEvidence) -> ModelOrder:
    """Orders the runs of a labelled target: the leader first, then by difference."""
    status = labels.status
    candidates = {n: status.candidates[candidate] for n, candidate in labels.candidate_of.items()}
    verdict = VERDICTS.get(status.verdict, "undecided")
    leader = status.leader if status.winner is None else status.winner
    first = next(n for n, candidate in labels.candidate_of.items() if candidate == leader)
    if verdict == "equal":
        equal = [n for n in candidates if not candidates[n].dropped]
        first = cheapest(runs, equal, otherwise=first)
    others = [n for n in candidates if n != first]
    leads = {n: labels.first_minus_second(first, n) for n in others}
    standings = dict.fromkeys(others, _UNBEATEN[verdict])
    standings |= {n: _beaten(leads[n]) for n in others if candidates[n].dropped}
    standings[first] = "undecided" if verdict == "undecided" else "take"

    def rank(n: int) -> tuple[bool, float]:
        lead = leads[n]
        return candidates[n].dropped, lead.value if is_known(lead) else 0.0

    return ModelOrder(verdict, [first, *sorted(others, key=rank)], standings, leads)


def order_by_pictures(runs: Sequence[Run], answered: AnsweredPictures) -> ModelOrder:
    """Orders the runs that answer the same labelled pictures by how often they are right."""
    rows = {n: row for row, n in enumerate(answered.runs)}
    right = answered.right.sum(axis=1).tolist()
    order = sorted(rows, key=lambda n: -right[rows[n]])

    def lead(first: int, second: int, reach: float) -> Figure:
        return answered.lead(rows[first], rows[second], reach)

    decided = order_by_accuracy(runs, order, lead, answered.pictures >= FEWEST_PICTURES)
    if decided.verdict != "undecided":
        return decided
    leader, *others = decided.order
    level = best_reach(len(order))
    open_leads = [lead(leader, n, level) for n in others if decided.standings[n] == "undecided"]
    more = [_more(change, level) for change in open_leads if is_known(change)]
    close = all(low >= -MARGIN and high <= MARGIN for low, high in map(ends_of, open_leads))
    known = [count for count in more if count is not None]
    if answered.pictures < FEWEST_PICTURES or len(known) < len(more):
        return decided._replace(close=close and answered.pictures >= FEWEST_PICTURES)
    return decided._replace(more=max(known, default=None))


def _more(lead: Estimate, reach: float) -> int | None:
    """Returns how many more pictures show a lead of this size in four of five samples.

    Args:
        lead: The lead on `lead.n` pictures.
        reach: Standard errors from the middle of its range to either end.
    """
    low, high = ends_of(lead)
    error, difference = (high - low) / (2 * reach), abs(lead.value)
    if difference < TOO_CLOSE:
        return None
    more = ceil(lead.n * (((reach + POWER) * error / difference) ** 2 - 1))
    return more if 0 < more <= MOST_TIMES_MORE * lead.n else None


def order_by_shifts(runs: Sequence[Run]) -> tuple[ModelOrder | None, tuple[str, ...]]:
    """Orders the runs that measured the same labelled shifts by their mean; None without two.

    Returns:
        The order, and the shifts.
    """
    means = _best_means(runs)
    if len(means) < 2:
        return None, ()

    def lead(ahead: int, other: int, reach: float) -> Figure:
        first, second = means[other], means[ahead]
        paired = pairing_of(runs[other], runs[ahead]).second_minus_first(first, second)
        return reaching(paired or second_minus_first(first.figure, second.figure), reach)

    order = list(means)
    shifts = means[order[0]].mean_of
    return order_by_accuracy(runs, order, lead), () if shifts is None else shifts.sets


def order_by_accuracy(
    runs: Sequence[Run], order: Sequence[int], lead: Lead, decides: bool = True
) -> ModelOrder:
    """Decides between models by their measured accuracies, at the levels for so many models.

    Args:
        runs: All runs.
        order: Indices of those that are compared, the most accurate first.
        lead: The difference of two of them.
        decides: Whether the evidence is enough to decide anything.
    """
    count, (leader, *others) = len(order), order
    standings: dict[int, Standing] = dict.fromkeys(order, "undecided")
    at_least = {n: ends_of(lead(leader, n, best_reach(count)))[0] for n in others}
    leads = {n: lead(leader, n, joint_reach(count)) for n in others}
    if not decides:
        return ModelOrder("undecided", [*order], standings, leads)
    for n in others:
        low, high = ends_of(leads[n])
        if low >= -MARGIN and high <= MARGIN:
            standings[n] = "as good"
        elif at_least[n] > 0:
            standings[n] = "not the best"
    good = [leader, *(n for n in others if standings[n] == "as good")]
    verdict: Verdict = "undecided"
    reference = leader
    if "undecided" not in [standings[n] for n in others]:
        verdict = "best" if len(good) == 1 else "within"
        standings[leader] = "as good"
        reference = cheapest(runs, good, otherwise=leader)
        standings[reference] = "take"
    if reference != leader:
        others = [n for n in order if n != reference]
        leads = {n: lead(reference, n, joint_reach(count)) for n in others}
        at_least = {n: ends_of(lead(reference, n, best_reach(count)))[0] for n in others}
    standings |= {n: _beaten(leads[n]) for n in others if standings[n] == "not the best"}
    return ModelOrder(verdict, [reference, *others], standings, leads, at_least)


def _beaten(lead: Figure) -> Standing:
    """Returns the standing of a model that is not the best, by the lead of the reference."""
    return "behind" if ends_of(lead)[0] > 0 else "not the best"


def _best_means(runs: Sequence[Run]) -> dict[int, NamedFigure]:
    """Returns the means over the same labelled shifts that most runs have, the best first.

    Means over other shifts, or over other pictures of equally named ones, do not compare.
    """
    means = means_of_shifts(runs)

    def value(n: int) -> float:
        figure = means[n].figure
        return figure.value if is_known(figure) else 0.0

    most = next(iter(shifts_groups(runs, means)), [])
    return {n: means[n] for n in sorted(most, key=lambda n: (-value(n), n))}


def cheapest(runs: Sequence[Run], indices: Sequence[int], otherwise: int) -> int:
    """Returns the index of the cheapest of some runs, or `otherwise` where costs are not known.

    Models cost their time per image if all were measured on one device, and else their parameters.
    """
    reports = {n: runs[n].report for n in indices}
    if not costs_known(reports.values()):
        return otherwise
    devices = {report.fingerprint.device for report in reports.values()}
    speeds = {n: report.timings.images_per_second for n, report in reports.items()}
    if len(devices) == 1 and all(speeds.values()):
        return max(indices, key=lambda n: speeds[n] or 0.0)
    return min(indices, key=lambda n: reports[n].model.parameters)


def costs_known(reports: Iterable[Report]) -> bool:
    """Returns whether all reports are of models: answers and stored vectors cost what they cost."""
    return all(report.model.parameters for report in reports)
