"""The descriptions of a comparison and of the indicator, which formats and the screen render."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tuiprobe.choose.comparing.decision import Decision
from tuiprobe.choose.comparing.differences import ESTIMATES, Comparison, Difference, Overlap
from tuiprobe.choose.comparing.indicator import (
    FEWEST,
    SEVERAL,
    CorrelatedRun,
    Correlations,
    Indicator,
    correlate,
)
from tuiprobe.choose.comparing.runs import Run
from tuiprobe.numbers import MISSING
from tuiprobe.plaintext import count_of, joined
from tuiprobe.probes.content import bullets, heading, prose, table
from tuiprobe.results import Estimate, Figure, is_known
from tuiprobe.results.figures import BY_RANK, LABELLED
from tuiprobe.results.section import (
    Chart,
    Code,
    Section,
    SectionContent,
    Series,
    SeriesRole,
    Strong,
    Text,
    Value,
)

MOST_NAMES: Final = 24
"""Members of a set that a line names; of more places that one run lacks it names the sets."""

READ: Final = (
    "Each interval has 95 %. Paired: both runs measured the same images (bootstrap with 2,000 "
    "draws). Separate: Newcombe's interval from the intervals of the two runs, which is too "
    "wide for runs on the same images. Estimates without labels have no difference. The bounds "
    "of accuracy by labels hold at any time."
)


def describe(
    comparison: Comparison, everything: bool = False, known: Sequence[str] = ()
) -> Section:
    """Describes a comparison: the headline figures first.

    Args:
        comparison: The comparison.
        everything: Whether all other figures follow.
        known: Notes that readers know already.
    """
    first, second = comparison.models
    content = (
        _about(comparison, known),
        *_headlines(comparison),
        *_others(comparison, everything),
        *_common(comparison),
    )
    return Section(title=f"{second} and {first}", content=content)


def describe_details(
    runs: Sequence[Run], decision: Decision, comparisons: Sequence[Comparison], everything: bool
) -> list[Section]:
    """Describes the pairs behind a decision, then figures against robustness.

    Args:
        runs: The runs.
        decision: Which of them to take.
        comparisons: The first model of the decision with others.
        everything: Whether all other figures of each pair are listed.
    """
    known = (*decision.notes, *(doubt.words for doubt in decision.doubts))
    sections = [describe(comparison, everything, known) for comparison in comparisons]
    reports = [runs[index].report for index in sorted(row.place for row in decision.models)]
    if len(reports) >= SEVERAL and (correlations := correlate(reports)).runs:
        sections.append(describe_indicator(correlations))
    return sections


def kind(row: Difference) -> str:
    """Returns the kind of a difference's interval in a word."""
    if not is_known(row.difference) or row.difference.low is None:
        return MISSING
    if row.id == LABELLED.id:
        return "by labels"
    return "paired" if row.paired else "separate"


def headline_name(row: Difference) -> str:
    """Returns the name of a headline figure, with the set where reports have it for several."""
    of_a_set = row.headline in BY_RANK and BY_RANK[row.headline or 0].of_a_set
    return f"{row.name} on {row.data}" if of_a_set else row.name


def _about(comparison: Comparison, known: Sequence[str]) -> SectionContent:
    first, second = comparison.models
    lines: list[Value | tuple[Value, ...]] = [
        f"{fact.name}: {fact.second or MISSING} of {second}, {fact.first or MISSING} of {first}"
        for fact in comparison.facts
    ]
    texts = [("doubt", doubt.words) for doubt in comparison.doubts]
    texts += [("note", note) for note in comparison.notes]
    lines += [(Strong(strong=kind), f": {text}") for kind, text in texts if text not in known]
    if comparison.unmatched:
        names = comparison.unmatched
        if len(names) > MOST_NAMES:
            names = tuple(dict.fromkeys(name.partition("/")[0] for name in names))
        lines.append(f"only in one run, figures of {', '.join(names)}")
    return bullets(lines)


