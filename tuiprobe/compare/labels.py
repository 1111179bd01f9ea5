"""Which run is ahead by labels of a target, for comparisons and the table of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tuiprobe.errors import TuiprobeError
from tuiprobe.label.ranking import LabelledRanking, labelled_ranking
from tuiprobe.results import Estimate, Figure, NotRun, Report, given
from tuiprobe.results.headlines import LABELLED_ID
from tuiprobe.run.directory import RunDir

BOUNDS: Final = "bets on the labels: bounds that hold at any time, of all pairs together, with 95 %"
DECIDED: Final = "bets on the labels: decided before the bounds left 0, where they stand still"
NO_BOUNDS: Final = NotRun(reason="labels say which of two runs is ahead where both are at hand")


def by_labels(
    reports: Sequence[Report], directories: Sequence[RunDir | None]
) -> LabelledRanking | NotRun | None:
    """Returns which run is ahead by labels, or why labels do not say; None without labels.

    The labels are those of one target set that all runs have by one name: the first by whose
    labels each has an accuracy, or else the first.

    Args:
        reports: Reports of two or more runs.
        directories: Their directories; None where one is not known.
    """
    runs = [directory for directory in directories if directory is not None]
    targets = [[data.name for data in report.data if data.target] for report in reports]
    common = [name for name in targets[0] if all(name in names for names in targets)]
    if not common or len(runs) < len(reports):
        return None
    measured = [
        name
        for name in common
        if all(given(report.figure(LABELLED_ID, name)) for report in reports)
    ]
    try:
        return labelled_ranking(runs, (*measured, *common)[0])
    except TuiprobeError as error:
        return NotRun(reason=str(error))


def labelled_difference(
    labels: LabelledRanking | NotRun | None, data: str, a: int, b: int
) -> tuple[Figure, bool | None]:
    """Returns one run minus another on all pictures, and whether one is known to be ahead.

    Where that was decided before the bounds left 0, the difference is without bounds: they stand
    still then, and would be misread.

    Args:
        labels: From `by_labels`.
        data: The set.
        a: Place of the first run.
        b: Place of the second run.
    """
    if not isinstance(labels, LabelledRanking) or labels.target != data:
        return (labels if isinstance(labels, NotRun) else NO_BOUNDS), None
    pair = labels.pairs[a, b]
    if pair.low > pair.high:
        return NotRun(reason="labels contradict each other"), None
    difference = Estimate(
        value=pair.value,
        low=None if pair.still else pair.low,
        high=None if pair.still else pair.high,
        unit="points",
        n=labels.labels,
        method=DECIDED if pair.still else BOUNDS,
    )
    return difference, pair.ahead
