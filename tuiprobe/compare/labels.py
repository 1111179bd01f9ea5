"""What the labels of a target say of several runs: the same as `tuiprobe label` with these runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tuiprobe.compare.runs import Run
from tuiprobe.errors import TuiprobeError
from tuiprobe.label.report_part import labels_state
from tuiprobe.results import Estimate, Figure, NotRun

if TYPE_CHECKING:
    from tuiprobe.label.session import Labelling
    from tuiprobe.label.status import LabelStatus

BOUNDS: Final = "bets on the labels: bounds that hold at any time, of all pairs together, with 95 %"


@dataclass(frozen=True, eq=False)
class LabelEvidence:
    """What the labels of a target say of some runs.

    Attributes:
        labelling: Their labelling.
        status: What it decides.
        places: Place of each run among the candidates.
    """

    labelling: Labelling
    status: LabelStatus
    places: tuple[int, ...]

    def difference(self, a: int, b: int) -> Figure:
        """Returns one run minus another on all pictures, with its bounds.

        Args:
            a: The first run.
            b: The second run.
        """
        value, low, high = self.labelling.difference(self.places[a], self.places[b])
        if low > high:
            return NotRun(reason="labels contradict each other")
        n = self.status.labelled
        return Estimate(value=value, low=low, high=high, unit="points", n=n, method=BOUNDS)


def label_evidence(runs: Sequence[Run], target: str | None = None) -> LabelEvidence | NotRun | None:
    """Returns what labels say of two or more runs, or why they do not say it; None without labels.

    Args:
        runs: The runs; the labels are those beside the first one.
        target: Name of the target set; None for the first of all runs that has labels.
    """
    directories = [run.directory for run in runs if run.directory is not None]
    targets = [[data.name for data in run.report.data if data.target] for run in runs]
    common = [name for name in targets[0] if all(name in names for names in targets)]
    if len(directories) < len(runs):
        return None
    states = tuple(labels_state(directory) for directory in directories)
    paths = tuple(directory.path for directory in directories)
    try:
        for name in common if states[0] else ():
            if target in (None, name) and (evidence := _evidence(paths, name, states)) is not None:
                return evidence
    except TuiprobeError as error:
        return NotRun(reason=str(error))
    return None


@lru_cache(maxsize=64)
def _evidence(
    paths: tuple[Path, ...], target: str, states: tuple[tuple[object, ...], ...]
) -> LabelEvidence | None:
    """Returns what labels say of run directories; `states` changes where the result may."""
    from tuiprobe.label.session import open_labelling  # scipy, which runs without labels spare
    from tuiprobe.label.status import label_status

    labelling = open_labelling(paths, target)
    status = label_status(labelling)
    if not status.labelled:
        return None
    candidates = [candidate.directory.path for candidate in labelling.matched.candidates]
    return LabelEvidence(labelling, status, tuple(map(candidates.index, paths)))
