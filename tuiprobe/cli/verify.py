"""`tuiprobe verify`: compares a run directory with its manifest."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tuiprobe.errors import DataError


def verify(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare a run with its manifest and read its files; exit 4 if one is damaged or missing."""
    from tuiprobe.plaintext import plain
    from tuiprobe.run.directory import RunDir
    from tuiprobe.run.verify import verify as verified

    directory = RunDir(run)
    directory.refuse_no_run()
    found = verified(directory)
    wrong = sum(not one.sound for one in found)
    if as_json:
        files = [{k: plain(v) for k, v in asdict(one).items()} for one in found]
        whole = {"schema_version": 1, "run": plain(str(run)), "whole": not wrong, "files": files}
        print(json.dumps(whole, indent=1))
    else:
        width = max(len(one.state) for one in found)
        for one in found:
            detail = f": {one.detail}" if one.detail else ""
            print(plain(f"{one.state.ljust(width)}  {one.file}{detail}"))
        uncovered = sum(one.state == "not covered" for one in found)
        end = f", as far as can be told: {uncovered} files are not covered" if uncovered else ""
        print(plain(f"{run} is damaged" if wrong else f"{run} is whole{end}"))
    raise typer.Exit(DataError.exit_code if wrong else 0)