def _columns(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    """Returns the columns of both figures, which stand as they are subtracted."""
    first, second = comparison.models
    difference = ("difference", f"{second} minus {first}")
    return ("second", second), ("first", first), difference, ("interval", "interval")


def _headlines(comparison: Comparison) -> Iterator[SectionContent]:
    rows = [row for row in comparison.headlines() if row.headline in BY_RANK]
    if not rows:
        return
    rows.sort(key=lambda row: row.difference == ESTIMATES)
    cells: list[list[Value]] = [
        [headline_name(row), *map(_text, (row.second, row.first)), *_difference(row)]
        for row in rows
    ]
    columns = [("figure", "figure"), *_columns(comparison)]
    yield table("headlines", columns, cells, shown=len(cells), file=False)
    yield prose(READ)


def _text(figure: Figure) -> str | None:
    """Returns a figure rounded by its range alone: others of its column have other units."""
    return figure.with_interval() if is_known(figure) else None


def _others(comparison: Comparison, everything: bool) -> Iterator[SectionContent]:
    rows = [row for row in comparison.differences if row.headline is None]
    if rows and not everything:
        yield prose(f"{len(rows)} more figures: --all shows them.")
    elif rows:
        yield heading("All other figures")
        columns = [("id", "id"), ("data", "data"), ("place", "of"), *_columns(comparison)]
        cells: list[list[Value]] = [
            [*(Code(code=text) for text in (row.id, row.data, row.place)),
             row.second, row.first, *_difference(row)]
            for row in rows
        ]  # fmt: skip
        yield table("others", columns, cells, shown=len(rows), file=False)


def _difference(row: Difference) -> list[Value]:
    """Returns the difference with its interval, and how that was obtained."""
    change = row.difference
    return [change.with_interval(signed=True) if is_known(change) else None, kind(row)]


def _common(comparison: Comparison) -> Iterator[SectionContent]:
    overlaps = [
        overlap
        for overlap in comparison.overlaps
        if overlap.shared or overlap.differ or overlap.not_comparable
    ]
    if overlaps:
        yield heading("In common")
        yield bullets(overlap_line(overlap, *comparison.models) for overlap in overlaps)


def overlap_line(overlap: Overlap, first: str, second: str) -> Text:
    """Describes what two runs have in common, and how much would be by chance.

    Args:
        overlap: What they have in common.
        first: What the first run is called.
        second: What the second run is called.
    """
    text: list[Value] = [overlap.name, " on ", Code(code=overlap.data)]
    text += [f", {overlap.place}"] if overlap.place else []
    if overlap.not_comparable:
        return (*text, f": {overlap.not_comparable.why}")
    only = ((second, overlap.second_only), (first, overlap.first_only))
    text += [f": shared {joined(overlap.shared, MOST_NAMES) or 'none'}"]
    text += [f"; only in {name} {joined(members, MOST_NAMES) or 'none'}" for name, members in only]
    if overlap.by_chance is not None:
        text += [f"; {len(overlap.shared)} shared, by chance ", overlap.by_chance]
        text += ["; Jaccard ", overlap.jaccard]
    return tuple(text)


READ_INDICATOR: Final = (
    "Spearman's correlation of ranks within strata of representation kind and backbone; p by "
    "permutation within strata. Pooled figures mislead, so the table also has those of a "
    "trivial predictor: zero-shot or not."
)

OPEN: Final = 12
"""Encoders that a list names, and up to which their table is not folded."""

_ROLES: Final[dict[str, SeriesRole]] = {
    "zero-shot": "main", "finetuned": "second", "captions": "third", "supervised": "control",
    "unknown": "context",
}  # fmt: skip
_FIGURES: Final = (
    ("height", "highest channel", "highest channel, sigma"),
    ("kurtosis", "kurtosis", "kurtosis"),
)
"""Id, name, and name with the unit of each outlier figure."""


def describe_indicator(result: Correlations) -> Section:
    """Describes the correlations: charts, the encoders, the correlations, and what is left out."""
    headline = (
        f"{count_of(len(result.runs), 'encoder')}, effective robustness by {result.baseline} "
        f"on {', '.join(result.target)} (x: {result.axis})."
    )
    return Section(
        title="Outlier figures against robustness",
        headline=(headline,),
        content=tuple(_content(result)),
    )


def _content(result: Correlations) -> Iterator[SectionContent]:
    if result.runs:
        yield prose(_outcomes(result.runs))
        yield from _charts(result)
        yield _encoders(result.runs)
        strata = Counter((run.representation, run.backbone) for run in result.runs)
        sizes = "; ".join(f"{kind}, {name}: {n}" for (kind, name), n in sorted(strata.items()))
        yield prose(f"Encoders in each stratum: {sizes}.")
        indicators = (*result.signatures, *result.predictors)
        if any(
            is_known(indicator.within) or is_known(indicator.pooled) for indicator in indicators
        ):
            yield prose(READ_INDICATOR)
            yield _correlations("signatures", result.signatures, "signature")
            yield _correlations("predictors", result.predictors, "what one has anyway")
        else:
            yield prose(f"No correlation is computed: it needs {FEWEST} encoders.")
    left_out = defaultdict(list)
    for run in result.left_out:
        left_out[run.reason].append(run.run)
    if left_out:
        yield bullets(
            f"left out, {reason}: {joined(names, OPEN)}" for reason, names in left_out.items()
        )


def _outcomes(runs: Iterable[CorrelatedRun]) -> str:
    by_outcome = defaultdict(list)
    for run in runs:
        by_outcome[run.outcome or "unknown"].append(f"{run.run} ({run.training})")
    each = "; ".join(f"{outcome} in {joined(names, OPEN)}" for outcome, names in by_outcome.items())
    return (
        f"Outcome: {each}. In the paper only robust zero-shot CLIPs had outlier channels; that "
        "is evidence, not proof."
    )


def _charts(result: Correlations) -> Iterator[Chart]:
    """Yields a chart for each figure and kind of representation, within which figures compare."""
    for index, kind in enumerate(sorted({run.representation for run in result.runs})):
        for id, name, label in _FIGURES:
            drawn = [
                (run, figure)
                for run in result.runs
                if run.representation == kind and is_known(figure := getattr(run, id))
            ]
            if len(drawn) > 1:
                yield Chart(
                    id=f"robustness_{id}_{index}",
                    title=f"Effective robustness by {name}, {kind}",
                    x_label=label,
                    y_label=f"effective robustness by {result.baseline}, points",
                    y_unit="points",
                    series=tuple(_series(drawn)),
                )


def _series(drawn: Sequence[tuple[CorrelatedRun, Estimate]]) -> Iterator[Series]:
    for training, role in _ROLES.items():
        chosen = [(run, figure) for run, figure in drawn if run.training == training]
        if chosen:
            y = [run.robustness for run, _ in chosen]
            yield Series(
                name=training,
                x=tuple(figure.value for _, figure in chosen),
                y=tuple(figure.value for figure in y),
                low=tuple(figure.value if figure.low is None else figure.low for figure in y),
                high=tuple(figure.value if figure.high is None else figure.high for figure in y),
                mark="points",
                role=role,
                names=tuple(run.run for run, _ in chosen),
            )


def _encoders(runs: Sequence[CorrelatedRun]) -> SectionContent:
    columns = (
        ("run", "encoder"), ("representation", "representation"), ("backbone", "backbone"),
        ("training", "training"), *((id, label) for id, _, label in _FIGURES),
        ("robustness", "effective robustness"),
    )  # fmt: skip
    rows: list[list[Value]] = [
        [run.run, run.representation, run.backbone, run.training,
         *(figure if is_known(figure) else None for figure in (run.height, run.kurtosis)),
         run.robustness]
        for run in runs
    ]  # fmt: skip
    many = len(rows) > OPEN
    return table("encoders", columns, rows, shown=len(rows), folded=many, file=False)


def _correlations(id: str, indicators: Sequence[Indicator], title: str) -> SectionContent:
    columns = (
        ("name", title), ("within", "within strata"), ("p", "p"), ("pooled", "pooled"),
        ("trivial", "pooled, zero-shot or not"),
    )  # fmt: skip
    rows: list[list[Value]] = [
        [indicator.signature, indicator.within,
         indicator.p_value, indicator.pooled,
         indicator.pooled_trivial]
        for indicator in indicators
    ]  # fmt: skip
    return table(id, columns, rows, shown=len(rows), file=False)
