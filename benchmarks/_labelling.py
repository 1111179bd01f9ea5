"""Labelling, simulated by answers of real models: pools, ways to label them, what is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, combinations, count, islice, takewhile
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

import numpy as np

from tuiprobe.choose.labelling.betting import Bools, Floats, Ints
from tuiprobe.choose.labelling.contest import MARGIN, UNDECIDED, Contest
from tuiprobe.choose.labelling.survey import NOT_SURE, Pool

SEED = 40_817
PLANNED = (50, 100, 200)
"""Numbers of labels at which accuracies are compared with the truth."""

EXACT = 1e-9

Kind = Literal["random", "neighbours", "equal"]
"""Random models; neighbours in accuracy; or neighbours that exchange their answers at random,
picture by picture, and so are equal but for chance."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class World(NamedTuple):
    """What models answer on labelled pictures: int64 `[M, N]` and `[N]`."""

    answers: Ints
    labels: Ints


def read_world(folder: Path) -> World:
    """Reads `*predictions.npy` `[N, M]`, `*labels.npy` `[N]` and `*models.txt` of a folder."""
    predictions, labels = (
        np.load(next(folder.glob(f"*{name}.npy"))).astype(np.int64)
        for name in ("predictions", "labels")
    )
    models = next(folder.glob("*models.txt")).read_text("utf-8").split()
    if predictions.shape != (len(labels), len(models)):
        raise SystemExit(
            f"{folder}: {predictions.shape} predictions of {len(models)} models on "
            f"{len(labels)} labelled pictures"
        )
    return World(predictions.T, labels)


@dataclass(frozen=True, eq=False)
class Case:
    """Candidates on some pictures of a world.

    Attributes:
        pool: What they answer.
        truth: int64 `[N]`, what is right.
        easy: float64 `[N]`, share of all models of the world that are right.
    """

    pool: Pool
    truth: Ints
    easy: Floats

    @cached_property
    def right(self) -> Ints:
        """On how many pictures each candidate is right, int64 `[M]`."""
        return np.asarray((self.pool.answers == self.truth).sum(axis=1))

    def by_difficulty(self, easy: bool, draws: np.random.Generator) -> Ints:
        """Returns all pictures, the easiest or the hardest first."""
        shuffled = draws.permutation(self.pool.pictures)
        ranked = shuffled[np.argsort(self.easy[shuffled], kind="stable")]
        return ranked[::-1] if easy else ranked

    def subset(self, pictures: Ints) -> Case:
        """Returns the same candidates on some of the pictures, which stay in their two orders."""
        place = np.full(self.pool.pictures, -1)
        place[pictures] = np.arange(len(pictures))
        order, other = (place[o][place[o] >= 0] for o in (self.pool.order, self.pool.other))
        answers, confidences = self.pool.answers[:, pictures], self.pool.confidences[:, pictures]
        some = Pool(answers, confidences, order, other)
        return Case(some, self.truth[pictures], self.easy[pictures])

    def candidates(self, models: Iterable[int]) -> Case:
        """Returns some of the candidates on the same pictures."""
        rows, pool = list(models), self.pool
        some = Pool(pool.answers[rows], pool.confidences[rows], pool.order, pool.other)
        return Case(some, self.truth, self.easy)


def draw_case(world: World, kind: Kind, candidates: int, pictures: int, seed: int) -> Case:
    """Draws candidates and pictures of a world.

    Args:
        world: Models and pictures to draw from.
        kind: How alike the candidates are.
        candidates: M.
        pictures: N.
        seed: Number of the pool.
    """
    draws = np.random.default_rng([SEED, candidates, pictures, KINDS.index(kind), seed])
    ranked = np.argsort((world.answers == world.labels).mean(axis=1), kind="stable")
    first = draws.integers(len(ranked) - candidates + 1)
    neighbours = ranked[first : first + candidates]
    models = draws.permutation(ranked if kind == "random" else neighbours)[:candidates]
    chosen = draws.permutation(len(world.labels))[:pictures]
    answers = world.answers[models][:, chosen]
    if kind == "equal":
        answers = draws.permuted(answers, axis=0)
    orders = draws.permutation(pictures), draws.permutation(pictures)
    easy = (world.answers[:, chosen] == world.labels[chosen]).mean(axis=0)
    return Case(Pool(answers, np.ones(answers.shape), *orders), world.labels[chosen], easy)


