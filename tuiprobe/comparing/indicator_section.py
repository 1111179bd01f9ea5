"""Describes the paper's indicator over several runs: outlier figures against robustness."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tuiprobe.comparing.indicator import FEWEST, CorrelatedRun, Correlations, Indicator
from tuiprobe.plaintext import count_of, listed
from tuiprobe.probes.content import bullets, prose, table
from tuiprobe.results import Estimate, is_known
from tuiprobe.results.section import Chart, Section, SectionContent, Series, SeriesRole, Value

READ: Final = (
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
            yield prose(READ)
            yield _correlations("signatures", result.signatures, "signature")
            yield _correlations("predictors", result.predictors, "what one has anyway")
        else:
            yield prose(f"No correlation is computed: it needs {FEWEST} encoders.")
    left_out = defaultdict(list)
    for run in result.left_out:
        left_out[run.reason].append(run.run)
    if left_out:
        yield bullets(
            f"left out, {reason}: {listed(names, OPEN)}" for reason, names in left_out.items()
        )


def _outcomes(runs: Iterable[CorrelatedRun]) -> str:
    by_outcome = defaultdict(list)
    for run in runs:
        by_outcome[run.outcome or "unknown"].append(f"{run.run} ({run.training})")
    each = "; ".join(f"{outcome} in {listed(names, OPEN)}" for outcome, names in by_outcome.items())
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
