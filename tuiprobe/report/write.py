"""Write every report of a run from its results.json."""

from tuiprobe.report.formats import WRITTEN, export
from tuiprobe.report.summary import summary
from tuiprobe.run.directory import RunDir
from tuiprobe.run.glance import read_report

__all__ = ["read_report", "write_reports"]


def write_reports(directory: RunDir) -> str:
    """Writes report.html, report.md, tables/*.csv and figures/*.svg of a run beside its results.

    Returns:
        A summary of a few lines for standard output.
    """
    report = read_report(directory)
    export(report, directory, WRITTEN, directory.path)
    return summary(report)
