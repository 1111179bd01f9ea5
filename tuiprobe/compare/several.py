"""What a report over several runs holds after the decision: the headline figures, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tuiprobe.compare.forest import forests
from tuiprobe.compare.indicator import Correlations, correlate
from tuiprobe.compare.runs import Run
from tuiprobe.probes.content import prose
from tuiprobe.results.section import Content, Section

READ: Final = (
    "Intervals are 95 %, each of its own run. They may overlap where one run is ahead: the "
    "decision rests on the differences, paired where runs measured the same images."
)


def describe_headlines(runs: Sequence[Run]) -> Section:
    """Describes the headline figures of all runs as plots; a row is a run."""
    reports = [run.report for run in runs]
    kinds = sorted({report.model.representation for report in reports})
    notes: list[Content] = []
    if len(kinds) > 1:
        notes.append(
            prose(
                f"The runs are of {len(kinds)} kinds of representation ({', '.join(kinds)}): "
                "heights, offset share and kurtosis compare only within one kind; answers compare."
            )
        )
    content = (prose(READ), *forests(reports), *notes)
    return Section(title="Headline figures", headline=(f"{len(runs)} runs.",), content=content)


def correlations(runs: Sequence[Run]) -> Correlations:
    """Correlates outlier figures with effective robustness over the runs."""
    return correlate((run.report.model.name, run.report) for run in runs)