Way = Callable[[Contest, Case, np.random.Generator], Iterator[int]]
"""Yields the pictures in the order in which they get their labels."""


def one_by_one(contest: Contest) -> Iterator[int]:
    """Yields the pictures that a contest asks for."""
    while (picture := contest.following()) is not None:
        yield picture


def undecided(contest: Contest, pictures: Iterable[int]) -> Iterator[int]:
    """Yields pictures until something is decided."""
    for picture in pictures:
        if contest.verdict not in UNDECIDED:
            return
        yield picture


def asked(contest: Contest, case: Case, draws: np.random.Generator) -> Iterator[int]:
    """Yields what the contest asks for until the first decision."""
    return undecided(contest, one_by_one(contest))


def asked_to_best(contest: Contest, case: Case, draws: np.random.Generator) -> Iterator[int]:
    """Yields what the contest asks for until the best is known."""
    return takewhile(lambda _: contest.verdict != "best", one_by_one(contest))


def random_order(contest: Contest, case: Case, draws: np.random.Generator) -> Iterator[int]:
    """Yields random pictures until the first decision."""
    return undecided(contest, case.pool.order.tolist())


def imported(number: int, easy: bool, after: int | None) -> Way:
    """Returns a way that takes labels from outside.

    Args:
        number: Labels of the easiest or hardest pictures.
        easy: Whether they are the easiest.
        after: Number of labels after which they come; None for after the decision.
    """

    def way(contest: Contest, case: Case, draws: np.random.Generator) -> Iterator[int]:
        outside = case.by_difficulty(easy, draws)[:number].tolist()
        sequence = undecided(contest, one_by_one(contest))
        for made in count():
            picture = None if made == after else next(sequence, None)
            if picture is None:
                yield from (other for other in outside if other not in contest.labels)
                break
            yield picture
        if contest.verdict in UNDECIDED:
            yield from asked(contest, case, draws)

    return way


def imported_between(easy: bool) -> Way:
    """Returns a way with one label of the easiest or hardest pictures after every ten."""

    def way(contest: Contest, case: Case, draws: np.random.Generator) -> Iterator[int]:
        outside = case.by_difficulty(easy, draws).tolist()
        for made, picture in enumerate(asked(contest, case, draws), 1):
            yield picture
            if made % 10 == 0 and contest.verdict in UNDECIDED:
                yield from [p for p in outside if p not in contest.labels][:1]

    return way


def in_batches(size: int) -> Way:
    """Returns a way with lists of pictures in which half of the hard ones are left out."""

    def way(contest: Contest, case: Case, draws: np.random.Generator) -> Iterator[int]:
        hard = case.easy <= 0.5
        skipped = hard & (draws.random(len(hard)) < 0.5)
        while contest.verdict in UNDECIDED:
            batch = contest.upcoming(size)
            answered = [picture for picture in batch if not skipped[picture]]
            for picture in batch:
                if picture in contest.skipped:
                    contest.add(picture, NOT_SURE)
                elif skipped[picture]:
                    contest.skip(picture)
            yield from answered
            if not answered:
                return

    return way


