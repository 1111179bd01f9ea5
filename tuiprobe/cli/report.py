"""`tuiprobe report`: a run's reports again, one over several runs, or the schema of results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuiprobe.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuiprobe.report.formats import Files

SEVERAL = ("html", "md")
"""Formats of a report over several runs."""


def report(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="A run directory; several give one report of all.")
    ] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(
            help="html, md, json, csv, svg or card; repeats. Default: html, md, csv, svg; of "
            "several runs html."
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(help="Directory to write to; - prints a single file."),
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
    """Write the reports of a finished run again, here or elsewhere, in the formats asked for.

    Several runs give one report: a forest plot of the headline figures, and the models ranked.
    """
    if schema:
        from tuiprobe.answer.schema import json_schema

        print(json.dumps(json_schema(), indent=1))
        return
    if not runs:
        raise UsageError("name a run directory, or ask for --schema")
    from tuiprobe.report.formats import (
        WRITTEN,
        export,
        files_of,
        write_files,
        write_reports,
    )
    from tuiprobe.report.reading import read_report
    from tuiprobe.run.directory import RunDir

    if len(runs) > 1:
        files = _several(runs, format or SEVERAL[:1])
        if to == "-":
            _print(files)
        else:
            _print_paths(write_files(files, None, Path(to or runs[0].absolute().parent), replace))
        return

    run = RunDir(runs[0])
    if not pictures and to is None:
        raise UsageError("--no-pictures is for elsewhere: name a place with --to")
    if format is None and to is None:
        print(write_reports(run), end="")
        return
    chosen = format or list(WRITTEN)
    if to == "-":
        _print(files_of(read_report(run), run if pictures else None, chosen))
    else:
        place = run.path if to is None else Path(to)
        _print_paths(export(read_report(run), run, chosen, place, pictures, replace))


def _several(runs: list[Path], formats: Sequence[str]) -> Files:
    import hashlib

    from tuiprobe.compare.differences import read_run
    from tuiprobe.compare.ranking import rank
    from tuiprobe.compare.ranking_section import title_of
    from tuiprobe.compare.several import describe_several
    from tuiprobe.plaintext import plain
    from tuiprobe.report.html import sections_html
    from tuiprobe.report.markdown import section_markdown
    from tuiprobe.run.directory import RunDir

    for name in formats:
        if name not in SEVERAL:
            raise UsageError(
                f"a report over several runs is {' or '.join(SEVERAL)}, not {plain(name)}"
            )
    read = [read_run(RunDir(path)) for path in runs]
    ranking = rank(read)
    sections = describe_several(read, ranking)
    keys = "".join(sorted(run.report.key for run in read))
    name = f"report-{hashlib.sha256(keys.encode()).hexdigest()[:8]}"
    make = {
        "html": lambda: sections_html(title_of(ranking), sections),
        "md": lambda: "\n".join(map(section_markdown, sections)),
    }
    return {f"{name}.{format}": make[format]() for format in formats}


def _print(files: Files) -> None:
    if len(files) != 1:
        raise UsageError(f"--to - prints one file and these formats make {len(files)}; name one")
    print(next(iter(files.values())), end="")


def _print_paths(written: list[Path]) -> None:
    from tuiprobe.plaintext import plain

    for path in written:
        print(plain(str(path)))
