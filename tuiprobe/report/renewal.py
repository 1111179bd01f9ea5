"""The files of finished runs that show labels, written again after pictures were labelled."""

from __future__ import annotations

from collections.abc import Iterable

from tuiprobe.errors import TuiprobeError
from tuiprobe.plaintext import plain
from tuiprobe.report.formats import WRITTEN, export
from tuiprobe.report.reading import read_report
from tuiprobe.run.directory import RunDir
from tuiprobe.run.locks import MERGE_LOCK
from tuiprobe.run.results import write_summary


def renew_labelled(runs: Iterable[RunDir]) -> list[str]:
    """Writes summary and reports of runs again, with the labels beside them.

    `results.json` stays as it is. `predictions.csv` is written again where a run has one.

    Returns:
        Why a run keeps its old reports, a sentence each: another process writes it, or the
        operating system refuses.
    """
    reasons = []
    for run in runs:
        try:
            with run.locked(MERGE_LOCK):
                report = read_report(run)
                write_summary(run, report)
                with_predictions = run.at("predictions.csv").exists()
                export(report, run, WRITTEN + ("predictions",) * with_predictions, run.path)
        except TuiprobeError as error:
            reasons.append(f"the reports of {plain(str(run.path))} do not show the labels: {error}")
    return reasons
