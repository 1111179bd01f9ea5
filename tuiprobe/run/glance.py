"""Writes and reads the few figures that a list of runs shows, without reading the whole report.

`summary.json` holds them, and the checksum of the `results.json` that they are of. Results that
carry another checksum or were written later, as an earlier version or an editor leaves them, are
read themselves.
"""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError

from tuiprobe.checksums import checksum_at_end, checksum_in, read_json, write_json
from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.results.base import LONGEST_TEXT, MOST_ITEMS, Figure, Frozen, NotRun
from tuiprobe.results.report import ABSENT, Report
from tuiprobe.results.subject import Representation
from tuiprobe.run.directory import RunDir

FIGURES: Final = {
    "kurtosis": "kurtosis",
    "persistence": "persistence.value",
    "accuracy": "top1",
    "shifts": "mean_shift",
}
"""The figures of a row: field name and figure id."""

_NOTHING: Final = NotRun(reason="not measured")
_Sum = Annotated[int, Field(ge=0, le=2**53 * MOST_ITEMS)]
_KEPT = 10_000
_MOST_BYTES = 2**20


class Summary(Frozen):
    """What a list of runs shows of a report.

    Attributes:
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
    figures = {field: report.figure(id) for field, id in FIGURES.items()}
    figures = {id: _NOTHING if one is ABSENT else one for id, one in figures.items()}
    return Summary(
        results=checksum,
        title=report.title,
        partial=report.partial,
        model=report.model.name,
        data=", ".join(one.name for one in report.data)[:LONGEST_TEXT],
        source=str(report.spec.get("data", "")),
        kind=report.model.representation,
        images=sum(one.measured for one in report.data),
        wanted=sum(one.images for one in report.data),
        outcome=report.fact("outcome"),
        **figures,
    )


def read_summary(run: RunDir) -> Summary | None:
    """Reads `summary.json`; returns None if it is of other results than those of the run.

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
    return found if checksum is not None and checksum == found.results else None


def summary(run: RunDir, modified: int) -> Summary:
    """Returns what a list of runs shows of a report, cached until the report changes.

    Args:
        run: The directory.
        modified: When its `results.json` was last written.

    Raises:
        DamagedFileError: If there is no valid summary and no valid report.
    """
    return _summary(run.path, modified)


@lru_cache(maxsize=_KEPT)
def _summary(path: Path, modified: int) -> Summary:
    run = RunDir(path)
    if (run.summary_file.modified() or 0) >= modified:
        with suppress(DamagedFileError):
            if (found := read_summary(run)) is not None:
                return found
    return summary_of(Report.read(run.results_file), None)


def is_partial(file: Entry) -> bool:
    """Says whether a `results.json` is of a part of the images, or cannot be read."""
    try:
        return Report.read(file).partial
    except DamagedFileError:
        return True
