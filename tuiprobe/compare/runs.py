"""Runs to compare: what is read of each, and what each is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tuiprobe.plaintext import plain
from tuiprobe.report import read_report
from tuiprobe.results import Report
from tuiprobe.run.directory import RunDir
from tuiprobe.run.per_image import ImageValues, read_per_image


class Run(NamedTuple):
    """A run to compare: its report, what it knows of single images, and where its labels lie."""

    report: Report
    images: ImageValues
    directory: RunDir | None = None


def read_run(directory: RunDir) -> Run:
    """Reads a run directory, which is not trusted.

    Raises:
        DamagedFileError: If its report is missing or damaged, or its per-image values are damaged.
    """
    return Run(read_report(directory), read_per_image(directory), directory)


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Reads run directories, and gives each model a name of its own among them.

    Raises:
        DamagedFileError: As for `read_run`.
    """
    return with_names([read_run(RunDir(path)) for path in paths])


def with_names(runs: Sequence[Run]) -> list[Run]:
    """Returns runs whose models differ in their names.

    Equal ones are called by their directories, where these have equal names by their paths, and
    where one run was given twice by its number too.
    """
    names = [run.report.model.name for run in runs]
    for called in (_folder_name, _path_name):
        counts = Counter(names)
        names = [
            called(run) if counts[name] > 1 else name for name, run in zip(names, runs, strict=True)
        ]
    named = []
    for n, (name, run) in enumerate(zip(names, runs, strict=True)):
        number = names[:n].count(name)
        model = run.report.model.model_copy(
            update={"name": f"{name} ({number + 1})" if number else name}
        )
        named.append(run._replace(report=run.report.model_copy(update={"model": model})))
    return named


def _folder_name(run: Run) -> str:
    if run.directory is None:
        return f"{run.report.model.name} ({run.report.key[:8]})"
    return plain(run.directory.path.resolve().name)


def _path_name(run: Run) -> str:
    return _folder_name(run) if run.directory is None else plain(str(run.directory.path))
