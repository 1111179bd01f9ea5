"""The description of a comparison, which every format and the screen render."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tuiprobe.compare.differences import Comparison, Difference
from tuiprobe.compare.forest import difference_chart, forest_rows, verdict
from tuiprobe.compare.holm import detectable
from tuiprobe.compare.overlap import Overlap
from tuiprobe.numbers import number
from tuiprobe.probes.content import heading, listed, points, prose, table
from tuiprobe.results import given
from tuiprobe.results.headlines import BY_RANK, LABELLED_ID
from tuiprobe.results.section import Code, Content, Section, Strong, Text, Value

LISTED: Final = 24
"""Members of a set of things that a line names."""

READ: Final = (
    "Intervals are 95 %. Paired: both runs measured the same images, which were drawn together "
    "2,000 times. Separate: Newcombe's interval from the two separate ones, too wide for runs on "
    "the same images. Which headline figures differ is corrected for looking at several (Holm): "
    "accuracies are one family, all others another. Estimates without labels are not tested. "
    "Accuracy by labels is decided by bets on the labels, whose bounds hold at any time."
)


def describe(found: Comparison, everything: bool = False) -> Section:
    """Describes a comparison: the headline figures first.

    Args:
        found: The comparison.
        everything: Whether all other figures follow.
    """
    return Section(
        title="Comparison",
        headline=(_headline(found),),
        content=(*_about(found), *_headlines(found), *_others(found, everything), *_common(found)),
    )


def _headline(found: Comparison) -> str:
    first, second = found.models
    names = ("the first run", "the second run") if first == second else (first, second)
    return verdict(forest_rows(found), *names)


def kind(one: Difference) -> str:
    """Returns how the interval of a difference was obtained, in a word."""
    if one.id == LABELLED_ID and one.differs is not None:
        return "by labels"
    if not given(one.difference) or one.difference.low is None:
        return "-"
    return "paired" if one.paired else "separate"


def _about(found: Comparison) -> Iterator[Content]:
    lines: list[Value | tuple[Value, ...]] = [
        ("first: ", found.titles[0]),
        ("second: ", found.titles[1]),
    ]
    lines += [f"{one.name}: {one.first or '-'}, then {one.second or '-'}" for one in found.facts]
    lines += [(Strong(strong="note"), f": {note}") for note in found.notes]
    lines += [("only in one of them: ", Code(code=place)) for place in found.unmatched]
    yield points(lines)


def _headlines(found: Comparison) -> Iterator[Content]:
    rows = found.headlines()
    if not rows:
        return
    yield _headline_table(rows)
    yield prose(READ)
    yield from _smallest(rows)
    if (drawn := difference_chart(forest_rows(found))) is not None:
        yield drawn


def _others(found: Comparison, everything: bool) -> Iterator[Content]:
    rest = [one for one in found.differences if one.headline is None]
    if not rest:
        return
    if not everything:
        yield prose(f"{len(rest)} more figures: --all shows them.")
        return
    yield heading("All other figures")
    columns = [("id", "id"), ("data", "data"), ("place", "of"), ("first", "first"),
               ("second", "second"), *_DIFFERENCE]  # fmt: skip
    yield table(
        "others",
        columns,
        [[Code(code=one.id), Code(code=one.data), Code(code=one.place), one.first, one.second,
          *_difference_cells(one)] for one in rest],
        shown=len(rest),
        file=False,
    )  # fmt: skip


_DIFFERENCE: Final = (("difference", "second - first"), ("differs", "differs"))


def _headline_table(rows: Sequence[Difference]) -> Content:
    columns = [("figure", "figure"), ("first", "first"), ("second", "second"), *_DIFFERENCE]
    return table(
        "headlines",
        columns,
        [[_name(one), one.first.plus_minus(), one.second.plus_minus(), *_difference_cells(one)]
         for one in rows],
        shown=len(rows),
        file=False,
    )  # fmt: skip


def _name(one: Difference) -> str:
    return f"{one.name} on {one.data}" if BY_RANK[one.headline or 0].of_a_set else one.name


def _difference_cells(one: Difference) -> list[Value]:
    """Returns the difference with its interval, and the word that belongs to it."""
    word = {True: "yes", False: "no", None: "-"}[one.differs]
    if one.undone:
        word = "no, after correction"
    if one.differs is not None:
        word += f" ({kind(one)})"
    return [one.difference.with_interval(signed=True), word]


def _smallest(rows: Sequence[Difference]) -> Iterator[Content]:
    """Yields how small a difference of each measured accuracy would show on these images."""
    limits = [
        f"{number(limit, 'points')} of {_name(one)}"
        for one in rows
        if BY_RANK[one.headline or 0].is_accuracy and given(one.difference)
        if one.id != LABELLED_ID  # it grows tighter with each label
        if (limit := detectable(one.difference)) is not None
    ]
    if limits:
        yield prose(f"Smallest differences that these images show (80 % power): {listed(limits)}.")


def _common(found: Comparison) -> Iterator[Content]:
    some = [
        one
        for one in found.overlaps
        if one.shared or one.first_only or one.second_only or one.not_comparable
    ]
    if some:
        yield heading("In common")
        yield points(map(overlap_line, some))


def overlap_line(one: Overlap) -> Text:
    """Returns what two runs have in common, and how much would be by chance."""
    text: list[Value] = [one.name, " on ", Code(code=one.data)]
    text += [f", {one.place}"] if one.place else []
    if one.not_comparable:
        return (*text, f": {one.not_comparable}")
    text += [f": shared {_listed(one.shared)}; only in the first {_listed(one.first_only)}"]
    text += [f"; only in the second {_listed(one.second_only)}"]
    if one.by_chance is not None:
        text += [f"; {len(one.shared)} shared, by chance ", one.by_chance]
        text += ["; Jaccard ", one.jaccard]
    return tuple(text)


def _listed(members: tuple[str, ...]) -> str:
    more = f" and {len(members) - LISTED} more" if len(members) > LISTED else ""
    return ", ".join(members[:LISTED]) + more or "none"
