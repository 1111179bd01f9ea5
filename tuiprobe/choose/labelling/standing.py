"""How far a labelling is and what it has decided: as figures, in words, and as a section."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tuiprobe.choose.labelling.certificate import Certificate, CertificateStatus, outlook, promise
from tuiprobe.choose.labelling.contest import MARGIN_POINTS, UNDECIDED, Contest, LabelVerdict
from tuiprobe.choose.labelling.doubts import label_doubts
from tuiprobe.choose.labelling.session import LabelDecision, Labelling
from tuiprobe.choose.labelling.survey import (
    AGAIN_AFTER,
    NOBODY,
    NOT_SURE,
    LabelledAccuracy,
    StratifiedSample,
)
from tuiprobe.numbers import MISSING, ends, interval
from tuiprobe.plaintext import count_of, joined
from tuiprobe.probes.base.strata import CLOSE_ENOUGH
from tuiprobe.probes.content import ColumnOf, bullets, heading, prose, table
from tuiprobe.results.doubt import Doubt, ordered, stopping
from tuiprobe.results.proportions import wilson_bounds
from tuiprobe.results.section import Section, SectionContent, Strong, Value

FEWEST_LABELS: Final = 10
"""Labels of an answer below which nothing is said of it."""

LISTED_ANSWERS: Final = 20
"""Answers that are listed."""


@dataclass(frozen=True)
class CandidateStatus:
    """What the labels say of a candidate.

    Attributes:
        letter: Its name before names are shown.
        model: Its name after that.
        run: Name of its run directory.
        accuracy: On all pictures.
        dropped: Whether it is not the best.
        difference: The leader's accuracy minus that of this one, with bounds, as fractions; None
            for the leader and for a run alone. A lower bound above the upper one: labels contradict
            each other. The value is None while labels wait behind a gap.
    """

    letter: str
    model: str
    run: str
    accuracy: LabelledAccuracy
    dropped: bool
    difference: tuple[float | None, float, float] | None

    def name(self, names: bool) -> str:
        """Returns its model or its letter."""
        return self.model if names else self.letter


@dataclass(frozen=True)
class AnswerLabels:
    """What labels of random pictures say of one answer of a run alone.

    Attributes:
        answer: The class that it answers.
        pictures: Pictures of the sample with this answer.
        unsure: Those among them of which it is not known whether it is right.
        right: How many it is right on.
        low: Lower end of the 95 % range of the share that is right: no unsure one is.
        high: Upper end: all of them are.
        instead: The class of most of the others.
        times: How many are of it.
    """

    answer: str
    pictures: int
    unsure: int
    right: int
    low: float
    high: float
    instead: str
    times: int

    def sentence(self) -> str:
        """Returns the labels in words."""
        unsure = f", {self.unsure:,} unsure" if self.unsure else ""
        between = ends((self.low + self.high) / 2, self.low, self.high, "share")
        mistake = f"; the most common mistake: {self.instead} ({self.times:,})"
        return (
            f"{self.answer}: {self.right:,} of {self.pictures:,} right{unsure} ({between} %)"
            f"{mistake if self.instead else ''}"
        )


@dataclass(frozen=True)
class LabelStatus:
    """How far a labelling is, and what is decided.

    Attributes:
        target: Name of the set.
        pictures: Pictures that can be labelled.
        labelled: Pictures that are.
        unsure: Pictures among them on which the labeller was not sure.
        skipped: Pictures that were skipped and are not answered.
        left_out: Pictures that a candidate could not read.
        doubles: Pictures with the contents of an earlier one.
        asked: Candidates asked about on these pictures, where this was not the first question; 0
            where it was.
        reopened: Whether it would be decided if nobody had asked about further candidates.
        verdict: What is decided; `enough` where one run alone is known to 5 points.
        winner: Index of the candidate that it is about.
        leader: Index of the candidate that is ahead.
        progress: Part of the way to the next decision, from 0 to 1.
        more: Roughly how many more labels that takes, at most all that are left; None while it is
            not known.
        waiting: Labels that decide nothing yet, since an earlier picture of the order has none.
        decisions: Each change of what is decided, in their order; withdrawals too.
        notes: Remarks of the source of the pictures.
        doubts: What speaks against the labels; where one withholds, nothing is decided.
        candidates: The candidates, as they were given.
        answers: Of a run alone, what labels say of each answer with enough of them, those with the
            most first.
        unattended: What is certified, where that is asked; nothing while doubts withhold it. Else
            None.
    """

    target: str
    pictures: int
    labelled: int
    unsure: int
    skipped: int
    left_out: int
    doubles: int
    asked: int
    reopened: bool
    verdict: LabelVerdict
    winner: int | None
    leader: int
    progress: float
    more: int | None
    waiting: int
    decisions: tuple[LabelDecision, ...]
    notes: tuple[str, ...]
    doubts: tuple[Doubt, ...]
    candidates: tuple[CandidateStatus, ...]
    answers: tuple[AnswerLabels, ...]
    unattended: CertificateStatus | None = None

    @property
    def by_letter(self) -> list[CandidateStatus]:
        """The candidates so that their order does not tell which is which."""
        return sorted(self.candidates, key=lambda row: (len(row.letter), row.letter))

    @property
    def decided(self) -> bool:
        """Whether a decision was reached, or pictures are certified where that is asked."""
        if self.unattended is not None:
            return self.unattended.certified > 0
        return self.verdict not in UNDECIDED

    @property
    def behind_gap(self) -> bool:
        """Whether labels decide nothing yet, other than those that a skipped picture holds up."""
        return self.waiting > AGAIN_AFTER

    @property
    def forecast(self) -> str:
        """Roughly how many more labels the next decision takes, in words; empty if unknown."""
        if self.more is None:
            return ""
        left = self.pictures - self.labelled
        return f"{'about' if self.more < left else 'at most'} {self.more:,} more"

    def sentence(self, names: bool = False) -> str:
        """Returns the decision in words.

        Args:
            names: Whether models are named, rather than A, B and C.
        """
        if stops := stopping(self.doubts):
            ids = joined([*dict.fromkeys(doubt.id for doubt in stops)])
            return f"withheld by doubts about the labels ({ids})"
        if self.unattended is not None:
            return promise(self.unattended, self.pictures)
        words = self.words(self.verdict, self.winner, names)
        sure = self.verdict in ("best", "within", "equal")
        return f"{words} on these {self.pictures:,} pictures" if sure else words

    def words(self, verdict: LabelVerdict, winner: int | None, names: bool = False) -> str:
        """Returns a verdict in words; see `sentence`."""
        name = "" if winner is None else self.candidates[winner].name(names)
        several = len(self.candidates) > 1
        return {
            "open": "undecided" if several else "not yet known to ±5 points",
            "best": f"{name} is the best of the {len(self.candidates)}",
            "within": f"{name} is within {MARGIN_POINTS} of the best",
            "equal": "equal",
            "contradictory": "labels contradict each other",
            "enough": "known to ±5 points",
        }[verdict]

    def headline(self) -> str:
        """Returns target, labels and about how many more there are to come."""
        more = f", {self.forecast}" if self.forecast else ""
        return f"label {self.target} · {count_of(self.labelled, 'label')}{more}"

    def remarks(self) -> list[str]:
        """Returns remarks for the labeller, one sentence each."""
        unsure = "counted against the leader"
        if self.unattended is not None:
            unsure = "counted as wrong"
        counts = (
            (self.unsure, f"unsure: {unsure}"),
            (self.skipped, "skipped and asked again; skipped twice is unsure"),
            (self.left_out, "left out: a run could not read or represent them"),
            (self.doubles, "copies of others: one label counts for all of them"),
        )
        remarks = [
            f"{count:,} {'picture is' if count == 1 else 'pictures are'} {text}"
            for count, text in counts
            if count
        ]
        if self.unattended is not None:
            remarks = [*outlook(self.unattended, self.pictures, self.labelled), *remarks]
        if self.behind_gap and self.verdict == "open":
            remarks.append(
                f"{self.waiting:,} labels do not count for the differences yet: evidence follows "
                "one random order, which nobody chooses, and an earlier picture of it has no "
                "label. It is the next one that is asked for, in --todo FILE too; or compare runs "
                "of the labelled pictures alone (--data FILE.csv with path and class)"
            )
        if self.asked:
            again = "it was decided before; " if self.reopened else ""
            remarks.append(
                f"{again}{self.asked:,} candidates were asked about on these pictures, so a "
                "decision needs more evidence than the first question did"
            )
        ranges = [row.difference[1:] for row in self.candidates if row.difference is not None]
        if self.verdict == "best" and any(high - low > 2 * CLOSE_ENOUGH for low, high in ranges):
            remarks.append("early stopping overstates the lead; the bounds stay valid")
        return remarks


def label_status(labelling: Labelling, trust: Collection[str] = ()) -> LabelStatus:
    """Returns how far a labelling is, and what is decided.

    Args:
        labelling: The session.
        trust: Ids of doubts about the labels that the user overrules.
    """
    doubts = ordered(label_doubts(labelling), trust)
    withheld = bool(stopping(doubts))
    survey, matched, decided = labelling.survey, labelling.matched, labelling.decided
    leader, progress, more, waiting = labelling.leader, 0.0, None, 0
    if isinstance(survey, Contest):
        progress, more, waiting = survey.progress, survey.labels_left, survey.waiting
    candidates = []
    for index, accuracy in enumerate(labelling.accuracies()):
        difference = None
        if isinstance(survey, Contest) and index != leader:
            value, low, high = labelling.first_minus_second(leader, index)
            difference = None if waiting > AGAIN_AFTER else value, low, high
        candidates.append(
            CandidateStatus(
                letter=labelling.letters[index],
                model=labelling.models[index],
                run=matched.candidates[index].directory.path.name,
                accuracy=accuracy,
                dropped=index in decided.dropped and not withheld,
                difference=difference,
            )
        )
    return LabelStatus(
        target=matched.source_run.target,
        pictures=len(matched.digests),
        labelled=len(survey.labels),
        unsure=len(survey.labels) - survey.sure,
        skipped=len(survey.skipped.keys() - survey.labels.keys()),
        left_out=matched.left_out,
        doubles=matched.doubles,
        asked=labelling.asked,
        reopened=labelling.reopened,
        verdict="open" if withheld else decided.verdict,
        winner=None if withheld else decided.winner,
        leader=leader,
        progress=progress,
        more=None if more is None else min(more, len(matched.digests) - len(survey.labels)),
        waiting=waiting,
        decisions=() if withheld else tuple(labelling.decisions),
        notes=matched.source_run.notes,
        doubts=doubts,
        candidates=tuple(candidates),
        answers=() if isinstance(survey, Contest) else answer_labels(survey, matched.classes),
        unattended=_certified(labelling.certificate, withheld),
    )


def _certified(certificate: Certificate | None, withheld: bool) -> CertificateStatus | None:
    """Returns the certified share; nothing if doubts withhold it."""
    if certificate is None:
        return None
    state = certificate.state
    return replace(state, certified=0, most_wrong=0, seen_wrong=0) if withheld else state


def answer_labels(survey: StratifiedSample, classes: Sequence[str]) -> tuple[AnswerLabels, ...]:
    """Returns how often labels of random pictures confirm each answer, the most labelled first.

    An answer with fewer than `FEWEST_LABELS` labels is left out.

    Args:
        survey: The labels of one run.
        classes: Names of its classes.
    """
    sample = survey.walk
    answers, sure = survey.pool.answers[0, sample.pictures], sample.labels != NOT_SURE
    rows = []
    for answer in np.unique(answers).tolist():
        labels = sample.labels[sure & (answers == answer)]
        if len(labels) < FEWEST_LABELS:
            continue
        right, pictures = int((labels == answer).sum()), int((answers == answer).sum())
        unsure = pictures - len(labels)
        low, high = wilson_bounds([right, right + unsure], pictures)
        mistakes = Counter(labels[labels != answer].tolist()).most_common(1)
        instead, times = mistakes[0] if mistakes else (NOBODY, 0)
        name = "" if not times else "none of these" if instead == NOBODY else classes[instead]
        between = float(low[0]), float(high[1])
        rows.append(AnswerLabels(classes[answer], pictures, unsure, right, *between, name, times))
    return tuple(sorted(rows, key=lambda row: (-row.pictures, row.answer)))


READ = (
    "If the labels are right, the risk that the best candidate is dropped is at most 5 %, even "
    "if you check after every label. The bounds of all differences hold together with 95 %, "
    "also at any time. Ranges of accuracies have 95 % at the decision."
)

READ_LABELS = (
    "The range has 95 % if labelling ends at ±5 points or at a planned number of labels, but "
    "not if you stop when you like."
)


READ_UNATTENDED: Final = (
    "A certificate holds with 95 %, whenever you stop, if the labels are right. Labels may "
    "come from anywhere and in any order; a label that refutes the certificate takes it back."
)


def describe_labels(state: LabelStatus, verdict: str) -> Section:
    """Describes how far a labelling is and what it says of each candidate, by their names.

    Args:
        state: How far it is.
        verdict: What is decided, in a sentence.
    """
    more = f", {state.forecast} to the next decision" if state.forecast else ""
    progress = f"{count_of(state.labelled, 'picture')} of {state.pictures:,} labelled{more}"
    doubts = [(Strong(strong="doubt"), f": {doubt.words}") for doubt in state.doubts]
    history = () if state.unattended is not None else _history(state)
    remarks = bullets([*doubts, progress, *history, *state.remarks(), *state.notes])
    content: list[SectionContent] = [remarks]
    if len(state.candidates) > 1:
        content += [_candidates(state), prose(READ)]
    else:
        (row,) = state.candidates
        read = READ_LABELS if state.unattended is None else READ_UNATTENDED
        content += [prose(f"{row.model}: {row.accuracy.sentence()}"), prose(read)]
    if state.answers:
        sentences = [answer.sentence() for answer in state.answers[:LISTED_ANSWERS]]
        content += [heading("By answer, among labels of random pictures"), bullets(sentences)]
    title = f"Labels on {state.target}"
    return Section(title=title, headline=(verdict,), content=tuple(content))


def _candidates(state: LabelStatus) -> SectionContent:
    """Returns the table of several candidates, the leader first."""
    order = sorted(range(len(state.candidates)), key=lambda index: index != state.leader)
    columns: list[ColumnOf] = [
        "model", "decision", ("right", "right on all pictures"),
        ("difference", f"{state.candidates[state.leader].model} minus this model"),
    ]  # fmt: skip
    rows: list[list[Value]] = []
    for index in order:
        row = state.candidates[index]
        known = row.difference is not None and state.labelled
        standing = {"best": "the best", "within": f"within {MARGIN_POINTS} of the best"}
        decision = standing.get(state.verdict) if index == state.winner else None
        rows.append(
            [
                row.model,
                "not the best" if row.dropped else decision,
                row.accuracy.sentence(),
                difference_words(row) if known else None,
            ]
        )
    return table("candidates", columns, rows, shown=len(rows), file=False)


def _history(state: LabelStatus) -> Iterator[str]:
    """Yields each change of what is decided, a sentence each."""
    verdict, dropped = "open", set[int]()
    for decision in state.decisions:
        models = [state.candidates[n].model for n in decision.dropped if n not in dropped]
        words = state.words(decision.verdict, decision.winner, names=True)
        if models and decision.verdict == verdict:
            words = f"{joined(models)} {'is' if len(models) == 1 else 'are'} not the best"
        yield f"after {count_of(decision.labels, 'label')}: {words}"
        verdict, dropped = decision.verdict, set(decision.dropped)


def difference_words(row: CandidateStatus) -> str:
    """Returns the leader's accuracy minus a candidate's with its bounds, in words."""
    if row.difference is None:
        return MISSING
    value, low, high = row.difference
    if low > high:
        return "contradictory"
    middle = (low + high) / 2 if value is None else value
    return interval(middle, low, high, "points", outward=value is None)