def skipping(share: float, hardest: bool, twice: bool) -> Way:
    """Returns a way in which some pictures are skipped when they are asked first.

    Args:
        share: Of all pictures.
        hardest: Whether they are the hardest, rather than random ones.
        twice: Whether they are skipped again, and so unsure; else answered then.
    """

    def way(contest: Contest, case: Case, draws: np.random.Generator) -> Iterator[int]:
        ranked = case.by_difficulty(False, draws) if hardest else draws.permutation(len(case.easy))
        skipped = set(ranked[: round(share * len(ranked))].tolist())
        for picture in asked(contest, case, draws):
            if picture not in skipped:
                yield picture
            elif picture not in contest.skipped:
                contest.skip(picture)
            elif twice:
                contest.add(picture, NOT_SURE)
            else:
                yield picture

    return way


def unsure_tenth(case: Case, draws: np.random.Generator) -> Ints:
    """Returns labels of which a random tenth is unsure."""
    return np.where(draws.random(case.pool.pictures) < 0.1, NOT_SURE, case.truth)


def unsure_where_best(case: Case, draws: np.random.Generator) -> Ints:
    """Returns labels that are unsure on 7 % of the pictures, where the best beats the second."""
    second, best = np.argsort(case.right, kind="stable")[-2:]
    right = case.pool.answers == case.truth
    ahead = draws.permutation(np.flatnonzero(right[best] & ~right[second]))
    labels = case.truth.copy()
    labels[ahead[: int(0.07 * len(labels))]] = NOT_SURE
    return labels


class Ranges(NamedTuple):
    """The ranges of accuracies at one moment, one element per candidate.

    Attributes:
        given: Whether a range by samples is stated.
        held: Whether the range holds the truth; one that is not stated by samples is what labels
            prove.
        half: Half its width.
        error: The middle of the range by samples, stated or not, minus the true accuracy.
    """

    given: Bools
    held: Bools
    half: Floats
    error: Floats

    @classmethod
    def of(cls, contest: Contest, case: Case) -> Ranges:
        """Returns those of a contest."""
        rates, stated = case.right / case.pool.pictures, contest.accuracies()
        low, high = np.array([(a.low, a.high) for a in stated]).T
        middle = np.mean([(a.low, a.high) for a in contest.sampled_ranges()], axis=1)
        held = (low <= rates + EXACT) & (rates <= high + EXACT)
        given = np.array([a.evidence == "sample" for a in stated])
        return cls(given, held, (high - low) / 2, middle - rates)


@dataclass
class Outcome:
    """What was decided while a pool was labelled.

    Attributes:
        decided: Labels at the first decision; 0 without one.
        best: Labels at which the best was named; 0 if it was not.
        wrong: Whether at any time the best was dropped or a wrong claim was made.
        held: Whether all bounds of differences hold at the end, before what labels prove is taken
            into account. Those never widen, so then they held at all times.
        ranges: Ranges of accuracies at the planned numbers of labels, at the first decision
            (`decision`) and at the end (`end`).
    """

    decided: int = 0
    best: int = 0
    wrong: bool = False
    held: bool = True
    ranges: dict[int | str, Ranges] = field(default_factory=dict)

    def add(self, contest: Contest, case: Case) -> None:
        """Takes in the state of a contest after a label."""
        labels, right = len(contest.labels), case.right
        self.wrong |= wrong_claim(contest, right)
        if contest.verdict not in UNDECIDED and not self.decided:
            self.decided = labels
            self.ranges["decision"] = Ranges.of(contest, case)
        if contest.verdict == "best" and not self.best:
            self.best = labels
        if labels in PLANNED:
            self.ranges[labels] = Ranges.of(contest, case)


def wrong_claim(contest: Contest, right: Ints) -> bool:
    """Returns whether all of the best are dropped, or a wrong one is named."""
    best = right.max()
    wrong = bool(contest.dropped[right == best].all())
    if contest.winner is not None:
        margin = MARGIN * contest.pool.pictures if contest.verdict == "within" else 0
        wrong |= bool(right[contest.winner] < best - margin - EXACT)
    return wrong


