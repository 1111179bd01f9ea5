"""The description of a comparison, which every format and the screen render."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tuiprobe.compare.differences import Comparison, Difference
from tuiprobe.compare.forest import difference_chart, forest_rows, verdict
from tuiprobe.compare.overlap import Overlap
from tuiprobe.probes.telling import heading, points, prose, table
from tuiprobe.results import given
from tuiprobe.results.section import Code, Content, Section, Strong, Text, Value

LISTED: Final = 24
"""Members of a set of things that a line names."""

READ: Final = (
    "Intervals are 95 %. Paired: both runs measured the same images, which were drawn together "
    "2,000 times. Separate: Newcombe's interval from the two separate ones, too wide for runs on "
    "the same images. Which headline figures differ is corrected for looking at all of them (Holm)."
)

_MARKS = {True: "yes", False: "no", None: "-"}


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
    yield _table("headlines", rows, ids=False)
    yield prose(READ)
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
    yield _table("others", rest, ids=True)


def _table(id: str, rows: Sequence[Difference], ids: bool) -> Content:
    columns = [("figure", "figure"), ("data", "of"), ("first", "first"), ("second", "second")]
    columns += [("difference", "second - first"), ("interval", "interval"), ("differs", "differs")]
    if ids:
        columns[1:2] = [("id", "id"), ("data", "data"), ("place", "of")]
    cells: list[list[Value]] = []
    for one in rows:
        where: list[Value] = [Code(code=one.data)]
        if ids:
            where = [Code(code=one.id), *where, Code(code=one.place)]
        told: list[Value] = [
            one.first,
            one.second,
            one.difference.with_interval(signed=True),
            kind(one),
            _MARKS[one.differs],
        ]
        cells.append([one.name, *where, *told])
    return table(id, columns, cells, shown=len(cells), file=False)


def _common(found: Comparison) -> Iterator[Content]:
    if found.overlaps:
        yield heading("In common")
        yield points(overlap_line(one) for one in found.overlaps)


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
