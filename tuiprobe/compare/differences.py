"""Two reports side by side: what differs, with intervals.

Figures compare only within one representation kind. Differences get Newcombe's interval from the
two separate ones (MOVER); on the same images it is conservative, for the two then move together.
"""

from collections.abc import Iterator

import numpy as np
from pydantic import BaseModel

from tuiprobe.compare.concept_overlap import ConceptOverlap, concept_overlaps, overlap_sections
from tuiprobe.errors import UsageError
from tuiprobe.probes.outliers.result import Outliers, PersistentChannels
from tuiprobe.report.tables import named_figures
from tuiprobe.report.text import code, escaped, figure, table
from tuiprobe.results import Estimate, Figure, Frozen, NotRun, given
from tuiprobe.results.report import Report


class IncomparableError(UsageError):
    """The two reports are about different kinds of representation."""


class Difference(Frozen):
    """One figure in both reports.

    Attributes:
        data: data set, in both reports.
        tap: layer, in both reports; for figures that rest on a head what they are about.
        name: dotted name of the figure.
        first: in the first report.
        second: in the second.
        difference: second less first; `NotRun` where one of them is missing.
        differs: whether the interval excludes zero; None without an interval.
        inner: whether this is a layer before the final representation.
    """

    data: str
    tap: str
    name: str
    first: Figure
    second: Figure
    difference: Figure
    differs: bool | None
    inner: bool = False


class Comparison(Frozen):
    """Two reports side by side.

    Attributes:
        titles: of the two reports.
        outcomes: of their verdicts.
        differences: figures that both have.
        channels: persistent channels of both final representations by data set: shared, only in
            the first, only in the second.
        notes: what makes the comparison weaker: other images, widths, preprocessing, untrained.
        unmatched: sets and taps that only one of them has.
        concepts: concepts that both encode, by family of directions; `NotRun` where images or
            protocol differ, None where neither report has a concept set.
        concept_set: name of the concept set.
    """

    titles: tuple[str, str]
    outcomes: tuple[str, str]
    differences: tuple[Difference, ...]
    channels: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
    notes: tuple[str, ...]
    unmatched: tuple[str, ...]
    concepts: tuple[ConceptOverlap, ...] | NotRun | None = None
    concept_set: str | None = None

    @property
    def same_outcome(self) -> bool:
        """Whether both reports come to the same verdict."""
        return self.outcomes[0] == self.outcomes[1]


def compare(first: Report, second: Report) -> Comparison:
    """Compare two reports figure by figure.

    Raises:
        IncomparableError: they are about different representation kinds.
    """
    kinds = first.model.representation, second.model.representation
    if kinds[0] != kinds[1]:
        raise IncomparableError(
            f"{first.model.name} gives {kinds[0]} representations and {second.model.name} "
            f"{kinds[1]} ones; figures compare only within one kind. For a CLIP's ViT, compare at "
            "the tap before its projection"
        )
    ours, theirs = _by_place(first), _by_place(second)
    both = [place for place in ours if place in theirs]
    differences = [
        one
        for place in both
        for one in _differences(place, ours[place], theirs[place], inner=not ours[place].final)
    ]
    differences += _head_differences(first, second)
    concepts = first.concepts or second.concepts
    return Comparison(
        titles=(first.title, second.title),
        outcomes=(first.verdict.outcome, second.verdict.outcome),
        differences=tuple(differences),
        channels=_channels(both, ours, theirs) if first.model.width == second.model.width else {},
        notes=tuple(_notes(first, second)),
        unmatched=tuple(f"{data}/{tap}" for data, tap in sorted(set(ours) ^ set(theirs))),
        concepts=None if concepts is None else concept_overlaps(first.concepts, second.concepts),
        concept_set=None if concepts is None else concepts.data,
    )


