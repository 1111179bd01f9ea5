"""`tuiprobe open`: shows an existing run on the screens, finished or running."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def open_run(
    run: Annotated[Path, typer.Argument(help="A run directory, of this machine or another.")],
    ascii: Annotated[bool, typer.Option("--ascii", help="Draw with ASCII characters.")] = False,
) -> None:
    """Show a run on the screens: live while it goes on, its results when it is done."""
    from tuiprobe.errors import DataError
    from tuiprobe.run.directory import RunDir
    from tuiprobe.run.locks import held_locks
    from tuiprobe.run.state import run_state
    from tuiprobe.tui.livewatch import runs_of
    from tuiprobe.tui.start import start

    state = run_state(RunDir(run), held_locks())
    if state.kind == "none" and runs_of(run) == [run]:
        raise DataError(f"{state.reason}; name a run directory, for example one of runs/")
    raise typer.Exit(start(open_run=run, ascii=ascii))
