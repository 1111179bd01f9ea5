"""The formats of a report, the files of each, and where they are written."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tuiprobe.choose.labelling.reading import read_report
from tuiprobe.errors import RunError, TuiprobeError, UsageError
from tuiprobe.files import Entry
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.locks import MERGE_LOCK
from tuiprobe.measure.run.results import write_summary
from tuiprobe.plaintext import plain
from tuiprobe.results.report import Part, ProbeResult, Report
from tuiprobe.results.section import Chart
from tuiprobe.show.report.tables import free_name
from tuiprobe.show.report.terminal import PLAIN, Terminal, summary

Files = dict[str, str]
"""Text by path relative to the destination."""


class ReplacedFilesError(UsageError):
    """Files with other content would be replaced.

    Attributes:
        summary: The first of them, and how many more there are.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        more = f" and {len(files) - 1} more files" if len(files) > 1 else ""
        self.summary = f"{plain(str(files[0]))}{more} would be replaced"
        super().__init__(f"{self.summary}; --replace allows it, or name another directory")


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: What users call it.
        about: Its purpose.
        files: Makes its files from a report, the run whose pictures they show (None for none), and
            whether tables/ lies next to them.
    """

    name: str
    about: str
    files: Callable[[Report, RunDir | None, bool], Files]


def _html(report: Report, run: RunDir | None, linked: bool) -> Files:
    from tuiprobe.show.report.html import html
    from tuiprobe.show.report.pictures import pictures

    return {"report.html": html(report, None if run is None else pictures(report, run), linked)}


def _markdown(report: Report, *_: object) -> Files:
    from tuiprobe.show.report.markdown import markdown

    return {"report.md": markdown(report)}


def _json(report: Report, *_: object) -> Files:
    return {"results.json": report.to_json()}


def _csv(report: Report, *_: object) -> Files:
    from tuiprobe.show.report.tables import tables

    return {f"tables/{name}.csv": text for name, text in tables(report).items()}


def _predictions(report: Report, run: RunDir | None, _: bool) -> Files:
    from tuiprobe.show.report.tables import predictions_table

    return {"predictions.csv": predictions_table(report.predictions())}


def _svg(report: Report, *_: object) -> Files:
    from tuiprobe.show.report.svg import svg

    files: Files = {}
    for part in report.parts:
        for piece in part.section.content if part.section is not None else ():
            if isinstance(piece, Chart) and any(series.x for series in piece.series):
                name = free_name(piece.id, part.probe, lambda id: f"figures/{id}.svg" in files)
                files[f"figures/{name}.svg"] = svg(piece)
    return files


FORMATS: Final = {
    format.name: format
    for format in (
        Format("html", "a page with figures and pictures, loads nothing", _html),
        Format("md", "Markdown, for a repository or an issue", _markdown),
        Format("json", "everything, strict JSON of a published schema", _json),
        Format("csv", "every figure as tables", _csv),
        Format("svg", "every figure as a picture", _svg),
        Format("predictions", "label and answer of every image", _predictions),
    )
}

RENDERED: Final = tuple(name for name in FORMATS if name != "predictions")
"""Formats of what is in a report; the others take files of its run."""

WRITTEN: Final = ("html", "md", "csv", "svg")
"""What a finished run writes by itself; results.json is written before these."""

SCHEMA_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Returns the schema of `results.json`, in which each part's result is described by its probe.

    A part of a probe that is not installed may hold any value. Labels of a run make a part of
    its exported report.
    """
    from pydantic import BaseModel
    from pydantic.json_schema import models_json_schema

    from tuiprobe.choose.labelling.report_part import TargetLabels
    from tuiprobe.probes import LABELS, registry

    # Reports are described as they are written: they hold what they compute.
    results: dict[str, type[ProbeResult]] = {item.id: item.Result for item in registry().probes}
    results[LABELS] = TargetLabels
    models: list[type[BaseModel]] = [Report, Part, *results.values()]
    refs, schema = models_json_schema([(item, "serialization") for item in models])
    names = {item: ref["$ref"].rpartition("/")[2] for (item, _), ref in refs.items()}
    definitions = schema["$defs"]
    definitions[names[Part]]["allOf"] = [
        {
            "if": {"properties": {"probe": {"const": id}}},
            "then": {
                "properties": {
                    "result": {"anyOf": [refs[result, "serialization"], {"type": "null"}]}
                }
            },
        }
        for id, result in results.items()
    ]
    report = definitions.pop(names[Report])
    return {"$schema": SCHEMA_DRAFT, **report, "$defs": definitions}


