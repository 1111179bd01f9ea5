"""The few lines of a report that go to standard output."""

from tuiprobe.plaintext import plain
from tuiprobe.report.text import line
from tuiprobe.results.report import Report


def summary(report: Report) -> str:
    """Returns the title, the lines of every probe, warnings, and what could not be run."""
    lines = [plain(report.title)]
    for part in report.parts:
        if part.section is not None:
            lines += [line(one) for one in part.section.summary]
    lines += [plain(f"warning: {warning}") for warning in report.warnings]
    lines += [
        plain(f"not run: {one.title.lower()}: {report.why_not(one.probe)}")
        for one in report.parts
        if one.not_run is not None
    ]
    return "\n".join(lines) + "\n"
