"""What labels of a target say of the runs that measured it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tuiprobe.comparing.runs import Run, same_measurements
from tuiprobe.comparing.same_pictures import MeasuredSet
from tuiprobe.errors import TuiprobeError
from tuiprobe.labelling.report_part import labels_state
from tuiprobe.results import Estimate, Figure, NotRun

if TYPE_CHECKING:
    from tuiprobe.labelling.session import Labelling
    from tuiprobe.labelling.standing import LabelStatus

BOUNDS: Final = "bounds from labels: they hold at any time, for all pairs together, with 95 %"


@dataclass(frozen=True, eq=False)
class LabelEvidence:
    """What the labels of a target say of some runs.

    Attributes:
        labelling: Their labelling.
        status: What it decides.
        candidate_of: Index of the candidate by index of its run, of the runs that were labelled.
    """

    labelling: Labelling
    status: LabelStatus
    candidate_of: Mapping[int, int]

    def first_minus_second(self, first: int, second: int) -> Figure:
        """Returns the accuracy of the first run minus that of the second, with its bounds."""
        if not {first, second} <= {*self.candidate_of}:
            return NotRun(reason="the labels do not belong to both runs")
        value, low, high = self.labelling.first_minus_second(
            self.candidate_of[first], self.candidate_of[second]
        )
        if low > high:
            return NotRun(reason="labels contradict each other")
        n = self.status.labelled
        return Estimate(value=value, low=low, high=high, unit="points", n=n, method=BOUNDS)


def label_evidence(
    runs: Sequence[Run], target: str | None = None, trust: Collection[str] = ()
) -> LabelEvidence | NotRun | None:
    """Returns the evidence of labels for some runs, or why there is none.

    It is of the runs on the same target, two or more of them.

    Args:
        runs: The runs; the labels are those of the first one that has a target.
        target: Name of the target set; None for the first that has labels.
        trust: Ids of doubts about the labels that the user overrules.
    """
    same = same_measurements(runs)
    targets = {
        n: [data.name for data in run.report.data if data.target]
        for n, run in enumerate(runs)
        if n not in same
    }
    names = next(filter(None, targets.values()), [])
    try:
        for name in names:
            some = _on_one_target(runs, [n for n in targets if name in targets[n]], name)
            if target not in (None, name) or len(some) < 2:
                continue
            states = tuple(labels_state(runs[n].directory) for n in some)
            paths = tuple(runs[n].directory.path for n in some)
            if states[0] and (evidence := _evidence(paths, name, states, tuple(trust))) is not None:
                return replace(
                    evidence,
                    candidate_of=dict(zip(some, evidence.candidate_of.values(), strict=True)),
                )
    except TuiprobeError as error:
        return NotRun(reason=str(error))
    return None


def _on_one_target(runs: Sequence[Run], indices: Sequence[int], target: str) -> Sequence[int]:
    """Returns the runs that measured the pictures of the first one; all if it is alone with them.

    What keeps these from being labelled together is then said of them all.
    """
    sets = [(n, MeasuredSet(runs[n], target)) for n in indices]
    same = [n for n, of in sets if sets[0][1].differs_from(of) is None]
    return same if len(same) > 1 else indices


@lru_cache(maxsize=64)
def _evidence(
    paths: tuple[Path, ...],
    target: str,
    states: tuple[tuple[object, ...], ...],
    trust: tuple[str, ...],
) -> LabelEvidence | None:
    """Returns the evidence of labels for run directories; `states` changes whenever it may."""
    from tuiprobe.labelling.session import open_labelling  # scipy, which runs without labels spare
    from tuiprobe.labelling.standing import label_status

    labelling = open_labelling(paths, target)
    status = label_status(labelling, trust)
    if not status.labelled:
        return None
    candidates = [candidate.directory.path for candidate in labelling.matched.candidates]
    candidate_of = {index: candidates.index(path) for index, path in enumerate(paths)}
    return LabelEvidence(labelling, status, candidate_of)