def files_of(
    report: Report, run: RunDir | None, formats: Sequence[str], linked: bool | None = None
) -> Files:
    """Returns the files of these formats.

    Args:
        report: The report.
        run: Where its pictures lie; None leaves them out.
        formats: Names out of `FORMATS`.
        linked: Whether tables/ lies next to the files; None if they are among these formats.

    Raises:
        UsageError: A format is unknown.
    """
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"no format {plain(name)!r}; choose among {', '.join(FORMATS)}")
    linked_tables = "csv" in formats if linked is None else linked
    files: Files = {}
    for name in formats:
        files |= FORMATS[name].files(report, run, linked_tables)
    return files


def export(
    report: Report,
    run: RunDir,
    formats: Sequence[str],
    to: Path,
    with_pictures: bool = True,
    replace: bool = True,
) -> list[Path]:
    """Writes a report in these formats below `to`, as `write_files` does.

    Args:
        report: The report.
        run: Where its pictures lie.
        formats: Names out of `FORMATS`.
        to: A directory, made where it is missing.
        with_pictures: Whether formats that hold pictures show the run's small ones.
        replace: Whether files of other content are replaced elsewhere than in the run's directory.
    """
    linked = "csv" in formats or _is_of(run, to)
    files = files_of(report, run if with_pictures else None, formats, linked)
    return write_files(files, run, to, replace)


def write_reports(directory: RunDir, terminal: Terminal = PLAIN) -> str:
    """Writes report.html, report.md, tables/*.csv and figures/*.svg of a run next to its results.

    Returns:
        A summary of a few lines for standard output.
    """
    report = read_report(directory)
    export(report, directory, WRITTEN, directory.path)
    return summary(report, plain(shlex.quote(str(directory.path))), terminal)


def write_files(files: Files, run: RunDir, to: Path, replace: bool = True) -> list[Path]:
    """Writes files below `to`; the results of a run stay in its directory as they are.

    Args:
        files: What to write.
        run: The run that they are of.
        to: A directory, made where it is missing.
        replace: Whether files of other content are replaced. The reports in the run's
            directory always are.

    Returns:
        The files written.

    Raises:
        ReplacedFilesError: Files would be replaced that must not be.
        UsageError: `to` is no directory.
        RunError: The destination cannot be written.
    """
    if to.exists() and not to.is_dir():
        raise UsageError(f"cannot write into {plain(str(to))}: it is a file, not a directory")
    here = _is_of(run, to)
    content = {name: text.encode("utf-8", "replace") for name, text in files.items()}
    others = [] if replace or here else [name for name in files if _other(to / name, content[name])]
    if others:
        raise ReplacedFilesError([to / name for name in others])
    written = []
    for name, text in content.items():
        file = Entry(to, name)
        if not (here and name == run.results_file.name):
            file.write_bytes(text)
        written.append(file.path)
    return written


def _is_of(run: RunDir, to: Path) -> bool:
    """Returns whether a directory is that of the run, where tables and pictures lie already."""
    return to.exists() and to.samefile(run.path)


def _other(file: Path, content: bytes) -> bool:
    """Returns whether a file exists with other content."""
    try:
        status = file.lstat()
        same = stat.S_ISREG(status.st_mode) and status.st_size == len(content)
        return not (same and file.read_bytes() == content)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RunError(f"cannot read {plain(str(file))}: {error.strerror}") from error


def renew_labelled(runs: Iterable[RunDir]) -> list[str]:
    """Writes summary and reports of runs again, with the labels that belong to them.

    `results.json` stays as it is. `predictions.csv` is written again where a run has one.

    Returns:
        Why a run keeps its old reports, a sentence each: another process writes it, or the
        operating system refuses.
    """
    reasons = []
    for run in runs:
        try:
            with run.locked(MERGE_LOCK):
                report = read_report(run)
                write_summary(run, report)
                with_predictions = run.at("predictions.csv").exists()
                export(report, run, WRITTEN + ("predictions",) * with_predictions, run.path)
        except TuiprobeError as error:
            reasons.append(f"the reports of {plain(str(run.path))} do not show the labels: {error}")
    return reasons
