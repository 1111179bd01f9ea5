"""Report writers, one file a format; they read results and nothing else."""

from tuiprobe.report.formats import read_report, write_reports

__all__ = ["read_report", "write_reports"]
