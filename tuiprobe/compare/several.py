"""A report over several runs: the ranked table, each headline figure, and the paper's indicator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from tuiprobe.compare.differences import Comparison, Run, compare_runs
from tuiprobe.compare.indicator import Correlations, correlate
from tuiprobe.compare.indicator_section import describe_indicator
from tuiprobe.compare.ranking import describe_ranking, rank
from tuiprobe.probes.telling import points, prose, several
from tuiprobe.results import Frozen, Report, given
from tuiprobe.results.base import Real
from tuiprobe.results.headlines import HEADLINES, HEIGHT, KURTOSIS, OFFSET, Headline
from tuiprobe.results.section import Chart, Content, Drawn, NamedFigure, Section, Series, Text

WITHIN_KIND: Final = (HEIGHT, OFFSET, KURTOSIS)
"""Ranks of the figures that compare only within one kind of representation."""

SEVERAL: Final = 3
"""Runs from which on a comparison is one of several: models are ranked, figures correlated."""

NAMED: Final = 4
"""Runs that the title names."""

READ: Final = (
    "Intervals are 95 %, each of its own run. Whether a run differs from the first comes from "
    "the interval of their difference, paired where both measured the same images and corrected "
    "for the eight figures (Holm); overlapping intervals do not answer it."
)


_GROUPS: Final[dict[bool | None, tuple[str, Drawn]]] = {
    False: ("not told apart from the first", "second"),
    True: ("differs from the first", "main"),
    None: ("the first, or not compared", "control"),
}


class ForestPoint(Frozen):
    """A headline figure of one run.

    Attributes:
        name: Name of the run's model, with the start of its key where several have that name.
        value: The figure.
        low: Lower end of its 95 % interval; None without.
        high: Upper end.
        differs: Whether it differs from the first run's; None for the first run and where they do
            not compare.
    """

    name: str
    value: Real
    low: Real | None
    high: Real | None
    differs: bool | None


class Forest(Frozen):
    """A headline figure of several runs.

    Attributes:
        id: Id of the figure.
        name: What people call it.
        unit: What it counts.
        data: The set that it is of.
        points: The runs that have it, in their order.
        left_out: Names of runs whose figure does not compare with the others'.
    """

    id: str
    name: str
    unit: str
    data: str
    points: tuple[ForestPoint, ...]
    left_out: tuple[str, ...] = ()


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
        content=(prose(READ), *(_chart(one) for one in forests(runs)), *_notes(runs)),
    )
    return ranking, headlines, *rest


def describe_models(runs: Sequence[Run]) -> tuple[Section, ...]:
    """Describes the ranked table and, of three or more runs, outlier figures against robustness."""
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


def forests(runs: Sequence[Run]) -> tuple[Forest, ...]:
    """Returns every headline figure that at least one of the runs has, in the order of ranks."""
    names = names_of([run.report for run in runs])
    pairs = [None, *(compare_runs(runs[0], run, strict=False) for run in runs[1:])]
    found = (_forest(headline, runs, names, pairs) for headline in HEADLINES)
    return tuple(one for one in found if one is not None)


def _forest(
    headline: Headline,
    runs: Sequence[Run],
    names: Sequence[str],
    pairs: Sequence[Comparison | None],
) -> Forest | None:
    figures = [_headline(run.report, headline) for run in runs]
    leading = next((one for one in figures if one is not None), None)
    if leading is None:
        return None
    kind = runs[0].report.model.representation
    drawn, left_out = [], []
    for run, name, one, pair in zip(runs, names, figures, pairs, strict=True):
        if one is None or not given(one.figure):
            continue
        other_kind = run.report.model.representation != kind
        if one.data != leading.data or (headline.rank in WITHIN_KIND and other_kind):
            left_out.append(name)
            continue
        told = one.figure
        drawn.append(
            ForestPoint(
                name=name,
                value=told.value,
                low=told.low,
                high=told.high,
                differs=_differs(pair, headline),
            )
        )
    if not drawn:
        return None
    return Forest(
        id=headline.id,
        name=headline.name,
        unit=headline.unit,
        data=leading.data,
        points=tuple(drawn),
        left_out=tuple(left_out),
    )


def _headline(report: Report, headline: Headline) -> NamedFigure | None:
    figures = (one for part in report.parts for one in part.figures)
    return next(
        (
            one
            for one in figures
            if one.id == headline.id and one.headline and not one.inner and given(one.figure)
        ),
        None,
    )


def _differs(pair: Comparison | None, headline: Headline) -> bool | None:
    found = pair.headlines() if pair is not None else ()
    return next((one.differs for one in found if one.headline == headline.rank), None)


def _chart(one: Forest) -> Chart:
    drawn = []
    for wanted, (name, role) in _GROUPS.items():
        rows = [(i, p) for i, p in enumerate(one.points) if p.differs is wanted]
        if rows:
            drawn.append(
                Series(
                    name=name,
                    x=tuple(float(i) for i, _ in rows),
                    y=tuple(p.value for _, p in rows),
                    low=tuple(p.value if p.low is None else p.low for _, p in rows),
                    high=tuple(p.value if p.high is None else p.high for _, p in rows),
                    mark="points",
                    role=role,
                )
            )
    left = f"Not comparable, left out: {', '.join(one.left_out)}." if one.left_out else ""
    return Chart(
        id=f"forest_{one.id.replace('.', '_')}",
        title=f"{one.name}, {one.data}",
        x_label="",
        y_label=f"{one.name}, {one.unit}" if one.unit in ("sigma", "dB") else one.name,
        series=tuple(drawn),
        ticks=tuple(p.name for p in one.points),
        note=left,
        across=True,
    )


def _sentence(runs: Sequence[Run]) -> Text:
    names = names_of([run.report for run in runs])
    return (f"{len(runs)} runs; the first, which the others are compared with, is {names[0]}.",)


def _notes(runs: Sequence[Run]) -> Iterator[Content]:
    kinds = {run.report.model.representation for run in runs}
    lines = []
    if len(kinds) > 1:
        lines.append(
            f"The runs are of {len(kinds)} kinds of representation ({', '.join(sorted(kinds))}): "
            "heights, offset share and kurtosis compare only within one kind, and runs of another "
            "kind than the first are not told apart from it."
        )
    warned = Counter(warning for run in runs for warning in run.report.warnings)
    for warning, count in warned.items():
        lines.append(f"Warning of {several(count, 'run')}: {warning}")
    lines += [run.report.title for run in runs if run.report.partial]
    if lines:
        yield points(lines)
