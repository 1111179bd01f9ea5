"""Reads the few figures that a list of runs shows, without building the whole report."""

from functools import lru_cache
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.results.base import LONGEST_TEXT, Count, Figure, Many, NotRun
from tuiprobe.results.report import (
    ABSENT,
    MAX_REPORT_BYTES,
    SchemaVersion,
    no_report,
    read_tree,
)
from tuiprobe.results.subject import Representation

FIGURES: Final = {
    "kurtosis": "kurtosis",
    "persistence": "persistence.value",
    "accuracy": "top1",
    "shifts": "mean_shift",
}
"""The figures of a row: field name and figure id."""

_KEPT = 10_000


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


@lru_cache(maxsize=_KEPT)
def summary(file: Entry, _modified: int) -> dict[str, Any]:
    """Returns what a list of runs shows of a report, cached until the file changes.

    Args:
        file: The run's `results.json`.
        _modified: When it was last written.

    Raises:
        DamagedFileError: As for `read_glance`.
    """
    report = read_glance(file)
    return {
        "title": report.title,
        "partial": report.partial,
        "model": report.model.name,
        "data": ", ".join(one.name for one in report.data),
        "source": report.spec.data,
        "kind": report.model.representation,
        "images": sum(one.measured for one in report.data),
        "wanted": sum(one.images for one in report.data),
        "outcome": report.fact("outcome"),
        **{field: report.figure(id) for field, id in FIGURES.items()},
    }


def is_partial(file: Entry, modified: int) -> bool:
    """Says whether results are of a part of the images, or cannot be read.

    Args:
        file: The run's `results.json`.
        modified: When it was last written.
    """
    try:
        return bool(summary(file, modified)["partial"])
    except DamagedFileError:
        return True
