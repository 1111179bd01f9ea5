"""``tuiprobe report``: write a run's reports again, or print the schema of results.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tuiprobe.errors import UsageError


def report(
    run: Annotated[Path | None, typer.Argument(help="A run directory.")] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of results.json.")
    ] = False,
) -> None:
    """Write report.md and tables/ of a finished run again."""
    if schema:
        from tuiprobe.results import Report

        print(json.dumps(Report.model_json_schema(), indent=1))
        return
    if run is None:
        raise UsageError("name a run directory, or ask for --schema")
    from tuiprobe.report import write_reports
    from tuiprobe.rundir import RunDir

    print(write_reports(RunDir(run)), end="")
