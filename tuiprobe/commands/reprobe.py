"""``tuiprobe reprobe``: answer all probes again from what a run measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def reprobe(run: Annotated[Path, typer.Argument(help="A run directory.")]) -> None:
    """Recompute results and reports of a finished run, without model or images."""
    from tuiprobe.engine.probing import probe_directory
    from tuiprobe.report import write_reports
    from tuiprobe.rundir import RunDir, write_text

    directory = RunDir(run)
    with directory.locked():
        write_text(directory.results_file, probe_directory(directory).to_json())
        print(write_reports(directory), end="")
