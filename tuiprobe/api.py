"""The engine from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuiprobe.errors import RunError
from tuiprobe.measure.run import run
from tuiprobe.report import read_report, write_reports
from tuiprobe.results.report import Report
from tuiprobe.spec import make_spec


def run_probe(model: str, data: str, output: str | None, options: dict[str, Any]) -> Report:
    """Runs to the end and returns the report; see :func:`tuiprobe.probe`.

    Raises:
        KeyboardInterrupt: If it was interrupted; what is measured is kept.
        RunError: If another rank will write the report.
    """
    outcome = run(make_spec(model, data, options), output=Path(output) if output else None)
    if not outcome.complete:
        raise KeyboardInterrupt(f"the run in {outcome.directory.path} was interrupted")
    if not outcome.merged:
        raise RunError("another rank merges this run; read its results.json")
    write_reports(outcome.directory)
    return read_report(outcome.directory)
