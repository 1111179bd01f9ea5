"""Reports and lists of runs as people and programs get them: with the labels beside the runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path

from tuiprobe.errors import TuiprobeError
from tuiprobe.label.report_part import labels_beside, labels_state, with_labels
from tuiprobe.results import Figure, Report, given
from tuiprobe.results.headlines import LABELLED_ID
from tuiprobe.results.report import ABSENT
from tuiprobe.run.directory import RunDir
from tuiprobe.run.listing import RunRow
from tuiprobe.run.results import read_results


def read_report(run: RunDir) -> Report:
    """Reads the report of a run directory, with what the labels beside it say.

    Labels that cannot be read are a warning of the report.

    Raises:
        DamagedFileError: As `read_results` does.
    """
    return with_labels(read_results(run), run).read_from(run.path)


def rows_with_labels(rows: Iterable[RunRow]) -> Iterator[RunRow]:
    """Yields the rows of a list of runs, each with title and accuracy by the labels beside it."""
    beside = cache(labels_beside)  # each folder is listed once
    for row in rows:
        state = labels_state(RunDir(row.path), beside) if row.state == "done" else ()
        if state:
            title, labelled = _by_labels(row.path.absolute(), state)
            row = replace(row, title=title or row.title)
            if given(labelled):
                row = replace(row, labelled=labelled)
        yield row


@lru_cache(maxsize=10_000)
def _by_labels(path: Path, state: tuple[object, ...]) -> tuple[str, Figure]:
    """Returns title and accuracy of a run by labels; no title where it cannot be read.

    Args:
        path: The run directory.
        state: Changes where the result may.
    """
    try:
        report = read_report(RunDir(path))
    except TuiprobeError:  # its row says so already
        return "", ABSENT
    return report.title, report.figure(LABELLED_ID)