def follow(
    contest: Contest, case: Case, pictures: Iterable[int], labels: Ints | None = None
) -> Outcome:
    """Labels pictures of a contest.

    Args:
        contest: The contest.
        case: What it is about.
        pictures: In the order of labelling.
        labels: Their labels; None for what is right.
    """
    given, outcome = (case.truth if labels is None else labels).tolist(), Outcome()
    for picture in pictures:
        contest.add(picture, given[picture])
        outcome.add(contest, case)
    outcome.ranges["end"] = Ranges.of(contest, case)
    right = case.right
    outcome.held = all(
        duel.lower(contest.bounding) <= right[a] - right[b] + EXACT
        for (a, b), duel in contest.duels.items()
    )
    return outcome


def labelled(case: Case, way: Way, seed: int, labels: Ints | None = None) -> Outcome:
    """Labels a pool in one way."""
    contest = Contest(case.pool)
    return follow(contest, case, way(contest, case, np.random.default_rng([SEED, seed])), labels)


def changed_pool(twice: Case, pictures: int, replaced: bool) -> Outcome:
    """Labels a pool to the decision that changes after 50 labels.

    Args:
        twice: Twice the pictures.
        pictures: N at the start.
        replaced: Whether half of the pictures are replaced by others; else the hardest 250 of the
            others are added.
    """
    first, rest = np.arange(pictures), np.arange(pictures, twice.pool.pictures)
    hardest = rest[np.argsort(twice.easy[rest], kind="stable")]
    after = np.concatenate([first, hardest[:250]])
    if replaced:
        after = np.concatenate([first[pictures // 2 :], rest[: pictures // 2]])
    before = twice.subset(first)
    contest = Contest(before.pool)
    follow(contest, before, islice(undecided(contest, one_by_one(contest)), 50))
    place = {picture: number for number, picture in enumerate(after.tolist())}
    log = [place[picture] for picture in contest.labels if picture in place]
    changed = twice.subset(after)
    contest = Contest(changed.pool)
    return follow(contest, changed, undecided(contest, chain(log, one_by_one(contest))))


class Questions(NamedTuple):
    """Whether a wrong claim was made when every pair was asked about, one after the other.

    Attributes:
        first: By the first question.
        further: By another one, at the level of further questions.
        unpaid: By any one, if each had the level of the first.
    """

    first: bool
    further: bool
    unpaid: bool


def pair_after_pair(case: Case) -> Questions:
    """Asks about each pair until it is decided, then labels all that is left."""
    pairs = list(combinations(range(case.pool.candidates), 2))
    questions = [case.candidates(pair) for pair in pairs]
    truth, right = case.truth.tolist(), [question.right for question in questions]
    unpaid, further, log = list[Contest](), list[Contest](), list[int]()
    wrong = np.zeros((2, len(pairs)), dtype=bool)

    def label(pictures: Iterable[int]) -> None:
        for picture in pictures:
            log.append(picture)
            for row, contests in zip(wrong, (unpaid, [unpaid[0], *further]), strict=True):
                for number, contest in enumerate(contests):
                    if picture not in contest.labels:
                        contest.add(picture, truth[picture])
                    row[number] |= wrong_claim(contest, right[number])

    for number, question in enumerate(questions):
        unpaid.append(_replayed(Contest(question.pool), log, truth))
        listed = len({model for pair in pairs[: number + 1] for model in pair})
        further = [
            _replayed(Contest(q.pool, listed), log, truth) for q in questions[1 : number + 1]
        ]
        asking = further[-1] if further else unpaid[0]
        label(undecided(asking, one_by_one(asking)))
    label(picture for picture in case.pool.order.tolist() if picture not in unpaid[0].labels)
    return Questions(bool(wrong[1, 0]), bool(wrong[1, 1:].any()), bool(wrong[0].any()))


def _replayed(contest: Contest, log: Iterable[int], labels: Sequence[int]) -> Contest:
    for picture in log:
        contest.add(picture, labels[picture])
    return contest
