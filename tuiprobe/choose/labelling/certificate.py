"""How many of the most confident answers a model may give without anyone looking at them.

The pictures are sorted by confidence. Of a prefix of n of them the hypothesis to refute is "more
than εn answers are wrong". A bet against it is settled picture by picture, in one random order of
the pictures that nobody chooses. If the hypothesis is true, the mean stake is at most 1 after every
picture; so by Ville's inequality the largest stake ever reached is 1 / α or more with a chance of
at most α, whatever was labelled when.

Prefixes are tested in the order of their size, from one that is fixed before the first label, and
only while all smaller ones are certified. A broken promise needs the first true hypothesis of that
order to be refuted, which is one event: so the chain of tests costs no more than one test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain, islice
from math import ceil, floor, log
from typing import Final, Literal, NamedTuple

import numpy as np

from tuiprobe.choose.labelling.betting import Ints
from tuiprobe.choose.labelling.contest import ALPHA
from tuiprobe.choose.labelling.matching import Matched
from tuiprobe.choose.labelling.survey import AGAIN_AFTER, Pool, Survey
from tuiprobe.errors import DataError, UsageError
from tuiprobe.plaintext import count_of, plain

PREFIXES: Final = 40

_BETS: Final = np.array([[0.5], [0.9]])
_LEAST: Final = 1e-9
_FIRST_OF_PEAK: Final = 3  # the chain starts at a third of the prefix that seems easiest to certify
_REACHABLE: Final = 0.9  # a share of errors above this part of ε takes too many labels to forecast

Outlook = Literal["open", "unreachable", "ended", "complete", "impossible"]
"""What more labels can do: certify more; certify more, but not within a number of labels that can
be given; nothing, since labels refute the next prefix; nothing, since every prefix is certified; or
nothing, since no prefix is large enough."""


class Prefix(NamedTuple):
    """The pictures of the highest confidence.

    Attributes:
        walk: int64 `[n]`, they in the order of labelling.
        limit: How many of them may be wrong at most.
        guess: Share of them that is wrong if every confidence is right.
    """

    walk: Ints
    limit: int
    guess: float

    @property
    def size(self) -> int:
        """Number of its pictures."""
        return len(self.walk)


class PrefixBet(NamedTuple):
    """What the labels say of a prefix.

    Attributes:
        labelled: Its pictures that have a label, or were skipped.
        wrong: Those of them that count as wrong: unsure and skipped ones too.
        settled: Its labelled pictures before the first unlabelled one of its walk.
        stake: Log of the stake now.
        best: Log of the largest stake so far.
        proven: Whether labels prove that at most the limit is wrong.
        refuted: Whether they prove that more are.
    """

    labelled: int
    wrong: int
    settled: int
    stake: float
    best: float
    proven: bool
    refuted: bool


@dataclass(frozen=True)
class CertificateStatus:
    """How many pictures are certified, and what more labels would do.

    Attributes:
        tolerated: ε, the share of wrong answers that is tolerated.
        certified: The promise is about so many pictures of the highest confidence.
        most_wrong: At most so many of them are wrong.
        seen_wrong: Labels found so many of these, or the labeller was unsure of them.
        start: Pictures of the smallest prefix that is tested; 0 where none is large enough.
        guess: Pictures of the largest prefix with a tolerated share of errors, if every confidence
            is right.
        outlook: What more labels can do.
        more: Roughly how many more labels the next 5 % of the pictures take, at least and at most.
        taken_back: A certified prefix that labels refuted later, and how many of it are wrong.
        questions: Further questions on these pictures, where this is one; 0 for the first.
    """

    tolerated: float
    certified: int
    most_wrong: int
    seen_wrong: int
    start: int
    guess: int
    outlook: Outlook
    more: tuple[int, int] | None
    taken_back: tuple[int, int] | None
    questions: int


class Certificate(Survey):
    """The labels of the pictures of one candidate, and how many pictures they certify.

    Args:
        pool: The answers of one candidate.
        walk: int64 `[N]`, the pictures in a random order.
        tie: int64 `[N]`, rank of each picture among those of equal confidence.
        tolerated: ε, the share of wrong answers that is tolerated, between 0 and 1.
        questions: Number of further questions on these pictures, where this is one; 0 for the first
            question.

    Attributes:
        ranked: int64 `[N]`, the pictures by confidence, highest first.
        prefixes: By size; of equal ones one.
        start: Index of the first one that is tested.
        needed: Log of the stake that certifies.
    """

    def __init__(
        self, pool: Pool, walk: Ints, tie: Ints, tolerated: float, questions: int = 0
    ) -> None:
        super().__init__(pool)
        self.tolerated, self.questions = tolerated, questions
        self.needed = log(max(questions, 1) / ALPHA)
        doubt = 1 - pool.confidences[0]
        self.ranked = np.lexsort((tie, doubt))
        rank = np.empty(pool.pictures, dtype=np.int64)
        rank[self.ranked] = np.arange(pool.pictures)
        sizes = {ceil(pool.pictures * g / PREFIXES) for g in range(1, PREFIXES + 1)}
        guesses = np.cumsum(doubt[self.ranked]) / np.arange(1, pool.pictures + 1)
        self.prefixes = [
            Prefix(walk[rank[walk] < n], floor(tolerated * n + _LEAST), float(guesses[n - 1]))
            for n in sorted(sizes)
        ]
        self.start = self._start()
        self._wrong = np.zeros(pool.pictures)
        self._known = np.zeros(pool.pictures, dtype=bool)
        self._bets: list[PrefixBet] | None = None

    def _start(self) -> int | None:
        """Returns the first prefix of the chain, from the confidences alone."""

        def evidence(prefix: Prefix) -> float:
            """Returns n KL(guess || ε): how fast a bet grows if the guess is right."""
            r, e = prefix.guess, self.tolerated
            wrong = r * log(r / e) if r > 0 else 0.0
            return prefix.size * (wrong + (1 - r) * log((1 - r) / (1 - e)))

        easier = [prefix for prefix in self.prefixes if prefix.guess < self.tolerated]
        peak = max(easier, key=evidence, default=self.prefixes[0])
        least = max(peak.size / _FIRST_OF_PEAK, 1 / self.tolerated)
        large = (index for index, prefix in enumerate(self.prefixes) if prefix.size >= least)
        return next(large, None)

    def add(self, picture: int, label: int) -> None:
        """Adds the label of a picture; arguments as for `Survey.add`."""
        super().add(picture, label)
        self._settle(picture, float(self.pool.answers[0, picture] != label))

    def skip(self, picture: int) -> None:
        """Records that a picture was skipped: until it has a label it counts as wrong."""
        super().skip(picture)
        if picture not in self.labels:
            self._settle(picture, 1.0)

    def _settle(self, picture: int, wrong: float) -> None:
        self._wrong[picture], self._known[picture], self._bets = wrong, True, None

    @property
    def bets(self) -> list[PrefixBet]:
        """What the labels say of each prefix."""
        if self._bets is None:
            self._bets = [self._bet(prefix) for prefix in self.prefixes]
        return self._bets

    def _bet(self, prefix: Prefix) -> PrefixBet:
        known, needed = self._known[prefix.walk], prefix.limit + 1
        labelled = int(np.count_nonzero(known))
        wrong = float(self._wrong[prefix.walk].sum())
        settled = prefix.size if labelled == prefix.size else int(known.argmin())
        x = self._wrong[prefix.walk[:settled]]
        before = np.cumsum(x) - x
        x, before = x[before < needed], before[before < needed]  # then the hypothesis is true
        m = (needed - before) / (prefix.size - np.arange(len(x)))  # above 1: proven, see below
        gains = (m - x) / np.maximum(1 - m, _LEAST)
        stakes = np.logaddexp.reduce(np.log1p(_BETS * gains).cumsum(axis=1)) - log(len(_BETS))
        return PrefixBet(
            labelled=labelled,
            wrong=round(wrong),
            settled=settled,
            stake=float(stakes[-1]) if len(stakes) else 0.0,
            best=float(stakes.max(initial=0.0)),
            proven=wrong + prefix.size - labelled < needed,
            refuted=wrong >= needed,
        )

    def _passes(self, bet: PrefixBet) -> bool:
        return bet.proven or (bet.best >= self.needed and not bet.refuted)

    @property
    def open(self) -> int | None:
        """Index of the first prefix of the chain that is not certified."""
        bets = enumerate(self.bets)
        waiting = (index for index, bet in bets if not self._passes(bet))
        if self.start is None:
            return None
        return next((index for index in waiting if index >= self.start), None)

    @property
    def certified(self) -> int | None:
        """Index of the largest certified prefix: by bets, or by what labels prove."""
        if self.start is None:
            return None
        end = len(self.prefixes) if self.open is None else self.open
        proven = [index for index, bet in enumerate(self.bets) if bet.proven]
        return max([*proven, *range(self.start, end)], default=None)

    @property
    def unattended(self) -> Ints:
        """The certified pictures, int64 `[n]`, by confidence."""
        index = self.certified
        return self.ranked[: 0 if index is None else self.prefixes[index].size]

    def following(self, narrow: bool = False) -> int | None:
        """Returns the picture to label next.

        A skipped picture comes back after four more answers, or where nothing else is left.

        Args:
            narrow: Has no meaning here; see `Contest.following`.
        """
        index = self.open
        if index is None:
            return None
        walk, bet, labels = self.prefixes[index].walk, self.bets[index], len(self.labels)
        again = self._asked_again(walk)
        if bet.refuted:  # unless pictures that were skipped are right
            open_again = bet.wrong - len(again) <= self.prefixes[index].limit
            return next(iter(again), None) if open_again else None
        due = (picture for picture in again if labels - self.skipped[picture] >= AGAIN_AFTER)
        return next(chain(due, self.unseen(walk), again), None)

    def _asked_again(self, walk: Ints) -> list[int]:
        """Returns the skipped pictures of a prefix that have no label, the earliest first."""
        inside = set(walk.tolist())
        return [picture for picture in self.asked_again if picture in inside]

    def upcoming(self, count: int, narrow: bool = False) -> list[int]:
        """Returns the pictures of the next list, skipped ones first.

        The others are those of the walk if each answer is as often right as its confidence says: a
        list goes on to larger prefixes as labels one by one would.

        Args:
            count: At most so many.
            narrow: Has no meaning here.
        """
        index = self.open
        if index is None or self.following() is None:
            return []
        again = self._asked_again(self.prefixes[index].walk)
        return list(islice(chain(again, self._expected()), count))

    def _expected(self) -> Iterator[int]:
        """Yields unseen pictures of the walk, as if labels were what confidences say."""
        trial = copy(self)
        trial._wrong, trial._known = self._wrong.copy(), self._known.copy()
        while (index := trial.open) is not None and not trial.bets[index].refuted:
            walk = trial.prefixes[index].walk
            picture = int(walk[trial._known[walk].argmin()])
            yield picture
            trial._settle(picture, 1 - float(self.pool.confidences[0, picture]))

    @property
    def state(self) -> CertificateStatus:
        """How many pictures are certified, and what more labels would do."""
        at = self.certified
        guessed = (prefix.size for prefix in self.prefixes if prefix.guess <= self.tolerated)
        outlook, more = self._outlook()
        return CertificateStatus(
            tolerated=self.tolerated,
            certified=0 if at is None else self.prefixes[at].size,
            most_wrong=0 if at is None else self.prefixes[at].limit,
            seen_wrong=0 if at is None else self.bets[at].wrong,
            start=0 if self.start is None else self.prefixes[self.start].size,
            guess=max(guessed, default=0),
            outlook=outlook,
            more=more,
            taken_back=self._taken_back(),
            questions=self.questions,
        )

    def _taken_back(self) -> tuple[int, int] | None:
        """Returns size and wrong answers of the first prefix that was certified and is refuted."""
        if self.start is not None:
            for prefix, bet in list(zip(self.prefixes, self.bets, strict=True))[self.start :]:
                if bet.best < self.needed and not bet.proven:
                    break
                if bet.refuted:
                    return prefix.size, bet.wrong
        return None

    def _outlook(self) -> tuple[Outlook, tuple[int, int] | None]:
        """Returns whether more labels can certify more, and roughly how many the next 5 % take."""
        index = self.open
        if index is None:
            return "impossible" if self.start is None else "complete", None
        if self.following() is None:
            return "ended", None
        if index + 1 == len(self.prefixes):
            return "open", None
        prefix, bet = self.prefixes[index + 1], self.bets[index + 1]
        labelled = prefix.walk[self._known[prefix.walk]]
        expected = float((1 - self.pool.confidences[0, labelled]).sum())
        r, e = prefix.guess * (bet.wrong + 2) / (expected + 2), self.tolerated
        bets = _BETS[:, 0]
        growth = float((r * np.log(1 - bets) + (1 - r) * np.log1p(bets * e / (1 - e))).max())
        if r >= _REACHABLE * e or growth <= 0:
            return "unreachable", None
        left = 0.0 if bet.refuted else max(bet.stake, 0.0)
        steps = 0 if bet.proven else ceil((self.needed - left) / growth)
        among = prefix.walk[: max(bet.settled + steps, 0)]
        least = max(int(np.count_nonzero(~self._known[among])), 1)
        return "open", (least, min(3 * least, self.pool.pictures - len(self.labels)))


MOST_TOLERATED: Final = 0.5

SMALL: Final = 500
SMALL_SHARE: Final = 0.05
"""In at most so many pictures, with at most this share of errors, a certificate hardly pays."""

NO_DEARER: Final = 0.05
"""Labels for the next 5 % of the pictures, as a share of them, that labelling all of it takes."""

_SHARE = re.compile(r"\s*(\d*\.?\d+)\s*(%?)\s*")


def tolerated_share(text: str) -> float:
    """Returns a tolerated share of errors that a user names, written `5%` or `0.05`.

    Raises:
        UsageError: If it is none, or not above 0 and at most `MOST_TOLERATED`.

    >>> tolerated_share("5%"), tolerated_share("0.02")
    (0.05, 0.02)
    """
    match = _SHARE.fullmatch(text)
    share = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < share <= MOST_TOLERATED:
        raise UsageError(
            f"--unattended {plain(text)!r} is no share of wrong answers: give one such as 5% or "
            f"0.05, at most {MOST_TOLERATED:.0%}"
        )
    return share


def question_digest(matched: Matched, tolerated: float) -> str:
    """Returns the SHA-256 of what is asked: pictures, answers and confidences of a run, and ε.

    A run whose confidences changed asks another question: the order of the pictures must be fixed
    before the first label.
    """
    rows = zip(matched.digests, matched.answers[0], matched.ranking[0].tolist(), strict=True)
    lines = sorted(f"{digest} {matched.classes[n]} {sure!r}\n" for digest, n, sure in rows)
    content = f"{tolerated!r}\n{''.join(lines)}"
    return sha256(content.encode("utf-8", "backslashreplace")).hexdigest()


def certificate_of(matched: Matched, tolerated: float, questions: int) -> Certificate:
    """Returns the certificate of one run, without labels.

    Args:
        matched: The run.
        tolerated: ε.
        questions: See `Certificate`.

    Raises:
        DataError: If its answers have no confidences.
    """
    if np.isnan(matched.ranking).any():
        raise DataError(
            f"{matched.source_run.directory.path} has no confidences, so its answers cannot be "
            "ordered"
        )
    pool = replace(matched.pool.of_candidate(0), confidences=matched.ranking)
    tie = np.empty(pool.pictures, dtype=np.int64)
    tie[matched.shuffled(b"tie")] = np.arange(pool.pictures)
    return Certificate(pool, matched.shuffled(b"alone"), tie, tolerated, questions)


def promise(state: CertificateStatus, pictures: int) -> str:
    """Returns the certified share of the pictures, as a sentence.

    Args:
        state: The certificate.
        pictures: All pictures.
    """
    errors = f"{100 * state.tolerated:g} % errors"
    if not state.certified:
        return f"none of {pictures:,} certified for at most {errors}"
    left = ""
    if state.seen_wrong:
        left = (
            f"; {state.seen_wrong:,} of these you have seen, so at most "
            f"{state.most_wrong - state.seen_wrong:,} are left"
        )
    at_most = f"at most {state.most_wrong:,} of them are wrong (95 %)"
    return f"{state.certified:,} of {pictures:,} certified: {at_most}{left}"


def outlook(state: CertificateStatus, pictures: int, labelled: int) -> Iterator[str]:
    """Yields the effect of more labels, and the scope of the promise, a sentence each.

    Args:
        state: The certificate.
        pictures: All pictures.
        labelled: Those that have a label.
    """
    share = f"{100 * state.tolerated:g} %"
    if state.taken_back is not None:
        size, wrong = state.taken_back
        yield f"taken back: {wrong:,} of these {size:,} were wrong"
    if not labelled and pictures <= SMALL and state.tolerated <= SMALL_SHARE:
        yield (
            f"with at most {SMALL} pictures and {share} errors this saves little work: label "
            "all of them"
        )
    if state.outlook == "impossible":
        yield f"nothing can be certified: {pictures:,} pictures are too few for {share}"
    elif state.outlook == "ended":
        yield (
            f"labels show that the next pictures have more than {share} errors: no more can be "
            "certified"
        )
    elif state.outlook == "complete":
        yield "all pictures are certified"
    elif state.outlook == "unreachable":
        yield "as it looks now, the next 5 % of the pictures have too many errors to be certified"
    elif state.more is not None:
        least, most = state.more
        by_hand = least >= NO_DEARER * pictures
        dear = ": labelling them by hand costs no more" if by_hand else ""
        yield f"roughly {least:,} to {most:,} labels for the next 5 %{dear}"
    yield f"if every confidence is right, {count_of(state.guess, 'picture')} could be certified"
    if state.questions:
        yield (
            f"{count_of(state.questions, 'further question')} on these pictures: each needs "
            "more evidence than the first, and all of them together hold with 95 %"
        )
    yield "this holds for these pictures, not for new ones"
