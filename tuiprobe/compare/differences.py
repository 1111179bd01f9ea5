"""Two reports side by side: what differs, with intervals.

Figures compare only within one representation kind. Differences get Newcombe's interval from the
two separate ones (MOVER). On the same images it is conservative, because both vary together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import hypot

from tuiprobe.compare.overlap import Overlap, overlaps
from tuiprobe.errors import UsageError
from tuiprobe.report.numbers import figure
from tuiprobe.report.text import code, code_cell, escaped, opening, table
from tuiprobe.results import Estimate, Figure, Frozen, NotRun, Report, given
from tuiprobe.results.section import NamedFigure

Place = tuple[str, str, str, str]
"""Probe, set, place and id of a figure."""


class IncomparableError(UsageError):
    """Raised when two reports are about different kinds of representation."""


class Difference(Frozen):
    """One figure in both reports.

    Attributes:
        probe: Id of the probe that gave it.
        data: Data set, in both reports.
        place: Layer, or what else it is of.
        id: Id of the figure, for gates.
        name: Name of the figure, for people.
        first: The figure in the first report.
        second: The figure in the second report.
        difference: Second minus first; `NotRun` where one of them is missing.
        differs: Whether the interval excludes zero; None without an interval.
        inner: Whether this is a layer before the final representation.
        headline: Rank among the figures that a reader sees first; None for the others.
    """

    probe: str
    data: str
    place: str
    id: str
    name: str
    first: Figure
    second: Figure
    difference: Figure
    differs: bool | None
    inner: bool = False
    headline: int | None = None


class FactPair(Frozen):
    """A finding of one word in both reports; empty where a report has none."""

    id: str
    name: str
    first: str
    second: str


class Comparison(Frozen):
    """Two reports side by side.

    Attributes:
        titles: Titles of the two reports.
        facts: Findings of one word each.
        differences: Figures that both have.
        overlaps: Things that both found, by set of images.
        notes: What makes the comparison weaker: other images, widths, preprocessing, untrained.
        unmatched: Sets and places that only one of them has figures of.
    """

    titles: tuple[str, str]
    facts: tuple[FactPair, ...]
    differences: tuple[Difference, ...]
    overlaps: tuple[Overlap, ...]
    notes: tuple[str, ...]
    unmatched: tuple[str, ...]

    def fact(self, id: str) -> FactPair | None:
        """Returns a finding by its id; None where neither report has it."""
        return next((one for one in self.facts if one.id == id), None)


def compare(first: Report, second: Report) -> Comparison:
    """Compares two reports figure by figure.

    Raises:
        IncomparableError: They are about different representation kinds.
    """
    kinds = first.model.representation, second.model.representation
    if kinds[0] != kinds[1]:
        raise IncomparableError(
            f"{first.model.name} gives {kinds[0]} representations and {second.model.name} "
            f"{kinds[1]} ones; figures compare only within one kind. For a CLIP's ViT, compare at "
            "the tap before its projection"
        )
    ours, theirs = _by_place(first), _by_place(second)
    return Comparison(
        titles=(first.title, second.title),
        facts=tuple(_facts(first, second)),
        differences=tuple(
            _difference(place[0], one, theirs[place])
            for place, one in ours.items()
            if place in theirs
        ),
        overlaps=tuple(overlaps(first, second)),
        notes=tuple(_notes(first, second)),
        unmatched=tuple(
            f"{data}/{place}" for data, place in sorted(_places(ours) ^ _places(theirs))
        ),
    )


def difference(first: Figure, second: Figure) -> Figure:
    """Returns second minus first, with Newcombe's square-and-add interval (Zou and Donner 2008).

    >>> one = Estimate(value=3.0, low=2.7, high=3.3, n=9, method="m")
    >>> two = Estimate(value=5.0, low=4.6, high=5.4, n=8, method="m")
    >>> found = difference(one, two)
    >>> found.value, round(found.low, 6), round(found.high, 6), found.n
    (2.0, 1.5, 2.5, 8)
    """
    if not given(first):
        return NotRun(reason=f"first: {first.reason}")
    if not given(second):
        return NotRun(reason=f"second: {second.reason}")
    value, n = second.value - first.value, min(first.n, second.n)
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return Estimate(value=value, low=None, high=None, n=n, method="no interval on both sides")
    down = hypot(second.value - second.low, first.high - first.value)
    up = hypot(second.high - second.value, first.value - first.low)
    return Estimate(value=value, low=value - down, high=value + up, n=n, method="MOVER")


def _by_place(report: Report) -> dict[Place, NamedFigure]:
    return {
        (part.probe, one.data, one.place, one.id): one
        for part in report.parts
        for one in part.figures
    }


def _places(figures: Mapping[Place, NamedFigure]) -> set[tuple[str, str]]:
    return {(data, place) for _, data, place, _ in figures}


def _difference(probe: str, ours: NamedFigure, theirs: NamedFigure) -> Difference:
    found = difference(ours.figure, theirs.figure)
    differs = None
    if given(found) and found.low is not None and found.high is not None:
        differs = found.low > 0 or found.high < 0
    return Difference(
        probe=probe,
        data=ours.data,
        place=ours.place,
        id=ours.id,
        name=ours.name,
        first=ours.figure,
        second=theirs.figure,
        difference=found,
        differs=differs,
        inner=ours.inner,
        headline=ours.headline,
    )


def _facts(first: Report, second: Report) -> Iterator[FactPair]:
    named = [one for report in (first, second) for part in report.parts for one in part.facts]
    for id, name in dict.fromkeys((one.id, one.name) for one in named):
        yield FactPair(id=id, name=name, first=first.fact(id), second=second.fact(id))


def _notes(first: Report, second: Report) -> Iterator[str]:
    widths = first.model.width, second.model.width
    if widths[0] != widths[1]:
        yield (
            f"widths differ, {widths[0]} and {widths[1]} channels: compare height, in "
            "sigmas, not kurtosis"
        )
    for one in (first, second):
        if one.model.weights.kind == "untrained":
            yield f"{one.model.name} is untrained"
        for ablation in one.model.ablated:
            yield f"{one.model.name} is ablated: {ablation}"
    if first.model.preprocessing != second.model.preprocessing:
        yield "preprocessing differs"
    theirs = {data.name: data for data in second.data}
    for data in first.data:
        other = theirs.get(data.name)
        if other is None:
            continue
        if (data.source, data.measured) != (other.source, other.measured):
            yield (
                f"{data.name} differs: {data.measured} images of {data.source} against "
                f"{other.measured} of {other.source}"
            )
        if data.nonfinite or other.nonfinite:
            yield (
                f"{data.name}: images left out because their representation is not finite: "
                f"{data.nonfinite} against {other.nonfinite}"
            )


def comparison_markdown(found: Comparison) -> str:
    """Returns the comparison as Markdown."""
    lines = [
        "# Comparison",
        "",
        f"- first: {escaped(found.titles[0])}",
        f"- second: {escaped(found.titles[1])}",
        *(
            f"- {opening(escaped(one.name))}: {escaped(one.first or '-')}, then "
            f"{escaped(one.second or '-')}"
            for one in found.facts
        ),
        *(f"- **note**: {escaped(note)}" for note in found.notes),
        *(f"- only in one of them: {code(place)}" for place in found.unmatched),
        "",
    ]  # fmt: skip
    lines += _overlap_lines(found.overlaps)
    marks = {True: "yes", False: "no", None: "-"}
    rows = [
        [
            code_cell(one.data),
            code_cell(one.place),
            escaped(one.name),
            code_cell(one.id),
            *(escaped(figure(each)) for each in (one.first, one.second, one.difference)),
            marks[one.differs],
        ]
        for one in found.differences
    ]
    header = ["data", "of", "figure", "id", "first", "second", "second - first", "differs"]
    return "\n".join([*lines, *table(header, rows)]).rstrip("\n") + "\n"


def _overlap_lines(found: tuple[Overlap, ...]) -> list[str]:
    if not found:
        return []
    lines = ["## In common", ""]
    for one in found:
        place = f", {escaped(one.place)}" if one.place else ""
        where = f"{opening(escaped(one.name))} on {code(one.data)}{place}"
        if one.not_comparable:
            lines.append(f"- {where}: {escaped(one.not_comparable)}")
            continue
        lines.append(
            f"- {where}: shared {_listed(one.shared)}; only in the first "
            f"{_listed(one.first_only)}; only in the second {_listed(one.second_only)}"
        )
        if one.by_chance is not None:
            lines.append(
                f"  - {len(one.shared)} shared; by chance {escaped(figure(one.by_chance))}; "
                f"Jaccard {escaped(figure(one.jaccard))}"
            )
    return [*lines, ""]


def _listed(members: tuple[str, ...], most: int = 24) -> str:
    if not members:
        return "none"
    more = f" and {len(members) - most} more" if len(members) > most else ""
    return escaped(", ".join(members[:most]) + more)
