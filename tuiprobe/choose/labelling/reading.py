"""Reports, lists of runs and predictions of run directories, with what their labels say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path

from tuiprobe.choose.labelling.report_part import (
    certified_by_digest,
    label_file_states,
    labels_by_digest,
    labels_state,
    with_labels,
)
from tuiprobe.errors import TuiprobeError
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.results import Summary, read_results, summary_of
from tuiprobe.measure.run.view import RunView
from tuiprobe.probes import hooked
from tuiprobe.results import Report
from tuiprobe.results.doubt import stopping
from tuiprobe.results.subject import Prediction


def read_report(run: RunDir, results: Collection[str] | None = None) -> Report:
    """Reads the report of a run directory, with what its labels prove.

    Labels that cannot be read are a warning of the report. Where there are some, the estimates that
    they cut are read too.

    Args:
        run: The directory.
        results: Probes whose results are read, as for `Report.read`.

    Raises:
        DamagedFileError: As `read_results` does.
    """
    if results is not None and labels_state(run):
        results = {*results, *hooked("labels")}
    return with_labels(read_results(run, results), run).read_from(run.path)


def labelled_summary(path: Path) -> Summary | None:
    """Returns the row of a run in lists, with its labels, if it can be read."""
    try:
        return summary_of(read_report(RunDir(path)))
    except TuiprobeError:  # its view says so already
        return None


def views_with_labels(
    views: Iterable[RunView], read: Callable[[Path], Summary | None] = labelled_summary
) -> Iterator[RunView]:
    """Yields runs, each with title and accuracies by its labels.

    Args:
        views: The runs.
        read: Reads the row of one that has labels; the screens do it in another process.
    """
    folder_state = cache(label_file_states)  # each folder is listed once
    for view in views:
        state = labels_state(RunDir(view.path), folder_state) if view.state == "done" else ()
        renewed = any(known.evidence == "labels" for known in view.summary.accuracies)
        labelled = _by_labels(view.path.absolute(), read, state) if state or renewed else None
        yield view if labelled is None else replace(view, summary=labelled)


@lru_cache(maxsize=10_000)
def _by_labels(
    path: Path, read: Callable[[Path], Summary | None], state: tuple[object, ...]
) -> Summary | None:
    """Returns the row of a run by its labels, read again where their state has changed."""
    return read(path)


def predictions(report: Report) -> list[Prediction]:
    """Returns label, answer and confidence of every image of a run; see `Report.predictions`.

    Images of a target have the labels beside the run, unless these are unsure. Of sets whose labels
    are in doubt, none is promised to run unattended.
    """
    doubted = {doubt.data for doubt in stopping(report.doubts)}
    known = [
        replace(row, unattended=None) if doubted & {"", row.set} else row
        for row in _with_promises(report)
    ]
    if report.directory is None or not labels_state(RunDir(report.directory)):
        return known
    labels = {
        data.name: labels_by_digest(Path(report.directory), data.name)
        for data in report.data
        if data.target
    }
    certified = {
        name: {} if doubted & {"", name} else certified_by_digest(Path(report.directory), name)
        for name in labels
    }
    return [
        replace(
            row,
            label=labels[row.set].get(row.digest, row.label),
            unattended=certified[row.set].get(row.digest),
        )
        if row.set in labels
        else row
        for row in known
    ]


def _with_promises(report: Report) -> Iterator[Prediction]:
    """Yields images, each with the smallest share of errors with which a probe lets it through."""
    from tuiprobe.measure.run import pictures  # numpy, which the results are shown without

    rows: Iterable[Prediction] = pictures.predictions(report)
    for kind in hooked("promise").values():
        with suppress(DamagedFileError):  # what another version wrote
            if (result := report.part(kind.Result)) is not None:
                rows = kind().with_promises(result, rows)
    yield from rows
