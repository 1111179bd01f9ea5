"""`tuiprobe report`: the reports of a run again, or the schema of results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tuiprobe.errors import UsageError


def report(
    run: Annotated[Path | None, typer.Argument(metavar="RUN", help="A run directory.")] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FORMAT",
            help="html, md, json, csv, svg, predictions or card; repeats. "
            "Default: html, md, csv and svg.",
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder to write to; - prints a single file."),
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Include the run's small images.")
    ] = True,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite files in --to that differ.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of results.json.")
    ] = False,
) -> None:
    """Write the reports of a finished run again, beside its results or elsewhere.

    `tuiprobe compare --html` writes one page over several runs.
    """
    if schema:
        from tuiprobe.report.formats import json_schema

        print(json.dumps(json_schema(), indent=1))
        return
    if run is None:
        raise UsageError("name a run directory, or ask for --schema")
    from tuiprobe.cli.output import print_file, terminal
    from tuiprobe.plaintext import plain
    from tuiprobe.report.formats import FORMATS, WRITTEN, export, files_of, write_reports
    from tuiprobe.report.reading import read_report
    from tuiprobe.run.directory import RunDir

    directory = RunDir(run)
    if not pictures and to is None:
        raise UsageError("--no-pictures makes copies without pictures: name their folder with --to")
    if format is None and to is None:
        print(write_reports(directory, terminal()), end="")
        return
    content, chosen = read_report(directory), format or list(WRITTEN)
    if to == "-":
        files = files_of(content, directory if pictures else None, chosen)
        if len(files) != 1:
            raise UsageError(f"--to - prints one file, but these formats make {len(files)}")
        print_file(*files.values())
        return
    folder = run if to is None else Path(to)
    if folder.suffix.removeprefix(".") in FORMATS and not folder.is_dir():
        raise UsageError(
            f"--to takes a folder, and {folder} looks like a file: give a folder, or print the "
            f"file with --format {folder.suffix[1:]} --to - > {folder}"
        )
    for path in export(content, directory, chosen, folder, pictures, replace):
        print(plain(str(path)))
