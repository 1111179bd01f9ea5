"""Which run is ahead by labels of a target, for comparisons and the table of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tuiprobe.errors import TuiprobeError
from tuiprobe.label.report_part import labels_state
from tuiprobe.results import Estimate, Figure, NotRun, Report, given
from tuiprobe.results.headlines import LABELLED_ID
from tuiprobe.run.directory import RunDir

if TYPE_CHECKING:
    from tuiprobe.label.session import Labelling
    from tuiprobe.label.status import LabelStatus

BOUNDS: Final = "bets on the labels: bounds that hold at any time, of all pairs together, with 95 %"
NO_BOUNDS: Final = NotRun(reason="labels say which of two runs is ahead where both are at hand")


@dataclass(frozen=True, eq=False)
class LabelEvidence:
    """What the labels of a target say of some runs: the same as `tuiprobe label` with these runs.

    Attributes:
        labelling: Their labelling.
        status: What it decides.
        places: Place of each run among the candidates.
    """

    labelling: Labelling
    status: LabelStatus
    places: tuple[int, ...]

    def difference(self, a: int, b: int) -> tuple[Figure, bool | None]:
        """Returns one run minus another on all pictures, and whether one is known to be ahead.

        Args:
            a: The first run.
            b: The second run.
        """
        a, b = self.places[a], self.places[b]
        value, low, high = self.labelling.difference(a, b)
        if low > high:
            return NotRun(reason="labels contradict each other"), None
        best = self.status.winner if self.status.verdict == "best" else None
        difference = Estimate(
            value=value,
            low=low,
            high=high,
            unit="points",
            n=self.status.labelled,
            method=BOUNDS,
        )
        return difference, best in (a, b) or low > 0 or high < 0


def label_evidence(
    reports: Sequence[Report], directories: Sequence[RunDir | None]
) -> LabelEvidence | NotRun | None:
    """Returns what labels say of runs, or why they do not say it; None without labels.

    The labels are those of one target set that all runs have by one name, beside the first run: the
    first set by whose labels each run has an accuracy, or else the first.

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
    states = tuple(labels_state(run) for run in runs)
    try:
        paths = tuple(run.path for run in runs)
        return _evidence(paths, (*measured, *common)[0], states) if states[0] else None
    except TuiprobeError as error:
        return NotRun(reason=str(error))


@lru_cache(maxsize=64)
def _evidence(
    runs: tuple[Path, ...], target: str, states: tuple[tuple[object, ...], ...]
) -> LabelEvidence | None:
    """Returns what labels say of run directories; `states` changes where the result may."""
    from tuiprobe.label.session import open_labelling  # scipy, which runs without labels spare
    from tuiprobe.label.status import label_status

    labelling = open_labelling(runs, target)
    if not labelling.survey.labels:
        return None
    paths = [candidate.directory.path for candidate in labelling.matched.candidates]
    return LabelEvidence(labelling, label_status(labelling), tuple(map(paths.index, runs)))
