"""The description of a comparison, which every format and the screen render."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tuiprobe.compare.differences import Comparison, Difference
from tuiprobe.compare.forest import (
    ForestRow,
    difference_chart,
    forest_rows,
    headline_name,
    verdict,
)
from tuiprobe.compare.inference import detectable
from tuiprobe.compare.overlap import Overlap
from tuiprobe.numbers import MISSING, number
from tuiprobe.plaintext import listed
from tuiprobe.probes.content import heading, points, prose, table
from tuiprobe.results import given
from tuiprobe.results.headlines import BY_RANK, LABELLED_ID
from tuiprobe.results.section import Code, Content, Section, Strong, Text, Value

LISTED: Final = 24
"""Members of a set that a line names."""

READ: Final = (
    "Intervals are 95 %. Paired: both runs measured the same images, which were drawn together "
    "2,000 times. Separate: Newcombe's interval from the two separate ones, too wide for runs on "
    "the same images. Which headline figures differ is corrected for looking at several (Holm): "
    "accuracies are one family, all others another. Estimates without labels are not tested. "
    "Accuracy by labels is decided by bets on the labels, whose bounds hold at any time."
)


def describe(comparison: Comparison, everything: bool = False) -> Section:
    """Describes a comparison: the headline figures first.

    Args:
        comparison: The comparison.
        everything: Whether all other figures follow.
    """
    first, second = comparison.models
    names = ("the first run", "the second run") if first == second else (first, second)
    rows = forest_rows(comparison)
    return Section(
        title="Comparison",
        headline=(verdict(rows, *names),),
        content=(
            _about(comparison),
            *_headlines(comparison, rows),
            *_others(comparison, everything),
            *_common(comparison),
        ),
    )


def kind(row: Difference) -> str:
    """Returns how the interval of a difference was obtained, in a word."""
    if row.id == LABELLED_ID and row.differs is not None:
        return "by labels"
    if not given(row.difference) or row.difference.low is None:
        return MISSING
    return "paired" if row.paired else "separate"


def _about(comparison: Comparison) -> Content:
    lines: list[Value | tuple[Value, ...]] = [
        ("first: ", comparison.titles[0]),
        ("second: ", comparison.titles[1]),
    ]
    lines += [
        f"{fact.name}: {fact.first or MISSING}, then {fact.second or MISSING}"
        for fact in comparison.facts
    ]
    lines += [(Strong(strong="note"), f": {note}") for note in comparison.notes]
    if comparison.unmatched:
        lines.append(f"only in one of them: {', '.join(comparison.unmatched)}")
    return points(lines)


_DIFFERENCE: Final = (("difference", "second - first"), ("differs", "differs"))


def _headlines(comparison: Comparison, forest: Sequence[ForestRow]) -> Iterator[Content]:
    rows = comparison.headlines()
    if not rows:
        return
    cells = [
        [headline_name(row), row.first.plus_minus(), row.second.plus_minus(), *_difference(row)]
        for row in rows
    ]
    columns = [("figure", "figure"), ("first", "first"), ("second", "second"), *_DIFFERENCE]
    yield table("headlines", columns, cells, shown=len(rows), file=False)
    yield prose(READ)
    smallest = [
        f"{number(limit, 'points')} of {headline_name(row)}"
        for row in rows
        if BY_RANK[row.headline or 0].is_accuracy and given(row.difference)
        if row.id != LABELLED_ID  # it grows tighter with each label
        if (limit := detectable(row.difference)) is not None
    ]
    if smallest:
        yield prose(
            f"Smallest differences that these images show (80 % power): {listed(smallest)}."
        )
    if (chart := difference_chart(forest)) is not None:
        yield chart


def _others(comparison: Comparison, everything: bool) -> Iterator[Content]:
    rows = [row for row in comparison.differences if row.headline is None]
    if rows and not everything:
        yield prose(f"{len(rows)} more figures: --all shows them.")
    elif rows:
        yield heading("All other figures")
        columns = [("id", "id"), ("data", "data"), ("place", "of"), ("first", "first"),
                   ("second", "second"), *_DIFFERENCE]  # fmt: skip
        cells: list[list[Value]] = [
            [*(Code(code=text) for text in (row.id, row.data, row.place)),
             row.first, row.second, *_difference(row)]
            for row in rows
        ]  # fmt: skip
        yield table("others", columns, cells, shown=len(rows), file=False)


def _difference(row: Difference) -> list[Value]:
    """Returns the difference with its interval, and the word that belongs to it."""
    word = {True: "yes", False: "no", None: MISSING}[row.differs]
    if row.undone:
        word = "no, after correction"
    if row.differs is not None:
        word += f" ({kind(row)})"
    return [row.difference.with_interval(signed=True), word]


def _common(comparison: Comparison) -> Iterator[Content]:
    overlaps = [
        overlap
        for overlap in comparison.overlaps
        if overlap.shared or overlap.differ or overlap.not_comparable
    ]
    if overlaps:
        yield heading("In common")
        yield points(map(overlap_line, overlaps))


def overlap_line(overlap: Overlap) -> Text:
    """Returns what two runs have in common, and how much would be by chance."""
    text: list[Value] = [overlap.name, " on ", Code(code=overlap.data)]
    text += [f", {overlap.place}"] if overlap.place else []
    if overlap.not_comparable:
        return (*text, f": {overlap.not_comparable}")
    shared, first, second = map(_listed, (overlap.shared, overlap.first_only, overlap.second_only))
    text += [f": shared {shared}; only in the first {first}; only in the second {second}"]
    if overlap.by_chance is not None:
        text += [f"; {len(overlap.shared)} shared, by chance ", overlap.by_chance]
        text += ["; Jaccard ", overlap.jaccard]
    return tuple(text)


def _listed(members: tuple[str, ...]) -> str:
    more = f" and {len(members) - LISTED} more" if len(members) > LISTED else ""
    return ", ".join(members[:LISTED]) + more or "none"
