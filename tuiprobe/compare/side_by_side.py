"""The models of one command in one table."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tuiprobe.files import Entry
from tuiprobe.report.numbers import figure
from tuiprobe.report.text import escaped, opening, table
from tuiprobe.report.write import read_report
from tuiprobe.results.report import Report
from tuiprobe.run.directory import RunDir


def write_side_by_side(directories: Sequence[RunDir], place: Path) -> Path:
    """Writes the table of finished runs, named by their keys, and returns its path.

    Raises:
        DataError: If a run has no readable report.
        RunError: If the table cannot be written.
    """
    reports = [read_report(directory) for directory in directories]
    keys = "".join(sorted(report.key for report in reports))
    name = f"comparison-{hashlib.sha256(keys.encode()).hexdigest()[:8]}.md"
    file = Entry(place, name)
    file.write_text(side_by_side(reports))
    return file.path


def side_by_side(reports: Sequence[Report]) -> str:
    """Returns Markdown: a row a model, a column a headline figure, each with its interval.

    Args:
        reports: Reports of runs over the same data, in the order of the command.
    """
    images = ", ".join(f"{one.measured} of {one.name}" for one in reports[0].data)
    columns, facts = _columns(reports), _facts(reports)
    header = ["model", "representation", *facts.values(), *columns.values()]
    rows = [
        [
            escaped(_called(report)),
            report.model.representation,
            *(escaped(report.fact(id) or "-") for id in facts),
            *(escaped(figure(report.figure(id))) for id in columns),
        ]
        for report in reports
    ]
    lines = [
        "# Models side by side",
        "",
        f"Images of {escaped(reports[0].model.name)}: {escaped(images)}. Parentheses are 95 % "
        "intervals. Kurtosis and persistence compare only within one kind of representation.",
        "",
        *table([escaped(name) for name in header], rows),
        *(f"- {opening(escaped(note))}" for note in _notes(reports)),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _columns(reports: Sequence[Report]) -> dict[str, str]:
    """Names of the headline figures by id, the first rank first."""
    figures = (one for report in reports for part in report.parts for one in part.figures)
    ranked = sorted(
        (one for one in figures if one.headline is not None), key=lambda one: one.headline or 0
    )
    return {one.id: one.name for one in ranked}


def _facts(reports: Sequence[Report]) -> dict[str, str]:
    return {one.id: one.name for report in reports for part in report.parts for one in part.facts}


def _called(report: Report) -> str:
    """Returns the model's name, with what a reader must know about its figures."""
    partial = "PARTIAL: " if report.partial else ""
    untrained = "UNTRAINED network " if report.model.weights.kind == "untrained" else ""
    return f"{partial}{untrained}{report.model.name}"


def _notes(reports: Sequence[Report]) -> list[str]:
    first = [(one.source, one.measured) for one in reports[0].data]
    notes = [
        f"{report.model.name} saw other images: "
        + ", ".join(f"{one.measured} of {one.name}" for one in report.data)
        for report in reports
        if [(one.source, one.measured) for one in report.data] != first
    ]
    for report in reports:
        notes += [
            f"{report.model.name}: {one.nonfinite} of {one.measured} images of {one.name} are left "
            "out, because their representation is not finite"
            for one in report.data
            if one.nonfinite
        ]
        notes += [
            f"{report.model.name}: {part.title.lower()}: not run: {report.why_not(part.probe)}"
            for part in report.parts
            if part.not_run is not None
        ]
    return notes
