"""How a labelling stands, as figures and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tuiprobe.label.answers import LabelledAccuracy
from tuiprobe.label.contest import MARGIN, UNDECIDED, Contest, Verdict
from tuiprobe.label.session import LabelDecision, Labelling

FINAL: Final = ("best", "equal", "contradictory", "enough")
"""Verdicts after which further labels only narrow what is known."""


@dataclass(frozen=True)
class CandidateStanding:
    """How a candidate stands.

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
class LabelStanding:
    """How a labelling stands.

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
        leader: Place of the candidate that is ahead.
        progress: Part of the way to the next decision, from 0 to 1.
        more: Roughly how many more labels that takes; None while it is not known.
        decisions: Each change of what is decided, in their order; withdrawals too.
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
    leader: int
    progress: float
    more: int | None
    decisions: tuple[LabelDecision, ...]
    notes: tuple[str, ...]
    candidates: tuple[CandidateStanding, ...]

    @property
    def decided(self) -> bool:
        """Whether a decision was reached."""
        return self.verdict not in UNDECIDED

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
            "open": "not decided" if several else "not known to 5 points yet",
            "best": f"{name} is the best of the {len(self.candidates)}",
            "within": f"{name} is within {100 * MARGIN:g} points of the best",
            "equal": "equal",
            "contradictory": "labels contradict each other",
            "enough": "known to 5 points",
        }[verdict]

    def headline(self) -> str:
        """Returns target, labels and roughly how many more there are to come."""
        more = "" if self.more is None else f" · roughly {self.more:,} more"
        return f"label {self.target} · {self.labelled:,} labelled{more}"

    def remarks(self) -> list[str]:
        """Returns what else whoever labels must know, a sentence each."""
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


def unplanned(right: int, labelled: int) -> str:
    """Returns how often a run is right on pictures of unknown selection, in words.

    >>> unplanned(31, 50)
    'right on 31 of 50 labelled pictures, which were not drawn at random'
    """
    return f"right on {right:,} of {labelled:,} labelled pictures, which were not drawn at random"


def standing(labelling: Labelling) -> LabelStanding:
    """Returns how a labelling stands."""
    survey, matched = labelling.survey, labelling.matched
    outside = labelling.outside
    contest = survey if isinstance(survey, Contest) else None
    return LabelStanding(
        target=matched.source_run.target,
        pictures=len(matched.digests),
        labelled=len(survey.labels),
        unsure=labelling.unsure,
        outside=len(outside),
        left_out=matched.left_out,
        doubles=matched.doubles,
        verdict=survey.verdict,
        winner=labelling.decided.winner,
        leader=0 if contest is None else contest.leader,
        progress=0.0 if contest is None else contest.progress,
        more=None if contest is None else contest.labels_left,
        decisions=tuple(labelling.decisions),
        notes=matched.source_run.notes,
        candidates=_candidates(labelling, labelling.right(outside)),
    )


def _candidates(labelling: Labelling, outside: tuple[int, ...]) -> tuple[CandidateStanding, ...]:
    survey = labelling.survey
    accuracies = survey.accuracies() if survey.labels else []
    leader = survey.leader if isinstance(survey, Contest) else 0
    rows = []
    for place, candidate in enumerate(labelling.matched.candidates):
        dropped, difference = False, None
        bound: Literal["open", "decided", "contradictory"] = "open"
        if isinstance(survey, Contest):
            dropped = bool(survey.dropped[place])
            if place != leader:
                low, high = difference = survey.bounds(leader, place)
                decided = dropped or survey.verdict in ("best", "within")
                bound = "contradictory" if low > high else "decided" if decided else "open"
        rows.append(
            CandidateStanding(
                letter=labelling.letters[place],
                model=labelling.models[place],
                run=candidate.directory.path.name,
                accuracy=accuracies[place] if accuracies else None,
                dropped=dropped,
                difference=difference,
                bound=bound,
                outside=outside[place],
            )
        )
    return tuple(rows)
