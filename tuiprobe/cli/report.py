"""`tuiprobe report`: write a run's reports again, or print the schema of results.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuiprobe.errors import UsageError

if TYPE_CHECKING:
    from tuiprobe.run.directory import RunDir


def report(
    run: Annotated[Path | None, typer.Argument(help="A run directory.")] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(help="html, md, json, csv, tex or svg; repeats. Default: html, md, csv, svg."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(help="Directory to write to; - prints a format of one file."),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of results.json.")
    ] = False,
) -> None:
    """Write the reports of a finished run again, here or elsewhere, in the formats asked for."""
    if schema:
        from tuiprobe.answer.schema import json_schema

        print(json.dumps(json_schema(), indent=1))
        return
    if run is None:
        raise UsageError("name a run directory, or ask for --schema")
    from tuiprobe.report import write_reports
    from tuiprobe.run.directory import RunDir

    if format is None and to is None:
        print(write_reports(RunDir(run)), end="")
        return
    _export(RunDir(run), format, to)


def _export(run: RunDir, formats: list[str] | None, to: str | None) -> None:
    from tuiprobe.plaintext import plain
    from tuiprobe.report import read_report
    from tuiprobe.report.formats import WRITTEN, export, files_of

    found = read_report(run)
    chosen = formats or WRITTEN
    if to != "-":
        for path in export(found, run, chosen, run.path if to is None else Path(to)):
            print(plain(str(path)))
        return
    files = files_of(found, run, chosen)
    if len(files) != 1:
        raise UsageError(f"--to - prints one file and these formats make {len(files)}; name one")
    print(next(iter(files.values())), end="")
