"""The report of a run, and the few figures of it that a list of runs shows.

`summary.json` holds them, and the checksum of the `results.json` that they are of. Results that
carry another checksum or were written later, as an earlier version or an editor leaves them, are
read themselves.
"""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError

from tuiprobe.checksums import (
    checksum_at_end,
    checksum_in,
    read_json,
    refuse_lost_seal,
    write_json,
)
from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.results.base import LONGEST_TEXT, MOST_ITEMS, Figure, Frozen, NotRun
from tuiprobe.results.headlines import LISTED
from tuiprobe.results.report import ABSENT, MAX_REPORT_BYTES, Report
from tuiprobe.results.subject import Representation
from tuiprobe.run.directory import RunDir

_NOTHING: Final = NotRun(reason="not measured")
_Sum = Annotated[int, Field(ge=0, le=2**53 * MOST_ITEMS)]
_KEPT = 10_000
_MOST_BYTES = 2**20


def read_report(run: RunDir) -> Report:
    """Reads the report of a run directory, which is not trusted.

    Raises:
        DamagedFileError: If `results.json` is missing, altered, too large, no regular file, no
            report of this schema version, or that of another run.
    """
    run.refuse_no_run()
    file = run.results_file
    content = file.read_bytes(MAX_REPORT_BYTES)
    report = Report.parse(content, file)
    refuse_lost_seal(content, file, run.plan_file)
    own = run.read_key()
    if own is not None and report.key != own:
        raise DamagedFileError(
            f"{file} belongs to another run (key {report.key[:8]}, here {own[:8]}); "
            "`tuiprobe reprobe` writes this run's own again"
        )
    return report


class Summary(Frozen):
    """What a list of runs shows of a report.

    Attributes:
        key: Key of the run.
        results: The checksum that `results.json` carries.
        title: Title of the report.
        partial: Whether images are missing.
        model: Name of the model.
        data: Names of the sets.
        source: The source, as the user typed it.
        kind: Kind of the representation.
        images: Measured images, over all sets.
        wanted: Images to measure, over all sets.
        outcome: Outcome on outlier features; empty without one.
        kurtosis: Kurtosis of the final representation on the first set.
        persistence: Persistence, likewise.
        accuracy: Top-1 accuracy on the first set.
        shifts: Mean top-1 accuracy over the shifted sets.
    """

    key: str = ""
    results: str | None
    title: str
    partial: bool
    model: str
    data: str
    source: str
    kind: Representation
    images: _Sum
    wanted: _Sum
    outcome: str
    kurtosis: Figure
    persistence: Figure
    accuracy: Figure
    shifts: Figure


def write_results(run: RunDir, report: Report) -> None:
    """Publishes the report of a run, then its summary.

    Raises:
        RunError: If the operating system refuses.
    """
    text = report.to_json()
    run.results_file.write_text(text)
    found = summary_of(report, checksum_in(text.encode("utf-8", "replace")))
    write_json(run.summary_file, found.model_dump(mode="json"))


def summary_of(report: Report, checksum: str | None) -> Summary:
    """Returns the summary of a report, whose file carries the checksum."""
    figures = {one.field: report.figure(one.id) for one in LISTED}
    figures = {id: _NOTHING if one is ABSENT else one for id, one in figures.items()}
    return Summary(
        key=report.key,
        results=checksum,
        title=report.title,
        partial=report.partial,
        model=report.model.name,
        data=", ".join(data.name for data in report.data)[:LONGEST_TEXT],
        source=str(report.spec.get("data", "")),
        kind=report.model.representation,
        images=sum(data.measured for data in report.data),
        wanted=sum(data.images for data in report.data),
        outcome=report.fact("outcome"),
        **figures,
    )


def read_summary(run: RunDir) -> Summary | None:
    """Reads `summary.json`; returns None if it is of another run or other results.

    Raises:
        DamagedFileError: If it is missing, altered or no summary.
    """
    file = run.summary_file
    tree, sealed = read_json(file, limit=_MOST_BYTES)
    if not sealed:
        raise DamagedFileError(f"{file} is damaged: its checksum is gone")
    try:
        found = Summary.model_validate(tree)
    except ValidationError as error:
        raise DamagedFileError(f"{file} is damaged: it is no summary") from error
    checksum = checksum_at_end(run.results_file) if run.results_file.exists() else None
    fits = checksum is not None and checksum == found.results
    return found if fits and run.read_key() in (found.key, None) else None


def summary(run: RunDir) -> Summary:
    """Returns what a list of runs shows of a report, cached until the report changes.

    Raises:
        DamagedFileError: If there is no valid summary, and `read_report` refuses the results.
    """
    return _summary(run.path, _changed(run.results_file))


@lru_cache(maxsize=_KEPT)
def _summary(path: Path, changed: int) -> Summary:
    run = RunDir(path)
    if _changed(run.summary_file) >= changed:
        with suppress(DamagedFileError):
            if (summary := read_summary(run)) is not None:
                return summary
    return summary_of(read_report(run), None)


def _changed(file: Entry) -> int:
    """Returns when a file or its times were last set, in nanoseconds; -1 without it.

    An edit can restore the time of modification (`cp -p`, `rsync -t`), not that of the change.
    """
    status = file.status()
    return -1 if status is None else max(status.st_mtime_ns, status.st_ctime_ns)


def is_partial(run: RunDir) -> bool:
    """Says whether a run's results are of a part of the images, or cannot be read."""
    try:
        return read_report(run).partial
    except DamagedFileError:
        return True
