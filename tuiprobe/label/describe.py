"""The description of a labelling, which the terminal and every format render."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.label.standing import CandidateStanding, LabelStanding, unplanned
from tuiprobe.numbers import interval
from tuiprobe.probes.content import listed, points, prose, several, table
from tuiprobe.results.section import Content, Section, Value

READ = (
    "A candidate is dropped, or a winner named, with a risk of at most 5 % that the best of them "
    "is dropped, if the labels are right; whoever labels may watch and stop at any time. The "
    "bounds of differences hold likewise, all together, with 95 %. Ranges of accuracies have 95 % "
    "for a number of labels that was planned, not while watching."
)

READ_ALONE = (
    "The range has 95 % where labelling ends at 5 points to either side, or at a planned number of "
    "labels; not for someone who watches and stops at will."
)


def describe_labels(state: LabelStanding) -> Section:
    """Describes a labelling, with the names of models."""
    contest = len(state.candidates) > 1
    return Section(
        title=f"Labels on {state.target}",
        headline=(state.sentence(names=True),),
        content=(
            points(_points(state)),
            *([_contest_table(state)] if contest else _alone_points(state)),
            prose(READ if contest else READ_ALONE),
        ),
    )


def _points(state: LabelStanding) -> Iterator[Value | tuple[Value, ...]]:
    more = "" if state.more is None else f", roughly {state.more:,} more to the next decision"
    yield f"{several(state.labelled, 'picture')} of {state.pictures:,} labelled{more}"
    verdict, gone = "open", set[int]()
    for decision in state.decisions:
        models = [state.candidates[n].model for n in decision.dropped if n not in gone]
        words = state.words(decision.verdict, decision.winner, names=True)
        if models and decision.verdict == verdict:
            words = f"{listed(models)} {'is' if len(models) == 1 else 'are'} not the best"
        yield f"after {decision.labels:,} labels: {words}"
        verdict, gone = decision.verdict, set(decision.dropped)
    yield from state.remarks()
    yield from state.notes


def _contest_table(state: LabelStanding) -> Content:
    leader = state.candidates[state.leader].model
    columns = [
        ("model", "model"),
        ("accuracy", "accuracy"),
        ("difference", f"{leader} minus it"),
        ("standing", "standing"),
    ]
    rows = [
        [row.model, _accuracy(row), difference_words(row), _standing(state, place, row)]
        for place, row in enumerate(state.candidates)
    ]
    return table("labels", columns, rows)


def _accuracy(row: CandidateStanding) -> str:
    return "-" if row.accuracy is None else row.accuracy.text()


def difference_words(row: CandidateStanding) -> str:
    """Returns the bounds of the leader's accuracy minus a candidate's, or what they are."""
    if row.difference is None:
        return "-"
    low, high = row.difference
    if row.bound == "contradictory" or (row.bound == "decided" and low <= 0 <= high):
        return row.bound  # bounds of a decided pair stand still, and would be misread
    ends = interval((low + high) / 2, low, high, "points").partition("(")[2]
    return f"{ends.rstrip(')')} points"


def _standing(state: LabelStanding, place: int, row: CandidateStanding) -> str:
    if row.dropped:
        return "not the best"
    if place == state.winner and state.verdict == "best":
        return "the best"
    return "ahead" if place == state.leader and state.labelled else "-"


def _alone_points(state: LabelStanding) -> Iterator[Content]:
    (row,) = state.candidates
    if row.accuracy is not None:
        yield prose(f"{row.model}: {_accuracy(row)} right")
    if state.outside:
        yield prose(f"{row.model}: {unplanned(row.outside, state.outside)}")
