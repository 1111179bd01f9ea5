"""The formats of a report, and the files of each format."""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tuiprobe.errors import RunError, UsageError
from tuiprobe.files import Entry
from tuiprobe.plaintext import plain
from tuiprobe.report.common import free_name
from tuiprobe.results.report import Report
from tuiprobe.results.section import Chart
from tuiprobe.run.directory import RunDir

Files = dict[str, str]
"""Text by path relative to the destination."""


@dataclass(frozen=True)
class Wanted:
    """What a format is made of.

    Attributes:
        report: What was found.
        run: Where its pictures lie; None leaves them out.
        linked: Whether tables/ lies beside the files.
    """

    report: Report
    run: RunDir | None
    linked: bool


@dataclass(frozen=True)
class Format:
    """One format: its name, its purpose, and how its files are made."""

    name: str
    about: str
    make: Callable[[Wanted], Files]

    def files(self, report: Report, run: RunDir | None, linked: bool = False) -> Files:
        """Returns the files of a report; for the arguments see `files_of`."""
        return self.make(Wanted(report, run, linked))


def _html(wanted: Wanted) -> Files:
    from tuiprobe.report.html import html
    from tuiprobe.report.pictures import pictures

    report, run = wanted.report, wanted.run
    shown = pictures(report, run) if run is not None else None
    return {"report.html": html(report, shown, wanted.linked)}


def _markdown(wanted: Wanted) -> Files:
    from tuiprobe.report.markdown import markdown

    return {"report.md": markdown(wanted.report)}


def _json(wanted: Wanted) -> Files:
    return {"results.json": wanted.report.to_json()}


def _csv(wanted: Wanted) -> Files:
    from tuiprobe.report.tables import tables

    return {f"tables/{name}.csv": text for name, text in tables(wanted.report).items()}


def _card(wanted: Wanted) -> Files:
    from tuiprobe.report.markdown import model_card

    return {"model-card.md": model_card(wanted.report)}


def _svg(wanted: Wanted) -> Files:
    from tuiprobe.report.svg import svg

    found: Files = {}
    for part in wanted.report.parts:
        for one in part.section.content if part.section is not None else ():
            if isinstance(one, Chart) and any(series.x for series in one.series):
                name = free_name(one.id, part.probe, lambda id: f"figures/{id}.svg" in found)
                found[f"figures/{name}.svg"] = svg(one)
    return found


FORMATS: Final = {
    one.name: one
    for one in (
        Format("html", "one page with figures and pictures, loads nothing", _html),
        Format("md", "Markdown, for a repository or an issue", _markdown),
        Format("json", "everything, strict JSON of a published schema", _json),
        Format("csv", "every figure as tables", _csv),
        Format("svg", "every figure as a picture", _svg),
        Format("card", "a section with metadata for a model card", _card),
    )
}

WRITTEN: Final = ("html", "md", "csv", "svg")
"""What a finished run writes by itself; results.json is there before."""


def files_of(
    report: Report, run: RunDir | None, formats: Sequence[str], linked: bool | None = None
) -> Files:
    """Returns the files of these formats.

    Args:
        report: What was found.
        run: Where its pictures lie; None leaves them out.
        formats: Names out of `FORMATS`.
        linked: Whether tables/ lies beside the files; None if they are among these formats.

    Raises:
        UsageError: A format is unknown.
    """
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"no format {plain(name)!r}; choose among {', '.join(FORMATS)}")
    beside = "csv" in formats if linked is None else linked
    found: Files = {}
    for name in formats:
        found |= FORMATS[name].files(report, run, beside)
    return found


def export(
    report: Report, run: RunDir, formats: Sequence[str], to: Path, with_pictures: bool = True
) -> list[Path]:
    """Writes a report in these formats below `to`; replaces files of the same names.

    Args:
        report: What was found.
        run: Where its pictures lie.
        formats: Names out of `FORMATS`.
        to: A directory, made where it is missing.
        with_pictures: Whether formats that hold pictures show the run's small ones.

    Returns:
        The files written.

    Raises:
        UsageError: A format is unknown.
        RunError: The destination cannot be written.
    """
    beside = tables_beside(run, formats, to)
    files = files_of(report, run if with_pictures else None, formats, beside)
    return write_files(files, run, to)


def tables_beside(run: RunDir, formats: Sequence[str], to: Path) -> bool:
    """Returns whether tables/ lies beside files of these formats that are written below `to`."""
    return "csv" in formats or _is_of(run, to)


def write_files(files: Files, run: RunDir | None, to: Path, replace: bool = True) -> list[Path]:
    """Writes files below `to`; the results of a run stay in its directory as they are.

    Args:
        files: What to write.
        run: The run that they are of; None if of several.
        to: A directory, made where it is missing.
        replace: Whether files of other content are replaced. The reports in the run's own
            directory always are.

    Returns:
        The files written.

    Raises:
        UsageError: A file would be replaced that must not be, or `to` is no directory.
        RunError: The destination cannot be written.
    """
    if to.exists() and not to.is_dir():
        raise UsageError(f"cannot write into {plain(str(to))}: it is a file, not a directory")
    here = _is_of(run, to)
    content = {name: text.encode("utf-8", "replace") for name, text in files.items()}
    others = [] if replace or here else [name for name in files if _other(to / name, content[name])]
    if others:
        more = f" and {len(others) - 1} more files" if len(others) > 1 else ""
        raise UsageError(
            f"{plain(str(to / others[0]))}{more} would be replaced; --replace allows it, or name "
            "another directory"
        )
    written = []
    for name, one in content.items():
        file = Entry(to, name)
        if not (run is not None and here and name == run.results_file.name):
            file.write_bytes(one)
        written.append(file.path)
    return written


def _is_of(run: RunDir | None, to: Path) -> bool:
    """Says whether a directory is that of the run, where tables and pictures lie already."""
    return run is not None and to.exists() and to.samefile(run.path)


def _other(file: Path, content: bytes) -> bool:
    """Returns whether something else than this content is there."""
    try:
        found = file.lstat()
        same = stat.S_ISREG(found.st_mode) and found.st_size == len(content)
        return not (same and file.read_bytes() == content)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RunError(f"cannot read {plain(str(file))}: {error.strerror}") from error
