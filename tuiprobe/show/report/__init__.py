"""Report writers, one file a format; they read results and nothing else."""

from tuiprobe.choose.labelling.reading import read_report
from tuiprobe.show.report.formats import write_reports

__all__ = ["read_report", "write_reports"]
