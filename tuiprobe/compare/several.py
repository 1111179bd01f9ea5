"""A report over several runs: the ranked table, each headline figure, and the paper's indicator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from tuiprobe.compare.differences import Comparison, Run, compare_runs
from tuiprobe.compare.forest import Groups, Interval, forest_chart
from tuiprobe.compare.indicator import Correlations, correlate
from tuiprobe.compare.indicator_section import describe_indicator
from tuiprobe.compare.ranking import rank
from tuiprobe.compare.ranking_section import describe_ranking
from tuiprobe.numbers import suffix
from tuiprobe.probes.content import points, prose, several
from tuiprobe.results import Report, given
from tuiprobe.results.headlines import HEADLINES, Headline
from tuiprobe.results.section import Chart, Content, Section, Text

SEVERAL: Final = 3
"""Runs from which on a comparison is one of several: models are ranked, figures correlated."""

NAMED: Final = 4
"""Runs that the title names."""

READ: Final = (
    "Intervals are 95 %, each of its own run. Whether a run differs from the first comes from "
    "the interval of their difference, paired where both measured the same images and corrected "
    "for looking at several figures (Holm); overlapping intervals do not answer it."
)


_GROUPS: Final[Groups] = {
    False: ("not told apart from the first", "second"),
    True: ("differs from the first", "main"),
    None: ("the first, or not compared", "control"),
}


def title_of(runs: Sequence[Run]) -> str:
    """Returns the title of a report over several runs."""
    names = names_of([run.report for run in runs])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)} runs: {', '.join(names[:NAMED])}{more}"


def describe_several(runs: Sequence[Run]) -> tuple[Section, ...]:
    """Describes two or more runs: the models, then the headline figures of all."""
    ranking, *rest = describe_models(runs)
    headlines = Section(
        title="Headline figures",
        headline=_sentence(runs),
        content=(prose(READ), *forests(runs), *_notes(runs)),
    )
    return ranking, headlines, *rest


def describe_models(runs: Sequence[Run]) -> tuple[Section, ...]:
    """Describes which model to take and, of three or more runs, outlier figures and robustness."""
    ranking = describe_ranking(rank(runs))
    if len(runs) < SEVERAL:
        return (ranking,)
    return ranking, describe_indicator(correlations(runs))


def correlations(runs: Sequence[Run]) -> Correlations:
    """Correlates outlier figures with effective robustness over the runs."""
    reports = [run.report for run in runs]
    return correlate(zip(names_of(reports), reports, strict=True))


def names_of(reports: Sequence[Report]) -> tuple[str, ...]:
    """Returns what each run is called: its model, and where several have it, its key too."""
    counts = Counter(one.model.name for one in reports)
    return tuple(
        one.model.name if counts[one.model.name] == 1 else f"{one.model.name} ({one.key[:8]})"
        for one in reports
    )


def forests(runs: Sequence[Run]) -> tuple[Chart, ...]:
    """Returns a plot of every headline figure that a run has, in the order of ranks."""
    names = names_of([run.report for run in runs])
    pairs = [None, *(compare_runs(runs[0], run) for run in runs[1:])]
    found = (_forest(headline, runs, names, pairs) for headline in HEADLINES)
    return tuple(one for one in found if one is not None)


def _forest(
    headline: Headline,
    runs: Sequence[Run],
    names: Sequence[str],
    pairs: Sequence[Comparison | None],
) -> Chart | None:
    figures = [run.report.headline(headline.id) for run in runs]
    leading = next((one for one in figures if one is not None and given(one.figure)), None)
    if leading is None:
        return None
    kind = runs[0].report.model.representation
    rows, left_out, unit = [], [], "none"
    for run, name, one, pair in zip(runs, names, figures, pairs, strict=True):
        if one is None or not given(one.figure):
            continue
        other_kind = run.report.model.representation != kind
        if one.data != leading.data or (headline.within_kind and other_kind):
            left_out.append(name)
            continue
        rows.append(Interval.of(name, one.figure, _differs(pair, headline)))
        unit = one.figure.unit
    if not rows:
        return None
    return forest_chart(
        f"forest_{headline.id.replace('.', '_')}",
        f"{headline.name}, {leading.data}",
        f"{headline.name}{suffix(unit) and ','}{suffix(unit)}",
        rows,
        _GROUPS,
        unit,
        f"Not comparable, left out: {', '.join(left_out)}." if left_out else "",
    )


def _differs(pair: Comparison | None, headline: Headline) -> bool | None:
    found = pair.headlines() if pair is not None else ()
    return next((one.differs for one in found if one.headline == headline.rank), None)


def _sentence(runs: Sequence[Run]) -> Text:
    names = names_of([run.report for run in runs])
    return (f"{len(runs)} runs; the first, which the others are compared with, is {names[0]}.",)


def _notes(runs: Sequence[Run]) -> Iterator[Content]:
    kinds = {run.report.model.representation for run in runs}
    lines = []
    if len(kinds) > 1:
        lines.append(
            f"The runs are of {len(kinds)} kinds of representation ({', '.join(sorted(kinds))}): "
            "heights, offset share and kurtosis compare only within one kind; answers compare."
        )
    warned = Counter(warning for run in runs for warning in run.report.warnings)
    for warning, count in warned.items():
        lines.append(f"Warning of {several(count, 'run')}: {warning}")
    lines += [run.report.title for run in runs if run.report.partial]
    if lines:
        yield points(lines)