def difference(first: Figure, second: Figure) -> Figure:
    """Second less first, with Newcombe's square-and-add interval (Zou and Donner 2008).

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
    down = float(np.hypot(second.value - second.low, first.high - first.value))
    up = float(np.hypot(second.high - second.value, first.value - first.low))
    return Estimate(value=value, low=value - down, high=value + up, n=n, method="MOVER")


def _by_place(report: Report) -> dict[tuple[str, str], Outliers]:
    return {(one.data, one.tap): one for one in report.outliers}


def _differences(
    place: tuple[str, str], one: BaseModel, other: BaseModel, inner: bool = False
) -> Iterator[Difference]:
    theirs = dict(named_figures(other))
    for name, ours in named_figures(one):
        if name not in theirs:  # a part that was run in one of them only
            continue
        found = difference(ours, theirs[name])
        differs = None
        if given(found) and found.low is not None and found.high is not None:
            differs = found.low > 0 or found.high < 0
        yield Difference(
            data=place[0],
            tap=place[1],
            name=name,
            first=ours,
            second=theirs[name],
            difference=found,
            differs=differs,
            inner=inner,
        )


def _head_differences(first: Report, second: Report) -> Iterator[Difference]:
    """What rests on a head: accuracies, effective robustness, directions, concepts."""
    ours, theirs = _head_parts(first), _head_parts(second)
    for place, one in ours.items():
        if place in theirs:
            yield from _differences(place, one, theirs[place])


def _head_parts(report: Report) -> dict[tuple[str, str], BaseModel]:
    found: dict[tuple[str, str], BaseModel] = {}
    robustness, directions, concepts = report.robustness, report.directions, report.concepts
    if robustness is not None:
        found |= {(one.data, "accuracy"): one for one in robustness.accuracies}
        found[robustness.data, "robustness"] = robustness
        if not isinstance(robustness.effective, NotRun):
            for er in robustness.effective:
                place = f"{er.baseline}: {', '.join(er.target)}", f"robustness by {er.axis}"
                found[place] = er
    if directions is not None:
        for basis in directions.bases:
            found[directions.data, "centred W" if basis.centred else "W"] = basis
    if concepts is not None:
        found[concepts.data, "concepts"] = concepts
    return found


def _channels(
    both: list[tuple[str, str]],
    ours: dict[tuple[str, str], Outliers],
    theirs: dict[tuple[str, str], Outliers],
) -> dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    found = {}
    for place in both:
        one, other = ours[place].persistent, theirs[place].persistent
        if not ours[place].final or isinstance(one, NotRun) or isinstance(other, NotRun):
            continue
        a, b = _set_of(one), _set_of(other)
        found[place[0]] = tuple(sorted(a & b)), tuple(sorted(a - b)), tuple(sorted(b - a))
    return found


def _set_of(persistent: PersistentChannels) -> set[int]:
    return {one.channel for one in persistent.channels}


def _notes(first: Report, second: Report) -> Iterator[str]:
    widths = first.model.width, second.model.width
    if widths[0] != widths[1]:
        yield (
            f"widths differ, {widths[0]} and {widths[1]} channels: compare relative_kurtosis, "
            "not kurtosis"
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
    """The comparison as Markdown."""
    lines = [
        "# Comparison",
        "",
        f"- first: {escaped(found.titles[0])} (verdict: {found.outcomes[0]})",
        f"- second: {escaped(found.titles[1])} (verdict: {found.outcomes[1]})",
        *(f"- **note**: {escaped(note)}" for note in found.notes),
        *(f"- only in one of them: {code(place)}" for place in found.unmatched),
        "",
    ]
    for data, (shared, first, second) in found.channels.items():
        lines += [
            f"Persistent channels on {code(data)}: shared {_listed(shared)}; only in the first "
            f"{_listed(first)}; only in the second {_listed(second)}.",
            "",
        ]
    if found.concepts is not None:
        lines += overlap_sections(found.concept_set, found.concepts)
    marks = {True: "yes", False: "no", None: "-"}
    rows = [
        [
            code(one.data),
            code(one.tap),
            escaped(one.name),
            figure(one.first),
            figure(one.second),
            figure(one.difference),
            marks[one.differs],
        ]
        for one in found.differences
    ]
    header = ["data", "tap", "figure", "first", "second", "second - first", "differs"]
    return "\n".join([*lines, *table(header, rows)]).rstrip("\n") + "\n"


def _listed(channels: tuple[int, ...]) -> str:
    return ", ".join(str(channel) for channel in channels) or "none"
