"""Runs to compare: what is read of each, what each is called, and what labels say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tuiprobe.errors import TuiprobeError, UsageError
from tuiprobe.labelling.report_part import labels_state
from tuiprobe.report import read_report
from tuiprobe.results import Estimate, Figure, NotRun, Report
from tuiprobe.run.directory import RunDir
from tuiprobe.run.naming import NamedRun, distinct_names
from tuiprobe.run.per_image import ImageValues, read_per_image

if TYPE_CHECKING:
    from tuiprobe.labelling.session import Labelling
    from tuiprobe.labelling.status import LabelStatus

BOUNDS: Final = "bets on the labels: bounds that hold at any time, of all pairs together, with 95 %"


class Run(NamedTuple):
    """A run to compare: its report, what it knows of single images, and where its labels lie."""

    report: Report
    images: ImageValues
    directory: RunDir


def read_run(directory: RunDir) -> Run:
    """Reads a run directory, which is not trusted.

    Raises:
        DamagedFileError: If its report is missing or damaged, or its per-image values are damaged.
    """
    return Run(read_report(directory), read_per_image(directory), directory)


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Reads run directories, and gives each model a unique name.

    Raises:
        DamagedFileError: As for `read_run`.
    """
    return with_names([read_run(RunDir(path)) for path in paths])


def directories(runs: Sequence[Report | str | PathLike[str]]) -> list[Path]:
    """Returns the run directories that a Python program names, by path or report.

    Raises:
        UsageError: If it is fewer than two, or a report was read from no run directory.
    """
    if isinstance(runs, str | PathLike | Report) or len(runs) < 2:
        raise UsageError("runs= takes two or more run directories, or reports read from them")
    paths = [run.directory if isinstance(run, Report) else run for run in runs]
    if not all(isinstance(path, str | PathLike) for path in paths):
        raise UsageError("runs= takes run directories, or reports that were read from them")
    return [Path(path) for path in paths if path is not None]


def with_names(runs: Sequence[Run]) -> list[Run]:
    """Returns runs whose models differ in their names; see `distinct_names`.

    What is an earlier run again has the name of that one with a number.
    """
    same = same_measurements(runs)
    first = [n for n in range(len(runs)) if n not in same]
    subjects = []
    for report, _, directory in (runs[n] for n in first):
        subject = NamedRun.read(report.model.name, directory)  # a report has no folders of paths
        subjects.append(subject if subject.spec else subject._replace(spec=report.spec))
    names = dict(zip(first, distinct_names(subjects), strict=True))
    named = []
    for n, run in enumerate(runs):
        times = [same.get(other, other) for other in range(n + 1)].count(same.get(n, n))
        name = names[n] if n in names else f"{names[same[n]]} ({times})"
        model = run.report.model.model_copy(update={"name": name})
        named.append(run._replace(report=run.report.model_copy(update={"model": model})))
    return named


def same_measurements(runs: Sequence[Run]) -> dict[int, int]:
    """Returns the places of runs that are an earlier one again, each with the place of that.

    A copied directory is the same measurement: its results began and ended at the same moments.
    """
    same: dict[int, int] = {}
    for place, run in enumerate(runs):
        for earlier in range(place):
            if earlier not in same and _same(runs[earlier], run):
                same[place] = earlier
                break
    return same


def _same(one: Run, other: Run) -> bool:
    first, second = one.directory.path.resolve(), other.directory.path.resolve()
    if first == second and first.is_dir():
        return True
    times = one.report.timings
    if times.started is None or times != other.report.timings:
        return False
    model = other.report.model.model_copy(update={"name": one.report.model.name})
    return one.report == other.report.model_copy(update={"model": model})


@dataclass(frozen=True, eq=False)
class LabelEvidence:
    """What the labels of a target say of some runs.

    Attributes:
        labelling: Their labelling.
        status: What it decides.
        places: Place among the candidates of each run that the labels are of, by its place.
    """

    labelling: Labelling
    status: LabelStatus
    places: Mapping[int, int]

    def first_minus_second(self, first: int, second: int) -> Figure:
        """Returns the accuracy of the first run minus that of the second, with its bounds."""
        if not {first, second} <= {*self.places}:
            return NotRun(reason="the labels are not of both runs")
        value, low, high = self.labelling.first_minus_second(
            self.places[first], self.places[second]
        )
        if low > high:
            return NotRun(reason="labels contradict each other")
        n = self.status.labelled
        return Estimate(value=value, low=low, high=high, unit="points", n=n, method=BOUNDS)


def label_evidence(runs: Sequence[Run], target: str | None = None) -> LabelEvidence | NotRun | None:
    """Returns the evidence of labels for some runs, or why there is none; None without labels.

    It is of the runs on the same target, two or more of them.

    Args:
        runs: The runs; the labels are those of the first one that has a target.
        target: Name of the target set; None for the first that has labels.
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
            if states[0] and (evidence := _evidence(paths, name, states)) is not None:
                return replace(
                    evidence, places=dict(zip(some, evidence.places.values(), strict=True))
                )
    except TuiprobeError as error:
        return NotRun(reason=str(error))
    return None


def _on_one_target(runs: Sequence[Run], places: Sequence[int], target: str) -> Sequence[int]:
    """Returns the runs that measured the pictures of the first one; all if it is alone with them.

    What keeps these from being labelled together is then said of them all.
    """
    from tuiprobe.comparing.same_pictures import MeasuredSet

    sets = [(n, MeasuredSet(runs[n], target)) for n in places]
    same = [n for n, of in sets if sets[0][1].differs_from(of) is None]
    return same if len(same) > 1 else places


@lru_cache(maxsize=64)
def _evidence(
    paths: tuple[Path, ...], target: str, states: tuple[tuple[object, ...], ...]
) -> LabelEvidence | None:
    """Returns the evidence of labels for run directories; `states` changes whenever it may."""
    from tuiprobe.labelling.session import open_labelling  # scipy, which runs without labels spare
    from tuiprobe.labelling.status import label_status

    labelling = open_labelling(paths, target)
    status = label_status(labelling)
    if not status.labelled:
        return None
    candidates = [candidate.directory.path for candidate in labelling.matched.candidates]
    places = {place: candidates.index(path) for place, path in enumerate(paths)}
    return LabelEvidence(labelling, status, places)
