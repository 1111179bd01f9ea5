"""The description of a labelling, which the terminal and every format render."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.label.standing import CandidateStanding, LabelStanding, unplanned
from tuiprobe.numbers import interval
from tuiprobe.probes.telling import points, prose, several, table
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


def describe_labels(found: LabelStanding) -> Section:
    """Describes a labelling, with the names of models."""
    contest = len(found.candidates) > 1
    return Section(
        title=f"Labels on {found.target}",
        headline=(found.sentence(names=True),),
        content=(
            points(_points(found)),
            *([_contest_table(found)] if contest else _alone_points(found)),
            prose(READ if contest else READ_ALONE),
        ),
    )


def _points(found: LabelStanding) -> Iterator[Value | tuple[Value, ...]]:
    more = "" if found.more is None else f", roughly {found.more:,} more to the next decision"
    yield f"{several(found.labelled, 'picture')} of {found.pictures:,} labelled{more}"
    for decision in found.decisions:
        winner = "" if decision.winner is None else found.candidates[decision.winner].model
        words = {
            "open": "no longer decided",
            "best": f"{winner} is the best",
            "within": f"{winner} is within 2 points of the best",
            "equal": "equal",
            "contradictory": "labels contradict each other",
            "enough": "known to 5 points",
        }[decision.verdict]
        yield f"after {decision.labels:,} labels: {words}"
    yield from found.remarks()
    yield from found.notes


def _contest_table(found: LabelStanding) -> Content:
    leader = found.candidates[found.leader].model
    columns = [
        ("model", "model"),
        ("accuracy", "accuracy"),
        ("difference", f"{leader} minus it"),
        ("standing", "standing"),
    ]
    rows = [
        [row.model, _accuracy(row), difference_words(row), _standing(found, place, row)]
        for place, row in enumerate(found.candidates)
    ]
    return table("labels", columns, rows)


def _accuracy(row: CandidateStanding) -> str:
    known = row.accuracy
    if known is None:
        return "-"
    return interval(known.estimate, known.low, known.high, "share")


def difference_words(row: CandidateStanding) -> str:
    """Returns the bounds of the leader's accuracy minus a candidate's, or what they are."""
    if row.difference is None:
        return "-"
    low, high = row.difference
    if row.bound == "contradictory" or (row.bound == "decided" and low <= 0 <= high):
        return row.bound  # bounds of a decided pair stand still, and would be misread
    ends = interval((low + high) / 2, low, high, "points").partition("(")[2]
    return f"{ends.rstrip(')')} points"


def _standing(found: LabelStanding, place: int, row: CandidateStanding) -> str:
    if row.dropped:
        return "not the best"
    if place == found.winner and found.verdict == "best":
        return "the best"
    return "ahead" if place == found.leader and found.labelled else "-"


def _alone_points(found: LabelStanding) -> Iterator[Content]:
    (row,) = found.candidates
    if row.accuracy is not None:
        yield prose(f"{row.model}: {_accuracy(row)} right")
    if found.outside:
        yield prose(f"{row.model}: {unplanned(row.outside, found.outside)}")
