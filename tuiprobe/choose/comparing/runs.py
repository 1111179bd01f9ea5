"""Runs to compare: their reports and images, and unique names."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from tuiprobe.choose.labelling.reading import read_report
from tuiprobe.errors import UsageError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.naming import NamedRun, distinct_names
from tuiprobe.measure.run.per_image import ImageValues, read_per_image
from tuiprobe.results import Report


class Run(NamedTuple):
    """A run to compare: its report, its values of single images, and its directory."""

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
    return [directory_named(run) for run in runs]


def directory_named(run: Report | str | PathLike[str]) -> Path:
    """Returns the run directory that a Python program names, by path or report.

    Raises:
        UsageError: If it is neither, or a report was read from no run directory.
    """
    path = run.directory if isinstance(run, Report) else run
    if not isinstance(path, str | PathLike):
        raise UsageError("runs= takes run directories, or reports that were read from them")
    return Path(path)


def with_names(runs: Sequence[Run]) -> list[Run]:
    """Returns runs whose models differ in their names; see `distinct_names`.

    A repeated measurement has the name of the first one with a number.
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
    """Returns the indices of runs that repeat an earlier one, each with the index of that one.

    A copied directory is the same measurement: its results began and ended at the same moments.
    """
    same: dict[int, int] = {}
    for index, run in enumerate(runs):
        for earlier in range(index):
            if earlier not in same and _same(runs[earlier], run):
                same[index] = earlier
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
