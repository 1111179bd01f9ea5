"""Report writers, one file a format; they read results and nothing else."""

from tuiprobe.show.report.formats import write_reports
from tuiprobe.show.report.reading import read_report

__all__ = ["read_report", "write_reports"]
