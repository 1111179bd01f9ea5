"""Parts of a report with their types."""

from typing import TypeVar

from tuiprobe.results import ProbeResult, Report

_Result = TypeVar("_Result", bound=ProbeResult)


def part(report: Report, kind: type[_Result]) -> _Result:
    """Returns the result of a probe, which must be there."""
    result = report.part(kind)
    assert result is not None, report.why_not(kind.probe)
    return result
