"""How far a labelling is and what it has decided: as figures, in words, and as a section."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tuiprobe.label.contest import MARGIN_POINTS, UNDECIDED, Contest, Verdict, forecast
from tuiprobe.label.result import unplanned
from tuiprobe.label.session import LabelDecision, Labelling
from tuiprobe.label.survey import LabelledAccuracy
from tuiprobe.numbers import MISSING, interval
from tuiprobe.plaintext import listed
from tuiprobe.probes.content import points, prose, several, table
from tuiprobe.results.section import Content, Section, Value

FINAL: Final = ("best", "equal", "contradictory", "enough")
"""Verdicts after which further labels only narrow what is known."""


@dataclass(frozen=True)
class CandidateStatus:
    """What the labels say of a candidate.

    Attributes:
        letter: Its name before names are shown.
        model: Its name after that.
        run: Name of its run directory.
        accuracy: On all pictures; None where too few are labelled.
        dropped: Whether it is not the best.
        difference: Bounds of the leader's accuracy minus its own, as fractions; None for the leader
            and for a run alone.
        bound: What the bounds are: `open`, `decided` (they stand still) or `contradictory`.
        outside: On how many of the pictures that were labelled unasked it is right.
    """

    letter: str
    model: str
    run: str
    accuracy: LabelledAccuracy | None
    dropped: bool
    difference: tuple[float, float] | None
    bound: Literal["open", "decided", "contradictory"]
    outside: int

    def name(self, names: bool) -> str:
        """Returns its model or its letter."""
        return self.model if names else self.letter


@dataclass(frozen=True)
class LabelStatus:
    """How far a labelling is, and what is decided.

    Attributes:
        target: Name of the set.
        pictures: Pictures that can be labelled.
        labelled: Pictures that are.
        unsure: Pictures among them on which the labeller was not sure: nobody is right there.
        outside: Pictures among them that were labelled unasked after the first draw.
        left_out: Pictures that a candidate could not read.
        doubles: Pictures with the contents of an earlier one.
        verdict: What is decided; `enough` where one run alone is known to 5 points.
        winner: Place of the candidate that it is about.
        among: Models of the candidates, where the plan of other candidates decided it.
        taken: What plans of some of these candidates, or of these and others, decide of these.
        leader: Place of the candidate that is ahead.
        progress: Part of the way to the next decision, from 0 to 1.
        more: Roughly how many more labels that takes, at most all that are left; None while it is
            not known.
        decisions: Each change of what its plan decides, in their order; withdrawals too.
        notes: Remarks of the source of the pictures.
        candidates: The candidates, in the order of the plan.
    """

    target: str
    pictures: int
    labelled: int
    unsure: int
    outside: int
    left_out: int
    doubles: int
    verdict: Verdict | Literal["enough"]
    winner: int | None
    among: tuple[str, ...]
    taken: tuple[LabelDecision, ...]
    leader: int
    progress: float
    more: int | None
    decisions: tuple[LabelDecision, ...]
    notes: tuple[str, ...]
    candidates: tuple[CandidateStatus, ...]

    @property
    def decided(self) -> bool:
        """Whether a decision was reached."""
        return self.verdict not in UNDECIDED

    @property
    def forecast(self) -> str:
        """Roughly how many more labels the next decision takes, in words; empty if unknown."""
        return forecast(self.more, self.pictures - self.labelled)

    def sentence(self, names: bool = False) -> str:
        """Returns what is decided, in words.

        Args:
            names: Whether models are named, rather than A, B and C.
        """
        words = self.words(self.verdict, self.winner, names)
        sure = self.verdict in ("best", "within", "equal")
        return f"{words} on these {self.pictures:,} pictures" if sure else words

    def words(
        self, verdict: Verdict | Literal["enough"], winner: int | None, names: bool = False
    ) -> str:
        """Returns a verdict in words; see `sentence`."""
        name = "" if winner is None else self.candidates[winner].name(names)
        several = len(self.candidates) > 1
        return {
            "open": "undecided" if several else "not known to 5 points yet",
            "best": f"{name} is the best of the {len(self.among or self.candidates)}",
            "within": f"{name} is within {MARGIN_POINTS} of the best",
            "equal": "equal",
            "contradictory": "labels contradict each other",
            "enough": "known to 5 points",
        }[verdict]

    def standing(self, place: int) -> str:
        """Returns what is decided of a candidate, in a few words."""
        if self.candidates[place].dropped:
            return "not the best"
        if self.verdict in ("equal", "contradictory"):
            return self.verdict
        if place == self.winner:
            return "the best" if self.verdict == "best" else f"within {MARGIN_POINTS} of the best"
        if self.verdict == "within":
            return f"at most {MARGIN_POINTS} better"
        return "ahead, undecided" if place == self.leader and self.labelled else "undecided"

    def headline(self) -> str:
        """Returns target, labels and roughly how many more there are to come."""
        more = f" · {self.forecast}" if self.forecast else ""
        return f"label {self.target} · {self.labelled:,} labelled{more}"

    def remarks(self) -> list[str]:
        """Returns what else the labeller must know, one sentence each."""
        counts = (
            (self.outside, "labelled outside the plan: differences count them, accuracies do not"),
            (self.unsure, "unsure: they count as right for nobody"),
            (self.left_out, "left out: a run could not read or represent them"),
            (self.doubles, "doubles of others: one label stands for all of them"),
        )
        return [
            f"{count:,} {'picture is' if count == 1 else 'pictures are'} {text}"
            for count, text in counts
            if count
        ]

    def taken_lines(self) -> Iterator[str]:
        """Yields what other plans decide of these candidates, a sentence each."""
        for decision in self.taken:
            models = [self.candidates[n].model for n in decision.dropped]
            words = f"{listed(models)} {'is' if len(models) == 1 else 'are'} not the best"
            if decision.winner is not None:
                near = "" if decision.verdict == "best" else f"within {MARGIN_POINTS} of "
                words = f"{self.candidates[decision.winner].model} is {near}the best"
            yield f"among {listed(decision.among)}, after {decision.labels:,} labels: {words}"


def label_status(labelling: Labelling) -> LabelStatus:
    """Returns how far a labelling is, and what is decided."""
    survey, matched, decided = labelling.survey, labelling.matched, labelling.decided
    leader, progress, more = labelling.leader, 0.0, None
    if isinstance(survey, Contest):
        progress, more = survey.progress, survey.labels_left
    left = len(matched.digests) - len(survey.labels)
    accuracies = labelling.accuracies()
    outside = labelling.outside
    candidates = []
    for place, right in enumerate(labelling.right(outside)):
        dropped, difference = place in decided.dropped, None
        bound: Literal["open", "decided", "contradictory"] = "open"
        if isinstance(survey, Contest) and place != leader:
            _, low, high = labelling.difference(leader, place)
            difference = low, high
            still = decided.verdict == "best"
            bound = "contradictory" if low > high else "decided" if still else "open"
        candidates.append(
            CandidateStatus(
                letter=labelling.letters[place],
                model=labelling.models[place],
                run=matched.candidates[place].directory.path.name,
                accuracy=accuracies[place],
                dropped=dropped,
                difference=difference,
                bound=bound,
                outside=right,
            )
        )
    return LabelStatus(
        target=matched.source_run.target,
        pictures=len(matched.digests),
        labelled=len(survey.labels),
        unsure=labelling.unsure,
        outside=len(outside),
        left_out=matched.left_out,
        doubles=matched.doubles,
        verdict=decided.verdict,
        winner=decided.winner,
        among=decided.among,
        taken=tuple(labelling.taken),
        leader=leader,
        progress=progress,
        more=None if more is None or decided.among else min(more, left),
        decisions=tuple(labelling.decisions),
        notes=matched.source_run.notes,
        candidates=tuple(candidates),
    )


READ = (
    "A candidate is dropped, or a winner named, with a risk of at most 5 % that the best of them "
    "is dropped, if the labels are right; whoever labels may watch and stop at any time. The "
    "bounds of differences hold likewise, all together, with 95 %. Ranges of accuracies have 95 % "
    "for a number of labels that was planned, not while watching."
)

OF_EACH_PLAN = "Risk and bounds are those of each plan by itself: several plans have several risks."

READ_ALONE = (
    "The range has 95 % where labelling ends at 5 points to either side, or at a planned number of "
    "labels; not for someone who watches and stops at will."
)


def describe_labels(state: LabelStatus) -> Section:
    """Describes a labelling, with the names of models."""
    contest = len(state.candidates) > 1
    content: list[Content] = [points(_points(state))]
    if contest:
        leader = state.candidates[state.leader].model
        rows = [
            [row.model, _accuracy(row), difference_words(row), state.standing(place)]
            for place, row in enumerate(state.candidates)
        ]
        columns = (
            ("model", "model"), ("accuracy", "accuracy"), ("difference", f"{leader} minus it"),
            ("standing", "standing"),
        )  # fmt: skip
        filled = [i for i in range(len(columns)) if any(row[i] != MISSING for row in rows)]
        cells = [[row[i] for i in filled] for row in rows]
        content.append(table("labels", [columns[i] for i in filled], cells))
        content.append(prose(READ, *([f" {OF_EACH_PLAN}"] if state.taken else [])))
    else:
        (row,) = state.candidates
        if row.accuracy is not None:
            content.append(prose(f"{row.model}: {_accuracy(row)} right"))
        if state.outside:
            content.append(prose(f"{row.model}: {unplanned(row.outside, state.outside)}"))
        content.append(prose(READ_ALONE))
    return Section(
        title=f"Labels on {state.target}",
        headline=(state.sentence(names=True),),
        content=tuple(content),
    )


def _accuracy(row: CandidateStatus) -> str:
    return MISSING if row.accuracy is None else row.accuracy.figure.with_interval()


def _points(state: LabelStatus) -> Iterator[Value | tuple[Value, ...]]:
    more = f", {state.forecast} to the next decision" if state.forecast else ""
    yield f"{several(state.labelled, 'picture')} of {state.pictures:,} labelled{more}"
    verdict, gone = "open", set[int]()
    for decision in state.decisions:
        models = [state.candidates[n].model for n in decision.dropped if n not in gone]
        words = state.words(decision.verdict, decision.winner, names=True)
        if models and decision.verdict == verdict:
            words = f"{listed(models)} {'is' if len(models) == 1 else 'are'} not the best"
        yield f"after {decision.labels:,} labels: {words}"
        verdict, gone = decision.verdict, set(decision.dropped)
    yield from state.taken_lines()
    yield from state.remarks()
    yield from state.notes


def difference_words(row: CandidateStatus) -> str:
    """Returns the bounds of the leader's accuracy minus a candidate's, or what they are."""
    if row.difference is None:
        return MISSING
    low, high = row.difference
    if row.bound == "contradictory" or (row.bound == "decided" and low <= 0 <= high):
        return row.bound  # bounds of a decided pair stand still, and would be misread
    ends = interval((low + high) / 2, low, high, "points").partition("(")[2]
    return f"{ends.rstrip(')')} points"
