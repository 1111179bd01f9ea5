"""Readers of results.json: one file a format."""

from tuiprobe.report.write import write_reports

__all__ = ["write_reports"]
