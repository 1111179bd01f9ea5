"""Writes and reads the few figures that a list of runs shows, without building the whole report.

`summary.json` holds them, and the checksum of the `results.json` that they are of. Results that
carry another checksum or were written later, as an earlier version or an editor leaves them, are
read themselves.
"""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tuiprobe.checksums import checksum_at_end, checksum_in, read_json, write_json
from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.results.base import LONGEST_TEXT, MOST_ITEMS, Count, Figure, Frozen, Many, NotRun
from tuiprobe.results.report import (
    ABSENT,
    MAX_REPORT_BYTES,
    Report,
    SchemaVersion,
    no_report,
    read_tree,
)
from tuiprobe.results.subject import Representation
from tuiprobe.run.directory import RunDir

FIGURES: Final = {
    "kurtosis": "kurtosis",
    "persistence": "persistence.value",
    "accuracy": "top1",
    "shifts": "mean_shift",
}
"""The figures of a row: field name and figure id."""

_Sum = Annotated[int, Field(ge=0, le=2**53 * MOST_ITEMS)]
_KEPT = 10_000
_MOST_BYTES = 2**20


class _Piece(BaseModel):
    """A part of a report; fields that are not declared here are neither read nor checked."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", allow_inf_nan=False, str_max_length=LONGEST_TEXT
    )


class _Model(_Piece):
    name: str
    representation: Representation


class _Data(_Piece):
    name: str
    images: Count
    measured: Count


class _Named(_Piece):
    id: str
    figure: Figure
    inner: bool


class _Fact(_Piece):
    id: str
    value: str


class _Part(_Piece):
    figures: Many[_Named]
    facts: Many[_Fact]


class _Spec(_Piece):
    data: str = ""


class Glance(_Piece):
    """The part of a report that a list of runs shows; the fields are those of `Report`."""

    schema_version: SchemaVersion
    title: str
    partial: bool
    spec: _Spec
    model: _Model
    data: Many[_Data]
    parts: Many[_Part]

    def figure(self, id: str) -> Figure:
        """Returns the first figure with this id that is not of an inner layer."""
        figures = (one for part in self.parts for one in part.figures)
        found = next((one.figure for one in figures if one.id == id and not one.inner), ABSENT)
        return NotRun(reason="not measured") if found is ABSENT else found

    def fact(self, id: str) -> str:
        """Returns a finding by its id; empty if the report does not have it."""
        facts = (one for part in self.parts for one in part.facts)
        return next((one.value for one in facts if one.id == id), "")


def read_glance(file: Entry) -> Glance:
    """Reads the part of a run's `results.json` that a list shows.

    Raises:
        DamagedFileError: If it is missing, altered, not a regular file, too large, or not a report.
    """
    content = file.read_bytes(MAX_REPORT_BYTES)
    tree = read_tree(content, file)
    try:
        return Glance.model_validate(tree)
    except ValidationError as error:
        raise no_report(tree, file, error) from error


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
    glance = Glance.model_validate(report, from_attributes=True)
    found = summary_of(glance, checksum_in(text.encode("utf-8", "replace")))
    write_json(run.summary_file, found.model_dump(mode="json"))


def summary_of(report: Glance, checksum: str | None) -> Summary:
    """Returns the summary of a report, whose file carries the checksum."""
    figures = {field: report.figure(id) for field, id in FIGURES.items()}
    return Summary(
        results=checksum,
        title=report.title,
        partial=report.partial,
        model=report.model.name,
        data=", ".join(one.name for one in report.data)[:LONGEST_TEXT],
        source=report.spec.data,
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
        DamagedFileError: If there is no valid summary, as for `read_glance`.
    """
    return _summary(run.path, modified)


@lru_cache(maxsize=_KEPT)
def _summary(path: Path, modified: int) -> Summary:
    run = RunDir(path)
    if (run.summary_file.modified() or 0) >= modified:
        with suppress(DamagedFileError):
            if (found := read_summary(run)) is not None:
                return found
    return summary_of(read_glance(run.results_file), None)


def is_partial(file: Entry) -> bool:
    """Says whether a `results.json` is of a part of the images, or cannot be read."""
    try:
        return read_glance(file).partial
    except DamagedFileError:
        return True
