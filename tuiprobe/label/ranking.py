"""What the labels beside several runs say of which is ahead.

A contest of exactly these runs decides as `tuiprobe label` does. Some candidates of a larger
contest take its decision, if its winner is among them, and else what its bounds say, because these
hold for all of its pairs together. Runs that no plan compares yet take a plan of their own, whose
order finds few of the labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

from tuiprobe.errors import UsageError
from tuiprobe.label.contest import MARGIN, Contest, Verdict
from tuiprobe.label.report_part import labels_state
from tuiprobe.run.directory import RunDir

if TYPE_CHECKING:
    from tuiprobe.label.session import Labelling


@dataclass(frozen=True)
class LabelledPair:
    """The accuracy of one run minus that of another, on all pictures.

    Attributes:
        value: Estimate, within the bounds.
        low: Lower bound, always valid.
        high: Upper bound.
        ahead: Whether one of them is known to be ahead.
    """

    value: float
    low: float
    high: float
    ahead: bool

    @property
    def still(self) -> bool:
        """Whether it was decided before the bounds left 0, where they stand still."""
        return self.ahead and self.low <= 0 <= self.high


@dataclass(frozen=True)
class LabelledRanking:
    """What labels say among runs.

    Attributes:
        target: Name of the target set.
        pictures: Pictures that can be labelled.
        labels: Pictures that are.
        verdict: What is decided.
        winner: Place of the run that it is about; None if it is about none.
        order: Places of the runs, the one that is ahead first.
        dropped: Whether each run is known not to be the best.
        more: Roughly how many more labels the next decision takes; None while that is not known.
        pairs: Each run minus each other, by their places.
    """

    target: str
    pictures: int
    labels: int
    verdict: Verdict
    winner: int | None
    order: tuple[int, ...]
    dropped: tuple[bool, ...]
    more: int | None
    pairs: Mapping[tuple[int, int], LabelledPair]


def labelled_ranking(runs: Sequence[RunDir], target: str) -> LabelledRanking | None:
    """Returns what the labels beside runs say of which is ahead; None without labels.

    Args:
        runs: Two or more finished runs, in folders that may differ; labels are those beside the
            first one.
        target: Name of the target set.

    Raises:
        UsageError: If labels contradict each other, or a run is named twice.
        DataError: If runs differ in pictures or classes, or a file is damaged.
    """
    states = tuple(labels_state(run) for run in runs)
    return _ranking(tuple(run.path for run in runs), target, states) if states[0] else None


@lru_cache(maxsize=64)
def _ranking(
    runs: tuple[Path, ...], target: str, states: tuple[tuple[object, ...], ...]
) -> LabelledRanking | None:
    """Returns `labelled_ranking` of run directories; `states` changes where the result may."""
    from tuiprobe.label.session import open_labelling  # scipy, which runs without labels spare

    labelling = open_labelling(runs, target)
    if not labelling.survey.labels:
        return None
    matched = labelling.matched
    paths = [candidate.directory.path for candidate in matched.candidates]
    digest_of = dict(zip(paths, matched.answers_digests, strict=True))
    digests = [digest_of[run] for run in runs]
    larger = _larger_contest(labelling, digests, runs[0].resolve().parent, target)
    chosen = larger or labelling
    paths = [candidate.directory.path.resolve() for candidate in chosen.matched.candidates]
    places = [
        paths.index(run.resolve())
        if run.resolve() in paths
        else chosen.matched.answers_digests.index(digest)
        for run, digest in zip(runs, digests, strict=True)
    ]
    contest = chosen.survey
    if not isinstance(contest, Contest):
        raise UsageError("labels say which run is ahead of two or more")
    if larger is None or contest.winner in places:  # the best of many is the best of some
        return _by_decision(chosen, contest, places)
    return _by_bounds(chosen, contest, places)


def _larger_contest(
    labelling: Labelling, digests: list[str], folder: Path, target: str
) -> Labelling | None:
    """Returns a contest of these runs and others; None if that of these alone drew labels.

    Args:
        labelling: The contest of these runs alone.
        digests: The digest of the answers of each run.
        folder: Where the candidates lie.
        target: Name of the target set.
    """
    from tuiprobe.label.session import labelling_of

    plans_with_labels = {line.plan for line in labelling.counted}
    if labelling.plan.id in plans_with_labels or len(set(digests)) < len(digests):
        return None
    for plan in labelling.files.plans():
        if plan.id not in plans_with_labels or not set(digests) < set(plan.answers):
            continue
        if (larger := labelling_of(plan, folder, target)) is not None:
            return larger
    return None


def _by_decision(labelling: Labelling, contest: Contest, places: list[int]) -> LabelledRanking:
    """Returns what a contest says of its candidates, or of those with its winner among them."""
    winner = None if contest.winner is None else places.index(contest.winner)
    best = winner if contest.verdict == "best" else None
    pairs = {
        (a, b): _pair(contest, places[a], places[b], decided=best in (a, b))
        for a, b in permutations(range(len(places)), 2)
    }
    dropped = tuple(bool(contest.dropped[place]) for place in places)
    first = places.index(contest.leader) if winner is None else winner
    return _ordered(labelling, contest, contest.verdict, winner, first, dropped, pairs)


def _by_bounds(labelling: Labelling, contest: Contest, places: list[int]) -> LabelledRanking:
    """Returns what the bounds of a larger contest say of some of its candidates."""
    count = range(len(places))
    pairs = {(a, b): _pair(contest, places[a], places[b]) for a, b in permutations(count, 2)}
    others = {a: [pairs[a, b] for b in count if b != a] for a in count}
    dropped = tuple(any(pair.high < 0 for pair in others[a]) for a in count)
    crossed = any(pair.low > pair.high for pair in pairs.values()) or all(dropped)
    if crossed:
        dropped = (False,) * len(places)
    survivors = [a for a in count if not dropped[a]]
    first = max(survivors, key=lambda a: sum(pair.value for pair in others[a]))
    verdict: Verdict = "open"
    if crossed:
        verdict = "contradictory"
    elif len(survivors) == 1:
        verdict = "best"
    elif all(pair.low >= -MARGIN for pair in others[first]):
        verdict = "within"
    winner = first if verdict in ("best", "within") else None
    return _ordered(labelling, contest, verdict, winner, first, dropped, pairs)


def _pair(contest: Contest, a: int, b: int, decided: bool = False) -> LabelledPair:
    """Returns one candidate minus another; `decided` if one of them is the best of a contest."""
    low, high = contest.bounds(a, b)
    value = min(max(contest.lead(a, b), low), high)
    return LabelledPair(value, low, high, decided or low > 0 or high < 0)


def _ordered(
    labelling: Labelling,
    contest: Contest,
    verdict: Verdict,
    winner: int | None,
    first: int,
    dropped: tuple[bool, ...],
    pairs: dict[tuple[int, int], LabelledPair],
) -> LabelledRanking:
    others = [a for a in range(len(dropped)) if a != first]
    others.sort(key=lambda a: (dropped[a], pairs[first, a].value))
    whole = contest.pool.candidates == len(dropped)
    return LabelledRanking(
        target=labelling.matched.source_run.target,
        pictures=len(labelling.matched.digests),
        labels=len(contest.labels),
        verdict=verdict,
        winner=winner,
        order=(first, *others),
        dropped=dropped,
        more=contest.labels_left if whole else None,
        pairs=pairs,
    )
