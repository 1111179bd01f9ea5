"""A report over several runs: the ranked table, each headline figure, and the paper's indicator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tuiprobe.compare.differences import Run, compare_runs
from tuiprobe.compare.forest import RowLegend, forest_chart
from tuiprobe.compare.indicator import Correlations, correlate
from tuiprobe.compare.indicator_section import describe_indicator
from tuiprobe.compare.ranking import Ranking, names_of, rank
from tuiprobe.compare.ranking_section import describe_ranking
from tuiprobe.numbers import suffix
from tuiprobe.probes.content import points, prose, several
from tuiprobe.results import given
from tuiprobe.results.headlines import HEADLINES, Headline
from tuiprobe.results.section import Chart, Content, Section

SEVERAL: Final = 3
"""With this many runs or more, models are ranked and figures correlated."""

READ: Final = (
    "Intervals are 95 %, each of its own run. Whether a run differs from the first comes from "
    "the interval of their difference, paired where both measured the same images and corrected "
    "for looking at several figures (Holm); overlapping intervals do not answer it."
)


_LEGEND: Final[RowLegend] = {
    False: ("not told apart from the first", "second"),
    True: ("differs from the first", "main"),
    None: ("the first, or not compared", "control"),
}


def describe_several(runs: Sequence[Run], ranking: Ranking | None = None) -> tuple[Section, ...]:
    """Describes two or more runs: the models, the headline figures of all, and their indicator.

    Args:
        runs: The runs.
        ranking: Which model to take; None to compute it.
    """
    first = names_of([run.report for run in runs])[0]
    sentence = f"{len(runs)} runs; the first, which the others are compared with, is {first}."
    headlines = Section(
        title="Headline figures",
        headline=(sentence,),
        content=(prose(READ), *forests(runs), *_notes(runs)),
    )
    models = describe_ranking(ranking or rank(runs))
    if len(runs) < SEVERAL:
        return models, headlines
    return models, headlines, describe_indicator(correlations(runs))


def correlations(runs: Sequence[Run]) -> Correlations:
    """Correlates outlier figures with effective robustness over the runs."""
    reports = [run.report for run in runs]
    return correlate(zip(names_of(reports), reports, strict=True))


def forests(runs: Sequence[Run]) -> tuple[Chart, ...]:
    """Returns a plot of every headline figure that a run has, in the order of ranks."""
    names = names_of([run.report for run in runs])
    differs: list[dict[int | None, bool | None]] = [{}]
    for run in runs[1:]:
        rows = compare_runs(runs[0], run).headlines()
        differs.append({row.headline: row.differs for row in rows})
    charts = (_forest(headline, runs, names, differs) for headline in HEADLINES)
    return tuple(chart for chart in charts if chart is not None)


def _forest(
    headline: Headline,
    runs: Sequence[Run],
    names: Sequence[str],
    differs: Sequence[Mapping[int | None, bool | None]],
) -> Chart | None:
    figures = [run.report.headline(headline.id) for run in runs]
    leading = next((named for named in figures if named is not None and given(named.figure)), None)
    if leading is None:
        return None
    kind = runs[0].report.model.representation
    rows, left_out, unit = [], [], "none"
    for run, name, named, run_differs in zip(runs, names, figures, differs, strict=True):
        if named is None or not given(named.figure):
            continue
        other_kind = run.report.model.representation != kind
        if named.data != leading.data or (headline.within_kind and other_kind):
            left_out.append(name)
            continue
        rows.append((name, named.figure, run_differs.get(headline.rank)))
        unit = named.figure.unit
    if not rows:
        return None
    return forest_chart(
        f"forest_{headline.id.replace('.', '_')}",
        f"{headline.name}, {leading.data}",
        f"{headline.name}{suffix(unit) and ','}{suffix(unit)}",
        rows,
        _LEGEND,
        unit,
        f"Not comparable, left out: {', '.join(left_out)}." if left_out else "",
    )


def _notes(runs: Sequence[Run]) -> Iterator[Content]:
    reports = [run.report for run in runs]
    kinds = {report.model.representation for report in reports}
    lines = []
    if len(kinds) > 1:
        lines.append(
            f"The runs are of {len(kinds)} kinds of representation ({', '.join(sorted(kinds))}): "
            "heights, offset share and kurtosis compare only within one kind; answers compare."
        )
    warned = Counter(warning for report in reports for warning in report.warnings)
    lines += [f"Warning of {several(n, 'run')}: {warning}" for warning, n in warned.items()]
    lines += [report.title for report in reports if report.partial]
    if lines:
        yield points(lines)
